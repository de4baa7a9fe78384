// Sorting, filtering and hiding of columns. What it needs it adds itself, so that the page without it is whole.
"use strict";
for (const table of document.querySelectorAll("table")) {
  const body = table.tBodies[0], heads = headsByColumn(table);
  if (!body || body.rows.length < 2) continue;
  heads.forEach((head, column) => {
    if (!head || head.colSpan > 1) return;
    head.classList.add("sortable");
    head.tabIndex = 0;
    head.title = "sort";
    head.addEventListener("click", () => sort(body, heads, head, column));
    head.addEventListener("keydown", (event) => {
      if (event.key === "Enter") sort(body, heads, head, column);
    });
  });
  if (table.classList.contains("board") || table.classList.contains("published")) addTools(table, body, heads);
}

// The last header cell over each column; cells of two rows and of several columns stand beside each other.
function headsByColumn(table) {
  const heads = [], taken = [];
  [...(table.tHead ? table.tHead.rows : [])].forEach((row, line) => {
    let column = 0;
    for (const cell of row.cells) {
      while (taken[column] > line) column++;
      for (let i = 0; i < cell.colSpan; i++, column++) {
        heads[column] = cell;
        taken[column] = line + cell.rowSpan;
      }
    }
  });
  return heads;
}

// What a cell is sorted by: the number it begins with, or its text.
function key(row, column) {
  const text = (row.cells[column]?.firstChild?.textContent ?? "").trim();
  const number = /^[−-]?[\d.,\u202f]+/.exec(text);
  return number ? parseFloat(number[0].replace("−", "-").replace(/[,\u202f]/g, "")) : text;
}

function sort(body, heads, head, column) {
  const rises = head.ariaSort === "descending";
  const rows = [...body.rows].map((row) => [key(row, column), row]);
  const isNumber = (value) => typeof value === "number";
  rows.sort(([a], [b]) => {
    // What has no number comes last, whichever way.
    if (isNumber(a) !== isNumber(b)) return isNumber(a) ? -1 : 1;
    const order = isNumber(a) ? a - b : b.localeCompare(a);
    return rises ? order : -order;
  });
  for (const other of heads) other?.removeAttribute("aria-sort");
  head.ariaSort = rises ? "ascending" : "descending";
  body.append(...rows.map(([, row]) => row));
}

function addTools(table, body, heads) {
  const tools = document.createElement("div");
  tools.className = "tools";
  const filter = document.createElement("input");
  filter.type = "search";
  filter.placeholder = "filter rows";
  filter.ariaLabel = "filter rows";
  filter.addEventListener("input", () => {
    const wanted = filter.value.toLowerCase();
    for (const row of body.rows) row.hidden = !row.textContent.toLowerCase().includes(wanted);
  });
  const choice = document.createElement("details");
  choice.innerHTML = "<summary>columns</summary>";
  heads.forEach((head, column) => {
    // Under a group, cells that span several columns stay.
    if (column < 2 || head.colSpan > 1) return;
    const label = document.createElement("label"), box = document.createElement("input");
    box.type = "checkbox";
    box.checked = true;
    box.addEventListener("change", () => {
      for (const row of body.rows) row.cells[column].classList.toggle("hidden", !box.checked);
      head.classList.toggle("hidden", !box.checked);
      spanGroups(table);
    });
    label.append(box, " " + title(table, head, column));
    choice.append(label);
  });
  tools.append(filter, choice);
  table.parentElement.before(tools);
}

// `Linf 0.1`: the group above a budget, and the budget.
function title(table, head, column) {
  const above = groupOf(table, column);
  const text = (cell) => cell.innerText.replace(/\s+/g, " ").trim();
  return above && above !== head ? text(above) + " " + text(head) : text(head);
}

function groupOf(table, column) {
  let at = 0;
  for (const cell of table.tHead.rows[0].cells) {
    const span = Number(cell.dataset.span ?? cell.colSpan);
    if (column < at + span) return cell;
    at += span;
  }
  return null;
}

// A group is as wide as those of its columns that are shown.
function spanGroups(table) {
  if (table.tHead.rows.length < 2) return;
  const below = [...table.tHead.rows[1].cells];
  let at = 0;
  for (const cell of table.tHead.rows[0].cells) {
    if (!cell.classList.contains("span")) continue;
    cell.dataset.span ??= cell.colSpan;
    const own = below.slice(at, at + Number(cell.dataset.span));
    at += own.length;
    const shown = own.filter((head) => !head.classList.contains("hidden")).length;
    cell.classList.toggle("hidden", shown === 0);
    cell.colSpan = Math.max(shown, 1);
  }
}

"""`fast` beside `autoattack`, image by image: for every network and threat model of a run folder that has both, robust
images, the images that only one of them breaks, and passes as a share of AutoAttack's. Works on unfinished runs: what is
compared are the images that both tables have.

    python scripts/beside.py results/fast
    python scripts/beside.py results/fast --reference TABLE.csv    # an `autoattack` table of the one network there
    python scripts/beside.py results/fast --images IMAGES.csv      # a row for every image too
"""

import argparse
import csv
from pathlib import Path


def table(path):
    with open(path, newline="") as file:
        return {int(row["idx"]): row for row in csv.DictReader(file)}


def passes(row):
    return int(row["forwards"]) + int(row["backwards"])


def add(networks, sums, path, row):
    """Adds a job's numbers to those of its network and to those of all."""
    jobs, own = networks.get(path.parent.name, (0, [0] * len(row)))
    networks[path.parent.name] = jobs + 1, [a + b for a, b in zip(own, row)]
    sums[:] = [a + b for a, b in zip(sums, row)]


def main():
    arguments = argparse.ArgumentParser()
    arguments.add_argument("run", type=Path)
    arguments.add_argument("--reference", type=Path)
    arguments.add_argument("--images", type=Path)
    given = arguments.parse_args()
    print(
        "| network | job | images | autoattack robust | fast robust | fast alone | autoattack alone "
        "| passes | with control | control | broken |\n|---|---|" + "---:|" * 9
    )
    sums = [0] * 7
    networks = {}
    images = [["network", "threat", "idx", "label", "clean", "autoattack", "fast", "passes_autoattack", "passes_fast", "reference"]]
    for path in sorted(given.run.glob("jobs/*/fast*.csv")):
        if ".pending" in path.name:
            continue
        other = given.reference or path.with_name(path.name.replace("fast", "autoattack", 1))
        if not other.exists():
            continue
        fast, full = table(path), table(other)
        both = sorted(fast.keys() & full.keys())
        for idx in both:
            row, dear = fast[idx], full[idx]
            said = [idx, row["label"], row["clean"], dear["by"], row["by"], passes(dear), passes(row), row["reference"]]
            images.append([path.parent.name, path.stem.removeprefix("fast-"), *said])
        # What `fast` found by itself, and what by the attack that it stands in for.
        own = lambda row: row["found"] == "1" and (row["reference"] == "0" or row["by"] == "clean")
        asked = [i for i in both if fast[i]["reference"] != "0" and fast[i]["by"] != "clean"]
        won = [i for i in both if own(fast[i]) and full[i]["found"] == "0"]
        lost = [i for i in both if not own(fast[i]) and full[i]["found"] == "1"]
        dear = sum(passes(full[i]) for i in both)
        if not dear:
            continue
        with_control = sum(passes(fast[i]) for i in both)
        alone = with_control - sum(int(fast[i]["reference"]) for i in both)
        if not alone:
            # A safety check gave the whole job to AutoAttack.
            robust = [sum(table[i]["found"] == "0" for i in both) for table in (full, fast)]
            print(
                f"| {path.parent.name} | {path.stem} | {len(both)} | {robust[0]} | {robust[1]}, all given to AutoAttack "
                f"| – | – | 1/{dear / with_control:.1f} | 1/{dear / with_control:.1f} | – | – |"
            )
            add(networks, sums, path, [len(both), *robust, 0, 0, dear, with_control])
            continue
        robust = [sum(full[i]["found"] == "0" for i in both), sum(not own(fast[i]) for i in both)]
        broken = sum(fast[i]["found"] == "1" for i in asked)
        names = lambda images: ", ".join(map(str, images)) or "–"
        print(
            f"| {path.parent.name} | {path.stem} | {len(both)} | {robust[0]} | {robust[1]} | {names(won)} | {names(lost)} "
            f"| 1/{dear / alone:.1f} | 1/{dear / with_control:.1f} | {len(asked)} | {broken} |"
        )
        add(networks, sums, path, [len(both), *robust, len(won), len(lost), dear, alone])
    if given.images:
        with open(given.images, "w", newline="") as file:
            csv.writer(file, lineterminator="\n").writerows(images)
    several = {name: row for name, (jobs, row) in networks.items() if jobs > 1}
    for name, row in [*several.items(), ("all", sums)]:
        if row[0]:
            print(
                f"| {name} | all | {row[0]} | {row[1]} | {row[2]} | {row[3]} images | {row[4]} images "
                f"| 1/{row[5] / row[6]:.1f} | | | |"
            )


main()

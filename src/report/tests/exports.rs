//! Every format, from the same boards.

use std::path::Path;

use super::{board, rows, small};
use crate::record::Work;
use crate::report::fixture::{Fixture, attack, certificate_row, digits, smoothing};
use crate::report::{Csv, Exporter, Html, Markdown, Summary, Terminal, write_all};

#[test]
fn terminal_board() {
    let leaderboard = board(&[("run", small())]);
    let text = Terminal { width: 100, colour: false }.export(&leaderboard).unwrap();
    insta::assert_snapshot!(text, @r"
    small  digits, 8 images of 1×8×8, seed 0, cpu f32
    ────────────────────────────────────────────────────────────────────────
     #  model   clean  Linf    L2    L2  patch  worst       95 %  certified
                        0.1   0.3   0.5    2x2   case   interval    L2 0.25
    ────────────────────────────────────────────────────────────────────────
     1  robust   87.5  75.0  87.5  62.5   75.0   50.0  21.5–78.5       75.0
     2  plain   100.0  12.5  62.5  12.5   62.5   12.5   2.2–47.1       37.5
    ────────────────────────────────────────────────────────────────────────
    Accuracies in percent of all images; a misclassified clean image is not robust.
    Threat columns: not broken within the budget by any adversarial image at hand, whichever attack
    found it. Worst case: not broken at the largest budget of any threat, under the 3 attacks of this
    board.
    Controls, not part of any worst case: grey-patch.
    Certified L2 0.25: correct, and proved not to change within an L2 ball of that radius.
    ");
}

#[test]
fn terminal_keeps_to_its_width_and_says_what_it_left_out() {
    let leaderboard = board(&[("run", digits())]);
    for width in [60, 72, 80, 100] {
        let text = Terminal { width, colour: false }.export(&leaderboard).unwrap();
        let widest = text.lines().skip(1).map(|line| line.chars().count()).max().unwrap();
        assert!(widest <= width, "{widest} > {width}\n{text}");
        assert_eq!(text.contains("Too wide for this table: 95 % interval"), width < 100, "{text}");
        assert!(!text.contains('\u{1b}'));
    }
}

#[test]
fn colour_changes_no_letter() {
    let leaderboard = board(&[("run", digits())]);
    let plain = Terminal { width: 100, colour: false }.export(&leaderboard).unwrap();
    let coloured = Terminal { width: 100, colour: true }.export(&leaderboard).unwrap();
    assert!(coloured.contains("\u{1b}[1;32m"));
    let mut stripped = String::new();
    for part in coloured.split('\u{1b}') {
        stripped.push_str(part.strip_prefix('[').map_or(part, |p| p.split_once('m').unwrap().1));
    }
    let trimmed = |text: &str| text.lines().map(|l| l.trim_end().to_owned()).collect::<Vec<_>>();
    assert_eq!(trimmed(&stripped), trimmed(&plain));
}

#[test]
fn markdown_tables() {
    let text = Markdown.export(&board(&[("run", small())])).unwrap();
    insta::assert_snapshot!(text, @r"
    # small

    ## digits

    digits, 8 images of 1×8×8, seed 0, cpu f32.

    |  \# | model  |     clean | Linf 0.1 |   L2 0.3 |   L2 0.5 | patch 2x2 | worst case | 95 % interval | certified L2 0.25 |
    | --: | ------ | --------: | -------: | -------: | -------: | --------: | ---------: | ------------: | ----------------: |
    |   1 | robust |      87.5 | **75.0** | **87.5** | **62.5** |  **75.0** |   **50.0** |     21.5–78.5 |          **75.0** |
    |   2 | plain  | **100.0** |     12.5 |     62.5 |     12.5 |      62.5 |       12.5 |      2.2–47.1 |              37.5 |

    - Accuracies in percent of all images; a misclassified clean image is not robust.
    - Threat columns: not broken within the budget by any adversarial image at hand, whichever attack found it. Worst case: not broken at the largest budget of any threat, under the 3 attacks of this board.
    - Controls, not part of any worst case: grey-patch.
    - Certified L2 0.25: correct, and proved not to change within an L2 ball of that radius.

    ### Robust accuracy by attack

    | attack       | threat             |      robust |       plain |
    | ------------ | ------------------ | ----------: | ----------: |
    | pgd-linf 0.1 | Linf 0.1           | 75.0 (14.3) | 12.5 (87.5) |
    | cw-l2 0.3    | L2 0.3             |  87.5 (0.0) | 62.5 (37.5) |
    | cw-l2 0.5    | L2 0.5             | 62.5 (28.6) | 12.5 (87.5) |
    | patch-rs     | patch 2x2          | 75.0 (14.3) | 62.5 (37.5) |
    | grey-patch   | patch 2x2, control |  87.5 (0.0) | 87.5 (12.5) |
    | cw-l2        | median L2 distance |       0.900 |       0.400 |

    In brackets: attack success rate, of the correctly classified images.

    ### Distances of attacks without a radius

    | threat | model  | attack |  25 % | median |  75 % |   area | area of all |   ξ |
    | ------ | ------ | ------ | ----: | -----: | ----: | -----: | ----------: | --: |
    | L2     | robust | cw-l2  | 0.475 |  0.900 | 0.900 | 0.6750 |      0.6750 |   – |
    | L2     | plain  | cw-l2  | 0.275 |  0.400 | 0.500 | 0.4250 |      0.4250 |   – |

    ξ: optimality beside the nearest images of all attacks on the network (Cinà et al. 2025).

    ### Certified accuracy

    | model  | certificate    | r = 0 | r = 0.25 | r = 0.5 | abstained | average radius |          pA quartiles | samples |
    | ------ | -------------- | ----: | -------: | ------: | --------: | -------------: | --------------------: | ------: |
    | robust | smoothing-0.25 |  87.5 |     75.0 |    75.0 |      12.5 |          0.500 | 0.900 / 0.900 / 0.900 |   1 100 |
    | plain  | smoothing-0.25 |  75.0 |     37.5 |     0.0 |      25.0 |          0.175 | 0.400 / 0.900 / 0.900 |   1 100 |
    ");
}

/// Two norms and two sizes of a patch, one of them unfinished.
fn certified() -> Fixture {
    let mut in_l1 =
        Work { label: "uniform-0.25".into(), threat: "L1".into(), ..smoothing(&[0.0, 0.5]) };
    in_l1.facts.insert("guarantee".into(), "each radius is a promise".into());
    let rows: Vec<_> = (0..4).map(|i| certificate_row(i, 0, 0.25 * i as f64)).collect();
    Fixture::new("proofs", 4)
        .model("plain", "aa", "")
        .certificate("plain", smoothing(&[0.0, 0.25]), &rows)
        .certificate("plain", in_l1, &rows)
        .patches("plain", "patchcleanser", "2x2", "cc.x")
        .patches("plain", "column-smoothing", "2x2", "c..x")
        .patches("plain", "patchcleanser", "3x3", "c.")
}

#[test]
fn certified_accuracy_has_a_column_for_each_norm_and_patch() {
    let leaderboard = board(&[("run", certified())]);
    let text = Markdown.export(&leaderboard).unwrap();
    let squeezed: Vec<String> =
        text.lines().map(|l| l.split_whitespace().collect::<Vec<_>>().join(" ")).collect();
    for line in [
        "| \\# | model | clean | certified L2 0.25 | certified L1 0.5 | certified patch 2x2 | certified patch 3x3 |",
        "| – | plain | – | 75.0 | 50.0 | 50.0 | 2/4 |",
        "- Certified L1 0.5: correct, and proved not to change within an L1 ball of that radius.",
        "- uniform-0.25: each radius is a promise.",
        "- Certified patch 2x2: correct with the defence in front, and proved not to change whatever a patch 2x2 shows, wherever it is, by the model's best certificate.",
        "### Certified accuracy",
        "### Certified accuracy in L1",
        "| plain | uniform-0.25 | 100.0 | 50.0 | 0.0 | 0.375 | 0.900 / 0.900 / 0.900 | 1 100 |",
        "### Certified accuracy against patches",
        "| plain | patchcleanser-2x2 | patch 2x2 | 75.0 | 50.0 | 368 |",
        "| plain | patchcleanser-3x3 | patch 3x3 | 2/4 | 2/4 | 368 |",
        "- Unfinished: plain under patchcleanser-3x3 2/4 images.",
    ] {
        assert!(squeezed.iter().any(|l| l == line), "{line}\nin\n{text}");
    }
    let html = Html::default().export(&leaderboard).unwrap();
    assert_balanced(&html);
    assert!(html.contains("certified patch 2x2</th>"));
    assert!(html.contains("<h2>Certified accuracy in L1"));
    // A curve for each norm.
    assert_eq!(html.matches("<figure>").count(), 2);
    let csv = Csv.export(&leaderboard).unwrap();
    assert!(csv.contains(",patchcleanser-2x2 certified patch 2x2,"), "{csv}");
    let terminal = Terminal { width: 100, colour: false }.export(&leaderboard).unwrap();
    assert!(terminal.contains("patch 2x2"), "{terminal}");
    let json: serde_json::Value =
        serde_json::from_str(&Summary.export(&leaderboard).unwrap()).unwrap();
    let patches = &json["boards"][0]["standings"][0]["patches"];
    assert_eq!(patches[0]["certified"]["count"], 2);
    assert_eq!(json["boards"][0]["columns"][2]["threat"], "patch 2x2");
}

#[test]
fn csv_table() {
    let text = Csv.export(&board(&[("run", small())])).unwrap();
    // Turned on its side, to be read.
    let mut reader = ::csv::Reader::from_reader(text.as_bytes());
    let header = reader.headers().unwrap().clone();
    let records: Vec<_> = reader.records().map(Result::unwrap).collect();
    let lines: Vec<String> = (0..header.len())
        .filter(|column| &header[*column] != "sha256")
        .map(|column| {
            let value = |record: &::csv::StringRecord| match &record[column] {
                "" => "(empty)".to_owned(),
                value => value.to_owned(),
            };
            let values: Vec<String> = records.iter().map(value).collect();
            format!("{}: {}", &header[column], values.join(" | "))
        })
        .collect();
    insta::assert_snapshot!(lines.join("\n"), @r"
    data: digits | digits
    rank: 1 | 2
    model: robust | plain
    architecture: digits-cnn | digits-cnn
    parameters: 25450 | 25450
    images: 8 | 8
    clean: 0.875000 | 1.000000
    worst case: 0.500000 | 0.125000
    worst case low: 0.215216 | 0.022417
    worst case high: 0.784784 | 0.470888
    worst Linf 0.1: 0.750000 | 0.125000
    worst L2 0.3: 0.875000 | 0.625000
    worst L2 0.5: 0.625000 | 0.125000
    worst patch 2x2: 0.750000 | 0.625000
    pgd-linf 0.1: 0.750000 | 0.125000
    cw-l2 0.3: 0.875000 | 0.625000
    cw-l2 0.5: 0.625000 | 0.125000
    patch-rs: 0.750000 | 0.625000
    grey-patch: 0.875000 | 0.875000
    pgd-linf 0.1 success: 0.142857 | 0.875000
    cw-l2 0.3 success: 0.000000 | 0.375000
    cw-l2 0.5 success: 0.285714 | 0.875000
    patch-rs success: 0.142857 | 0.375000
    grey-patch success: 0.000000 | 0.125000
    smoothing-0.25 certified 0: 0.875000 | 0.750000
    smoothing-0.25 certified 0.25: 0.750000 | 0.375000
    smoothing-0.25 certified 0.5: 0.750000 | 0.000000
    smoothing-0.25 abstained: 0.125000 | 0.250000
    smoothing-0.25 average radius: 0.500000 | 0.175000
    forwards per image: 40.000000 | 40.000000
    backwards per image: 36.000000 | 36.000000
    unfinished: (empty) | (empty)
    not run: (empty) | (empty)
    checks: (empty) | (empty)
    ");
}

#[test]
fn summary_holds_unrounded_numbers() {
    let text = Summary.export(&board(&[("run", digits())])).unwrap();
    let json: serde_json::Value = serde_json::from_str(&text).unwrap();
    assert_eq!(json["format_version"], 5);
    let clean = &json["boards"][0]["standings"][0]["clean"];
    assert_eq!(clean["rate"].as_f64().unwrap(), clean["count"].as_f64().unwrap() / 360.0);
}

/// Checks that every tag is closed, in order.
fn assert_balanced(html: &str) {
    let mut open: Vec<&str> = Vec::new();
    let mut rest = html;
    while let Some((_, from)) = rest.split_once('<') {
        if let Some(comment) = from.strip_prefix("!--") {
            rest = comment.split_once("-->").unwrap().1;
            continue;
        }
        let (tag, after) = from.split_once('>').unwrap();
        let name = tag.trim_start_matches('/').split([' ', '\n', '/']).next().unwrap();
        if tag.starts_with('/') {
            assert_eq!(open.pop(), Some(name), "closed before: {}", &after[..after.len().min(80)]);
        } else if !tag.starts_with('!') && !tag.ends_with('/') {
            open.push(name);
        }
        // What is in a script is no markup.
        rest = if tag == "script" { &after[after.find("</script>").unwrap()..] } else { after };
    }
    assert!(open.is_empty(), "left open: {open:?}");
}

#[test]
fn html_is_one_well_formed_file() {
    let leaderboard = board(&[("run", digits())]);
    let html = Html::default().export(&leaderboard).unwrap();
    assert_balanced(&html);
    for standing in &leaderboard.boards[0].standings {
        assert!(
            html.contains(&standing.entrant.model.name)
                && html.contains(&standing.entrant.model.sha256)
        );
    }
    // Two security curves, the distances of CW, the passes of the longest attack of three threats, the certified curve,
    // and attack and proof in L2.
    assert_eq!(html.matches("<figure>").count(), 8);
    for outside in ["<script ", "<link", "src=", "@import"] {
        assert!(!html.contains(outside), "{outside}");
    }
    assert_eq!(html.matches("http").count(), html.matches("http://www.w3.org/2000/svg").count());
    assert_eq!(html.matches("url(").count(), html.matches("url(#figure-").count());
    for number in 1..=8 {
        assert_eq!(html.matches(&format!("id=\"figure-{number}\"")).count(), 1, "{number}");
    }
    assert_eq!(html, Html::default().export(&leaderboard).unwrap());
}

#[test]
fn html_escapes_names() {
    let name = "<b>&\"$x$|net";
    let run = Fixture::new(name, 4).model(name, "aa", name);
    let run = run.attack(name, attack("cw", "L2", &[0.1, 0.2]), &rows("1.2."));
    let leaderboard = board(&[("run", run)]);
    let html = Html::default().export(&leaderboard).unwrap();
    assert_balanced(&html);
    assert!(!html.contains("<b>"));
    let markdown = Markdown.export(&leaderboard).unwrap();
    assert!(markdown.contains("\\<b>&\"$x$\\|net"), "{markdown}");
}

/// Every link of the pages in `folder` leads to a file that is there, and to an anchor that is in it.
fn linked(folder: &Path) {
    let names = |folder: &Path| std::fs::read_dir(folder).unwrap().map(|e| e.unwrap().path());
    let pages = names(folder).chain(names(&folder.join("models")));
    let mut links = 0;
    for page in pages.filter(|path| path.extension().is_some_and(|ending| ending == "html")) {
        let text = std::fs::read_to_string(&page).unwrap();
        for link in text.split("href=\"").skip(1) {
            let link = link.split('"').next().unwrap();
            let (file, anchor) = link.split_once('#').unwrap_or((link, ""));
            let file = page.parent().unwrap().join(file);
            assert!(file.is_file(), "{}: {link}", page.display());
            let there = anchor.is_empty()
                || std::fs::read_to_string(file).unwrap().contains(&format!("id=\"{anchor}\""));
            assert!(there, "{}: {link}", page.display());
            links += 1;
        }
    }
    assert!(links > 20, "{links}");
}

#[test]
fn files_are_replaced_as_a_whole() {
    let folder = tempfile::tempdir().unwrap();
    let to = folder.path().join("new/report");
    let leaderboard = board(&[("run", digits())]);
    for _ in 0..2 {
        let written = write_all(&leaderboard, &to).unwrap();
        let mut names: Vec<_> =
            std::fs::read_dir(&to).unwrap().map(|e| e.unwrap().path()).collect();
        names.sort();
        // The four, the page of runs and jobs, and the folder of pages of networks.
        assert_eq!(names.len(), 6);
        assert!(written.iter().all(|path| names.contains(path)));
    }
    linked(&to);
    // To look at it in a browser.
    if let Some(keep) = std::env::var_os("EPSBALL_REPORT_DIR") {
        digits().write(&Path::new(&keep).join("run"));
        write_all(&leaderboard, Path::new(&keep)).unwrap();
        let text = Terminal { width: 100, colour: true }.export(&leaderboard).unwrap();
        std::fs::write(Path::new(&keep).join("leaderboard.txt"), text).unwrap();
    }
    std::fs::write(folder.path().join("file"), "").unwrap();
    let error = write_all(&leaderboard, &folder.path().join("file")).unwrap_err();
    assert!(error.to_string().starts_with("cannot create "), "{error}");
}

#[test]
fn every_format_shows_what_safety_checks_found() {
    let (long, seen) = ("n".repeat(40), "zero gradients on 12 of 100 images");
    let work = |eps: f64| attack(&format!("autoattack-{eps}"), "Linf", &[eps]);
    let mut run = Fixture::new("checked", 4).model(&long, "aa", "").model("calm", "bb", "");
    for eps in [0.1, 0.2] {
        run = run.attack(&long, work(eps), &rows("1...")).finding("zero-gradients", seen);
        run = run.attack("calm", work(eps), &rows("1..."));
    }
    let leaderboard = board(&[("run", run)]);
    let footnote =
        format!("‡ {long}: {seen} (autoattack-0.1, autoattack-0.2). What zero-gradients means.");

    let text = Terminal { width: 200, colour: false }.export(&leaderboard).unwrap();
    assert!(text.contains(&format!("{}… ‡", "n".repeat(27))), "{text}");
    assert!(text.contains(&footnote) && !text.contains("calm ‡"), "{text}");
    let coloured = Terminal { width: 200, colour: true }.export(&leaderboard).unwrap();
    assert!(coloured.contains("\u{1b}[33m") && coloured.contains("… ‡"), "{coloured}");

    let markdown = Markdown.export(&leaderboard).unwrap();
    assert!(markdown.contains(&format!("| {long} ‡ |")), "{markdown}");
    assert!(markdown.contains(&format!("- {footnote}")), "{markdown}");

    let html = Html::default().export(&leaderboard).unwrap();
    assert_balanced(&html);
    assert!(html.contains(&format!("{long} ‡<small>")) && html.contains(&footnote), "{html}");

    let csv = Csv.export(&leaderboard).unwrap();
    let mut reader = ::csv::Reader::from_reader(csv.as_bytes());
    let at = reader.headers().unwrap().iter().position(|title| title == "checks").unwrap();
    let found: Vec<String> =
        reader.records().map(|record| record.unwrap()[at].to_owned()).collect();
    let expected = format!("{seen} (autoattack-0.1, autoattack-0.2)");
    assert_eq!(found, ["", &expected]);

    let json: serde_json::Value =
        serde_json::from_str(&Summary.export(&leaderboard).unwrap()).unwrap();
    let attacks = &json["boards"][0]["standings"][1]["attacks"];
    assert_eq!(attacks[1]["checks"]["findings"][0]["seen"], seen);
    assert!(json["boards"][0]["standings"][0]["attacks"][0].get("checks").is_none());
}

#[test]
fn the_best_of_several_sigmas_is_named_at_every_radius() {
    let mut wider = smoothing(&[0.0, 0.25, 0.5]);
    wider.label = "smoothing-0.5".into();
    wider.facts.insert("sigma".into(), "0.5".into());
    let rows = |radii: [f64; 4]| -> Vec<_> {
        (0..)
            .zip(radii)
            .map(|(i, r)| certificate_row(i, if r < 0.0 { -1 } else { 0 }, r.max(0.0)))
            .collect()
    };
    let run = Fixture::new("sigmas", 4)
        .model("net", "aa", "")
        .certificate("net", smoothing(&[0.0, 0.25, 0.5]), &rows([0.3, 0.3, 0.3, 0.1]))
        .certificate("net", wider, &rows([0.9, 0.6, -1.0, -1.0]));
    let leaderboard = board(&[("run", run)]);
    let json: serde_json::Value =
        serde_json::from_str(&Summary.export(&leaderboard).unwrap()).unwrap();
    let points = json["boards"][0]["standings"][0]["envelopes"][0]["points"].as_array().unwrap();
    let best: Vec<_> = points
        .iter()
        .map(|p| (p["radius"].as_f64(), p["accuracy"]["count"].as_u64(), p["sigma"].as_f64()))
        .map(|(radius, count, sigma)| (radius.unwrap(), count.unwrap(), sigma.unwrap()))
        .collect();
    assert_eq!(best, [(0.0, 4, 0.25), (0.25, 3, 0.25), (0.5, 2, 0.5)]);
    let markdown = Markdown.export(&leaderboard).unwrap();
    let squeezed = markdown.split_whitespace().collect::<Vec<_>>().join(" ");
    let row = "| net | best of them | 100.0 (sigma 0.25) | 75.0 (sigma 0.25) | 50.0 (sigma 0.5) |";
    assert!(squeezed.contains(row), "{markdown}");
    let html = Html::default().export(&leaderboard).unwrap();
    assert_balanced(&html);
    assert!(html.contains("<small>sigma 0.5</small>"), "{html}");
}

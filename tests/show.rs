//! `epsball show`: a page and pictures of the adversarial images that a run has saved.
#![allow(clippy::unwrap_used)]

mod support;

use epsball::data;
use support::Sandbox;

const ATTACK: [&str; 11] = [
    "attack",
    "-m",
    "bundled:digits-standard",
    "-d",
    "digits",
    "-n",
    "12",
    "--norm",
    "Linf",
    "--eps",
    "0.2",
];

#[test]
fn a_run_with_images_is_shown() {
    let sandbox = Sandbox::new();
    let run = |attack: &str, more: &[&str]| {
        let ran = sandbox.run(&[&ATTACK[..], &["-a", attack, "-o", "run"], more].concat());
        assert_eq!(ran.code, 0, "{}", ran.all());
    };
    run("pgd", &["--save-adversarial"]);
    run("fgsm", &[]);
    let ran = sandbox.run(&["show", "run", "--each", "1", "--png", "pictures"]);
    assert_eq!(ran.code, 0, "{}", ran.all());
    assert!(ran.stderr.contains("wrote run/gallery.html"), "{}", ran.all());
    assert!(ran.stderr.contains("fgsm-linf-0.2 has saved no adversarial images"), "{}", ran.all());
    let start = "digits-standard--pgd-linf-0.2: Linf, of 12 correctly classified images broken: ";
    assert!(
        ran.stdout.contains(start) && ran.stdout.contains(" within eps 0.2\n"),
        "{}",
        ran.all()
    );
    for rank in ["closest", "median", "hardest"] {
        assert!(ran.stdout.contains(&format!("  {rank:<8} image ")), "{}", ran.all());
    }
    let page = std::fs::read_to_string(sandbox.path("run/gallery.html")).unwrap();
    assert_eq!(page.matches("<img ").count(), 9);
    assert!(page.contains("<h4>hardest</h4>") && page.contains("change, ×2<"), "{page}");
    let folder = std::fs::read_dir(sandbox.path("pictures")).unwrap().next().unwrap().unwrap();
    let pictures = std::fs::read_dir(folder.path()).unwrap().count();
    assert_eq!(pictures, 9);
}

#[test]
fn what_cannot_be_shown_says_why() {
    let sandbox = Sandbox::new();
    let ran = sandbox.run(&[&ATTACK[..], &["-a", "fgsm", "-o", "run"]].concat());
    assert_eq!(ran.code, 0, "{}", ran.all());
    for (arguments, problem, hint) in [
        (&["show", "run"][..], "no attack of this run has saved any", "--save-adversarial"),
        (
            &["show", "run", "--job", "nothing"],
            "unknown job `nothing`",
            "known: digits-standard--fgsm-linf-0.2",
        ),
        (
            &["show", "run", "--job", "FGSM"],
            "no attack of this run has saved any",
            "--save-adversarial",
        ),
        (&["show", "run", "-o", "run/run.toml"], "run/run.toml belongs to the run", "another name"),
        (
            &["show", "run", "-o", "run/jobs/digits-standard/fgsm-linf-0.2.csv"],
            "belongs to the run",
            "",
        ),
        (&["show", "none"], "run.toml", ""),
        (&["show", "run", "--each", "0"], "0 is not in 1..", ""),
    ] {
        let ran = sandbox.run(arguments);
        assert_eq!(ran.code, 2, "{}", ran.all());
        assert!(ran.stderr.contains(problem) && ran.stderr.contains(hint), "{}", ran.all());
    }
}

/// Counts are those of the board: within the budget, for attacks that go as far as they must too.
#[test]
fn images_are_counted_within_each_budget() {
    let sandbox = Sandbox::new();
    let mut arguments = ATTACK.to_vec();
    *arguments.last_mut().unwrap() = "0.02,0.05";
    let ran = sandbox.run(
        &[&arguments[..], &["-a", "fmn", "--set", "steps=20", "-o", "run", "--save-adversarial"]]
            .concat(),
    );
    assert_eq!(ran.code, 0, "{}", ran.all());
    let board = sandbox.run(&["leaderboard", "run", "--json"]);
    let board: serde_json::Value = serde_json::from_str(&board.stdout).unwrap();
    let attack = &board["boards"][0]["standings"][0]["attacks"][0];
    let counts: Vec<String> = attack["budgets"]
        .as_array()
        .unwrap()
        .iter()
        .map(|budget| {
            format!("{} within eps {}", budget["success"]["count"], budget["eps"].as_f64().unwrap())
        })
        .collect();
    let ran = sandbox.run(&["show", "run"]);
    assert_eq!(ran.code, 0, "{}", ran.all());
    assert!(ran.stdout.contains(&format!("broken: {}\n", counts.join(", "))), "{}", ran.all());
}

/// Pictures of another network, or of other images, would show what never happened.
#[test]
fn what_is_shown_is_what_was_attacked() {
    let sandbox = Sandbox::new();
    let model = sandbox.path("net.safetensors");
    let bundled = |name: &str| {
        let file = format!("{}/benchmarks/models/{name}.safetensors", env!("CARGO_MANIFEST_DIR"));
        std::fs::copy(file, &model).unwrap();
    };
    bundled("digits-standard");
    let batch = data::open("digits").unwrap().read(&(0..12).collect::<Vec<_>>()).unwrap();
    batch.images.write_npy(sandbox.path("x_test.npy")).unwrap();
    let write = |labels: &[u32]| {
        let labels = candle_core::Tensor::new(labels, &candle_core::Device::Cpu).unwrap();
        labels.write_npy(sandbox.path("y_test.npy")).unwrap();
    };
    write(&batch.labels);
    let mut arguments = ATTACK.to_vec();
    (arguments[2], arguments[4]) = ("net.safetensors", "npy:x_test.npy");
    let ran =
        sandbox.run(&[&arguments[..], &["-a", "pgd", "-o", "run", "--save-adversarial"]].concat());
    assert_eq!(ran.code, 0, "{}", ran.all());
    let refused = |problem: &str| {
        let ran = sandbox.run(&["show", "run"]);
        assert!(ran.code == 2 && ran.stderr.contains(problem), "{}", ran.all());
    };
    bundled("digits-trades");
    refused("another network than that of the run");
    bundled("digits-standard");
    let others: Vec<u32> = batch.labels.iter().map(|label| (label + 1) % 10).collect();
    write(&others);
    refused("the clean image is another one");
    write(&batch.labels);
    let saved = sandbox.path("run/jobs/digits-standard/pgd-linf-0.2.adversarial.safetensors");
    let mut bytes = std::fs::read(&saved).unwrap();
    let end = bytes.len();
    bytes[end - 12 * 64 * 4..].rotate_left(64 * 4);
    std::fs::write(&saved, bytes).unwrap();
    refused("its checksum does not fit");
}

/// Whole numbers from the option to the board, the page and the verification.
#[test]
fn under_l0_changed_values_are_counted() {
    let sandbox = Sandbox::new();
    let mut arguments = ATTACK.to_vec();
    let norm = arguments.iter().position(|argument| *argument == "Linf").unwrap();
    arguments[norm] = "L0";
    *arguments.last_mut().unwrap() = "4,8";
    for attack in [&["-a", "sigma-zero", "--set", "steps=60"], &["-a", "vfga", "--set", "steps=9"]]
    {
        let more = ["-o", "run", "--save-adversarial"];
        let ran = sandbox.run(&[&arguments[..], attack, &more].concat());
        assert_eq!(ran.code, 0, "{}", ran.all());
    }
    let read = |name: &str| {
        let mut reader = csv::Reader::from_path(sandbox.path(name)).unwrap();
        let rows = reader.deserialize::<std::collections::BTreeMap<String, String>>();
        rows.map(Result::unwrap).collect::<Vec<_>>()
    };
    for attack in ["sigma-zero", "vfga"] {
        let rows = read(&format!("run/jobs/digits-standard/{attack}-l0.csv"));
        let broken = rows.iter().filter(|row| row["by"] == attack);
        let number = |row: &std::collections::BTreeMap<String, String>, column: &str| {
            row[column].parse::<f64>().unwrap()
        };
        for row in broken.clone() {
            let changed = number(row, "features");
            assert!(changed >= 1.0 && changed == number(row, "distance"), "{row:?}");
            // The digits are grey: a pixel is a value.
            assert_eq!(changed, number(row, "l0"));
        }
        assert!(broken.count() > 5, "{attack}");
    }
    let board = std::fs::read_to_string(sandbox.path("run/leaderboard.md")).unwrap();
    for title in ["L0 4", "L0 8", "sigma-zero-l0 8", "median L0 distance"] {
        assert!(board.contains(title), "{title}: {board}");
    }
    assert!(board.contains("| median L0 distance |               2 |"), "{board}");
    let ran = sandbox.run(&["show", "run", "--each", "1"]);
    assert!(ran.code == 0 && ran.stdout.contains(" values\n"), "{}", ran.all());
    assert!(ran.stdout.contains(" within eps 4, "), "{}", ran.all());
    let ran = sandbox.run(&["verify", "run"]);
    assert_eq!(ran.code, 0, "{}", ran.all());
    let saved = "run/jobs/digits-standard/vfga-l0.adversarial.safetensors";
    let judge = ["verify", "--adversarial", saved, "-m", "bundled:digits-standard", "-d", "digits"];
    let ran = sandbox.run(&[&judge[..], &["-n", "12", "--norm", "L0", "--eps", "2"]].concat());
    // There are images outside.
    assert!(ran.code == 1 && ran.stdout.contains(": up to 1 too far, eps 3 "), "{}", ran.all());
}

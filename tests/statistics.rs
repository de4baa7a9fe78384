//! `epsball audit` and `epsball compare` on what `epsball run` has written.
#![allow(clippy::unwrap_used)]

mod support;

use support::Sandbox;

const SUITE: &str = r#"
name = "small"

[[model]]
path = "bundled:digits-trades"

[[model]]
path = "bundled:digits-standard"

[[data]]
spec = "digits"
images = { first = 30 }

[[attack]]
attack = "fgsm"
norm = "Linf"
eps = [0.05, 0.1]

[[certificate]]
certificate = "cohen"
sigma = 0.25
n0 = 20
n = 100
radii = [0.0, 0.25]

[[certificate]]
certificate = "cohen"
noise = "uniform"
sigma = 0.5
n0 = 20
n = 100
"#;

#[test]
fn what_a_run_has_written_is_audited_and_compared() {
    let sandbox = Sandbox::new();
    sandbox.write("small.toml", SUITE);
    assert_eq!(sandbox.run(&["run", "small.toml", "-o", "run"]).code, 0);

    // Two networks by their folders.
    let (trades, standard) = ("run/jobs/digits-trades", "run/jobs/digits-standard");
    let ran = sandbox.run(&["compare", trades, standard, "--json"]);
    assert_eq!(ran.code, 0, "{}", ran.all());
    let comparison: serde_json::Value = serde_json::from_str(&ran.stdout).unwrap();
    let rows = comparison["rows"].as_array().unwrap();
    let titles: Vec<&str> = rows.iter().map(|row| row["title"].as_str().unwrap()).collect();
    for title in [
        "fgsm-linf: robust Linf 0.05",
        "smoothing-0.25: certified L2 0.25",
        "uniform-0.5: average L1 radius",
        "all attacks: worst case",
    ] {
        assert!(titles.contains(&title), "{title} in {titles:?}");
    }
    assert!(rows.iter().all(|row| row["images"] == 30));
    assert_eq!(ran.stdout, sandbox.run(&["compare", trades, standard, "--json"]).stdout);

    // Every table of smoothing holds what its run claims, also against the data.
    let tables: Vec<String> = [trades, standard]
        .iter()
        .flat_map(|model| ["smoothing-0.25", "uniform-0.5"].map(|job| format!("{model}/{job}.tsv")))
        .collect();
    let mut arguments = vec!["audit", "--data", "digits"];
    arguments.extend(tables.iter().map(String::as_str));
    let ran = sandbox.run(&arguments);
    assert_eq!(ran.code, 0, "{}", ran.all());
    assert_eq!(ran.stdout.matches("Nothing contradicts the claim.").count(), 4, "{}", ran.stdout);
    assert!(ran.stdout.contains("uniform noise, sigma 0.5 (run.toml)"), "{}", ran.stdout);
    // Radii in L2 and in L1 have no best.
    assert!(!ran.stdout.contains("Best of"), "{}", ran.stdout);
    let ran = sandbox.run(&["audit", &tables[0], &tables[2]]);
    assert!(ran.stdout.contains("Best of the 2 tables"), "{}", ran.stdout);

    // Another claim, and another table.
    let ran = sandbox.run(&["audit", &tables[0], "--alpha", "0.0001"]);
    assert_eq!(ran.code, 1, "{}", ran.all());
    assert!(ran.stdout.contains("CONTRADICTION, columns: alpha is 0.001"), "{}", ran.stdout);
    let text = std::fs::read_to_string(sandbox.path(&tables[0])).unwrap();
    sandbox.write("cut/log.tsv", text.lines().take(20).collect::<Vec<_>>().join("\n"));
    let ran = sandbox.run(&["audit", "cut/log.tsv", "--json"]);
    assert_eq!(ran.code, 0, "{}", ran.all());
    let audit: serde_json::Value = serde_json::from_str(&ran.stdout).unwrap();
    assert_eq!(audit["audits"][0]["rows"], 19);
    // In its run, the same table is too short.
    sandbox.write(&tables[0], text.lines().take(20).collect::<Vec<_>>().join("\n") + "\n");
    let ran = sandbox.run(&["audit", &tables[0]]);
    assert_eq!(ran.code, 1, "{}", ran.all());
    assert!(ran.stdout.contains("to certify 30 images and the table has 19"), "{}", ran.stdout);
    let ran = sandbox.run(&["compare", trades, standard]);
    assert_eq!(ran.code, 2, "{}", ran.all());
    assert!(
        ran.stderr.contains("19 of 30, and the job had finished: the table was cut"),
        "{}",
        ran.stderr
    );
}

#[test]
fn what_cannot_be_audited_or_compared_is_bad_input() {
    let sandbox = Sandbox::new();
    sandbox.write("log.tsv", "idx\tlabel\tpredict\tradius\tcorrect\ttime\n0\t1\t1\t0.1\t1\t1.0\n");
    for (arguments, problem) in [
        (&["audit", "missing.tsv"][..], "cannot read missing.tsv"),
        (
            &["audit", "log.tsv"],
            "log.tsv: sigma: the table does not say it\nhint: say it with --sigma",
        ),
        (&["audit", "log.tsv", "--sigma", "0.25", "--radii=-1"], "radii: -1 is not a radius"),
        (
            &["audit", "log.tsv", "--sigma", "0.25", "--data", "letters"],
            "unknown data set `letters`",
        ),
        (&["compare", "log.tsv", "missing.tsv"], "cannot read missing.tsv"),
        (&["compare", ".", "log.tsv"], "the folder is no run and in none"),
        (&["compare", "log.tsv", "log.tsv", "--confidence", "95"], "confidence: 95 is not between"),
    ] {
        let ran = sandbox.run(arguments);
        assert_eq!(ran.code, 2, "{}", ran.all());
        assert!(ran.stderr.contains(problem), "{}", ran.stderr);
        assert!(ran.stdout.is_empty(), "{}", ran.stdout);
    }
}

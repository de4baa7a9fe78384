//! A run folder grows: whatever is added in whichever steps, every job ends with the rows of a run that
//! does it all at once, nothing is computed twice, and what contradicts the folder is refused.
#![allow(clippy::unwrap_used)]

mod support;

use std::collections::BTreeMap;

use support::{Ran, Sandbox, adversarial, tables};

const PGD: &str = "[[attack]]\nattack = \"pgd\"\nnorm = \"Linf\"\nparameters = { steps = 5 }\n";
const CW: &str = "[[attack]]\nattack = \"cw-l2\"\nnorm = \"L2\"\nparameters = { max_iterations = 10, \
                  learning_rate = 0.1, binary_search_steps = 2 }\n";
const SMOOTHING: &str = "[[certificate]]\ncertificate = \"cohen\"\nsigma = 0.25\nn0 = 10\nn = 60\n";

/// Models, images, work, and options of the command.
type Step<'a> = (&'a [&'a str], usize, Vec<String>, &'a [&'a str]);

fn suite(models: &[&str], images: usize, rest: &[String]) -> String {
    let models: String =
        models.iter().map(|name| format!("[[model]]\npath = \"bundled:{name}\"\n")).collect();
    let rest = rest.concat();
    format!(
        "name = \"grown\"\n{models}[[data]]\nspec = \"digits\"\nimages = {{ first = {images} }}\n{rest}"
    )
}

fn run(sandbox: &Sandbox, folder: &str, text: &str, options: &[&str]) -> Ran {
    sandbox.write("suite.toml", text);
    let ran = sandbox.run(&[&["run", "suite.toml", "-o", folder], options].concat());
    assert_eq!(ran.code, 0, "{}", ran.stderr);
    ran
}

/// Rows of every table, in the order of their images.
fn sorted(sandbox: &Sandbox, folder: &str) -> BTreeMap<String, Vec<String>> {
    let sort = |(name, text): (String, String)| {
        let mut lines: Vec<String> = text.lines().map(str::to_owned).collect();
        lines[1..].sort();
        (name, lines)
    };
    tables(&sandbox.path(folder)).into_iter().map(sort).collect()
}

#[test]
fn ten_steps_leave_what_one_run_leaves() {
    let sandbox = Sandbox::new();
    let eps = |text: &str, eps: &str| format!("{text}eps = {eps}\n");
    let (pgd, cw) = (|e: &str| eps(PGD, e), |e: &str| eps(CW, e));
    let smoothing = |radii: &str| format!("{SMOOTHING}radii = {radii}\n");
    let one = &["digits-pgd"][..];
    let two = &["digits-pgd", "digits-trades"][..];
    let steps: [Step<'_>; 10] = [
        (one, 8, vec![pgd("0.1")], &[]),
        (one, 12, vec![pgd("0.1")], &["--batch", "5"]),
        (one, 12, vec![pgd("[0.1, 0.2]")], &[]),
        (two, 12, vec![pgd("0.1")], &[]),
        (two, 12, vec![pgd("0.1"), cw("0.5")], &[]),
        (two, 12, vec![cw("[0.25, 0.5]")], &[]),
        (two, 12, vec![pgd("0.1")], &["--save-adversarial"]),
        (two, 14, vec![smoothing("[0.0, 0.25]")], &[]),
        (two, 14, vec![smoothing("[0.0, 0.5]")], &[]),
        (
            two,
            16,
            vec![pgd("[0.1, 0.2]"), cw("[0.25, 0.5]"), smoothing("[0.0, 0.25, 0.5]")],
            &["--save-adversarial"],
        ),
    ];
    for (models, images, work, options) in &steps {
        run(&sandbox, "grown", &suite(models, *images, work), options);
    }
    let (models, images, work, options) = &steps[9];
    run(&sandbox, "once", &suite(models, *images, work), options);
    let (grown, once) = (sorted(&sandbox, "grown"), sorted(&sandbox, "once"));
    assert_eq!(grown.len(), 8);
    assert_eq!(grown, once);
    assert!(adversarial(&sandbox.path("grown")) == adversarial(&sandbox.path("once")));
    let board = |folder: &str| {
        std::fs::read_to_string(sandbox.path(folder).join("leaderboard.md")).unwrap()
    };
    assert_eq!(board("grown"), board("once"));
    // And nothing is left to do.
    let again = run(&sandbox, "grown", &suite(models, *images, work), options);
    assert_eq!(again.stderr.matches("already finished").count(), 8, "{}", again.stderr);
}

#[test]
fn other_settings_are_another_job_beside_the_first() {
    let sandbox = Sandbox::new();
    let attack = |more: &str| {
        let text =
            "attack -m bundled:digits-pgd -d digits -n 8 -a pgd --norm Linf --eps 0.1 -o run";
        sandbox.run(&text.split(' ').chain(more.split_whitespace()).collect::<Vec<_>>())
    };
    for more in ["", "--set steps=3", "--seed 4", "--set steps=3 --seed 4", "--goal 2"] {
        let ran = attack(more);
        assert_eq!(ran.code, 0, "{}", ran.stderr);
    }
    let names: Vec<String> =
        tables(&sandbox.path("run")).into_iter().map(|(name, _)| name).collect();
    assert_eq!(
        names,
        [
            "jobs/digits-pgd/pgd-linf-0.1-goal=2.csv",
            "jobs/digits-pgd/pgd-linf-0.1-seed=4.csv",
            "jobs/digits-pgd/pgd-linf-0.1-steps=3-seed=4.csv",
            "jobs/digits-pgd/pgd-linf-0.1-steps=3.csv",
            "jobs/digits-pgd/pgd-linf-0.1.csv",
        ]
    );
    assert_eq!(attack("--set steps=3").stderr.matches("already finished").count(), 1);
}

/// A smaller request takes nothing away.
#[test]
fn fewer_images_keep_what_is_there() {
    let sandbox = Sandbox::new();
    let work = vec![format!("{PGD}eps = 0.1\n")];
    run(&sandbox, "run", &suite(&["digits-pgd"], 12, &work), &[]);
    let before = sorted(&sandbox, "run");
    let ran = run(&sandbox, "run", &suite(&["digits-pgd"], 5, &work), &[]);
    assert!(ran.stderr.contains("already finished"), "{}", ran.stderr);
    assert!(ran.stdout.contains("12 images"), "{}", ran.stdout);
    assert_eq!(sorted(&sandbox, "run"), before);
}

#[test]
fn a_contradiction_is_refused_with_both_values() {
    let sandbox = Sandbox::new();
    let model = |file: &str| {
        format!(
            "name = \"a\"\n[[model]]\npath = \"bundled:{file}\"\nname = \"net\"\n[[data]]\n\
             spec = \"digits\"\nimages = {{ first = 4 }}\n{PGD}eps = 0.1\n"
        )
    };
    run(&sandbox, "run", &model("digits-pgd"), &[]);
    let before = std::fs::read(sandbox.path("run/run.toml")).unwrap();
    sandbox.write("suite.toml", model("digits-trades"));
    let ran = sandbox.run(&["run", "suite.toml", "-o", "run"]);
    assert_eq!(ran.code, 2);
    let text = "run.toml: model `net`: its weights or its architecture have changed: it was ";
    assert!(ran.stderr.contains(text), "{}", ran.stderr);
    assert!(ran.stderr.contains("hint: choose another folder"), "{}", ran.stderr);
    assert_eq!(std::fs::read(sandbox.path("run/run.toml")).unwrap(), before);
}

/// Without its record a table is taken up by its own job and refused by any other.
#[test]
fn a_table_belongs_to_its_job() {
    let sandbox = Sandbox::new();
    let attack = |more: &str| {
        let text =
            "attack -m bundled:digits-pgd -d digits -n 8 -a pgd --norm Linf --eps 0.1 -o run";
        sandbox.run(&text.split(' ').chain(more.split_whitespace()).collect::<Vec<_>>())
    };
    assert_eq!(attack("").code, 0);
    std::fs::remove_file(sandbox.path("run/run.toml")).unwrap();
    let other = attack("--seed 1");
    assert!(other.stderr.contains("belongs to another job"), "{}", other.stderr);
    std::fs::remove_file(sandbox.path("run/run.toml")).unwrap();
    assert!(attack("").stderr.contains("already finished"));
    // Also if fewer images are asked for than the table has.
    std::fs::remove_file(sandbox.path("run/run.toml")).unwrap();
    let fewer = sandbox.run(&[
        "attack",
        "-m",
        "bundled:digits-pgd",
        "-d",
        "digits",
        "-n",
        "5",
        "-a",
        "pgd",
        "--norm",
        "Linf",
        "--eps",
        "0.1",
        "-o",
        "run",
    ]);
    assert_eq!(fewer.code, 0, "{}", fewer.stderr);
    assert!(fewer.stderr.contains("already finished"), "{}", fewer.stderr);
    assert!(fewer.stdout.contains("8 images"), "{}", fewer.stdout);
}

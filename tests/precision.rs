//! `--precision bf16` on the CPU: searches in bf16, verdicts in f32.
#![allow(clippy::unwrap_used)]

mod support;

use support::{Ran, Sandbox, tables};

fn attack(sandbox: &Sandbox, folder: &str, rest: &[&str]) -> Ran {
    const ATTACK: &str = "attack -m bundled:digits-standard -d digits -n 60 -a pgd --norm Linf \
                          --eps 0.05 --device cpu --save-adversarial -o";
    let arguments: Vec<&str> = ATTACK.split_whitespace().chain([folder]).collect();
    sandbox.run(&[&arguments[..], rest].concat())
}

/// A column of every table of a run, by the table's name.
fn column(sandbox: &Sandbox, folder: &str, name: &str) -> Vec<(String, Vec<String>)> {
    let of_table = |(table, text): (String, String)| {
        let mut lines = text.lines().map(|line| line.split(' ').map(str::to_owned));
        let at = lines.next().unwrap().position(|column| column == name);
        let cells =
            at.map_or_else(Vec::new, |at| lines.map(|mut line| line.nth(at).unwrap()).collect());
        (table, cells)
    };
    tables(&sandbox.path(folder)).into_iter().map(of_table).collect()
}

#[test]
fn a_run_in_bf16_says_so_and_every_broken_image_is_one_in_f32() {
    let sandbox = Sandbox::new();
    let ran = attack(&sandbox, "wide", &[]);
    assert_eq!(ran.code, 0, "{}", ran.stderr);
    assert!(!ran.stdout.contains("lower precision"), "{}", ran.stdout);
    assert_eq!(column(&sandbox, "wide", "unconfirmed")[0].1, [""; 0]);
    let ran = attack(&sandbox, "half", &["--precision", "bf16"]);
    assert_eq!(ran.code, 0, "{}", ran.stderr);
    assert!(ran.stdout.contains("cpu bf16"), "{}", ran.stdout);
    assert!(ran.stdout.contains("lower precision were judged in f32: "), "{}", ran.stdout);
    let unconfirmed = column(&sandbox, "half", "unconfirmed").remove(0).1;
    assert!(unconfirmed.len() == 60 && unconfirmed.iter().all(|cell| cell.parse::<u64>().is_ok()));
    let found = |folder| column(&sandbox, folder, "found").remove(0).1;
    let half = found("half");
    assert!(half.contains(&"1".to_owned()) && half.contains(&"0".to_owned()), "{half:?}");
    // Verification asks the network in f32 about every saved image.
    let ran = sandbox.run(&["verify", "half"]);
    assert_eq!(ran.code, 0, "{}{}", ran.stdout, ran.stderr);
    // In other batches and on other threads, the same rows.
    let ran = attack(&sandbox, "parts", &["--precision", "bf16", "--batch", "7", "--threads", "1"]);
    assert_eq!(ran.code, 0, "{}", ran.stderr);
    let rows = |folder: &str| {
        let mut lines: Vec<String> =
            tables(&sandbox.path(folder))[0].1.lines().map(str::to_owned).collect();
        lines[1..].sort();
        lines
    };
    assert_eq!(rows("parts"), rows("half"));
}

#[test]
fn another_precision_is_another_job_and_never_goes_on_with_one() {
    let sandbox = Sandbox::new();
    for rest in [&[][..], &["--precision", "bf16"], &["--precision", "bf16"], &[]] {
        let ran = attack(&sandbox, "run", rest);
        assert_eq!(ran.code, 0, "{}", ran.stderr);
    }
    let lines: Vec<usize> =
        tables(&sandbox.path("run")).iter().map(|(_, text)| text.lines().count()).collect();
    assert_eq!(lines, [61, 61]);
    let ran = attack(&sandbox, "tf32", &["--precision", "tf32"]);
    assert_eq!(ran.code, 2);
    assert!(ran.stderr.contains("error: precision: tf32 is for GPUs"), "{}", ran.stderr);
    assert!(ran.stderr.contains("hint: take bf16"), "{}", ran.stderr);
}

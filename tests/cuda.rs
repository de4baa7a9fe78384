//! The program with GPUs that misbehave, or that are not there: scarce memory, no cuDNN, two of them.
//! These need the driver of `tests/emulator`, which can be told to be so:
//! `scripts/emulator.sh cargo test --features cuda --test cuda -- --ignored`
#![cfg(feature = "cuda")]
#![allow(clippy::unwrap_used)]

mod support;

use std::path::Path;

use support::{Ran, Sandbox};

const ATTACK: [&str; 13] = [
    "attack",
    "-m",
    "bundled:digits-trades",
    "-d",
    "digits",
    "-n",
    "40",
    "-a",
    "pgd",
    "--norm",
    "Linf",
    "--eps",
    "0.1",
];

/// Runs with these variables and reads the table.
fn run(sandbox: &Sandbox, rest: &[&str], variables: &[(&str, &str)]) -> (Ran, Vec<String>) {
    let output = format!("run-{}", files(sandbox));
    let arguments = [&ATTACK[..], &["-o", &output], rest].concat();
    let mut command = sandbox.command(&arguments);
    command.env("EPSBALL_LOG", "warn").envs(variables.iter().copied());
    let ran = sandbox.finish(command);
    let jobs = sandbox.path(&output).join("jobs/digits-trades");
    let table = std::fs::read_dir(&jobs).into_iter().flatten().find_map(|entry| {
        let path = entry.unwrap().path();
        (path.extension()? == "csv").then(|| rows(&path))
    });
    (ran, table.unwrap_or_default())
}

/// How many files and folders there are, for a name that is not among them.
fn files(sandbox: &Sandbox) -> usize {
    std::fs::read_dir(sandbox.path(".")).unwrap().count()
}

/// What a row says that does not hang on the last bits of a pixel or on the time.
const COLUMNS: [&str; 11] = [
    "idx",
    "label",
    "clean",
    "by",
    "prediction",
    "found",
    "distance",
    "found_8bit",
    "forwards",
    "backwards",
    "unconfirmed",
];

fn rows(path: &Path) -> Vec<String> {
    let table = std::fs::read_to_string(path).unwrap();
    let header: Vec<&str> = table.lines().next().unwrap().split(',').collect();
    let kept: Vec<bool> = header.iter().map(|column| COLUMNS.contains(column)).collect();
    let row = |line: &str| {
        let cells = line.split(',').zip(&kept).filter(|(_, kept)| **kept);
        cells.map(|(cell, _)| cell).collect::<Vec<_>>().join(",")
    };
    table.lines().map(row).collect()
}

#[test]
#[ignore = "needs scripts/emulator.sh"]
fn gpus_give_the_table_of_the_cpu_whatever_their_number_memory_and_libraries() {
    let sandbox = Sandbox::new();
    let (ran, cpu) = run(&sandbox, &["--device", "cpu"], &[]);
    assert_eq!((ran.code, cpu.len()), (0, 41), "{}", ran.stderr);
    // The first GPU is found without being asked for.
    let (ran, gpu) = run(&sandbox, &[], &[]);
    assert_eq!(ran.code, 0, "{}", ran.stderr);
    assert!(ran.stdout.contains("cuda:0 f32"), "{}", ran.stdout);
    assert_eq!(gpu, cpu);
    let (ran, two) = run(&sandbox, &["--device", "cuda:0,1"], &[("EMULATED_GPUS", "2")]);
    assert!(ran.stdout.contains("cuda:0,1 f32"), "{}", ran.stdout);
    assert_eq!(two, cpu);
    // Room for a few images at a time.
    let scarce = ("EMULATED_MEMORY", "400000");
    let (ran, parts) = run(&sandbox, &["--device", "cuda"], &[scarce]);
    assert_eq!((ran.code, ran.stderr.contains("WARN")), (0, false), "{}", ran.stderr);
    assert_eq!(parts, cpu);
    // Less room than the driver says there is.
    let (ran, halved) = run(&sandbox, &["--device", "cuda"], &[scarce, ("EMULATED_BOAST", "1")]);
    assert_eq!(ran.code, 0, "{}", ran.stderr);
    assert!(ran.stderr.contains("the GPU's memory is full: smaller parts"), "{}", ran.stderr);
    assert_eq!(halved, cpu);
    // cuDNN without an algorithm for some convolutions.
    let (ran, plain) = run(&sandbox, &["--device", "cuda"], &[("EMULATED_NO_ALGORITHM", "1")]);
    assert_eq!(ran.code, 0, "{}", ran.stderr);
    assert_eq!(plain, cpu);
    // A search in another precision counts what f32 did not confirm, and the board says so.
    let ends = |table: &[String]| -> Vec<String> {
        table.iter().map(|row| row.split(',').nth(5).unwrap().to_owned()).collect()
    };
    for precision in ["tf32", "bf16"] {
        let (ran, fast) = run(&sandbox, &["--device", "cuda", "--precision", precision], &[]);
        assert!(fast[0].ends_with(",backwards,unconfirmed"), "{}", fast[0]);
        assert!(ran.stdout.contains(&format!("cuda:0 {precision}")), "{}", ran.stdout);
        assert!(ran.stdout.contains("lower precision were judged in f32: "), "{}", ran.stdout);
        assert_eq!(ends(&fast), ends(&cpu), "{precision}");
    }
    // In parts bf16 is what it was. Without an algorithm of cuDNN's a value is rounded once more.
    let half = ["--device", "cuda", "--precision", "bf16"];
    let (_, fast) = run(&sandbox, &half, &[]);
    let (ran, parts) = run(&sandbox, &half, &[scarce]);
    assert_eq!((ran.code, &parts), (0, &fast), "{}", ran.stderr);
    for missing in ["EMULATED_NO_ALGORITHM", "EMULATED_NO_BIAS"] {
        let (ran, plain) = run(&sandbox, &half, &[(missing, "1")]);
        assert_eq!((ran.code, ends(&plain)), (0, ends(&cpu)), "{missing}: {}", ran.stderr);
    }
}

/// The numbers in what the emulator tells about `what` at the end.
fn told<const N: usize>(ran: &Ran, what: &str) -> [usize; N] {
    let about = |line: &&str| line.starts_with("emulated: ") && line.contains(what);
    // The library is opened a first time to see whether it is there.
    let line = ran.stderr.lines().rfind(about).unwrap();
    let numbers: Vec<usize> = line.split(' ').filter_map(|word| word.parse().ok()).collect();
    numbers.try_into().unwrap()
}

fn graphs(ran: &Ran) -> [usize; 2] {
    told(ran, "graphs captured")
}

#[test]
#[ignore = "needs scripts/emulator.sh"]
fn graphs_give_the_same_table_and_a_driver_that_refuses_them_too() {
    let sandbox = Sandbox::new();
    let report = ("EMULATED_REPORT", "1");
    let on = |variables: &[(&str, &str)]| run(&sandbox, &["--device", "cuda"], variables);
    let (ran, plain) = on(&[report, ("EPSBALL_CUDA_GRAPHS", "0")]);
    assert_eq!((ran.code, graphs(&ran)), (0, [0, 0]), "{}", ran.stderr);
    let (ran, table) = on(&[report]);
    let [captured, launched] = graphs(&ran);
    assert!(captured > 0 && launched > 2 * captured, "{}", ran.stderr);
    assert_eq!(table, plain);
    let (ran, table) = on(&[report, ("EMULATED_NO_CAPTURE", "1"), ("EPSBALL_LOG", "debug")]);
    assert_eq!((ran.code, graphs(&ran)), (0, [0, 0]), "{}", ran.stderr);
    assert_eq!(table, plain);
    // Every pass is tried once and never again.
    let told: Vec<&str> =
        ran.stderr.lines().filter(|line| line.contains("this pass is no CUDA graph")).collect();
    let passes: std::collections::HashSet<&str> =
        told.iter().map(|line| line.split_once("pass=").unwrap().1).collect();
    assert!(!told.is_empty() && told.len() == passes.len(), "{}", ran.stderr);
}

#[test]
#[ignore = "needs scripts/emulator.sh"]
fn what_cudnn_or_the_computer_refuse_is_done_otherwise() {
    let sandbox = Sandbox::new();
    let on = |variable: &str| {
        run(&sandbox, &["--device", "cuda"], &[("EMULATED_REPORT", "1"), (variable, "1")])
    };
    let (ran, table) = on("EMULATED_NOTHING");
    let [plain, biased] = told(&ran, "plain convolutions");
    assert!(ran.code == 0 && biased > 0, "{}", ran.stderr);
    let [locked, pageable, allocations] = told(&ran, "page-locked");
    assert!(locked > 50 && pageable == 0, "{}", ran.stderr);
    // Many batches, and few questions to the driver.
    assert!(allocations < 100, "{}", ran.stderr);
    // No bias in a convolution, or none that NaN would survive: more plain ones, the same numbers.
    for refused in ["EMULATED_NO_BIAS", "EMULATED_NAN_LOST"] {
        let (ran, other) = on(refused);
        let [more, fewer] = told(&ran, "plain convolutions");
        assert!(ran.code == 0 && more > plain && fewer < biased, "{refused}: {}", ran.stderr);
        assert_eq!(other, table, "{refused}");
    }
    // ReLU is not fused where that would have to keep NaN; a bias without ReLU still is.
    let (ran, other) = on("EMULATED_NO_NAN");
    let [more, fewer] = told(&ran, "plain convolutions");
    assert!(ran.code == 0 && more > plain && (1..biased).contains(&fewer), "{}", ran.stderr);
    assert_eq!(other, table);
    let (ran, other) = on("EMULATED_NO_LOCKED");
    let [locked, pageable, _] = told(&ran, "page-locked");
    assert!(ran.code == 0 && locked == 0 && pageable > 50, "{}", ran.stderr);
    assert_eq!(other, table);
}

/// What the real library may do and the emulated one does not unless it is told to.
#[test]
#[ignore = "needs scripts/emulator.sh"]
fn what_another_cudnn_does_changes_no_table() {
    let sandbox = Sandbox::new();
    let on = |precision: &str, variables: &[(&str, &str)]| {
        let (ran, table) =
            run(&sandbox, &["--device", "cuda", "--precision", precision], variables);
        assert_eq!(ran.code, 0, "{precision} {variables:?}: {}", ran.stderr);
        (ran, table)
    };
    let exact = on("f32", &[]).1;
    for variables in [
        // A plan that has run with a factor of 0 may be refused with 1.
        ("EMULATED_NO_ADD", "1"),
        ("EMULATED_WORKSPACE_VARIES", "1"),
        // Tensors are cut at 2^31 elements before cuDNN sees them; what it refuses below that, plain kernels do.
        ("EMULATED_MOST_ELEMENTS", "5000"),
    ] {
        assert_eq!(on("f32", &[variables]).1, exact, "{variables:?}");
    }
    // Libraries whose statuses are other numbers are not called.
    let (ran, old) = on("f32", &[("EMULATED_CUDNN_VERSION", "8907")]);
    assert!(ran.stderr.contains("cuDNN 8.9.7 is not used"), "{}", ran.stderr);
    assert_eq!(old, exact);
    let ends = |table: &[String]| -> Vec<String> {
        table.iter().map(|row| row.split(',').nth(5).unwrap().to_owned()).collect()
    };
    for (precision, variable) in
        [("tf32", "EMULATED_TF32_EIGHTS"), ("bf16", "EMULATED_HALF_EIGHTS")]
    {
        assert_eq!(ends(&on(precision, &[(variable, "1")]).1), ends(&exact), "{variable}");
    }
}

#[test]
#[ignore = "needs scripts/emulator.sh"]
fn without_cudnn_plain_kernels_do() {
    // A folder with the driver alone.
    let sandbox = Sandbox::new();
    let libraries = std::env::var("LD_LIBRARY_PATH").unwrap();
    let driver = std::env::split_paths(&libraries).map(|path| path.join("libcuda.so"));
    let driver = driver.into_iter().find(|path| path.is_file()).unwrap();
    std::fs::create_dir(sandbox.path("driver")).unwrap();
    std::fs::copy(driver, sandbox.path("driver/libcuda.so")).unwrap();
    let alone = sandbox.path("driver").display().to_string();
    let (ran, cpu) = run(&sandbox, &["--device", "cpu"], &[]);
    assert_eq!(ran.code, 0, "{}", ran.stderr);
    let (ran, plain) = run(&sandbox, &["--device", "cuda"], &[("LD_LIBRARY_PATH", &alone)]);
    assert_eq!(ran.code, 0, "{}", ran.stderr);
    assert!(ran.stderr.contains("cuDNN is not found"), "{}", ran.stderr);
    assert_eq!(plain, cpu);
}

#[test]
#[ignore = "needs scripts/emulator.sh"]
fn memory_that_holds_no_image_is_an_error() {
    let sandbox = Sandbox::new();
    let (ran, _) = run(&sandbox, &["--device", "cuda"], &[("EMULATED_MEMORY", "1000")]);
    assert_eq!(ran.code, 2, "{}", ran.stderr);
    let told = "cuda:0: cannot allocate memory: ";
    assert!(ran.stderr.contains(told) && ran.stderr.contains("hint: "), "{}", ran.stderr);
}

/// What runs everywhere: without a driver there is one clear line, and an error for what was asked for.
#[test]
fn without_a_gpu_there_is_one_warning_and_an_explicit_wish_is_refused() {
    let sandbox = Sandbox::new();
    let nowhere = [("LD_LIBRARY_PATH", "/nowhere"), ("CUDA_VISIBLE_DEVICES", "")];
    let (ran, rows) = run(&sandbox, &[], &nowhere);
    assert_eq!((ran.code, rows.len()), (0, 41), "{}", ran.stderr);
    assert_eq!(ran.stderr.matches("no GPU is visible").count(), 1, "{}", ran.stderr);
    let (ran, _) = run(&sandbox, &["--device", "cuda:1"], &nowhere);
    assert_eq!(ran.code, 2);
    assert!(
        ran.stderr.starts_with("error: device cuda:1: no GPU is visible\nhint: "),
        "{}",
        ran.stderr
    );
    let (ran, _) = run(&sandbox, &["--precision", "tf32"], &nowhere);
    assert_eq!(ran.code, 2);
    assert!(ran.stderr.contains("error: precision: tf32 is for GPUs"), "{}", ran.stderr);
}

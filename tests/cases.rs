//! What epsball once was wrong about, with what is right. Where it says so, others of the same kind were looked at
//! and mended too; those that need no program are tests beside the code:
//!
//! - gradients that cancel or vanish: the losses (`loss.rs`), steps in L2 and L1 and of APGD (`threat/`,
//!   `attack/apgd/step.rs`), hyperplanes of FAB, and what is told of gradients around each attack (`attack/check/`);
//! - readers of images: PNG, JPEG in a folder and in a table, 16 bits (`data/folder.rs`), class lists
//!   (`data/classes.rs`), pickles of CIFAR (`data/cifar.rs`);
//! - checkpoints: prefixes, what lies beside a network, reparametrisations (`model/checkpoint/`);
//! - names that lead elsewhere, images and labels that change, twins of names: `identity.rs`; goals on boards:
//!   `report/tests/targeted.rs`; sums that are minus zero: `certify/audit/tests.rs`.
#![allow(clippy::unwrap_used)]

mod support;

use std::collections::BTreeMap;

use candle_core::{Device, Tensor};
use epsball::model::file::{self, Declared};
use support::{Ran, Sandbox};

const CASES: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/fixtures/cases");

/// The images that an attack on `model` and `data` breaks, of those classified correctly.
fn broken(sandbox: &Sandbox, model: &str, attack: &[&str]) -> usize {
    let output = format!("out-{}", std::fs::read_dir(sandbox.path("")).unwrap().count());
    let data = format!("npz:{CASES}/certain.npz");
    let ran = sandbox.run(&[&["attack", "-m", model, "-d", &data, "-o", &output], attack].concat());
    assert_eq!(ran.code, 0, "{}", ran.all());
    let tables = support::tables(&sandbox.path(&output));
    let mut lines = tables[0].1.lines();
    let at = |name: &str| {
        lines.clone().next().unwrap().split(' ').position(|column| column == name).unwrap()
    };
    let (by, found) = (at("by"), at("found"));
    let is_broken = |line: &&str| {
        let cells: Vec<&str> = line.split(' ').collect();
        cells[found] == "1" && cells[by] != "clean"
    };
    let _ = lines.next();
    lines.filter(is_broken).count()
}

/// The network of `certain.safetensors` with its logits multiplied.
fn scaled(sandbox: &Sandbox, factor: f64) -> String {
    let path = format!("{CASES}/certain.safetensors");
    let card = file::load(path.as_ref(), &Declared::default()).unwrap().1;
    let tensors = candle_core::safetensors::load(&path, &Device::Cpu).unwrap();
    let scale = |(name, tensor): (String, Tensor)| match name.starts_with("fc3.") {
        true => (name, (tensor * factor).unwrap()),
        false => (name, tensor),
    };
    let tensors: BTreeMap<String, Tensor> = tensors.into_iter().map(scale).collect();
    let name = format!("scaled-{factor:e}.safetensors");
    file::save(&sandbox.path(&name), &tensors, &card).unwrap();
    name
}

/// p - 1 is 0 in f32 where the network is certain, and 43 images were left that can be broken.
#[test]
fn the_gradient_of_the_cross_entropy_does_not_cancel() {
    let sandbox = Sandbox::new();
    let network = format!("{CASES}/certain.safetensors");
    let pgd = |loss| {
        [
            "-a",
            "pgd",
            "--norm",
            "Linf",
            "--eps",
            "0.04",
            "--set",
            "alpha=0.01",
            "--set",
            "steps=20",
            "--set",
            "random_start=false",
            "--set",
            loss,
        ]
    };
    assert_eq!(broken(&sandbox, &network, &pgd("loss=ce")), 133);
    assert_eq!(broken(&sandbox, &network, &pgd("loss=margin")), 133);
}

/// What is robust does not depend on a factor of the logits, and no attack may: the cross-entropy of logits times
/// 100 is below the smallest f32, and the step of a gradient times 1e-20 once was no step.
#[test]
fn a_factor_of_the_logits_hides_nothing() {
    let sandbox = Sandbox::new();
    let plain = scaled(&sandbox, 1.0);
    // Powers of two, so that nothing else is rounded.
    let (large, small) = (scaled(&sandbox, 128.0), scaled(&sandbox, 2_f64.powi(-66)));
    for attack in [
        &["-a", "pgd", "--norm", "L2", "--eps", "0.2", "--set", "steps=20", "--set", "loss=margin"]
            [..],
        &["-a", "pgd", "--norm", "L1", "--eps", "1", "--set", "steps=20", "--set", "loss=margin"],
        &["-a", "fgsm", "--norm", "L1", "--eps", "1", "--set", "loss=margin"],
        &["-a", "fab", "--norm", "L2", "--eps", "0.2", "--set", "n_iter=10"],
        &["-a", "fab", "--norm", "L1", "--eps", "1", "--set", "n_iter=10"],
    ] {
        let [plain, large, small] =
            [&plain, &large, &small].map(|network| broken(&sandbox, network, attack));
        assert!(plain > 5, "{attack:?}: {plain}");
        assert_eq!(large, plain, "{attack:?}");
        // FAB's hyperplanes are written with other numbers.
        assert!(
            small.abs_diff(plain) <= usize::from(attack[1] == "fab"),
            "{attack:?}: {small} {plain}"
        );
    }
    // The cross-entropy looks at the other classes by its own scale, but it looks.
    let ce = |norm, eps| ["-a", "apgd-ce", "--norm", norm, "--eps", eps, "--set", "n_iter=20"];
    for (norm, eps) in [("Linf", "0.04"), ("L2", "0.2")] {
        let [plain, large, small] =
            [&plain, &large, &small].map(|network| broken(&sandbox, network, &ce(norm, eps)));
        assert!(large + 3 >= plain && 4 * small >= 3 * plain, "{norm}: {plain} {large} {small}");
    }
}

/// CW weighs the distance against the logits, so a factor changes what it finds: a large one little, because its search
/// for the weight goes down as far as it has to, and a tiny one leaves it with nothing, which is told.
#[test]
fn cw_tells_that_a_factor_hides_its_images() {
    let sandbox = Sandbox::new();
    let attack = |network: &str| {
        let data = format!("npz:{CASES}/certain.npz");
        let subject =
            ["attack", "-m", network, "-d", &data, "-n", "40", "-o", &format!("out-{network}")];
        let cw = ["-a", "cw-l2", "--norm", "L2", "--eps", "0.2"];
        let steps = ["--set", "max_iterations=60", "--set", "binary_search_steps=6"];
        let ran = sandbox.run(&[&subject[..], &cw, &steps].concat());
        assert_eq!(ran.code, 0, "{}", ran.all());
        ran.stderr.contains("nothing found for 40 of 40 images")
    };
    let [plain, large, small] =
        [1.0, 128.0, 2_f64.powi(-66)].map(|factor| attack(&scaled(&sandbox, factor)));
    assert_eq!([plain, large, small], [false, false, true]);
}

/// Saturated logits and constant outputs are told around a single attack, and marked on the board.
#[test]
fn a_single_attack_tells_what_hides_gradients() {
    let sandbox = Sandbox::new();
    let large = scaled(&sandbox, 128.0);
    let data = format!("npz:{CASES}/certain.npz");
    let attack = ["-a", "fgsm", "--norm", "Linf", "--eps", "0.1", "-o"];
    let ran =
        sandbox.run(&[&["attack", "-m", &large, "-d", &data][..], &attack, &["told"]].concat());
    assert!(ran.stderr.contains("fgsm-linf-0.1: saturated logits on "), "{}", ran.all());
    assert!(
        ran.stdout.contains('‡') && ran.stdout.contains("saturated logits on"),
        "{}",
        ran.all()
    );
    let dead = scaled(&sandbox, 0.0);
    let ran =
        sandbox.run(&[&["attack", "-m", &dead, "-d", &data][..], &attack, &["dead"]].concat());
    assert!(
        ran.stderr.contains("the same logits for 100 of 100 different images"),
        "{}",
        ran.all()
    );
    assert!(ran.stdout.contains('‡'), "{}", ran.all());
    // A search for the smallest perturbation that finds none.
    let cw = ["-a", "cw-l2", "--norm", "L2", "--eps", "1", "--set", "max_iterations=1", "-o", "cw"];
    let plain = scaled(&sandbox, 1.0);
    let ran = sandbox.run(&[&["attack", "-m", &plain, "-d", &data, "-n", "20"][..], &cw].concat());
    assert!(ran.stderr.contains("nothing found for "), "{}", ran.all());
    assert!(ran.stdout.contains('‡'), "{}", ran.all());
}

/// The clean accuracy of a converted checkpoint, and what was said.
fn converted(sandbox: &Sandbox, arguments: &[&str]) -> (Ran, String) {
    let ran =
        sandbox.run(&[&["convert"][..], arguments, &["-o", "converted.safetensors"]].concat());
    assert_eq!(ran.code, 0, "{}", ran.all());
    let shown = sandbox.run(&["inspect", "converted.safetensors"]);
    assert_eq!(shown.code, 0, "{}", shown.all());
    (ran, shown.stdout)
}

#[test]
fn checkpoints_of_averaged_weights_and_of_madrylab() {
    let sandbox = Sandbox::new();
    let (_, shown) = converted(&sandbox, &[&format!("{CASES}/averaged.pt")]);
    assert!(shown.contains("architecture  digits-mlp"), "{shown}");
    let (_, shown) = converted(&sandbox, &[&format!("{CASES}/madry.pt")]);
    assert!(shown.contains("architecture  digits-mlp"), "{shown}");
    let card = file::load(&sandbox.path("converted.safetensors"), &Declared::default()).unwrap().1;
    assert_eq!(format!("{:?} {:?}", card.mean, card.std), "[0.5] [0.25]");
}

#[test]
fn a_checkpoint_is_never_written_over_and_a_prefix_can_be_named() {
    let sandbox = Sandbox::new();
    let bundled =
        concat!(env!("CARGO_MANIFEST_DIR"), "/benchmarks/models/digits-standard.safetensors");
    let tensors = candle_core::safetensors::load(bundled, &Device::Cpu).unwrap();
    let beside = tensors.iter().map(|(name, t)| (format!("teacher.{name}"), t.clone()));
    let own = tensors.iter().map(|(name, t)| (format!("student.net.{name}"), t.clone()));
    let all: std::collections::HashMap<String, Tensor> = own.chain(beside).collect();
    candle_core::safetensors::save(&all, sandbox.path("two.safetensors")).unwrap();
    let (_, shown) = converted(&sandbox, &["two.safetensors", "--prefix", "student."]);
    assert!(shown.contains("architecture  digits-cnn"), "{shown}");
    let refused =
        sandbox.run(&["convert", "two.safetensors", "-o", "x.safetensors", "--prefix", "pupil."]);
    assert_eq!(refused.code, 2, "{}", refused.all());
    assert!(refused.stderr.contains("no key begins with"), "{}", refused.all());
    let before = std::fs::read(sandbox.path("two.safetensors")).unwrap();
    let same = sandbox.run(&[
        "convert",
        "two.safetensors",
        "-o",
        "./two.safetensors",
        "--prefix",
        "student.",
    ]);
    assert_eq!(same.code, 2, "{}", same.all());
    assert!(same.stderr.contains("is the file that is read"), "{}", same.all());
    assert!(std::fs::read(sandbox.path("two.safetensors")).unwrap() == before);
}

#[test]
fn integer_weights_are_told() {
    let sandbox = Sandbox::new();
    let bundled =
        concat!(env!("CARGO_MANIFEST_DIR"), "/benchmarks/models/digits-standard.safetensors");
    let mut tensors = candle_core::safetensors::load(bundled, &Device::Cpu).unwrap();
    let name = tensors.keys().find(|name| name.ends_with("weight")).unwrap().clone();
    let whole = (&tensors[&name] * 50.0).unwrap().to_dtype(candle_core::DType::I64).unwrap();
    tensors.insert(name.clone(), whole);
    candle_core::safetensors::save(&tensors, sandbox.path("quantised.safetensors")).unwrap();
    let ran = sandbox.run(&["convert", "quantised.safetensors", "-o", "converted.safetensors"]);
    assert!(
        ran.stderr.contains("is i64, as in a quantised network: it is taken without"),
        "{}",
        ran.all()
    );
}

/// Nine folders for ten classes, and folders that are synsets.
#[test]
fn folders_that_are_not_the_classes_of_the_network_are_told() {
    let sandbox = Sandbox::new();
    for class in (0..10).filter(|class| *class != 4) {
        let path = sandbox.path(&format!("nine/n{class}/0.png"));
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        image::GrayImage::from_pixel(8, 8, image::Luma([20 * class])).save(path).unwrap();
    }
    let attack = |output: &str| {
        sandbox.run(&[
            "attack",
            "-m",
            "bundled:digits-pgd",
            "-d",
            "folder:nine",
            "-a",
            "fgsm",
            "--norm",
            "Linf",
            "--eps",
            "0.001",
            "-o",
            output,
        ])
    };
    let ran = attack("told");
    assert_eq!(ran.code, 0, "{}", ran.all());
    assert!(ran.stderr.contains("nine has 9 classes and model digits-pgd has 10"), "{}", ran.all());
    // With a list the labels are right, and there is nothing to tell.
    let list: Vec<String> = (0..10).map(|class| format!("n{class}")).collect();
    sandbox.write("nine/classes.txt", list.join("\n"));
    let ran = attack("listed");
    assert_eq!(ran.code, 0, "{}", ran.all());
    assert!(!ran.stderr.contains("classes"), "{}", ran.all());
    let labels: Vec<String> = support::tables(&sandbox.path("listed"))[0]
        .1
        .lines()
        .skip(1)
        .map(|line| line.split(' ').nth(2).unwrap().to_owned())
        .collect();
    assert_eq!(labels, ["0", "1", "2", "3", "5", "6", "7", "8", "9"]);
}

/// Radii in units of 0 to 255, and numbers that are zero in f32: every option and setting that becomes one.
#[test]
fn radii_that_were_not_meant_are_refused() {
    let sandbox = Sandbox::new();
    let subject = ["-m", "bundled:digits-pgd", "-d", "digits", "-n", "2"];
    let attack = [&["attack"][..], &subject, &["-a", "pgd"]].concat();
    let bounds = [&["certify"][..], &subject, &["-c", "ibp"]].concat();
    let train = ["train", "--method", "pgd", "-o", "new.safetensors"];
    let linf = "eps: the Linf ball of radius 8 holds every image";
    for (command, rest, problem, hint) in [
        (&attack, &["--norm", "Linf", "--eps", "8"][..], linf, "did you mean 8/255?"),
        (&attack, &["--norm", "Linf", "--eps", "0.1,1"], "of radius 1 holds every image", "1/255"),
        (&attack, &["--norm", "L2", "--eps", "128"], "the L2 ball of radius 128", "128/255"),
        (&attack, &["--norm", "L1", "--eps", "64"], "the L1 ball of radius 64", "64/255"),
        (&bounds, &["--norm", "Linf", "--eps", "8"], linf, "did you mean 8/255?"),
        (&train.to_vec(), &["--norm", "Linf", "--eps", "8"], linf, "did you mean 8/255?"),
        (&attack, &["--norm", "L0", "--eps", "64"], "the L0 ball of radius 64", "has 64 values"),
        (&attack, &["--norm", "L0", "--eps", "8/255"], "is not a whole number", "such as 8"),
        (&bounds, &["--norm", "L0", "--eps", "8"], "unknown norm with bounds `L0`", "Linf, L2"),
        (&train.to_vec(), &["--norm", "L0", "--eps", "8"], "unknown norm of training `L0`", "L1"),
        (&train.to_vec(), &["--eps", "1e-50"], "is not a number above 0 that an f32", "8/255"),
        (&attack, &["--norm", "Linf", "--eps", "1e40"], "`1e40` is no number that", "8/255"),
        (
            &attack,
            &["--norm", "Linf", "--eps", "1e-50"],
            "eps: `1e-50` is no number that an f32",
            "1e-37",
        ),
        (
            &bounds,
            &["--norm", "Linf", "--eps", "1e-50"],
            "eps: `1e-50` is no number that an f32",
            "1e-37",
        ),
        (
            &attack,
            &["--norm", "Linf", "--eps", "0.1", "--set", "alpha=1e-50"],
            "pgd: alpha: `1e-50`: must be a number above 0 that an f32 can hold",
            "alpha",
        ),
    ] {
        let ran = sandbox.run(&[&command[..], rest].concat());
        assert_eq!(ran.code, 2, "{}", ran.all());
        assert!(ran.stderr.contains(problem) && ran.stderr.contains(hint), "{}", ran.all());
    }
}

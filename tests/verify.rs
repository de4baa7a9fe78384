//! Runs and adversarial images, looked at again from the command line.
#![allow(clippy::unwrap_used)]

mod support;

use std::path::{Path, PathBuf};

use candle_core::DType;
use epsball::data;
use support::{Ran, Sandbox};

const FILE: &str = "run/jobs/digits-standard/pgd-linf-0.1.adversarial.safetensors";

fn attack(sandbox: &Sandbox) {
    let ran = sandbox.run(&[
        "attack",
        "-m",
        "bundled:digits-standard",
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
        "--save-adversarial",
        "-o",
        "run",
    ]);
    assert_eq!(ran.code, 0, "{}", ran.all());
}

fn judge(sandbox: &Sandbox, file: &str, options: &[&str]) -> Ran {
    let subject = ["-m", "bundled:digits-standard", "-d", "digits"];
    sandbox.run(&[&["verify", "--adversarial", file], &subject[..], options].concat())
}

#[test]
fn images_of_a_run_prove_the_robust_accuracy_of_its_board() {
    let sandbox = Sandbox::new();
    attack(&sandbox);
    let judged = |batch: &str, output: &str| {
        let threat = ["--norm", "Linf", "--eps", "0.1", "-n", "40"];
        let ran =
            judge(&sandbox, FILE, &[&threat[..], &["-b", batch, "--json", "-o", output]].concat());
        assert_eq!(ran.code, 0, "{}", ran.all());
        (ran.stdout, std::fs::read(sandbox.path(output)).unwrap())
    };
    let one = judged("1", "one.csv");
    assert!(one == judged("40", "forty.csv"), "the batch matters");
    let judgement: serde_json::Value = serde_json::from_str(&one.0).unwrap();
    let mut table =
        csv::Reader::from_path(sandbox.path("run/jobs/digits-standard/pgd-linf-0.1.csv")).unwrap();
    let column = |name: &str| {
        let mut table =
            csv::Reader::from_path(sandbox.path("run/jobs/digits-standard/pgd-linf-0.1.csv"))
                .unwrap();
        let at = table.headers().unwrap().iter().position(|column| column == name).unwrap();
        table.records().map(|row| row.unwrap()[at].to_owned()).collect::<Vec<_>>()
    };
    assert_eq!(table.records().count(), 40);
    let (label, clean, found) = (column("label"), column("clean"), column("found"));
    let right = (0..40).filter(|i| label[*i] == clean[*i]).count();
    let robust = (0..40).filter(|i| label[*i] == clean[*i] && found[*i] == "0").count();
    assert!(robust < right, "nothing to prove");
    assert_eq!(judgement["robust_accuracy"], robust as f64 / 40.0);
    assert_eq!(judgement["clean_accuracy"], right as f64 / 40.0);
    assert_eq!(judgement["outside"], 0);
    let mut board = csv::Reader::from_path(sandbox.path("run/leaderboard.csv")).unwrap();
    let worst = board.headers().unwrap().iter().position(|column| column == "worst case").unwrap();
    let row = board.records().next().unwrap().unwrap();
    let worst: f64 = row[worst].parse().unwrap();
    assert_eq!(judgement["robust_accuracy"], worst, "not as on the board");

    // Half of the budget leaves most of them outside, and they do not count.
    let ran = judge(&sandbox, FILE, &["--norm", "Linf", "--eps", "0.05", "-n", "40"]);
    assert_eq!(ran.code, 1, "{}", ran.all());
    assert!(ran.stdout.contains("would count them"), "{}", ran.all());
}

#[test]
fn bytes_with_channels_last_are_read_and_that_is_said() {
    let sandbox = Sandbox::new();
    let batch = data::open("digits").unwrap().read(&(0..40).collect::<Vec<_>>()).unwrap();
    let bytes = (batch.images * 255.0).unwrap().round().unwrap().to_dtype(DType::U8).unwrap();
    bytes.permute((0, 2, 3, 1)).unwrap().write_npy(sandbox.path("x_adv.npy")).unwrap();
    let judged =
        |eps: &str| judge(&sandbox, "x_adv.npy", &["--norm", "Linf", "--eps", eps, "-n", "40"]);
    let ran = judged("1/255");
    assert_eq!(ran.code, 0, "{}", ran.all());
    assert!(ran.stderr.contains("the array holds bytes: 0 to 255 becomes 0 to 1"), "{}", ran.all());
    assert!(ran.stderr.contains("[N, H, W, C]: its channels are put first"), "{}", ran.all());
    assert!(ran.stdout.contains(" 0 outside, "), "{}", ran.all());
    // Rounding to bytes is more than this eps allows, though no answer changes.
    let ran = judged("0.0001");
    assert_eq!(ran.code, 1, "{}", ran.all());
    assert!(ran.stdout.contains("more outside the threat model"), "{}", ran.all());
}

#[test]
fn what_is_missing_or_contradicts_itself_is_said() {
    let sandbox = Sandbox::new();
    attack(&sandbox);
    let ball = ["--norm", "Linf", "--eps", "0.1"];
    for (options, problem) in [
        (&["-n", "40"][..], "threat model: there is none"),
        (&["-n", "40", "--norm", "L2"], "the norm has no eps"),
        (&[&ball[..], &["--patch", "2x2", "-n", "40"]].concat(), "both a patch and a norm"),
        (&ball, "40 adversarial images, and digits has 360"),
        (&[&ball[..], &["-n", "40", "--key", "x"]].concat(), "there is no array `x`"),
        (&[&ball[..], &["-n", "40", "-b", "0"]].concat(), "0 images at a time"),
        (&["run"], "cannot be used with"),
        (&["--manifest"], "cannot be used with"),
    ] {
        let ran = judge(&sandbox, FILE, options);
        assert_eq!(ran.code, 2, "{}", ran.all());
        assert!(ran.stderr.contains(problem), "{problem}: {}", ran.all());
        assert!(ran.stdout.is_empty() && !ran.stderr.contains("panicked"), "{}", ran.all());
    }
    for (arguments, problem) in [
        (&["verify"][..], "<RUN>"),
        (&["verify", "run", "-m", "bundled:digits-pgd"], "--adversarial <FILE>"),
        (&["verify", "run", "--eps", "0.1"], "--adversarial <FILE>"),
        (&["verify", "run", "-n", "40"], "--adversarial <FILE>"),
        (&["verify", "--adversarial", FILE], "--data <DATA>"),
        (&["verify", "--adversarial", FILE, "-d", "digits"], "--model <FILE>"),
        (&["verify", "nowhere"], "the folder is no run"),
    ] {
        let ran = sandbox.run(arguments);
        assert_eq!(ran.code, 2, "{}", ran.all());
        assert!(ran.stderr.contains(problem), "{problem}: {}", ran.all());
    }
}

/// Several patches in one call, and what their images are worth without the rounding of f32.
#[test]
fn images_of_a_run_are_judged_in_f64_as_well() {
    let sandbox = Sandbox::new();
    let subject = ["attack", "-m", "bundled:digits-standard", "-d", "digits", "-n", "12"];
    let attack = ["-a", "roa", "--patch", "2x2,circle:4", "--save-adversarial", "-o", "run"];
    let ran = sandbox.run(&[&subject[..], &attack].concat());
    assert_eq!(ran.code, 0, "{}", ran.all());
    for (label, patch) in [("roa-2x2", [2, 2]), ("roa-circle-4", [4, 4])] {
        let table = sandbox.path(&format!("run/jobs/digits-standard/{label}.csv"));
        let mut reader = csv::Reader::from_path(table).unwrap();
        let rows = reader.deserialize::<std::collections::BTreeMap<String, String>>();
        for row in rows.map(Result::unwrap) {
            let number = |column: &str| row[column].parse::<usize>().ok();
            let broken = row["by"] == "roa";
            assert_eq!((number("top").is_some(), number("left").is_some()), (broken, broken));
            let size = [number("height").unwrap(), number("width").unwrap()];
            assert!(size.iter().zip(patch).all(|(own, most)| *own <= most), "{row:?}");
        }
    }
    let ran = sandbox.run(&["verify", "run", "--f64"]);
    assert_eq!(ran.code, 0, "{}", ran.all());
    assert!(ran.stdout.contains("broken images judged in f64, 0 of them broken by rounding"));
    let ran = sandbox.run(&["verify", "run", "--f64", "--json"]);
    let found: serde_json::Value = serde_json::from_str(&ran.stdout).unwrap();
    assert!(found[0]["in_f64"].as_u64().unwrap() > 5, "{found}");
    assert_eq!(sandbox.run(&["verify", "run", "--f64", "--files-only"]).code, 2);
}

/// A folder with a run of every kind of job, on a model and images in files of its own.
fn every_kind() -> Sandbox {
    let sandbox = Sandbox::new();
    let model = |name: &str| {
        Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("benchmarks/models/{name}.safetensors"))
    };
    std::fs::copy(model("digits-pgd"), sandbox.path("model.safetensors")).unwrap();
    let batch = data::open("digits").unwrap().read(&(0..8).collect::<Vec<_>>()).unwrap();
    batch.images.write_npy(sandbox.path("x_test.npy")).unwrap();
    write_labels(&sandbox, &batch.labels);
    sandbox.write(
        "suite.toml",
        r#"
name = "every-kind"
save_adversarial = true

[[model]]
path = "model.safetensors"
name = "net"

[[data]]
spec = "npy:x_test.npy"

[[attack]]
attack = "pgd"
norm = "Linf"
eps = 0.2
parameters = { steps = 5 }

[[certificate]]
certificate = "cohen"
sigma = 0.25
n0 = 10
n = 100

[[certificate]]
certificate = "patchcleanser"
patch = "2x2"

[[certificate]]
certificate = "crown"
norm = "Linf"
eps = 0.02
"#,
    );
    let ran = sandbox.run(&["run", "suite.toml", "-o", "run"]);
    assert_eq!(ran.code, 0, "{}", ran.all());
    sandbox
}

fn write_labels(sandbox: &Sandbox, labels: &[u32]) {
    let labels = candle_core::Tensor::new(labels, &candle_core::Device::Cpu).unwrap();
    labels.write_npy(sandbox.path("y_test.npy")).unwrap();
}

fn table(sandbox: &Sandbox, kind: &str) -> PathBuf {
    let files = std::fs::read_dir(sandbox.path("run/jobs/net")).unwrap();
    let mut paths = files.map(|file| file.unwrap().path());
    paths.find(|path| path.file_name().unwrap().to_string_lossy().contains(kind)).unwrap()
}

/// Changes a file, asserts that this is found under these words, and puts the file back.
fn found(sandbox: &Sandbox, path: &Path, content: &[u8], words: &[&str]) {
    let before = std::fs::read(path).unwrap();
    assert!(before != content);
    std::fs::write(path, content).unwrap();
    let ran = sandbox.run(&["verify", "run"]);
    std::fs::write(path, before).unwrap();
    assert_eq!(ran.code, 1, "{}", ran.all());
    for word in words {
        assert!(ran.stdout.contains(word), "{word}: {}", ran.all());
    }
}

#[test]
fn a_run_holds_and_every_change_of_it_is_found() {
    let sandbox = every_kind();
    let ran = sandbox.run(&["verify", "run", "--manifest"]);
    assert_eq!(ran.code, 0, "{}", ran.all());
    assert!(ran.stdout.contains("run: nothing is wrong\n"), "{}", ran.all());
    assert!(ran.stdout.contains(" 8 adversarial images\n"), "{}", ran.all());
    assert!(ran.stdout.contains(" 9 certificates computed again"), "{}", ran.all());
    let sums = std::fs::read_to_string(sandbox.path("run/SHA256SUMS")).unwrap();
    assert!(sums.contains("  run.toml\n") && !sums.contains("SHA256SUMS"), "{sums}");

    let pgd = table(&sandbox, "pgd-linf-0.2.csv");
    let text = std::fs::read_to_string(&pgd).unwrap();
    let row = text.lines().nth(2).unwrap();
    let (start, rest) = row.split_once(',').unwrap();
    let edited = text.replacen(row, &format!("{start}1,{rest}"), 1);
    found(&sandbox, &pgd, edited.as_bytes(), &["net--pgd-linf-0.2", "row 2: its checksum"]);
    let short: String = text.split_inclusive('\n').take(8).collect();
    found(&sandbox, &pgd, short.as_bytes(), &["pgd-linf-0.2.csv: 7 of the 8 rows"]);

    let cohen = table(&sandbox, "smoothing");
    let text = std::fs::read_to_string(&cohen).unwrap();
    let short: String = text.split_inclusive('\n').take(8).collect();
    found(&sandbox, &cohen, short.as_bytes(), &["smoothing", "7 of the 8 rows"]);

    let saved = table(&sandbox, "adversarial.safetensors");
    let mut bytes = std::fs::read(&saved).unwrap();
    // The images lie before the eight bytes of `found`.
    let at = bytes.len() - 8 - 2;
    bytes[at] ^= 1;
    found(&sandbox, &saved, &bytes, &["image 7", "checksum does not fit"]);

    let other = concat!(env!("CARGO_MANIFEST_DIR"), "/benchmarks/models/digits-trades.safetensors");
    let other = std::fs::read(other).unwrap();
    let words = ["model net: it is another network than that of the run"];
    found(&sandbox, &sandbox.path("model.safetensors"), &other, &words);

    let mut labels =
        data::open("digits").unwrap().read(&(0..8).collect::<Vec<_>>()).unwrap().labels;
    let before = labels.clone();
    labels[3] = (labels[3] + 1) % 10;
    let path = sandbox.path("y_test.npy");
    write_labels(&sandbox, &labels);
    let changed = std::fs::read(&path).unwrap();
    write_labels(&sandbox, &before);
    found(&sandbox, &path, &changed, &["image 3 of", "has other pixels or another label"]);

    // Everything was put back.
    let ran = sandbox.run(&["verify", "run", "--json"]);
    assert_eq!(ran.code, 0, "{}", ran.all());
    let all: serde_json::Value = serde_json::from_str(&ran.stdout).unwrap();
    assert_eq!(all[0]["findings"], serde_json::json!([]));
    let ran = sandbox.run(&["verify", "run", "--files-only", "--json"]);
    let all: serde_json::Value = serde_json::from_str(&ran.stdout).unwrap();
    assert_eq!((ran.code, &all[0]["images"]), (0, &serde_json::json!(0)));
}

//! Files of the Hugging Face Hub, against a small server that answers as the Hub does: downloads, the cache,
//! and everything that can go wrong between here and there.
#![cfg(feature = "hub")]
#![allow(clippy::unwrap_used)]

mod server;
#[path = "../support/mod.rs"]
mod support;

use std::collections::HashMap;
use std::path::PathBuf;

use candle_core::{DType, Device, Tensor};
use server::{Hub, Served};
use sha2::{Digest as _, Sha256};
use support::{Ran, Sandbox};

const COMMIT: &str = "0123456789abcdef0123456789abcdef01234567";
const MODEL: &[u8] = include_bytes!("../../benchmarks/models/digits-trades.safetensors");
/// A port at which nothing listens.
const NOWHERE: &str = "http://127.0.0.1:1";

fn sha256(bytes: &[u8]) -> String {
    Sha256::digest(bytes).iter().map(|byte| format!("{byte:02x}")).collect()
}

/// Runs the program with the Hub at `endpoint` and a cache in the sandbox.
fn run(sandbox: &Sandbox, endpoint: &str, more: &[(&str, &str)], arguments: &[&str]) -> Ran {
    let mut command = sandbox.command(arguments);
    for name in ["HF_TOKEN", "HF_TOKEN_PATH", "HF_HUB_CACHE", "HF_HUB_OFFLINE"] {
        command.env_remove(name);
    }
    command.env("HF_ENDPOINT", endpoint).env("HF_HOME", sandbox.path("home"));
    command.env("NO_PROXY", "127.0.0.1").envs(more.iter().copied());
    sandbox.finish(command)
}

fn inspect(sandbox: &Sandbox, endpoint: &str, model: &str) -> Ran {
    run(sandbox, endpoint, &[], &["inspect", model])
}

fn assert_read(ran: &Ran) {
    assert_eq!(ran.code, 0, "{}", ran.all());
    assert!(ran.stdout.contains("name          digits-trades\n"), "{}", ran.all());
}

fn assert_refused(ran: &Ran, problem: &str, remedy: &str) {
    assert_eq!(ran.code, 2, "{}", ran.all());
    let line = |start: &str| {
        ran.stderr.lines().find(|l| l.starts_with(start)).unwrap_or_default().to_owned()
    };
    assert!(line("error: ").contains(problem), "wanted `{problem}` in: {}", ran.all());
    assert!(line("hint: ").contains(remedy), "wanted hint `{remedy}` in: {}", ran.all());
    assert!(!ran.stderr.contains("panicked"), "{}", ran.all());
}

/// The files below `blobs` of `owner/name`.
fn blobs(sandbox: &Sandbox) -> Vec<PathBuf> {
    let folder = sandbox.path("home/hub/models--owner--name/blobs");
    std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect()
}

#[test]
fn a_model_is_downloaded_once() {
    for served in [Served::in_git(MODEL), Served::outside_of_git(MODEL)] {
        let (sandbox, hub) = (Sandbox::new(), Hub::new());
        hub.serve("owner/name/resolve/main/model.safetensors", served);
        hub.serve("owner/name/resolve/main/README.md", Served::in_git(b"text"));
        // The repository has one file with weights.
        assert_read(&inspect(&sandbox, &hub.address, "hf:owner/name"));
        assert!(hub.requests().iter().any(|r| r == "api/models/owner/name/revision/main"));
        // From now on there is no network.
        let file = "hf:owner/name/model.safetensors";
        assert_read(&inspect(&sandbox, NOWHERE, file));
        let pinned = format!("{file}#{}", sha256(MODEL));
        assert_read(&inspect(&sandbox, NOWHERE, &pinned));
        let of_commit = format!("hf:owner/name@{COMMIT}/model.safetensors");
        assert_read(&inspect(&sandbox, NOWHERE, &of_commit));
        let offline = [("HF_HUB_OFFLINE", "1")];
        assert_read(&run(&sandbox, &hub.address, &offline, &["inspect", "hf:owner/name"]));
        assert_eq!(hub.requests(), [""; 0]);
    }
}

#[test]
fn offline_and_not_there() {
    let (sandbox, hub) = (Sandbox::new(), Hub::new());
    for (model, remedy) in [
        ("hf:owner/name/model.safetensors", "owner/name/resolve/main/model.safetensors by hand"),
        ("hf:owner/name", "download a file of "),
    ] {
        let offline = [("HF_HUB_OFFLINE", "yes")];
        let ran = run(&sandbox, &hub.address, &offline, &["inspect", model]);
        assert_refused(&ran, "is not in the cache [FOLDER]/home/hub", remedy);
    }
    assert_eq!(hub.requests(), [""; 0]);
}

#[test]
fn another_file_than_the_pinned_one() {
    let (sandbox, hub) = (Sandbox::new(), Hub::new());
    hub.serve("owner/name/resolve/v1/a/model.safetensors", Served::outside_of_git(MODEL));
    let pinned = format!("hf:owner/name@v1/a/model.safetensors#{}", "0".repeat(64));
    for endpoint in [&hub.address, NOWHERE] {
        let ran = inspect(&sandbox, endpoint, &pinned);
        assert_refused(&ran, &format!("{} expected of hf:", "0".repeat(64)), "name the commit");
        assert!(ran.stderr.contains(&format!("{} found", sha256(MODEL))), "{}", ran.all());
    }
    assert_read(&inspect(&sandbox, NOWHERE, "hf:owner/name@v1/a/model.safetensors"));
}

#[test]
fn a_file_that_is_not_what_the_hub_says() {
    let (sandbox, hub) = (Sandbox::new(), Hub::new());
    let path = "owner/name/resolve/main/model.safetensors";
    let mut wrong = MODEL.to_vec();
    wrong[MODEL.len() / 2] ^= 1;
    hub.serve(path, Served { bytes: wrong, ..Served::outside_of_git(MODEL) });
    let model = "hf:owner/name/model.safetensors";
    let ran = inspect(&sandbox, &hub.address, model);
    assert_refused(&ran, &format!("sha256: {} expected", sha256(MODEL)), "is removed: run");
    hub.serve(path, Served::outside_of_git(MODEL));
    assert_read(&inspect(&sandbox, &hub.address, model));
    // A file that is damaged later, on the disk, is found out too.
    let blob = blobs(&sandbox).into_iter().find(|path| path.ends_with(sha256(MODEL))).unwrap();
    std::fs::write(blob, "nothing").unwrap();
    assert_refused(&inspect(&sandbox, NOWHERE, model), "sha256: ", "is removed: run");
    assert_read(&inspect(&sandbox, &hub.address, model));
}

#[test]
fn refusals() {
    let (sandbox, hub) = (Sandbox::new(), Hub::new());
    let model = "hf:owner/name/model.safetensors";
    let by_hand = "/owner/name/resolve/main/model.safetensors by hand and write the path";
    for (status, problem, remedy) in [
        (401, "the Hub answers 401, no such repository, or one that wants a token", "set HF_TOKEN"),
        (403, "the Hub answers 403, only accounts", "accept the terms on http://127.0.0.1:"),
        (404, "the Hub answers 404, no such repository, revision or file", "/owner/name for what"),
        (500, "the Hub answers 500", "try again later"),
    ] {
        hub.serve("owner/name/resolve/main/model.safetensors", Served::refused(status));
        let ran = inspect(&sandbox, &hub.address, model);
        assert_refused(&ran, problem, remedy);
        assert_refused(&ran, model, by_hand);
    }
    let token = [("HF_TOKEN", "hf_secret")];
    hub.serve("owner/name/resolve/main/model.safetensors", Served::refused(401));
    let ran = run(&sandbox, &hub.address, &token, &["inspect", model]);
    assert_refused(&ran, "or one that wants another token", "set HF_TOKEN");
    assert!(!ran.all().contains("hf_secret"), "{}", ran.all());
    assert!(hub.requests().iter().any(|request| request.ends_with(" Bearer hf_secret")));
    let ran = inspect(&sandbox, NOWHERE, model);
    assert_refused(&ran, "cannot reach http://127.0.0.1:1", "check the connection");
    // A server that is something else.
    let odd = Served { etag: "../../x".into(), ..Served::in_git(MODEL) };
    hub.serve("owner/name/resolve/main/model.safetensors", odd);
    assert_refused(&inspect(&sandbox, &hub.address, model), "calls it `../../x`", "HF_ENDPOINT");
    let whole = Served { knows_no_ranges: true, ..Served::in_git(MODEL) };
    hub.serve("owner/name/resolve/main/model.safetensors", whole);
    let ran = inspect(&sandbox, &hub.address, model);
    assert_refused(&ran, "answers without the header Content-Range", by_hand);
    let ran = inspect(&sandbox, "nonsense", model);
    assert_refused(&ran, "cannot reach nonsense", "HF_ENDPOINT");
}

#[test]
fn a_download_that_breaks_off_is_continued() {
    let (sandbox, hub) = (Sandbox::new(), Hub::new());
    let model = "hf:owner/name/model.safetensors";
    let half = Served { breaks_at: Some(1000), ..Served::outside_of_git(MODEL) };
    hub.serve("owner/name/resolve/main/model.safetensors", half.clone());
    let ran = inspect(&sandbox, &hub.address, model);
    assert_refused(&ran, "broke off", "goes on from there");
    let offline = [("HF_HUB_OFFLINE", "1")];
    let ran = run(&sandbox, &hub.address, &offline, &["inspect", model]);
    assert_refused(&ran, "is not in the cache", "unset HF_HUB_OFFLINE");
    let part =
        blobs(&sandbox).into_iter().find(|path| path.extension().is_some_and(|e| e == "part"));
    assert_eq!(std::fs::read(part.unwrap()).unwrap(), MODEL[..1000]);
    assert_read(&inspect(&sandbox, &hub.address, model));
}

/// What is left of a download can be of no use; no file comes of it.
#[test]
fn leftovers_that_cannot_be_continued() {
    let path = "owner/name/resolve/main/model.safetensors";
    let model = "hf:owner/name/model.safetensors";
    for served in [Served::in_git(MODEL), Served::outside_of_git(MODEL)] {
        let (sandbox, hub) = (Sandbox::new(), Hub::new());
        let part = format!("home/hub/models--owner--name/blobs/{}.part", served.etag);
        for leftover in [MODEL.to_vec(), vec![0; MODEL.len() + 1]] {
            sandbox.write(&part, leftover);
            hub.serve(path, served.clone());
            assert_read(&inspect(&sandbox, &hub.address, model));
            std::fs::remove_dir_all(sandbox.path("home")).unwrap();
        }
        // The server sends everything again, and it lands behind the leftover.
        sandbox.write(&part, vec![0; 10]);
        hub.serve(path, Served { ignores_ranges: true, ..served });
        let ran = inspect(&sandbox, &hub.address, model);
        assert_refused(&ran, &format!("{} bytes expected", MODEL.len()), "is removed: run");
        assert_read(&inspect(&sandbox, &hub.address, model));
    }
}

#[test]
fn repositories_without_the_one_file() {
    let (sandbox, hub) = (Sandbox::new(), Hub::new());
    let ran = inspect(&sandbox, &hub.address, "hf:owner/none");
    assert_refused(
        &ran,
        "hf:owner/none: has no file with weights",
        "name a file: hf:owner/none/FILE",
    );
    hub.serve("owner/name/resolve/main/a.pt", Served::in_git(b"no pickle"));
    hub.serve("owner/name/resolve/main/config.json", Served::in_git(b"{}"));
    assert_refused(&inspect(&sandbox, &hub.address, "hf:owner/name"), "a.pt", "");
    hub.serve("owner/name/resolve/main/b.pth.tar", Served::in_git(b""));
    let ran = inspect(&sandbox, &hub.address, "hf:owner/name");
    assert_refused(&ran, "has several files with weights: a.pt, b.pth.tar", "hf:owner/name/FILE");
    hub.serve("owner/name/resolve/main/c.safetensors", Served::in_git(MODEL));
    assert_read(&inspect(&sandbox, &hub.address, "hf:owner/name"));
    hub.serve("owner/name/resolve/main/d.safetensors", Served::in_git(MODEL));
    let ran = inspect(&sandbox, &hub.address, "hf:owner/name");
    assert_refused(&ran, "several files with weights: c.safetensors, d.safetensors", "/FILE");
}

#[test]
fn weights_without_a_name_have_that_of_the_repository() {
    let (sandbox, hub) = (Sandbox::new(), Hub::new());
    let tensors = candle_core::safetensors::load_buffer(MODEL, &Device::Cpu).unwrap();
    let file = sandbox.path("model.safetensors");
    candle_core::safetensors::save(&tensors, &file).unwrap();
    let file = Served::in_git(&std::fs::read(file).unwrap());
    hub.serve("owner/net/resolve/main/model.safetensors", file);
    let arguments = ["inspect", "hf:owner/net@main", "--arch", "digits-cnn"];
    let ran = run(&sandbox, &hub.address, &[], &arguments);
    assert!(ran.stdout.starts_with("name          net\n"), "{}", ran.all());
}

/// Two images in a safetensors file, and the same as IDX with labels of their own.
fn data(hub: &Hub, sandbox: &Sandbox) {
    let images = Tensor::zeros((2, 1, 8, 8), DType::F32, &Device::Cpu).unwrap();
    let labels = Tensor::new(&[3_i64, 7], &Device::Cpu).unwrap();
    let tensors = HashMap::from([("images", images), ("labels", labels)]);
    let file = sandbox.path("two.safetensors");
    candle_core::safetensors::save(&tensors, &file).unwrap();
    let file = std::fs::read(file).unwrap();
    let idx = |shape: &[u8], bytes: &[u8]| {
        let sides: Vec<u8> = shape.iter().flat_map(|side| [0, 0, 0, *side]).collect();
        [&[0, 0, 8, shape.len() as u8], &sides[..], bytes].concat()
    };
    for (name, bytes) in [
        ("two.safetensors", file),
        ("images-idx3-ubyte", idx(&[2, 8, 8], &[0; 128])),
        ("labels-idx1-ubyte", idx(&[2], &[3, 7])),
    ] {
        let served = Served { etag: sha256(&bytes), ..Served::in_git(&bytes) };
        hub.serve(&format!("datasets/owner/two/resolve/main/{name}"), served);
    }
}

#[test]
fn data_sets_and_models_wherever_a_path_may_stand() {
    let (sandbox, hub) = (Sandbox::new(), Hub::new());
    data(&hub, &sandbox);
    hub.serve("owner/name/resolve/main/model.safetensors", Served::outside_of_git(MODEL));
    let attack = ["attack", "-a", "fgsm", "--norm", "Linf", "--eps", "0.1", "--dry-run"];
    for data in [
        "safetensors:hf:owner/two/two.safetensors",
        "hf:owner/two/two.safetensors",
        "idx:hf:owner/two/images-idx3-ubyte,hf:owner/two/labels-idx1-ubyte",
        "hf:owner/two@main/images-idx3-ubyte",
    ] {
        let subject = ["-m", "hf:owner/name/model.safetensors", "-d", data];
        let ran = run(&sandbox, &hub.address, &[], &[&attack[..], &subject].concat());
        assert_eq!(ran.code, 0, "{}", ran.all());
        assert!(ran.stdout.contains("\t2 images\tat most 3 passes each"), "{}", ran.all());
    }
    sandbox.write(
        "suite.toml",
        "name = \"s\"\nskip_missing = true\n[[model]]\npath = \"hf:owner/name\"\n[[data]]\n\
         spec = \"hf:owner/two/two.safetensors\"\n[[attack]]\nattack = \"fgsm\"\nnorm = \"Linf\"\n\
         eps = 0.1\n",
    );
    let ran = run(&sandbox, &hub.address, &[], &["run", "suite.toml", "--dry-run"]);
    let line = "digits-trades--fgsm-linf-0.1\t2 images\t";
    assert!(ran.stdout.starts_with(line) && ran.stdout.lines().count() == 1, "{}", ran.all());
    let ran =
        run(&sandbox, &hub.address, &[], &["convert", "hf:owner/name", "-o", "x.safetensors"]);
    assert_eq!(ran.code, 0, "{}", ran.all());
    assert_read(&inspect(&sandbox, NOWHERE, "hf:owner/name/model.safetensors"));
    // A pinned data set that is another one now.
    let pinned = format!("hf:owner/two/two.safetensors#{}", "f".repeat(64));
    let subject = ["-m", "bundled:digits-pgd", "-d", &pinned];
    let ran = run(&sandbox, NOWHERE, &[], &[&attack[..], &subject].concat());
    assert_refused(&ran, &format!("{} expected", "f".repeat(64)), "correct the hash");
}

/// A VGG of one convolution for images of 8 x 8 pixels, under the names of timm.
fn small_vgg(sandbox: &Sandbox) -> Vec<u8> {
    let tensors: HashMap<&str, Tensor> = [
        ("features.0.weight", &[2, 3, 3, 3][..]),
        ("features.0.bias", &[2]),
        ("pre_logits.fc1.weight", &[3, 2, 4, 4]),
        ("pre_logits.fc1.bias", &[3]),
        ("pre_logits.fc2.weight", &[3, 3, 1, 1]),
        ("pre_logits.fc2.bias", &[3]),
        ("head.fc.weight", &[5, 3]),
        ("head.fc.bias", &[5]),
    ]
    .map(|(name, shape)| (name, Tensor::ones(shape, DType::F32, &Device::Cpu).unwrap()))
    .into();
    let file = sandbox.path("vgg.safetensors");
    candle_core::safetensors::save(&tensors, &file).unwrap();
    std::fs::read(file).unwrap()
}

#[test]
fn networks_of_timm_are_what_their_config_says() {
    let (sandbox, hub) = (Sandbox::new(), Hub::new());
    let config = r#"{"architecture": "vgg11", "num_classes": 5, "pretrained_cfg": {
        "input_size": [3, 8, 8], "mean": [0.5, 0.25, 0.125], "std": [1.0, 0.5, 0.25],
        "crop_pct": 0.875, "interpolation": "bicubic", "crop_mode": "center"}}"#;
    let weights = small_vgg(&sandbox);
    for repository in ["timm/vgg11.small", "owner/finetuned"] {
        let at = |file: &str| format!("{repository}/resolve/main/{file}");
        hub.serve(&at("model.safetensors"), Served::outside_of_git(&weights));
        hub.serve(&at("config.json"), Served::in_git(config.as_bytes()));
        let ran = inspect(&sandbox, &hub.address, &format!("hf:{repository}"));
        assert_eq!(ran.code, 0, "{}", ran.all());
        for text in ["imagenet-vgg\n", "blocks 1\n", "[3, 8, 8]", "classes       5\n"] {
            assert!(ran.stdout.contains(text), "{text}: {}", ran.all());
        }
        let advice = "timm measures vgg11 on images prepared by BicubicRes9Crop8: imagenet:FOLDER,";
        assert!(ran.stderr.contains(advice), "{}", ran.all());
        // What is in the cache needs no network.
        let model = format!("hf:{repository}/model.safetensors");
        let ran = run(&sandbox, NOWHERE, &[], &["inspect", "--json", &model]);
        assert_eq!(ran.code, 0, "{}", ran.all());
        let card: serde_json::Value = serde_json::from_str(&ran.stdout).unwrap();
        assert_eq!(card["mean"], serde_json::json!([0.5, 0.25, 0.125]));
        assert_eq!(card["std"], serde_json::json!([1.0, 0.5, 0.25]));
    }
    let arguments = ["convert", "hf:timm/vgg11.small", "-o", "vgg-model.safetensors"];
    let ran = run(&sandbox, &hub.address, &[], &arguments);
    assert_eq!(ran.code, 0, "{}", ran.all());
    assert!(ran.stderr.contains("BicubicRes9Crop8"), "{}", ran.all());
    assert!(!ran.stderr.contains("not sure"), "{}", ran.all());
}

#[test]
fn networks_of_timm_that_cannot_be_built_are_refused_before_the_download() {
    let (sandbox, hub) = (Sandbox::new(), Hub::new());
    let at = |file: &str| format!("timm/net/resolve/main/{file}");
    hub.serve(&at("model.safetensors"), Served::in_git(MODEL));
    for (config, problem, remedy) in [
        (
            r#"{"architecture": "efficientnet_b0"}"#,
            "`efficientnet_b0` of timm is",
            "export it to ONNX",
        ),
        (r#"{"num_classes": 3}"#, "it names no architecture", "--arch"),
        ("{", "EOF while parsing", "--arch"),
    ] {
        hub.serve(&at("config.json"), Served::in_git(config.as_bytes()));
        for command in [&["inspect", "hf:timm/net"][..], &["convert", "hf:timm/net", "-o", "x"]] {
            assert_refused(&run(&sandbox, &hub.address, &[], command), problem, remedy);
        }
        std::fs::remove_dir_all(sandbox.path("home")).unwrap();
    }
    assert!(hub.requests().iter().all(|request| !request.contains("model.safetensors")));
}

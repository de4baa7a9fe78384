//! What a user can get wrong: each gets one error that names the file or setting, one hint, exit code
//! 2, and nothing is computed.
#![allow(clippy::unwrap_used)]

mod support;

use std::collections::BTreeMap;

use candle_core::{Device, Tensor};
use epsball::model::{ModelCard, file};
use epsball::zoo;
use support::{Ran, Sandbox};

/// An attack on the bundled data with one thing changed.
fn attack(sandbox: &Sandbox, change: &[&str]) -> Ran {
    let mut arguments = vec!["attack"];
    let defaults = [
        ("--model", "bundled:digits-trades"),
        ("--data", "digits"),
        ("--attack", "pgd"),
        ("--norm", "Linf"),
        ("--eps", "0.1"),
    ];
    for (name, value) in defaults {
        if !change.contains(&name) {
            arguments.extend([name, value]);
        }
    }
    arguments.extend(change.iter().filter(|c| !c.is_empty()));
    sandbox.run(&arguments)
}

fn assert_refused(ran: &Ran, message: &str, hint: &str) {
    assert_eq!(ran.code, 2, "{}", ran.all());
    let first = ran.stderr.lines().find(|l| l.starts_with("error: ")).unwrap_or_default();
    assert!(first.contains(message), "wanted `{message}` in: {}", ran.all());
    let second = ran.stderr.lines().find(|l| l.starts_with("hint: ")).unwrap_or_default();
    assert!(hint.is_empty() || second.contains(hint), "wanted hint `{hint}` in: {}", ran.all());
    assert!(!ran.stderr.contains("panicked"), "{}", ran.all());
}

#[test]
fn settings() {
    let sandbox = Sandbox::new();
    let cases: &[(&[&str], &str, &str)] = &[
        (&["--attack", "pdg"], "unknown attack `pdg`", "did you mean `pgd`?"),
        (&["--set", "step=5"], "unknown parameter `step` of `pgd`", "did you mean `steps`?"),
        (&["--set", "steps"], "`steps` is not NAME=VALUE", "--set steps=40"),
        (&["--set", "steps=0"], "pgd: steps", ""),
        (&["--set", "alpha=fast"], "pgd: alpha: `fast`", ""),
        (&["--eps", "0"], "eps: `0` is not a number above 0", "8/255"),
        (&["--eps", "-0.1"], "eps: `-0.1` is not a number above 0", "8/255"),
        (&["--memory", "-1"], "memory: -1 is not a number of GiB", "for example 2"),
        (&["--eps=-0.1"], "eps: `-0.1` is not a number above 0", "8/255"),
        (&["--eps", "NaN"], "eps: `NaN` is not a number above 0", ""),
        (&["--norm", "L3"], "unknown norm `L3`", "Linf, L2, L1, L0"),
        (
            &["--norm", "L0", "--eps", "8"],
            "attack pgd: does not work under the threat model L0",
            "L1",
        ),
        (&["--goal", "sideways"], "unknown goal `sideways`", ""),
        (&["--goal", "10"], "class 10 does not exist", "below that number"),
        (&["--attack", "none"], "`none` is no attack", "epsball evaluate"),
        (&["--attack", "pgd,fgsm", "--set", "steps=3"], "--set: belongs to one attack", "a suite"),
        (&["--seed", "9223372036854775808"], "seed: 9223372036854775808 is above", "smaller"),
        (&["--attack", "roa"], "attack roa: does not work under the threat model Linf", "a patch"),
        (&["--model", "bundled:digits"], "unknown bundled model `digits`", "digits-"),
        (&["--model", "none.safetensors"], "cannot read none.safetensors", ""),
        (&["--data", "nowhere:x"], "unknown data set `nowhere`", "known: "),
        (&["--data", "digits:middle"], "unknown split of digits `middle`", "test"),
        (&["--first", "361"], "361 images asked for, the data set has 360", "at most 360"),
        (&["--batch", "0"], "batch: 0 images at a time", ""),
        (&["--threads", "0"], "threads", ""),
        (&["--average", "logits"], "average: there is one network only", "leave average out"),
        (&["--memory=-1"], "memory: -1 is not a number of GiB", "for example 2"),
        (&["--memory", "NaN"], "memory: NaN is not a number of GiB", ""),
    ];
    for (change, message, hint) in cases {
        let ran = attack(&sandbox, change);
        assert_refused(&ran, message, hint);
    }
    let eps = attack(&sandbox, &["--eps"]);
    assert_eq!(eps.code, 2);
    for (sigma, message) in [("0", "sigma: `0` is not"), ("-1", "sigma: `-1` is not")] {
        let options = ["-m", "bundled:digits-trades", "-d", "digits", "--sigma", sigma];
        let ran = sandbox.run(&[&["certify"], &options[..]].concat());
        assert_refused(&ran, message, "above 0");
    }
}

#[test]
fn references_to_the_hub() {
    let sandbox = Sandbox::new();
    for argument in ["--model", "--data"] {
        let ran = attack(&sandbox, &[argument, "hf:owner"]);
        assert_refused(&ran, "hf:owner: names no repository", "hf:OWNER/NAME[@REVISION][/FILE]");
    }
    let ran = attack(&sandbox, &["--data", "idx:hf:owner/name"]);
    assert_refused(&ran, "hf:owner/name: names no file of the data set", "/datasets/owner/name/");
    let model = ["-m", "bundled:digits-pgd"];
    let ran = sandbox.run(&[&["corruptions", "--data", "hf:owner/name"], &model[..]].concat());
    assert_refused(&ran, "--data: the benchmark is a folder", "download it by hand");
    for command in [&["inspect"][..], &["convert", "-o", "x.safetensors"]] {
        let ran = sandbox.run(&[command, &["hf:owner/name/../x"]].concat());
        assert_refused(&ran, "the file `../x` is not plain", "write hf:OWNER/NAME");
    }
}

#[test]
#[cfg(not(feature = "hub"))]
fn a_build_without_the_hub_says_what_to_download() {
    let sandbox = Sandbox::new();
    for (argument, reference, address) in [
        ("--model", "hf:o/n", "a file of https://huggingface.co/o/n/tree/main"),
        ("--model", "hf:o/n@v1/a.pt", "https://huggingface.co/o/n/resolve/v1/a.pt"),
        ("--data", "hf:o/n/a.npz", "https://huggingface.co/datasets/o/n/resolve/main/a.npz"),
        ("--data", "npz:hf:o/n/a.npz", "https://huggingface.co/datasets/o/n/resolve/main/a.npz"),
    ] {
        let ran = attack(&sandbox, &[argument, reference]);
        assert_refused(
            &ran,
            "this build of epsball does not fetch",
            &format!("download {address}"),
        );
        assert_refused(&ran, reference.trim_start_matches("npz:"), "--features hub");
    }
}

/// A digits network whose weights are changed before it is saved.
fn saved(sandbox: &Sandbox, name: &str, change: impl FnOnce(&mut BTreeMap<String, Tensor>)) {
    let architecture = zoo::find("digits-mlp").unwrap();
    let mut fresh = zoo::Fresh::new(0);
    architecture.program(&mut fresh, &architecture.settings()).unwrap();
    let mut tensors: BTreeMap<String, Tensor> =
        fresh.variables.iter().map(|(k, v)| (k.clone(), v.as_tensor().clone())).collect();
    change(&mut tensors);
    file::save(&sandbox.path(name), &tensors, &ModelCard::new("bad", architecture)).unwrap();
}

#[test]
fn models() {
    let sandbox = Sandbox::new();
    saved(&sandbox, "nan.safetensors", |t| {
        let mut values = t["fc2.bias"].to_vec1::<f32>().unwrap();
        values[3] = f32::NAN;
        t.insert("fc2.bias".into(), Tensor::new(values, &Device::Cpu).unwrap());
    });
    saved(&sandbox, "missing.safetensors", |t| {
        t.remove("fc3.bias");
    });
    saved(&sandbox, "shape.safetensors", |t| {
        let turned = t["fc1.weight"].t().unwrap().contiguous().unwrap();
        t.insert("fc1.weight".into(), turned);
    });
    saved(&sandbox, "extra.safetensors", |t| {
        t.insert(
            "head.weight".into(),
            Tensor::zeros(3, candle_core::DType::F32, &Device::Cpu).unwrap(),
        );
    });
    saved(&sandbox, "good.safetensors", |_| {});
    let good = std::fs::read(sandbox.path("good.safetensors")).unwrap();
    sandbox.write("short.safetensors", &good[..good.len() - 10]);
    sandbox.write("page.pt", "<!DOCTYPE html><html><body>Sign in</body></html>");
    sandbox.write("empty.safetensors", "");
    let plain =
        BTreeMap::from([("a", Tensor::zeros(3, candle_core::DType::F32, &Device::Cpu).unwrap())]);
    candle_core::safetensors::save(&plain.into_iter().collect(), sandbox.path("plain.safetensors"))
        .unwrap();
    let cases = [
        ("nan.safetensors", "not finite: fc2.bias holds NaN at element 3", ""),
        ("missing.safetensors", "missing: fc3.bias [10]", "export them again"),
        ("shape.safetensors", "wrong shape: fc1.weight is [64, 128] instead of [128, 64]", ""),
        ("extra.safetensors", "unexpected: head.weight", ""),
        ("short.safetensors", "short.safetensors", ""),
        ("page.pt", "page.pt", "download"),
        ("empty.safetensors", "empty.safetensors", ""),
        ("plain.safetensors", "does not say which architecture", "--arch"),
    ];
    for (name, message, hint) in cases {
        assert_refused(&attack(&sandbox, &["--model", name]), message, hint);
    }
    let ran = attack(&sandbox, &["--model", "plain.safetensors", "--arch", "digits-mpl"]);
    assert_refused(&ran, "unknown architecture `digits-mpl`", "did you mean `digits-mlp`?");
    let ran = attack(&sandbox, &["--model", "plain.safetensors", "--arch", "digits-mlp"]);
    assert_refused(&ran, "missing: fc1.weight [128, 64]", "");
}

#[test]
fn a_model_that_returns_probabilities() {
    let sandbox = Sandbox::new();
    // With all weights zero and these biases the outputs sum to one.
    saved(&sandbox, "softmax.safetensors", |t| {
        for tensor in t.values_mut() {
            *tensor = tensor.zeros_like().unwrap();
        }
        t.insert("fc3.bias".into(), Tensor::full(0.1_f32, 10, &Device::Cpu).unwrap());
    });
    let ran = attack(&sandbox, &["--model", "softmax.safetensors"]);
    assert_refused(&ran, "returns probabilities", "remove the softmax");
}

#[test]
fn data() {
    let sandbox = Sandbox::new();
    let npy = |name: &str, values: Vec<f32>, shape: &[usize]| {
        let tensor = Tensor::from_vec(values, shape, &Device::Cpu).unwrap();
        tensor.write_npy(sandbox.path(name)).unwrap();
    };
    let labels = |name: &str, values: Vec<i64>| {
        Tensor::new(values, &Device::Cpu).unwrap().write_npy(sandbox.path(name)).unwrap();
    };
    npy("bright.npy", vec![1.5; 64], &[1, 1, 8, 8]);
    npy("nan.npy", vec![f32::NAN; 64], &[1, 1, 8, 8]);
    npy("good.npy", vec![0.5; 64], &[1, 1, 8, 8]);
    npy("wide.npy", vec![0.5; 72], &[1, 1, 8, 9]);
    labels("one.npy", vec![3]);
    labels("eleven.npy", vec![11]);
    let good = std::fs::read(sandbox.path("good.npy")).unwrap();
    sandbox.write("short.npy", &good[..good.len() - 4]);
    let cases = [
        ("npy:bright.npy,one.npy", "bright.npy", "255"),
        ("npy:nan.npy,one.npy", "nan.npy", ""),
        ("npy:short.npy,one.npy", "short.npy", ""),
        ("npy:good.npy,eleven.npy", "is 11, the networks have 10 classes", ""),
        ("npy:good.npy,missing.npy", "missing.npy", ""),
        ("npy:wide.npy,one.npy", "takes images [1, 8, 8], wide has [1, 8, 9]", ""),
    ];
    for (spec, message, hint) in cases {
        assert_refused(&attack(&sandbox, &["--data", spec]), message, hint);
    }
}

#[test]
fn suites() {
    let sandbox = Sandbox::new();
    let head =
        "name = \"x\"\n[[model]]\npath = \"bundled:digits-pgd\"\n[[data]]\nspec = \"digits\"\n";
    let with = |field: &str, other: &str| {
        format!(
            "{}[[attack]]\nattack = \"fgsm\"\nnorm = \"L2\"\neps = 1\n",
            head.replacen(field, other, 1)
        )
    };
    let cases = [
        ("name = \"x\"\nmodle = 3\n", "line 2: unknown field `modle`"),
        ("name = \"x\"\n[[model]]\n", "missing field `data`"),
        (&with("path", "name"), "model: names no file"),
        (
            &with("path", "members = [\"bundled:digits-trades\"]\npath"),
            "model: has both a path and members",
        ),
        (&with("path", "average = \"sum\"\npath"), "unknown variant `sum`"),
        ("name = ", "line 1"),
        (head, "suite.toml: suite: has nothing to do"),
        (&format!("{head}[[attack]]\nattack = \"pgd\"\n"), "attack pgd: has no threat model"),
        (&format!("{head}[[attack]]\nattack = \"pgd\"\nnorm = \"L2\"\n"), "attack pgd: has no eps"),
        (
            &format!("{head}[[attack]]\nattack = \"roa\"\npatch = \"0x3\"\n"),
            "patch: `0x3` is not a size in pixels",
        ),
        (
            &format!("{head}[[attack]]\nattack = \"fgsm\"\nnorm = \"L2\"\neps = 1\n")
                .repeat(1)
                .replace("[[data]]", "[[model]]\npath = \"bundled:digits-pgd\"\n[[data]]"),
            "suite.toml: model: `digits-pgd` occurs twice",
        ),
        (&format!("{head}[[certificate]]\ncertificate = \"cohen\"\nsigma = 0.25\nn = 0\n"), "n"),
        (
            &format!("{head}[[certificate]]\ncertificate = \"cohn\"\nsigma = 0.25\n"),
            "unknown certificate `cohn`",
        ),
    ];
    for (text, message) in cases {
        sandbox.write("suite.toml", text);
        assert_refused(&sandbox.run(&["run", "suite.toml"]), message, "");
    }
    let ran = sandbox.run(&["run", "nowhere.toml"]);
    assert_refused(&ran, "cannot read nowhere.toml", "");
    let fgsm = "[[attack]]\nattack = \"fgsm\"\nnorm = \"L2\"\n";
    let cases = [
        (
            head.replace("spec", "images = 20\nspec"),
            "suite.toml: line 5: images: `20` does not say which images",
            "{ first = 20 }, { every = 20 } or { indices = [3, 7] }",
        ),
        (
            format!("{head}{fgsm}eps = -1\n"),
            "suite.toml: line 6: [[attack]]: eps: -1 is not a number above 0",
            "0.3",
        ),
        (
            format!("{head}{fgsm}eps = true\n"),
            "line 6: [[attack]]: attack fgsm: eps: a number or a list of numbers is expected",
            "",
        ),
        (
            format!("{head}{fgsm}eps = 1\nnrom = 3\n"),
            "suite.toml: line 6: [[attack]]: attack fgsm: has no use for nrom",
            "did you mean `norm`? it has attack, label, norm",
        ),
        (
            format!("{head}[[attack]]\natack = \"fgsm\"\n"),
            "suite.toml: line 6: [[attack]]: has no use for atack",
            "did you mean `attack`?",
        ),
        (
            format!("{head}[[atack]]\nattack = \"fgsm\"\n"),
            "suite.toml: line 6: unknown field `atack`",
            "did you mean `attack`? known: name",
        ),
        (
            format!("{head}{fgsm}eps = 1\nseed = 3\n"),
            "suite.toml: line 6: [[attack]]: attack fgsm: has no use for seed",
            "`seed` belongs before the first section",
        ),
        (
            head.replace("spec", "seed = 3\nspec"),
            "suite.toml: line 5: the section has no field `seed`",
            "`seed` belongs before the first section",
        ),
        (
            format!("{}name = \"x\"\n", head.trim_start_matches("name = \"x\"\n")),
            "missing field `name`",
            "`name` belongs before the first section",
        ),
        (
            format!("seed = \"one\"\n{head}"),
            "suite.toml: line 1: seed: the text \"one\" stands where a whole number",
            "",
        ),
        (
            format!(
                "{head}{fgsm}eps = 1\nlabel = \"mine\"\n{}eps = 2\nlabel = \"mine\"\n",
                fgsm.replace("fgsm", "pgd")
            ),
            "line 11: [[attack]] pgd: has the label `mine`, and so has fgsm in line 6",
            "a label of its own",
        ),
        (
            format!(
                "{head}[[attack]]\nattack = \"patch-suite\"\npatch = \"2x2\"\nlabel = \"mine\"\n"
            ),
            "attack patch-suite: has no use for a label",
            "leave label out",
        ),
        (
            head.replace("bundled:digits-pgd", "bundled:digit-pgd") + fgsm + "eps = 1\n",
            "suite.toml: line 2: [[model]]: unknown bundled model `digit-pgd`",
            "did you mean `digits-pgd`?",
        ),
    ];
    for (text, message, hint) in cases {
        sandbox.write("suite.toml", text);
        assert_refused(&sandbox.run(&["run", "suite.toml"]), message, hint);
    }
}

#[test]
fn folders_where_files_are_wanted() {
    let sandbox = Sandbox::new();
    let ran = sandbox.run(&["audit", "."]);
    assert_refused(&ran, ".: table: it is a folder", "`epsball verify RUN` looks at a whole run");
    let corruptions =
        |data: &str| sandbox.run(&["corruptions", "-m", "bundled:digits-pgd", "--data", data]);
    assert_refused(&corruptions("nowhere"), "nowhere: folder: there is no such", "data list");
    let ran = corruptions("cifar-c:CIFAR-10-C,fog,1");
    assert_refused(&ran, "there is no such folder", "give the folder alone: CIFAR-10-C;");
}

#[test]
fn certificates() {
    let sandbox = Sandbox::new();
    let cases: &[(&[&str], &str, &str)] = &[
        (&[], "sigma: gaussian noise needs a standard deviation", "0.25"),
        (&["--sigma", "0.25", "--n", "9"], "with 9 samples every image abstains", "10"),
        (
            &["--certificate", "patchclenser"],
            "unknown certificate",
            "did you mean `patchcleanser`?",
        ),
        (&["--sigma", "1", "--noise", "laplac"], "unknown noise `laplac`", "laplace"),
        (&["--sigma", "1", "--norm", "L3"], "unknown norm `L3`", "L2"),
        (
            &["--sigma", "1", "--noise", "laplace", "--norm", "L2"],
            "norm: laplace noise certifies nothing in L2",
            "choose L1",
        ),
        (&["--sigma", "1", "--noise", "ablation"], "ablation has no standard deviation", "k"),
        (&["--noise", "ablation", "--set", "k=65"], "k: 65 of 64 pixels", ""),
        (&["--sigma", "1", "--set", "k=5"], "unknown parameter `k` of `certificate cohen`", ""),
        (&["--sigma", "1", "--noise", "lattice"], "is not on the grid of 1/255", "levels"),
        (&["--sigma", "1", "--patch", "2x2"], "has no use for patch", "patchcleanser"),
        (&["--sigma", "1", "--radii=-1"], "radii: -1 is not a radius", ""),
        (&["--sigma", "1", "--mode", "girds"], "unknown mode `girds`", "grid"),
        (&["--sigma", "1", "--mode", "radius"], "radii: mode radius stops when", "0.5"),
        (&["--sigma", "1", "--mode", "radius", "--radii=0,1"], "one radius, not 2", "mode grid"),
        (&["--sigma", "0.1", "--mode", "radius", "--radii=1"], "never prove 1", "more noise"),
        (&["--sigma", "1", "--mode", "grid", "--n", "9"], "every image abstains", "10"),
        (&["--sigma", "1", "--mode", "grid", "--set", "beta=2"], "beta: 2 is not between", "0.05"),
        (&["--sigma", "1", "--set", "beta=0.1"], "unknown parameter `beta` of `certificate", ""),
        (&["--sigma", "1", "--set", "correction=holm"], "unknown correction `holm`", "bonferroni"),
        (&["-c", "crown", "--norm", "L2", "--eps", "1", "--mode", "grid"], "no use for mode", ""),
        (&["-c", "patchcleanser", "--patch", "2", "--mode", "grid"], "no use for mode", ""),
        (&["-c", "patchcleanser"], "has no size of the patch", "5x5"),
        (&["-c", "patchcleanser", "--patch", "0"], "patch: `0` is not a size", "2%"),
        (&["-c", "patchcleanser", "--patch", "9x2"], "9x2 pixels do not fit", ""),
        (&["-c", "patchcleanser", "--patch", "2", "--sigma", "1"], "has no use for sigma", ""),
        (&["-c", "patchcleanser", "--patch", "2", "--set", "k=0"], "k: `0`", ""),
        (&["-c", "patchcleanser", "--patch", "2", "--set", "K=6"], "unknown parameter `K`", "k"),
        (&["-c", "patchcleanser", "--patch", "2", "--set", "fill=2"], "fill: `2`", "neutral"),
        (&["-c", "patchcleanser", "--patch", "2,2x2"], "occurs twice", ""),
        (&["-c", "column-smoothing", "--patch", "2", "--set", "size=9"], "size: a window of 9", ""),
        (&["-c", "row-smoothing", "--patch", "2", "--set", "wrap=so"], "wrap: `so`", ""),
        (&["-c", "block-smoothing", "--patch", "2", "--set", "threshold=1.5"], "threshold", "none"),
        (&["-c", "crwn"], "unknown certificate `crwn`", "did you mean `crown`?"),
        (&["-c", "crown"], "certificate crown: has no norm", "Linf"),
        (&["-c", "crown", "--norm", "L2"], "certificate crown: has no eps", "8/255"),
        (&["-c", "ibp", "--norm", "L1", "--eps", "1"], "unknown norm with bounds `L1`", "Linf"),
        (&["-c", "ibp", "--norm", "L2", "--eps", "1", "--sigma", "1"], "no use for sigma", ""),
        (&["--sigma", "1", "--eps", "0.1"], "certificate cohen: has no use for eps", "crown"),
        (&["-c", "patchcleanser", "--patch", "2", "--steps", "3"], "no use for steps", ""),
    ];
    for (change, message, hint) in cases {
        let mut arguments = vec!["certify", "-m", "bundled:digits-pgd", "-d", "digits"];
        arguments.extend(*change);
        assert_refused(&sandbox.run(&arguments), message, hint);
    }
    assert!(!sandbox.path("results").exists());
}

#[test]
fn folders_that_cannot_be_used() {
    let sandbox = Sandbox::new();
    sandbox.write("file", "not a folder");
    assert_refused(&attack(&sandbox, &["--output", "file/run"]), "file/run", "");
    let ran = sandbox.run(&["leaderboard", "."]);
    assert_refused(&ran, "neither this folder nor one directly below it is a run", "epsball run");
}

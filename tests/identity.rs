//! An image is its label and its pixels: after either has changed nothing counts as finished, in any
//! format and for any kind of work. Names that lead elsewhere are refused, and no two names share a table.
#![allow(clippy::unwrap_used)]

mod support;

use support::{Sandbox, tables};

fn npy(descr: &str, shape: &str, bytes: &[u8]) -> Vec<u8> {
    let mut header = format!("{{'descr': '{descr}', 'fortran_order': False, 'shape': {shape}, }}");
    while (header.len() + 11) % 64 != 0 {
        header.push(' ');
    }
    header.push('\n');
    let mut file = b"\x93NUMPY\x01\x00".to_vec();
    file.extend((header.len() as u16).to_le_bytes());
    file.extend(header.as_bytes());
    file.extend(bytes);
    file
}

/// Six images of 1x8x8 that differ from each other.
fn pixels() -> Vec<u8> {
    (0..6 * 64).map(|i| ((i * 37 + i / 64 * 11) % 256) as u8).collect()
}

fn idx(kind: u8, sides: &[u32], bytes: &[u8]) -> Vec<u8> {
    let mut file = vec![0, 0, kind, sides.len() as u8];
    sides.iter().for_each(|side| file.extend(side.to_be_bytes()));
    file.extend(bytes);
    file
}

/// Writes six images in a format, with these labels.
fn write(sandbox: &Sandbox, format: &str, pixels: &[u8], labels: [u8; 6]) -> String {
    match format {
        "npy" => {
            sandbox.write("images.npy", npy("|u1", "(6, 1, 8, 8)", pixels));
            sandbox.write("labels.npy", npy("|u1", "(6,)", &labels));
            "npy:images.npy".into()
        }
        "idx" => {
            sandbox.write("t10k-images-idx3-ubyte", idx(8, &[6, 8, 8], pixels));
            sandbox.write("t10k-labels-idx1-ubyte", idx(8, &[6], &labels));
            "idx:t10k-images-idx3-ubyte".into()
        }
        _ => {
            let _ = std::fs::remove_dir_all(sandbox.path("folder"));
            for class in 0..10 {
                std::fs::create_dir_all(sandbox.path(&format!("folder/{class}"))).unwrap();
            }
            for (i, image) in pixels.chunks(64).enumerate() {
                let path = sandbox.path(&format!("folder/{}/{i}.png", labels[i]));
                image::GrayImage::from_raw(8, 8, image.to_vec()).unwrap().save(path).unwrap();
            }
            "folder:folder".into()
        }
    }
}

#[test]
fn changed_labels_and_pixels_are_seen_in_every_format_and_kind_of_work() {
    let labels = [0, 1, 2, 3, 4, 5];
    let mut other_pixels = pixels();
    other_pixels[5 * 64 + 9] ^= 1;
    for format in ["npy", "idx", "folder"] {
        for work in [
            "attack -a fgsm --norm Linf --eps 0.01",
            "certify --sigma 0.25 --n0 5 --n 40",
            "certify -c patchcleanser --patch 1x1",
            "certify -c ibp --norm Linf --eps 0.001",
        ] {
            let sandbox = Sandbox::new();
            let spec = write(&sandbox, format, &pixels(), labels);
            let run = || {
                let (command, rest) = work.split_once(' ').unwrap();
                let line = format!("{command} -m bundled:digits-pgd -d {spec} -o run {rest}");
                sandbox.run(&line.split(' ').collect::<Vec<_>>())
            };
            let first = run();
            assert_eq!(first.code, 0, "{format} {work}: {}", first.stderr);
            assert!(run().stderr.contains("already finished"), "{format} {work}");
            let before = tables(&sandbox.path("run"));
            // A folder numbers its images class by class: one class has to stay as it was.
            let relabelled =
                if format == "folder" { [0, 1, 2, 3, 4, 6] } else { [0, 1, 2, 3, 5, 4] };
            write(&sandbox, format, &pixels(), relabelled);
            let refused = run();
            assert_eq!(refused.code, 2, "{format} {work}: {}", refused.stderr);
            let problem = "its pixels or its label have changed: it was ";
            assert!(refused.stderr.contains(problem), "{format} {work}: {}", refused.stderr);
            write(&sandbox, format, &other_pixels, labels);
            let refused = run();
            assert!(refused.stderr.contains(problem), "{format} {work}: {}", refused.stderr);
            assert_eq!(tables(&sandbox.path("run")), before);
            write(&sandbox, format, &pixels(), labels);
            assert!(run().stderr.contains("already finished"), "{format} {work}");
        }
    }
}

/// Half of a run with these labels, half with others: the second half is refused.
#[test]
fn an_interrupted_run_does_not_go_on_with_other_labels() {
    let sandbox = Sandbox::new();
    let spec = write(&sandbox, "npy", &pixels(), [0, 1, 2, 3, 4, 5]);
    let line =
        format!("attack -m bundled:digits-pgd -d {spec} -o run -a fgsm --norm Linf --eps 0.01");
    let run = |more: &str| {
        sandbox.run(&line.split(' ').chain(more.split_whitespace()).collect::<Vec<_>>())
    };
    assert_eq!(run("-n 3").code, 0);
    write(&sandbox, "npy", &pixels(), [0, 1, 9, 3, 4, 5]);
    assert_eq!(run("").code, 2);
    // Images that have no row yet may be any.
    write(&sandbox, "npy", &pixels(), [0, 1, 2, 3, 4, 9]);
    assert_eq!(run("").code, 0);
}

fn suite(first: &str, second: &str, label: &str) -> String {
    let toml = |text: &str| toml::Value::String(text.into()).to_string();
    format!(
        "name = \"names\"\n[[model]]\npath = \"bundled:digits-pgd\"\nname = {}\n[[model]]\n\
         path = \"bundled:digits-standard\"\nname = {}\n[[data]]\nspec = \"digits\"\n\
         images = {{ first = 20 }}\n[[attack]]\nattack = \"fgsm\"\nnorm = \"Linf\"\neps = 0.1\n\
         label = {}\n",
        toml(first),
        toml(second),
        toml(label)
    )
}

#[test]
fn names_that_look_alike_on_a_disk_keep_their_own_tables() {
    let sandbox = Sandbox::new();
    sandbox.write("plain.toml", suite("a", "b", "x"));
    assert_eq!(sandbox.run(&["run", "plain.toml", "-o", "plain"]).code, 0);
    let mut expected: Vec<String> =
        tables(&sandbox.path("plain")).into_iter().map(|(_, text)| text).collect();
    expected.sort();
    let pairs = [
        ("net (ours)", "net [ours]"),
        ("模型", "网络"),
        ("Net", "net"),
        ("a/b", "a|b"),
        ("a b", "a_b"),
    ];
    for (number, (first, second)) in pairs.into_iter().enumerate() {
        let folder = format!("run-{number}");
        sandbox.write("suite.toml", suite(first, second, "x"));
        let ran = sandbox.run(&["run", "suite.toml", "-o", &folder]);
        assert_eq!(ran.code, 0, "{}", ran.stderr);
        let mut found: Vec<String> =
            tables(&sandbox.path(&folder)).into_iter().map(|(_, text)| text).collect();
        found.sort();
        assert!(found == expected, "{first} and {second}");
    }
}

#[test]
fn names_that_lead_elsewhere_are_refused_before_anything_is_computed() {
    let bad = ["..", "../x", "/tmp/x", "line one\nline two", "\u{1b}[2J", "=1+1", "", " "];
    for name in bad {
        let sandbox = Sandbox::new();
        for text in [suite(name, "b", "x"), suite("a", name, "x"), suite("a", "b", name)] {
            sandbox.write("suite.toml", text);
            let ran = sandbox.run(&["run", "suite.toml", "-o", "run"]);
            assert_eq!(ran.code, 2, "{name:?}: {}", ran.stderr);
            assert!(ran.stderr.contains("cannot be a name"), "{}", ran.stderr);
            assert!(!sandbox.path("run").exists());
        }
        let quoted = toml::Value::String(name.into()).to_string();
        let own = suite("a", "b", "x").replacen("\"names\"", &quoted, 1);
        sandbox.write("suite.toml", own);
        let ran = sandbox.run(&["run", "suite.toml"]);
        assert_eq!(ran.code, 2, "{name:?}");
        assert!(!sandbox.path("results").exists());
        let data = suite("a", "b", "x").replacen(
            "spec = \"digits\"",
            &format!("spec = \"digits\"\nname = {quoted}"),
            1,
        );
        sandbox.write("suite.toml", data);
        assert_eq!(sandbox.run(&["run", "suite.toml", "-o", "run"]).code, 2, "{name:?}");
    }
}

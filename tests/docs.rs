//! Every command of the guide in `docs/` does what the guide says, a sandbox for each page.
#![allow(clippy::unwrap_used)]

mod support;

use std::path::Path;

use support::Sandbox;

/// The fenced blocks of a language.
fn blocks<'a>(page: &'a str, language: &str) -> Vec<&'a str> {
    let fence = format!("```{language}\n");
    page.split(&fence).skip(1).map(|rest| rest.split("```").next().unwrap()).collect()
}

/// The words of a command, and the exit code that the guide says it has.
fn command(line: &str) -> (Vec<&str>, i32) {
    let (line, code) =
        line.split_once(" # exit ").map_or((line, 0), |(l, c)| (l, c.parse().unwrap()));
    (line.split_whitespace().collect(), code)
}

#[test]
fn every_command_of_the_guide_runs() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/src");
    let summary = std::fs::read_to_string(folder.join("SUMMARY.md")).unwrap();
    let pages: Vec<&str> =
        summary.split("](").skip(1).map(|rest| rest.split(')').next().unwrap()).collect();
    let mut commands = 0;
    for name in &pages {
        let page = std::fs::read_to_string(folder.join(name)).unwrap();
        let sandbox = Sandbox::new();
        for suite in blocks(&page, "toml") {
            sandbox.write("suite.toml", suite);
        }
        let bundled = "benchmarks/models/digits-pgd.safetensors";
        let bundled = Path::new(env!("CARGO_MANIFEST_DIR")).join(bundled);
        std::fs::copy(bundled, sandbox.path("bundled.safetensors")).unwrap();
        for line in blocks(&page, "sh").into_iter().flat_map(str::lines) {
            let (words, code) = command(line);
            assert_eq!(words[0], "epsball", "{name}: {line}");
            let ran = sandbox.run(&words[1..]);
            assert_eq!(ran.code, code, "{name}: {line}\n{}", ran.all());
            commands += 1;
        }
    }
    let there = std::fs::read_dir(&folder).unwrap().count();
    assert_eq!(there, pages.len() + 1, "every page is in SUMMARY.md");
    assert!(commands > 30, "{commands}");
}

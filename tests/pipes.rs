//! Where the text goes: every subcommand with stdout and stderr closed, full and cut off, by a table of exit codes.
//! What was asked for in files is there whoever reads the text.
#![allow(clippy::unwrap_used)]
#![cfg(unix)]

mod support;

use std::fs::File;
use std::os::unix::fs::PermissionsExt as _;
use std::process::{Command, Stdio};

use support::Sandbox;

const SUITE: &str = r#"
name = "piped"
[[model]]
path = "bundled:digits-pgd"
[[model]]
path = "bundled:digits-trades"
[[data]]
spec = "digits"
images = { first = 6 }
[[attack]]
attack = "fgsm"
norm = "Linf"
eps = 0.1
"#;

const LOG: &str = "idx\tlabel\tpredict\tradius\tcorrect\ttime\n0\t1\t1\t0.25\t1\t0:00:01\n";

/// What becomes of a stream.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Stream {
    Read,
    /// `>&-`: the runtime puts /dev/null in its place.
    Closed,
    /// No space is left on the device.
    Full,
    /// The reader has gone.
    Cut,
}

/// The subcommands: arguments, the exit code with both streams read, and whether it shows something on stdout.
const COMMANDS: &[(&[&str], i32, bool)] = &[
    (&["run", "suite.toml", "-o", "again"], 0, true),
    (&["run", "suite.toml", "-o", "again", "--json"], 0, true),
    (&["run", "suite.toml", "-o", "again", "--dry-run"], 0, true),
    (&["run", "none.toml"], 2, false),
    (&["sweep", "suite.toml", "--dry-run"], 0, true),
    (
        &[
            "attack",
            "-m",
            "bundled:digits-pgd",
            "-d",
            "digits",
            "-n",
            "4",
            "-a",
            "fgsm",
            "--norm",
            "Linf",
            "--eps",
            "0.1",
            "-o",
            "attacked",
        ],
        0,
        true,
    ),
    (
        &[
            "certify",
            "-m",
            "bundled:digits-pgd",
            "-d",
            "digits",
            "-n",
            "2",
            "-c",
            "ibp",
            "--norm",
            "Linf",
            "--eps",
            "0.01",
            "-o",
            "certified",
        ],
        0,
        true,
    ),
    (&["corruptions", "-m", "bundled:digits-pgd", "-d", "none"], 2, false),
    (&["leaderboard", "run", "-o", "board"], 0, true),
    (&["leaderboard", "run", "--format", "csv"], 0, true),
    (&["compare", "run/jobs/digits-pgd", "run/jobs/digits-trades"], 0, true),
    (&["audit", "log.tsv", "--sigma", "0.25", "--n", "1000", "--alpha", "0.001"], 0, true),
    (
        &["audit", "log.tsv", "--sigma", "0.25", "--n", "1000", "--alpha", "0.001", "--json"],
        0,
        true,
    ),
    (&["verify", "run", "--files-only"], 0, true),
    (&["verify", "run", "--files-only", "--json"], 0, true),
    (&["convert", "network.safetensors", "-o", "converted.safetensors"], 0, false),
    (&["inspect", "bundled.safetensors"], 0, true),
    (&["inspect", "bundled.safetensors", "--json"], 0, true),
    (&["list", "attacks"], 0, true),
    (&["list", "certificates"], 0, true),
    (&["list", "architectures"], 0, true),
    (&["list", "data"], 0, true),
    (&["list", "models"], 0, true),
    (&["data", "list"], 0, true),
    (&["completions", "bash"], 0, true),
    (&["man"], 0, true),
    (&["show", "none"], 2, false),
    (&["cite", "run"], 0, true),
    (&["doctor", "--device", "none"], 2, false),
    (&["data", "list", "--json"], 0, true),
    (
        &[
            "train",
            "--method",
            "standard",
            "--data",
            "digits:test",
            "--epochs",
            "1",
            "-o",
            "trained.safetensors",
        ],
        0,
        false,
    ),
    (&["--help"], 0, true),
    (&["run", "--help"], 0, true),
    (&["--version"], 0, true),
    (&["nothing"], 2, false),
    (&[], 2, false),
];

/// A sandbox in which all of them find what they read.
fn sandbox() -> Sandbox {
    let sandbox = Sandbox::new();
    sandbox.write("suite.toml", SUITE);
    sandbox.write("log.tsv", LOG);
    let models =
        concat!(env!("CARGO_MANIFEST_DIR"), "/benchmarks/models/digits-standard.safetensors");
    sandbox.write("bundled.safetensors", std::fs::read(models).unwrap());
    sandbox.write("network.safetensors", std::fs::read(models).unwrap());
    let ran = sandbox.run(&["run", "suite.toml", "-o", "run"]);
    assert_eq!(ran.code, 0, "{}", ran.all());
    sandbox
}

fn code(sandbox: &Sandbox, arguments: &[&str], stdout: Stream, stderr: Stream) -> i32 {
    let mut command = sandbox.command(arguments);
    if stdout == Stream::Closed || stderr == Stream::Closed {
        let closed = |stream, number| if stream == Stream::Closed { number } else { "" };
        let script =
            format!("exec \"$0\" \"$@\" {} {}", closed(stdout, ">&-"), closed(stderr, "2>&-"));
        let mut shell = Command::new("sh");
        shell.arg("-c").arg(script).arg(command.get_program()).args(command.get_args());
        shell.current_dir(command.get_current_dir().unwrap()).env("NO_COLOR", "1");
        command = shell;
    }
    let to = |stream| match stream {
        Stream::Read | Stream::Closed => Stdio::null(),
        Stream::Full => File::options().write(true).open("/dev/full").unwrap().into(),
        Stream::Cut => std::io::pipe().unwrap().1.into(),
    };
    command.stdin(Stdio::null()).stdout(to(stdout)).stderr(to(stderr));
    command.status().unwrap().code().unwrap_or(-1)
}

#[test]
fn every_subcommand_with_every_stream() {
    const PIPE: i32 = 141;
    const FAILED: i32 = 3;
    let sandbox = sandbox();
    let mut wrong = Vec::new();
    for (arguments, usual, shows) in COMMANDS {
        for stdout in [Stream::Read, Stream::Closed, Stream::Full, Stream::Cut] {
            let expected = match stdout {
                Stream::Full if *shows => FAILED,
                Stream::Cut if *shows => PIPE,
                _ => *usual,
            };
            for stderr in [Stream::Read, Stream::Closed, Stream::Full, Stream::Cut] {
                // All four only where stdout is as usual, and otherwise the worst of them.
                if stdout != Stream::Read && stderr != Stream::Read && stderr != Stream::Full {
                    continue;
                }
                let code = code(&sandbox, arguments, stdout, stderr);
                if code != expected {
                    wrong.push(format!(
                        "{arguments:?} {stdout:?} {stderr:?}: {code}, not {expected}"
                    ));
                }
            }
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}

#[test]
fn what_was_asked_for_in_files_is_there_whoever_reads_the_text() {
    let sandbox = sandbox();
    for (arguments, files) in [
        (
            &["run", "suite.toml", "-o", "again"][..],
            &["again/leaderboard.md", "again/summary.json"][..],
        ),
        (
            &["leaderboard", "run", "-o", "board"],
            &["board/leaderboard.csv", "board/leaderboard.html"],
        ),
        (&["verify", "run", "--manifest"], &["run/SHA256SUMS"]),
    ] {
        for stream in [Stream::Full, Stream::Cut] {
            files.iter().for_each(|file| drop(std::fs::remove_file(sandbox.path(file))));
            assert_ne!(code(&sandbox, arguments, stream, stream), 0);
            for file in files {
                assert!(sandbox.path(file).exists(), "{arguments:?} {stream:?}: {file}");
            }
        }
    }
    // The work goes on when stderr is cut off: both tables are whole.
    let rows = support::tables(&sandbox.path("again"));
    assert_eq!(rows.len(), 2);
    assert!(rows.iter().all(|(_, text)| text.lines().count() == 7), "{rows:?}");
}

/// What cannot be written is found before the work where it can be, with the code of bad input; results that are there
/// and cannot be written have a code of their own.
#[test]
fn outputs_that_cannot_be_written() {
    let sandbox = sandbox();
    std::fs::create_dir(sandbox.path("folder")).unwrap();
    std::fs::create_dir(sandbox.path("run/SHA256SUMS")).unwrap();
    let pipe = sandbox.path("pipe");
    assert!(Command::new("mkfifo").arg(&pipe).status().unwrap().success());
    let convert = |output| ["convert", "network.safetensors", "-o", output];
    let train = ["train", "--method", "standard", "--epochs", "1", "-o"];
    let verify = ["verify", "--adversarial", "log.tsv", "-m", "bundled:digits-pgd", "-d", "digits"];
    let ball = ["--norm", "Linf", "--eps", "0.1", "-o"];
    for (arguments, expected, problem) in [
        (&convert("folder")[..], 2, "cannot write [FOLDER]folder: is a directory"),
        (&convert("pipe"), 2, "it is a named pipe, and not a file"),
        (&convert("log.tsv/new.safetensors"), 2, "cannot create"),
        (&convert("network.safetensors"), 2, "is the file that is read"),
        (&[&train[..], &["folder"]].concat(), 2, "is a directory"),
        (&[&verify[..], &ball, &["log.tsv"]].concat(), 2, "is the file that is read"),
        (&[&verify[..], &ball, &["pipe"]].concat(), 2, "it is a named pipe, and not a file"),
        (&["leaderboard", "run", "-o", "log.tsv"], 3, "cannot create"),
        (&["verify", "run", "--files-only", "--manifest"], 3, "is a directory"),
    ] {
        let ran = sandbox.run(arguments);
        let problem = problem.replace("[FOLDER]", "");
        assert!(
            ran.code == expected && ran.stderr.contains(&problem),
            "{arguments:?}: {}",
            ran.all()
        );
    }
    use std::os::unix::fs::FileTypeExt as _;
    assert!(std::fs::metadata(&pipe).unwrap().file_type().is_fifo());
}

#[test]
fn files_obey_the_umask() {
    let sandbox = sandbox();
    for (mask, mode) in [("027", 0o640), ("002", 0o664), ("077", 0o600)] {
        let mut command = Command::new("sh");
        let script =
            format!("umask {mask}; exec \"$0\" run suite.toml -o {mask} --save-adversarial");
        command.arg("-c").arg(script).arg(env!("CARGO_BIN_EXE_epsball"));
        command.current_dir(sandbox.path(""));
        assert!(command.output().unwrap().status.success());
        let mut seen = 0;
        let mut folders = vec![sandbox.path(mask)];
        while let Some(folder) = folders.pop() {
            for entry in std::fs::read_dir(folder).unwrap() {
                let path = entry.unwrap().path();
                if path.is_dir() {
                    folders.push(path);
                    continue;
                }
                let own = std::fs::metadata(&path).unwrap().permissions().mode() & 0o777;
                assert_eq!(own, mode, "{}: {own:o}, not {mode:o}", path.display());
                seen += 1;
            }
        }
        assert!(seen > 8, "{seen}");
    }
}

/// A card of somebody else's model file, a log and a suite with a name that would paint the terminal.
#[test]
fn control_characters_never_reach_the_terminal() {
    let sandbox = sandbox();
    let network = epsball::model::file::load(
        &sandbox.path("bundled.safetensors"),
        &epsball::model::file::Declared::default(),
    );
    let mut card = network.unwrap().1;
    card.source = "\u{1b}[2J\u{1b}]0;title\u{7}\u{202e}".into();
    card.name = "a\u{1b}[31mb".into();
    let tensors = candle_core::safetensors::load(
        sandbox.path("bundled.safetensors"),
        &candle_core::Device::Cpu,
    );
    let tensors = tensors.unwrap().into_iter().collect();
    epsball::model::file::save(&sandbox.path("evil.safetensors"), &tensors, &card).unwrap();
    sandbox.write("evil.tsv", LOG.replace("0.25", "\u{1b}[8m"));
    sandbox.write("evil.toml", SUITE.replace("fgsm", "\u{1b}[31mfgsm"));
    sandbox.write("name.toml", SUITE.replace("piped", "\\u001b[31m"));
    sandbox.write("turned.toml", SUITE.replace("piped", "a\\u202eb"));
    for arguments in [
        &["inspect", "evil.safetensors"][..],
        &["audit", "evil.tsv"],
        &["run", "evil.toml"],
        &["run", "name.toml"],
        &["run", "turned.toml"],
        &["run", "\u{1b}[31mnone"],
        &[
            "attack",
            "-m",
            "evil.safetensors",
            "-d",
            "digits",
            "-a",
            "fgsm",
            "--norm",
            "Linf",
            "--eps",
            "0.1",
        ],
    ] {
        let ran = sandbox.run(arguments);
        let is_hidden = |c: char| (c.is_control() && c != '\n' && c != '\t') || c == '\u{202e}';
        let hidden = |text: &str| text.chars().any(is_hidden);
        assert!(!hidden(&ran.stdout) && !hidden(&ran.stderr), "{arguments:?}: {:?}", ran.all());
        assert!(ran.code == 2 || arguments[0] == "inspect", "{}", ran.all());
    }
}

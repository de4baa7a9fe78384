//! A network behind an address: what is said of it is what is said of the network itself, and what goes wrong on the way
//! is told, costs no finished row and changes none.
#![allow(clippy::unwrap_used, clippy::panic)]

mod faults;
mod server;
#[path = "../support/mod.rs"]
mod support;

use std::path::Path;
use std::time::Duration;

use server::{Server, Style};
use support::{Ran, Sandbox, tables};

/// A suite of one model, `path` and what else is said of it, that asks for logits.
fn suite(model: &str, attacks: &[&str]) -> String {
    let mut text = format!(
        "name = \"asked\"\nbatch = 8\n[[model]]\nname = \"net\"\n{model}\n\
         [[data]]\nspec = \"digits\"\nimages = {{ first = 20 }}\n"
    );
    for attack in attacks {
        text += match *attack {
            "rays" => {
                "[[attack]]\nattack = \"rays\"\nnorm = \"Linf\"\neps = 0.1\nparameters = { queries = 60 }\n"
            }
            "square" => {
                "[[attack]]\nattack = \"square\"\nnorm = \"Linf\"\neps = 0.3\nparameters = { n_queries = 30 }\n"
            }
            "random-noise" => "[[attack]]\nattack = \"random-noise\"\npatch = \"3x3\"\n",
            "hop-skip-jump" => {
                "[[attack]]\nattack = \"hop-skip-jump\"\nnorm = \"L2\"\neps = 0.5\n\
                 parameters = { queries = 60, initial_evaluations = 10 }\n"
            }
            other => other,
        };
    }
    text
}

const BUNDLED: &str = "path = \"bundled:digits-trades\"";

fn at(server: &Server) -> String {
    format!("path = \"{}\"", server.address)
}

/// The columns of certificates that say nothing of the model and of time.
fn certificates(run: &Path) -> Vec<Vec<String>> {
    let text = std::fs::read_to_string(run.join("jobs/net/smoothing-0.25.tsv")).unwrap();
    let header: Vec<&str> = text.lines().next().unwrap().split('\t').collect();
    let left_out = ["model", "time", "check"];
    let line = |line: &str| {
        let cells = line.split('\t').zip(&header).filter(|(_, name)| !left_out.contains(name));
        cells.map(|(cell, _)| cell.to_owned()).collect()
    };
    text.lines().map(line).collect()
}

/// All bytes of the files below a folder.
fn everything(folder: &Path) -> Vec<u8> {
    let mut bytes = Vec::new();
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        match path.is_dir() {
            true => bytes.extend(everything(&path)),
            false => bytes.extend(std::fs::read(path).unwrap()),
        }
    }
    bytes
}

fn holds(bytes: &[u8], text: &str) -> bool {
    bytes.windows(text.len()).any(|window| window == text.as_bytes())
}

fn done(ran: &Ran) {
    assert_eq!(ran.code, 0, "{}", ran.all());
}

#[test]
fn tables_are_those_of_the_network_itself() {
    let sandbox = Sandbox::new();
    let attacks = ["rays", "square", "random-noise"];
    let cohen = "[[certificate]]\ncertificate = \"cohen\"\nsigma = 0.25\nn0 = 10\nn = 100\n";
    sandbox.write("own.toml", suite(BUNDLED, &attacks));
    done(&sandbox.run(&["run", "own.toml", "-o", "own"]));
    let own = tables(&sandbox.path("own"));
    assert_eq!(own.len(), 3);
    for (number, (style, service, most)) in [
        (Style::RawLogits, "body = \"raw\"", 64),
        (Style::Logits, "body = \"json\"", 64),
        // The last request of a batch has fewer images.
        (Style::RawLogits, "body = \"json\", batch = 3", 3),
    ]
    .into_iter()
    .enumerate()
    {
        let server = Server::new(style);
        let model = format!("{}\nservice = {{ {service} }}", at(&server));
        sandbox.write("asked.toml", suite(&model, &attacks));
        let folder = format!("asked-{number}");
        let ran = sandbox.run(&["run", "asked.toml", "-o", &folder]);
        done(&ran);
        assert_eq!(tables(&sandbox.path(&folder)), own, "{model}");
        let asked = server.asked();
        assert!(asked.iter().all(|one| one.images <= most), "{model}");
        assert!(asked.iter().any(|one| one.images == most.min(20)), "{model}");
        assert!(ran.stdout.contains("asked over HTTP at"), "{}", ran.stdout);
        assert!(ran.stdout.contains("seed 0, asked over HTTP"), "{}", ran.stdout);
    }
    // Certificates ask for classes under noise.
    let server = Server::new(Style::Classes);
    for (folder, model) in [("own-s", BUNDLED.to_owned()), ("asked-s", at(&server))] {
        sandbox.write("s.toml", suite(&model, &[cohen]));
        done(&sandbox.run(&["run", "s.toml", "-o", folder]));
    }
    let [own, asked] = ["own-s", "asked-s"].map(|folder| certificates(&sandbox.path(folder)));
    assert_eq!(own.len(), 21);
    assert_eq!(own, asked);
    let ran = sandbox.run(&["verify", "asked-s"]);
    done(&ran);
    assert!(ran.stdout.contains("3 certificates"), "{}", ran.stdout);
}

#[test]
fn classes_alone_are_enough_for_what_asks_for_no_more() {
    let sandbox = Sandbox::new();
    let server = Server::new(Style::Classes);
    let attacks = ["rays", "hop-skip-jump", "random-noise"];
    for (folder, model) in [("own", BUNDLED.to_owned()), ("asked", at(&server))] {
        sandbox.write("suite.toml", suite(&model, &attacks));
        done(&sandbox.run(&["run", "suite.toml", "-o", folder]));
    }
    assert_eq!(tables(&sandbox.path("own")), tables(&sandbox.path("asked")));
    server.asked();
    for (attack, problem, remedy) in [
        (
            "square",
            "attack square: asks for logits, and net is asked over HTTP and tells classes only",
            "under Linf these work: rays, hop-skip-jump",
        ),
        (
            "[[attack]]\nattack = \"rays\"\nnorm = \"Linf\"\neps = 0.1\ngoal = \"second\"\n",
            "goal second: asks for logits, and net tells classes only",
            "choose next, random or a class",
        ),
        (
            "[[certificate]]\ncertificate = \"column-smoothing\"\npatch = \"2x2\"\nparameters = { threshold = 0.3 }\n",
            "threshold: is about probabilities, and net tells classes only",
            "every copy has one vote",
        ),
    ] {
        sandbox.write("suite.toml", suite(&at(&server), &[attack]));
        let ran = sandbox.run(&["run", "suite.toml", "-o", "refused"]);
        assert_eq!(ran.code, 2, "{}", ran.all());
        assert!(ran.stderr.contains(problem) && ran.stderr.contains(remedy), "{}", ran.stderr);
    }
    assert_eq!(server.asked().len(), 0, "what is refused asks nothing");
}

#[test]
fn what_looks_into_the_network_is_refused_before_anything_is_asked() {
    let sandbox = Sandbox::new();
    let server = Server::new(Style::Probabilities);
    let attack = |name, threat| format!("[[attack]]\nattack = \"{name}\"\n{threat}\n");
    let ball = "norm = \"Linf\"\neps = 0.1";
    for (entry, problem, remedy) in [
        (
            attack("pgd", ball),
            "attack pgd: asks for gradients, and net is asked over HTTP and tells answers only",
            "under Linf these work: square, rays, hop-skip-jump",
        ),
        (attack("autoattack", ball), "attack autoattack: asks for gradients", "square"),
        (
            attack("patch-suite", "patch = \"2x2\""),
            "asks for gradients",
            "patch-rs, random-noise, grey",
        ),
        (attack("sigma-zero", "norm = \"L0\"\neps = 4"), "sigma-zero: asks for gradients", "L0"),
        (
            "[[certificate]]\ncertificate = \"crown\"\nnorm = \"Linf\"\neps = 0.1\n".into(),
            "certificate crown: looks into the network, and net is asked over HTTP",
            "randomized smoothing",
        ),
    ] {
        sandbox.write("suite.toml", suite(&at(&server), &[&entry]));
        let ran = sandbox.run(&["run", "suite.toml", "-o", "refused"]);
        assert_eq!(ran.code, 2, "{}", ran.all());
        assert!(ran.stderr.contains(problem) && ran.stderr.contains(remedy), "{}", ran.stderr);
        assert!(ran.stderr.contains("suite.toml: line"), "{}", ran.stderr);
    }
    assert_eq!(server.asked().len(), 0);
    // Probabilities are good for attacks that ask for logits, and their logarithms are not taken for probabilities.
    let command = [
        "attack",
        "-m",
        &server.address,
        "-d",
        "digits",
        "-n",
        "20",
        "-a",
        "square",
        "--norm",
        "Linf",
    ];
    let ran = sandbox
        .run(&[&command[..], &["--eps", "0.1", "--set", "n_queries=20", "-o", "p"]].concat());
    done(&ran);
    assert!(!ran.stdout.contains("look like probabilities"), "{}", ran.stdout);
    let dry = sandbox.run(&[&command[..], &["--eps", "0.1", "--dry-run"]].concat());
    done(&dry);
    assert!(dry.stdout.contains("at most 5001 passes each, "), "{}", dry.stdout);
}

#[test]
fn no_more_is_asked_than_is_allowed() {
    let sandbox = Sandbox::new();
    let server = Server::new(Style::RawLogits);
    let command = [
        "attack",
        "-m",
        &server.address,
        "-d",
        "digits",
        "-n",
        "4",
        "-a",
        "rays",
        "--norm",
        "Linf",
    ];
    let more =
        ["--eps", "0.1", "--set", "queries=10", "--request-rate", "20", "--request-batch", "2"];
    done(&sandbox.run(&[&command[..], &more, &["-o", "slow"]].concat()));
    let asked = server.asked();
    assert!(asked.len() > 15, "{}", asked.len());
    for pair in asked.windows(2) {
        let gap = pair[1].at - pair[0].at;
        // They begin 50 ms apart and arrive a little sooner or later.
        assert!(gap > Duration::from_millis(35), "{gap:?}");
    }
    let all = asked[asked.len() - 1].at - asked[0].at;
    assert!(
        all >= Duration::from_millis(50) * (asked.len() as u32 - 1) - Duration::from_millis(20)
    );
    for (option, value, problem) in [
        ("--request-rate", "0", "service: rate"),
        ("--request-timeout", "nan", "service: timeout"),
        ("--request-batch", "0", "service: batch"),
        ("--request-retries", "1000", "service: retries"),
        ("--arch", "digits-cnn", "arch: says what is in a file"),
        ("--precision", "bf16", "precision: "),
    ] {
        let ran = sandbox.run(&[&command[..], &["--eps", "0.1", option, value]].concat());
        assert_eq!(ran.code, 2, "{}", ran.all());
        assert!(ran.stderr.contains(problem) && ran.stderr.contains("hint: "), "{}", ran.stderr);
    }
}

#[test]
fn the_value_of_a_header_is_sent_and_written_nowhere() {
    const SECRET: &str = "Bearer 5ec2e7-of-this-test";
    let sandbox = Sandbox::new();
    let server = Server::new(Style::Logits);
    server.wants(SECRET);
    let command = [
        "attack",
        "-m",
        &server.address,
        "-d",
        "digits",
        "-n",
        "4",
        "-a",
        "rays",
        "--norm",
        "Linf",
    ];
    let more = ["--eps", "0.1", "--set", "queries=5", "-o", "run"];
    let command = [&command[..], &more].concat();
    let ask = |header: &[&str], value: Option<&str>| {
        let mut command = sandbox.command(&[&command[..], header].concat());
        value.map(|value| command.env("EPSBALL_TEST_TOKEN", value));
        sandbox.finish(command)
    };
    let header = ["--request-header", "authorization=EPSBALL_TEST_TOKEN"];
    let ran = ask(&header, Some(SECRET));
    done(&ran);
    let folder = everything(&sandbox.path("run"));
    assert!(holds(&folder, "EPSBALL_TEST_TOKEN") && holds(&folder, "asked over HTTP"));
    assert!(!holds(&folder, "5ec2e7") && !ran.all().contains("5ec2e7"));
    // Asked again by who has the token, and by who has none.
    let mut verify = sandbox.command(&["verify", "run"]);
    verify.env("EPSBALL_TEST_TOKEN", SECRET);
    done(&sandbox.finish(verify));
    let ran = sandbox.run(&["verify", "run"]);
    assert_eq!(ran.code, 1, "{}", ran.all());
    assert!(
        ran.all().contains("the environment has no variable EPSBALL_TEST_TOKEN"),
        "{}",
        ran.all()
    );

    for (header, value, problem) in [
        (&[][..], None, "answered with status 401: no entry with nothing"),
        (&header[..], None, "service: header: the environment has no variable EPSBALL_TEST_TOKEN"),
        (&header[..], Some("other-5ec2e7"), "status 401: no entry with [header]"),
        (&header[..], Some("5ec2e7\nx: y"), "EPSBALL_TEST_TOKEN cannot be a header"),
        (
            &["--request-header", "authorization: 5ec2e7"][..],
            None,
            "service: header: is not NAME=VARIABLE",
        ),
    ] {
        let ran = ask(header, value);
        assert_eq!(ran.code, 2, "{}", ran.all());
        assert!(ran.stderr.contains(problem) && ran.stderr.contains("hint: "), "{}", ran.stderr);
        assert!(!ran.all().contains("5ec2e7"), "{}", ran.all());
    }
    let with_password = server.address.replace("http://", "http://me:5ec2e7@");
    let ran = sandbox.run(&["evaluate", "-m", &with_password, "-d", "digits"]);
    assert!(ran.code == 2 && !ran.all().contains("5ec2e7"), "{}", ran.all());
}

#[test]
fn a_service_that_has_changed_is_found_out() {
    let sandbox = Sandbox::new();
    let server = Server::new(Style::Logits);
    sandbox.write(
        "asked.toml",
        format!("save_adversarial = true\n{}", suite(&at(&server), &["square"])),
    );
    let run = || sandbox.run(&["run", "asked.toml", "-o", "asked"]);
    done(&run());
    let ran = sandbox.run(&["verify", "asked"]);
    done(&ran);
    done(&sandbox.run(&["show", "asked"]));
    // Another network that says of itself what the first one did.
    server.computes("digits-standard");
    let ran = sandbox.run(&["verify", "asked"]);
    assert_eq!(ran.code, 1, "{}", ran.all());
    assert!(ran.all().contains("the saved image is classified as"), "{}", ran.all());
    // One that says that it is another one.
    server.describes(
        "{\"shape\": [1, 8, 8], \"classes\": 10, \"answers\": \"logits\", \"version\": \"2\"}",
    );
    let ran = run();
    assert_eq!(ran.code, 2, "{}", ran.all());
    assert!(ran.stderr.contains("model `net`") && ran.stderr.contains("changed"), "{}", ran.stderr);
    let ran = sandbox.run(&["verify", "asked"]);
    assert!(ran.code == 1 && ran.all().contains("it is another network"), "{}", ran.all());
    for (card, problem) in [
        ("<html>", "its description is not one: expected value"),
        ("{\"shape\": [1, 8, 8], \"answers\": \"logits\"}", "missing field `classes`"),
        (
            "{\"shape\": [1, 0, 8], \"classes\": 10, \"answers\": \"logits\"}",
            "no image has the shape",
        ),
        (
            "{\"shape\": [1, 8, 8], \"classes\": 1, \"answers\": \"logits\"}",
            "no classifier has 1 classes",
        ),
        (
            "{\"shape\": [1, 8, 8], \"classes\": 10, \"answers\": \"loss\"}",
            "unknown variant `loss`",
        ),
        (
            "{\"shape\": [3, 8, 8], \"classes\": 10, \"answers\": \"logits\"}",
            "takes images [3, 8, 8]",
        ),
    ] {
        server.describes(card);
        let ran = sandbox.run(&["run", "asked.toml", "-o", "other"]);
        assert_eq!(ran.code, 2, "{}", ran.all());
        assert!(ran.stderr.contains(problem) && ran.stderr.contains("hint: "), "{}", ran.stderr);
    }
    // A file takes the place of the description.
    let card = "{\"shape\": [1, 8, 8], \"classes\": 10, \"answers\": \"logits\", \"batch\": 5}";
    sandbox.write("card.json", card);
    let ran = sandbox.run(&[
        "evaluate",
        "-m",
        &server.address,
        "-d",
        "digits",
        "-n",
        "20",
        "--card",
        "card.json",
    ]);
    done(&ran);
    let ran = sandbox.run(&["inspect", &server.address, "--card", "card.json"]);
    done(&ran);
    assert!(ran.stdout.contains("answers       logits"), "{}", ran.stdout);
}

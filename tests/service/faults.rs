//! What goes wrong on the way to an answer.

use std::time::{Duration, Instant};

use super::server::{Fault, Server, Style};
use super::support::{Sandbox, tables};
use super::{BUNDLED, at, done, suite};

#[test]
fn what_passes_is_waited_for_and_changes_nothing() {
    let sandbox = Sandbox::new();
    sandbox.write("own.toml", suite(BUNDLED, &["square"]));
    done(&sandbox.run(&["run", "own.toml", "-o", "own"]));
    let server = Server::new(Style::Logits);
    sandbox.write("asked.toml", suite(&at(&server), &["square"]));
    let later = |status| Fault::Status(status, "Retry-After: 0\r\n".into());
    for (number, faults) in [
        vec![later(503), later(429), later(502)],
        vec![Fault::Dropped],
        vec![Fault::Cut],
        vec![Fault::Status(503, String::new()), Fault::Status(503, "Retry-After: 1\r\n".into())],
    ]
    .into_iter()
    .enumerate()
    {
        server.fails(10, &faults);
        server.asked();
        let folder = format!("asked-{number}");
        let ran = sandbox.run(&["run", "asked.toml", "-o", &folder]);
        done(&ran);
        assert!(ran.stderr.contains("asking again"), "{}", ran.stderr);
        assert_eq!(tables(&sandbox.path(&folder)), tables(&sandbox.path("own")), "{number}");
        if number == 3 {
            // Half a second of its own, then the second that was asked for.
            let at: Vec<Instant> = server.asked().iter().map(|one| one.at).collect();
            let gap = |i: usize| at[i + 1] - at[i];
            assert!(gap(10) >= Duration::from_millis(480), "{:?}", gap(10));
            assert!(gap(11) >= Duration::from_millis(980), "{:?}", gap(11));
        }
    }
}

#[test]
fn a_job_that_fails_in_the_middle_says_why_and_goes_on_behind_its_rows() {
    let sandbox = Sandbox::new();
    sandbox.write("own.toml", suite(BUNDLED, &["rays"]));
    done(&sandbox.run(&["run", "own.toml", "-o", "own"]));
    let own = tables(&sandbox.path("own"));
    for (style, fault, problem) in [
        (Style::Logits, Fault::Status(500, String::new()), "answered with status 500: not now"),
        (
            Style::Logits,
            Fault::Status(503, "Retry-After: 86400\r\n".into()),
            "answered with status 503",
        ),
        (Style::Logits, Fault::Status(413, String::new()), "answered with status 413"),
        (Style::Logits, Fault::Status(308, "Location: /else\r\n".into()), "status 308, to /else"),
        (Style::Logits, Fault::Short, "answers logits of"),
        (Style::Logits, Fault::Wide, "answers 11 logits of an image, it has 10"),
        (Style::RawLogits, Fault::Short, "bytes to"),
        (Style::RawLogits, Fault::Wide, "bytes to"),
        (Style::RawLogits, Fault::Nan, "answers NaN for image 0 of"),
        (Style::Logits, Fault::Nan, "its answer cannot be read as JSON: invalid type: null"),
        (Style::Logits, Fault::Text("{\"logits\": [[NaN]]}".into()), "cannot be read as JSON"),
        (Style::Logits, Fault::Text("{\"classes\": [1]}".into()), "its answer has no `logits`"),
        (Style::Logits, Fault::Text("x".repeat(1 << 20)), "its answer is longer than the"),
        (Style::Classes, Fault::Text("{\"classes\": [77, 1, 1, 1, 1, 1, 1, 1]}".into()), "answers"),
        (Style::Logits, Fault::Slow(Duration::from_secs(3)), "did not answer within 1 s"),
        (Style::Logits, Fault::Dropped, "did not answer: "),
    ] {
        let server = Server::new(style);
        let model = format!("{}\nservice = {{ retries = 0, timeout = 1 }}", at(&server));
        sandbox.write("asked.toml", suite(&model, &["rays"]));
        let folder = sandbox.path("asked");
        let run = || sandbox.run(&["run", "asked.toml", "-o", "asked"]);
        // Two before the attack, sixty of each part and one that judges it.
        server.fails(90, &[fault]);
        let failed = run();
        assert_eq!(failed.code, 1, "{}", failed.all());
        assert!(failed.stderr.contains(problem), "{problem}\n{}", failed.stderr);
        let named = format!("error: {}: ", server.address);
        assert!(failed.stderr.contains(&named), "{}", failed.stderr);
        assert!(failed.stderr.contains("hint: "), "{}", failed.stderr);
        let rows = tables(&folder)[0].1.lines().count() - 1;
        assert!(rows > 0 && rows < 20, "{problem}: {rows} rows");
        done(&run());
        assert_eq!(tables(&folder), own, "{problem}");
        std::fs::remove_dir_all(folder).unwrap();
    }
}

#[test]
fn ctrl_c_ends_a_pause_and_the_same_command_goes_on() {
    let sandbox = Sandbox::new();
    sandbox.write("own.toml", suite(BUNDLED, &["rays"]));
    done(&sandbox.run(&["run", "own.toml", "-o", "own"]));
    let server = Server::new(Style::Logits);
    // Busy for two minutes, in the middle of a pass.
    server.fails(90, &[Fault::Status(503, "Retry-After: 120\r\n".into())]);
    sandbox.write("asked.toml", suite(&at(&server), &["rays"]));
    let run = ["run", "asked.toml", "-o", "asked"];
    let mut child = sandbox.command(&run).spawn().unwrap();
    let (began, mut requests) = (Instant::now(), 0);
    while requests <= 90 {
        assert!(began.elapsed().as_secs() < 60, "{requests} requests");
        std::thread::sleep(Duration::from_millis(100));
        requests += server.asked().len();
    }
    std::thread::sleep(Duration::from_millis(200));
    let asked = Instant::now();
    let id = child.id().to_string();
    assert!(std::process::Command::new("kill").args(["-INT", &id]).status().unwrap().success());
    assert_eq!(child.wait().unwrap().code(), Some(130));
    assert!(asked.elapsed() < Duration::from_secs(10), "{:?}", asked.elapsed());
    let ran = sandbox.run(&run);
    done(&ran);
    assert_eq!(tables(&sandbox.path("asked")), tables(&sandbox.path("own")));
}

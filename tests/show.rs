//! `epsball show`: a page and pictures of the adversarial images that a run has saved.
#![allow(clippy::unwrap_used)]

mod support;

use support::Sandbox;

const ATTACK: [&str; 11] = [
    "attack",
    "-m",
    "bundled:digits-standard",
    "-d",
    "digits",
    "-n",
    "12",
    "--norm",
    "Linf",
    "--eps",
    "0.2",
];

#[test]
fn a_run_with_images_is_shown() {
    let sandbox = Sandbox::new();
    let run = |attack: &str, more: &[&str]| {
        let ran = sandbox.run(&[&ATTACK[..], &["-a", attack, "-o", "run"], more].concat());
        assert_eq!(ran.code, 0, "{}", ran.all());
    };
    run("pgd", &["--save-adversarial"]);
    run("fgsm", &[]);
    let ran = sandbox.run(&["show", "run", "--each", "1", "--png", "pictures"]);
    assert_eq!(ran.code, 0, "{}", ran.all());
    assert!(ran.stderr.contains("wrote run/gallery.html"), "{}", ran.all());
    assert!(ran.stderr.contains("fgsm-linf-0.2 has saved no adversarial images"), "{}", ran.all());
    assert!(ran.stdout.contains("digits-standard--pgd-linf-0.2: Linf 0.2, "), "{}", ran.all());
    for rank in ["closest", "median", "hardest"] {
        assert!(ran.stdout.contains(&format!("  {rank:<8} image ")), "{}", ran.all());
    }
    let page = std::fs::read_to_string(sandbox.path("run/gallery.html")).unwrap();
    assert_eq!(page.matches("<img ").count(), 9);
    assert!(page.contains("<h4>hardest</h4>") && page.contains("change, ×2<"), "{page}");
    let folder = std::fs::read_dir(sandbox.path("pictures")).unwrap().next().unwrap().unwrap();
    let pictures = std::fs::read_dir(folder.path()).unwrap().count();
    assert_eq!(pictures, 9);
}

#[test]
fn what_cannot_be_shown_says_why() {
    let sandbox = Sandbox::new();
    let ran = sandbox.run(&[&ATTACK[..], &["-a", "fgsm", "-o", "run"]].concat());
    assert_eq!(ran.code, 0, "{}", ran.all());
    for (arguments, problem, hint) in [
        (&["show", "run"][..], "no attack of this run has saved any", "--save-adversarial"),
        (&["show", "run", "--job", "nothing"], "no attack is there that was asked for", ""),
        (&["show", "none"], "run.toml", ""),
        (&["show", "run", "--each", "0"], "0 is not in 1..", ""),
    ] {
        let ran = sandbox.run(arguments);
        assert_eq!(ran.code, 2, "{}", ran.all());
        assert!(ran.stderr.contains(problem) && ran.stderr.contains(hint), "{}", ran.all());
    }
}

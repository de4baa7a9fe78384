//! Damage is never believed: a flipped bit or a cut in any file that a run leaves is refused by name, or
//! takes results away, and never makes another one. EPSBALL_DAMAGE=1000 for a long look.
#![allow(clippy::unwrap_used, clippy::panic)]

mod support;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use epsball::certify::patch::PatchRow;
use epsball::certify::{BoundRow, CertificateRow};
use epsball::record::{CheckRecord, JobRecord, RunRecord, read_table};
use epsball::report::{Exporter as _, Leaderboard, Summary};
use epsball::rng::Stream;
use epsball::work::{AttackRow, CountsRecord};
use support::Sandbox;

const SUITE: &str = r#"
name = "damage"
save_adversarial = true
[[model]]
path = "bundled:digits-trades"
[[data]]
spec = "digits"
images = { first = 12 }
[[attack]]
attack = "autoattack"
norm = "Linf"
eps = 0.2
[[attack]]
attack = "cw-l2"
norm = "L2"
eps = [0.5]
parameters = { max_iterations = 10, binary_search_steps = 2 }
[[certificate]]
certificate = "cohen"
sigma = 0.25
n0 = 10
n = 60
[[certificate]]
certificate = "patchcleanser"
patch = "1x1"
[[certificate]]
certificate = "crown"
norm = "Linf"
eps = [0.02]
"#;

/// Every file of a run but what is derived from others.
fn files(folder: &Path) -> Vec<PathBuf> {
    let mut files = vec![folder.join("run.toml")];
    for model in std::fs::read_dir(folder.join("jobs")).unwrap() {
        for file in std::fs::read_dir(model.unwrap().path()).unwrap() {
            files.push(file.unwrap().path());
        }
    }
    files.sort();
    files
}

/// What the folder's files say: rows of every table as text, findings, counts, and images.
fn told(folder: &Path) -> epsball::error::Result<BTreeMap<String, Vec<String>>> {
    let mut all = BTreeMap::new();
    let record = RunRecord::read(folder)?;
    all.insert("run".into(), vec![format!("{record:?}")]);
    for job in &record.jobs {
        let path = folder.join(&job.file);
        all.insert(format!("{} rows", job.id), rows(&path, job)?);
        let checks = CheckRecord::read(&path, &job.key)?;
        all.insert(format!("{} checks", job.id), vec![format!("{checks:?}")]);
        let counts = CountsRecord::read(&path, &job.key)?;
        all.insert(format!("{} counts", job.id), vec![format!("{counts:?}")]);
        let images = path.with_extension("adversarial.safetensors");
        if images.exists() {
            let data = epsball::data::open(&format!("safetensors:{}", images.display()))?;
            let batch = data.read(&(0..data.info().len).collect::<Vec<_>>())?;
            all.insert(format!("{} images", job.id), batch.digests()?);
        }
    }
    Ok(all)
}

fn rows(path: &Path, job: &JobRecord) -> epsball::error::Result<Vec<String>> {
    fn text<T: std::fmt::Debug>(rows: Vec<T>) -> Vec<String> {
        rows.iter().map(|row| format!("{row:?}")).collect()
    }
    Ok(match job.work.kind.as_str() {
        "attack" => text(read_table::<AttackRow>(path, &job.key)?.rows),
        "smoothing" => text(read_table::<CertificateRow>(path, &job.key)?.rows),
        "patch" => text(read_table::<PatchRow>(path, &job.key)?.rows),
        "bound" => text(read_table::<BoundRow>(path, &job.key)?.rows),
        other => panic!("{other}"),
    })
}

#[test]
fn no_damage_is_believed() {
    let sandbox = Sandbox::new();
    sandbox.write("suite.toml", SUITE);
    assert_eq!(sandbox.run(&["run", "suite.toml", "-o", "run"]).code, 0);
    let folder = sandbox.path("run");
    // The counts of an image under way, as an interrupted run leaves them.
    let record = RunRecord::read(&folder).unwrap();
    let smoothing = record.jobs.iter().find(|job| job.id.contains("smoothing")).unwrap();
    let text = "format_version = 3\nimages = []\n";
    let counts: CountsRecord = toml::from_str(&text.replace("images", "image")).unwrap();
    counts.write(&folder.join(&smoothing.file), &smoothing.key).unwrap();

    let board = || {
        Leaderboard::from_runs(std::slice::from_ref(&folder))
            .and_then(|board| Summary.export(&board))
    };
    let (right, shown) = (told(&folder).unwrap(), board().unwrap());
    let files = files(&folder);
    assert_eq!(files.len(), 1 + 5 + 2 + 2 + 1, "{files:?}");
    let trials = std::env::var("EPSBALL_DAMAGE").map_or(200, |number| number.parse().unwrap());
    let (mut refused, mut shorter, mut unseen) = (0, 0, 0);
    for trial in 0..trials {
        let draw = Stream::new(8, "damage").draw(trial, 0);
        let file = &files[draw.below(0, files.len())];
        let whole = std::fs::read(file).unwrap();
        let at = draw.below(1, whole.len());
        let cut = draw.below(2, 4) == 0;
        let mut damaged = whole.clone();
        if cut {
            damaged.truncate(at);
        } else {
            damaged[at] ^= 1 << draw.below(3, 8);
        }
        std::fs::write(file, &damaged).unwrap();
        let place = format!("trial {trial}: {} at {at}, cut {cut}", file.display());
        match (told(&folder), board()) {
            (Ok(now), board) => {
                // A table may have lost its last rows; nothing else may be another.
                let mut lost = false;
                for (what, lines) in &right {
                    let left = &now[what];
                    assert!(lines.starts_with(left), "{place}: {what}");
                    assert!(what.ends_with("rows") || lines == left, "{place}: {what}");
                    lost |= lines != left;
                }
                match board {
                    Ok(board) => assert!(!lost && board == shown, "{place}"),
                    Err(error) => assert!(error.to_string().contains("cut"), "{place}: {error}"),
                }
                if lost { shorter += 1 } else { unseen += 1 }
            }
            (Err(error), _) => {
                let text = error.to_string();
                assert!(text.contains(&file.display().to_string()), "{place}: {text}");
                refused += 1;
            }
        }
        std::fs::write(file, &whole).unwrap();
    }
    assert_eq!(told(&folder).unwrap(), right);
    // Names and padding inside the header of a file of images are all that has no effect.
    let counts = format!("{refused} refused, {shorter} tables shorter, {unseen} without effect");
    assert!(refused + shorter + unseen == trials && unseen * 20 <= trials, "{counts}");
}

/// The other jobs go on, and the damaged table stays as it is.
#[test]
fn one_damaged_table_stops_no_other_job() {
    let sandbox = Sandbox::new();
    let entry =
        |norm: &str| format!("[[attack]]\nattack = \"fgsm\"\nnorm = \"{norm}\"\neps = 0.2\n");
    let head = SUITE.split("[[attack]]").next().unwrap().replace("save_adversarial = true", "");
    sandbox.write("suite.toml", format!("{head}{}{}", entry("Linf"), entry("L2")));
    assert_eq!(sandbox.run(&["run", "suite.toml", "-o", "run"]).code, 0);
    let folder = sandbox.path("run");
    let jobs = RunRecord::read(&folder).unwrap().jobs;
    let tables: Vec<_> = jobs.iter().map(|job| folder.join(&job.file)).collect();
    let whole = std::fs::read(&tables[0]).unwrap();
    let row = whole.iter().position(|byte| *byte == b'\n').unwrap() + 1;
    let mut flipped = whole.clone();
    flipped[row] ^= 1;
    let last = whole[..whole.len() - 1].iter().rposition(|byte| *byte == b'\n').unwrap() + 1;
    for (damaged, problem) in
        [(flipped, "row 1: its checksum"), (whole[..last].to_vec(), "was cut")]
    {
        std::fs::write(&tables[0], &damaged).unwrap();
        std::fs::remove_file(&tables[1]).unwrap();
        let ran = sandbox.run(&["run", "suite.toml", "-o", "run"]);
        assert_eq!(ran.code, 1, "there is no board: {}", ran.all());
        let failed = format!("1 of {} jobs failed:\n{}\n", jobs.len(), jobs[0].id);
        assert!(ran.stderr.contains(&failed), "{}", ran.all());
        assert!(ran.stderr.contains(problem), "{}", ran.all());
        assert!(tables[1].exists());
        assert_eq!(std::fs::read(&tables[0]).unwrap(), damaged);
    }
    std::fs::remove_file(&tables[0]).unwrap();
    assert_eq!(sandbox.run(&["run", "suite.toml", "-o", "run"]).code, 0);
    assert!(tables[0].exists());
}

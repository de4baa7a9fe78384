//! Leases that run out, are stolen or belong to the dead, and what becomes of the pieces that they were of.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use super::holder::Holder;
use super::lease::{Before, Leases};
use super::pieces::{Folder, Piece, cut};
use crate::bench::{Plan, RunOptions, Suite, run};
use crate::error::Error;
use crate::record::{Finding, JobRecord, RunRecord, TableLines};
use crate::work::{Progress, Silent};

/// Longer than any test.
const LONG: Duration = Duration::from_secs(3600);

/// A holder of another machine, of which nothing is known but its lease.
const ELSEWHERE: &str = "elsewhere elsewhere 1 1";

/// What a holder of this machine that has ended left in its lease.
fn dead() -> String {
    let here = Holder::here().text();
    here.rsplit_once(' ').unwrap().0.to_owned() + " 1"
}

fn write(name: &Path, number: usize, state: &str, stamp: usize, holder: &str) {
    std::fs::create_dir_all(name.parent().unwrap()).unwrap();
    let text = format!("{state} {stamp:020}\n{holder}\n");
    std::fs::write(format!("{}.lease.{number}", name.display()), text).unwrap();
}

#[test]
fn one_holds_a_lease_until_it_gives_it_back() {
    let folder = tempfile::tempdir().unwrap();
    let name = folder.path().join("piece");
    let (one, two) = (Leases::lasting(LONG), Leases::lasting(LONG));
    let lease = one.take(&name).unwrap().unwrap();
    assert!(two.take(&name).unwrap().is_none());
    assert!(one.take(&name).unwrap().is_none());
    assert!(two.take(&folder.path().join("other")).unwrap().is_some());
    assert!(!lease.is_lost() && !lease.is_taken());
    drop(lease);
    let lease = two.take(&name).unwrap().unwrap();
    assert_eq!(lease.before, Before::Gone);
    assert!(one.take(&name).unwrap().is_none());
}

#[test]
fn a_lease_goes_through_many_hands() {
    let folder = tempfile::tempdir().unwrap();
    let name = folder.path().join("piece");
    let leases = Leases::lasting(LONG);
    for number in 1..=20 {
        let lease = leases.take(&name).unwrap().unwrap();
        assert!(folder.path().join(format!("piece.lease.{number}")).exists());
        assert!(!lease.is_taken());
        assert!(leases.take(&name).unwrap().is_none());
    }
}

#[test]
fn only_one_of_many_takes_what_was_given_back() {
    let folder = tempfile::tempdir().unwrap();
    let name = folder.path().join("piece");
    write(&name, 1, "free", 3, ELSEWHERE);
    let all: Vec<Leases> = (0..8).map(|_| Leases::lasting(LONG)).collect();
    let held = std::thread::scope(|scope| {
        let takers: Vec<_> = all.iter().map(|l| scope.spawn(|| l.take(&name).unwrap())).collect();
        let taken: Vec<_> = takers.into_iter().filter_map(|t| t.join().unwrap()).collect();
        taken.len()
    });
    assert_eq!(held, 1);
}

#[test]
fn a_lease_without_a_sign_of_life_runs_out_and_one_with_stamps_does_not() {
    let folder = tempfile::tempdir().unwrap();
    let (silent, alive) = (folder.path().join("silent"), folder.path().join("alive"));
    let leases = Leases::lasting(Duration::from_millis(300));
    write(&silent, 1, "held", 0, ELSEWHERE);
    let (started, mut stamp) = (Instant::now(), 0);
    let taken = loop {
        stamp += 1;
        write(&alive, 1, "held", stamp, ELSEWHERE);
        assert!(leases.take(&alive).unwrap().is_none());
        if let Some(lease) = leases.take(&silent).unwrap() {
            break lease;
        }
        std::thread::sleep(Duration::from_millis(10));
    };
    assert!(started.elapsed() >= Duration::from_millis(300));
    assert_eq!(taken.before, Before::Silent);
    // The renewals of this process are signs of life for any other.
    let other = Leases::lasting(Duration::from_millis(600));
    let until = Instant::now() + Duration::from_millis(1500);
    while Instant::now() < until {
        assert!(other.take(&silent).unwrap().is_none());
        std::thread::sleep(Duration::from_millis(20));
    }
    assert!(!taken.is_lost());
}

#[cfg(target_os = "linux")]
#[test]
fn the_lease_of_a_dead_process_of_this_machine_is_free_at_once() {
    let folder = tempfile::tempdir().unwrap();
    let name = folder.path().join("piece");
    write(&name, 1, "held", 5, &dead());
    let lease = Leases::lasting(LONG).take(&name).unwrap().unwrap();
    assert_eq!(lease.before, Before::Gone);
}

#[test]
fn a_holder_notices_its_successor_and_does_not_disturb_it() {
    let folder = tempfile::tempdir().unwrap();
    let name = folder.path().join("piece");
    let leases = Leases::lasting(Duration::from_secs(6));
    let lease = leases.take(&name).unwrap().unwrap();
    write(&name, 2, "held", 0, ELSEWHERE);
    let successor = folder.path().join("piece.lease.2");
    let before = std::fs::read(&successor).unwrap();
    assert!(lease.is_taken());
    assert!(lease.is_lost());
    drop(lease);
    assert_eq!(std::fs::read(&successor).unwrap(), before);
    // Nor one that began anew after the folder had gone.
    let lease = leases.take(&folder.path().join("other")).unwrap().unwrap();
    std::fs::remove_file(folder.path().join("other.lease.1")).unwrap();
    write(&folder.path().join("other"), 1, "held", 0, ELSEWHERE);
    let before = std::fs::read(folder.path().join("other.lease.1")).unwrap();
    assert!(lease.is_taken());
    drop(lease);
    assert_eq!(std::fs::read(folder.path().join("other.lease.1")).unwrap(), before);
}

#[test]
fn a_holder_that_was_paused_knows_that_its_lease_ran_out() {
    let folder = tempfile::tempdir().unwrap();
    let mut leases = Leases::lasting(Duration::from_millis(200));
    let lease = leases.take(&folder.path().join("piece")).unwrap().unwrap();
    leases.stop_renewing();
    std::thread::sleep(Duration::from_millis(250));
    assert!(lease.is_lost());
}

#[test]
fn without_locks_one_process_at_a_time_changes_the_record() {
    let folder = tempfile::tempdir().unwrap();
    let (count, most) = (AtomicUsize::new(0), AtomicUsize::new(0));
    std::thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                for _ in 0..5 {
                    let _alone = super::Alone::in_folder(folder.path()).unwrap();
                    most.fetch_max(count.fetch_add(1, Ordering::SeqCst) + 1, Ordering::SeqCst);
                    std::thread::yield_now();
                    count.fetch_sub(1, Ordering::SeqCst);
                }
            });
        }
    });
    assert_eq!(most.into_inner(), 1);
}

/// An attack on 40 images in five pieces, the folder of a whole run, and its table.
fn whole() -> (Plan, tempfile::TempDir, TableLines) {
    let text = "name = \"test\"\nbatch = 8\n[[model]]\npath = \"bundled:digits-trades\"\n\
                [[data]]\nspec = \"digits:test\"\nimages = { first = 40 }\n\
                [[attack]]\nattack = \"pgd\"\nnorm = \"Linf\"\neps = 0.1\n\
                parameters = { steps = 5 }\n";
    let plan = Plan::new(&Suite::parse(text, Path::new("suite.toml")).unwrap()).unwrap();
    let folder = tempfile::tempdir().unwrap();
    let options = RunOptions { folder: folder.path(), stop: &|| false };
    assert_eq!(run(&plan, &options, &mut Silent).unwrap().finished, 1);
    let (path, job) = table(folder.path());
    let table = TableLines::read(&path, &job.key).unwrap();
    assert_eq!(table.lines.len(), 40);
    (plan, folder, table)
}

fn table(folder: &Path) -> (PathBuf, JobRecord) {
    let job = RunRecord::read(folder).unwrap().jobs.remove(0);
    (folder.join(&job.file), job)
}

/// Lines without the time and the checksum, which are last.
fn untimed(table: &TableLines) -> Vec<&str> {
    let untimed = |text: &'_ str| text.rmatch_indices(',').nth(1).map_or(0, |(at, _)| at);
    table.lines.iter().map(|line| &line.text[..untimed(&line.text)]).collect()
}

/// A folder in which the job was planned and not begun, and its pieces.
fn planned(plan: &Plan) -> (tempfile::TempDir, Folder, Vec<Piece>) {
    let folder = tempfile::tempdir().unwrap();
    assert!(super::super::grow::grow(plan, folder.path()).unwrap()[0].damage.is_none());
    let (_, job) = table(folder.path());
    let pieces = cut(&plan.images[0], 8, None);
    assert_eq!(pieces.len(), 5);
    let of = Folder::of(folder.path(), &job).unwrap();
    (folder, of, pieces)
}

/// Leaves what a process had of `piece` when it died: three of its rows and half of another.
fn leave(folder: &Path, of: &Folder, piece: &Piece, whole: &TableLines) -> BTreeSet<String> {
    let own = folder.join(of.own(piece, "0123456789ab"));
    let mut begun = whole.clone();
    begun.lines.retain(|line| piece.images[..3].contains(&line.idx));
    std::fs::write(&own, [&begun.bytes()[..], b"99,torn"].concat()).unwrap();
    write(&of.lease(piece), 1, "held", 7, &dead());
    begun.lines.into_iter().map(|line| line.text).collect()
}

#[test]
fn what_a_dead_process_had_of_a_piece_is_taken_over() {
    let (plan, _whole, whole) = whole();
    let (folder, of, pieces) = planned(&plan);
    let begun = leave(folder.path(), &of, &pieces[2], &whole);
    let options = RunOptions { folder: folder.path(), stop: &|| false };
    assert_eq!(run(&plan, &options, &mut Silent).unwrap().finished, 1);
    let (path, job) = table(folder.path());
    let ended = TableLines::read(&path, &job.key).unwrap();
    assert_eq!(untimed(&ended), untimed(&whole));
    // With the times that they took: they were not computed again, and the others were.
    let kept: BTreeSet<String> = ended.lines.into_iter().map(|line| line.text).collect();
    let first: BTreeSet<String> = whole.lines.into_iter().map(|line| line.text).collect();
    assert_eq!(kept.intersection(&first).cloned().collect::<BTreeSet<_>>(), begun);
    assert!(!path.with_extension("pieces").exists());
}

/// Calls a function when a process can do nothing but wait for others.
struct Waiting<'a>(&'a dyn Fn());

impl Progress for Waiting<'_> {
    fn job(&mut self, _: &JobRecord, _: usize) {}
    fn images(&mut self, _: usize) {}
    fn finding(&mut self, _: &JobRecord, _: &Finding) {}
    fn failed(&mut self, _: &JobRecord, error: &Error) {
        panic!("{error}");
    }
    fn waiting(&mut self, _: &JobRecord) {
        self.0();
    }
}

#[test]
fn a_process_computes_pieces_for_the_one_that_has_the_table() {
    let (plan, _whole, whole) = whole();
    let (folder, of, pieces) = planned(&plan);
    write(&of.table(), 1, "held", 0, ELSEWHERE);
    write(&of.lease(&pieces[0]), 1, "held", 0, ELSEWHERE);
    let begun = leave(folder.path(), &of, &pieces[2], &whole);
    let waited = || {
        assert_eq!(of.whole().unwrap().len(), 4, "one piece is another one's");
        write(&of.table(), 1, "free", 0, ELSEWHERE);
        write(&of.lease(&pieces[0]), 1, "free", 0, ELSEWHERE);
    };
    let options = RunOptions { folder: folder.path(), stop: &|| false };
    assert_eq!(run(&plan, &options, &mut Waiting(&waited)).unwrap().finished, 1);
    let (path, job) = table(folder.path());
    let ended = TableLines::read(&path, &job.key).unwrap();
    assert_eq!(untimed(&ended), untimed(&whole));
    let kept: BTreeSet<String> = ended.lines.into_iter().map(|line| line.text).collect();
    assert!(begun.is_subset(&kept));
    assert!(!path.with_extension("pieces").exists());
}

#[test]
fn rows_for_another_table_are_whole_and_wait_for_it() {
    let (plan, _whole, whole) = whole();
    let (folder, of, pieces) = planned(&plan);
    write(&of.table(), 1, "held", 0, ELSEWHERE);
    let waits = AtomicBool::new(false);
    let options = RunOptions { folder: folder.path(), stop: &|| waits.load(Ordering::SeqCst) };
    let waited = || waits.store(true, Ordering::SeqCst);
    let stopped = run(&plan, &options, &mut Waiting(&waited));
    assert!(matches!(stopped, Err(Error::Interrupted)));
    let (path, _) = table(folder.path());
    assert!(!path.exists(), "the table is another one's");
    let tables = of.whole().unwrap();
    assert_eq!(tables.len(), pieces.len());
    let rows = of.lines(&tables, |_, _| true).unwrap();
    assert_eq!(rows.indices(), whole.indices());
}

#[cfg(unix)]
#[test]
fn who_was_paused_past_its_lease_leaves_the_table_to_its_successor() {
    let (plan, _whole, whole) = whole();
    let (folder, of, _) = planned(&plan);
    let (path, job) = table(folder.path());
    let rows = || TableLines::read(&path, &job.key).unwrap().lines.len();
    let stolen = AtomicBool::new(false);
    let stop = || {
        if !stolen.load(Ordering::SeqCst) && rows() == 16 {
            // Another process has waited for a sign of life, and found none.
            write(&of.table(), 2, "held", 0, ELSEWHERE);
            super::detach(&path).unwrap();
            stolen.store(true, Ordering::SeqCst);
        }
        false
    };
    let waited = || {
        // What the first one computed since then went into a file without a name.
        assert_eq!(rows(), 16);
        write(&of.table(), 2, "free", 0, ELSEWHERE);
    };
    let options = RunOptions { folder: folder.path(), stop: &stop };
    assert_eq!(run(&plan, &options, &mut Waiting(&waited)).unwrap().finished, 1);
    assert!(stolen.load(Ordering::SeqCst), "nothing was stolen");
    let ended = TableLines::read(&path, &job.key).unwrap();
    assert_eq!(untimed(&ended), untimed(&whole));
}

#[test]
fn a_table_out_of_order_is_put_in_order_behind_what_it_does_not_know() {
    let line =
        |idx: u64| crate::record::TableLine { idx, image: String::new(), text: idx.to_string() };
    let of = |all: &[u64]| TableLines {
        header: "idx".into(),
        lines: all.iter().map(|idx| line(*idx)).collect(),
    };
    let images: Vec<(u64, String)> = [5, 3, 8].map(|idx| (idx, String::new())).into();
    let sorted = super::sorted(of(&[8, 1, 3, 0, 5]), &images).unwrap();
    assert_eq!(sorted, of(&[1, 0, 5, 3, 8]));
    assert_eq!(super::sorted(sorted, &images), None);
}

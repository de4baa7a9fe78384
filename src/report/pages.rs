//! The pages that `leaderboard.html` links to: `models/NAME.html`, everything about one network, and `runs.html`, which
//! says when, where and by which commands it all was computed, what every job was told, and where its rows are.

use std::path::{Component, Path, PathBuf};

use askama::Template;
use chrono::DateTime;

use super::Html;
use super::board::Board;
use super::job_info::JobInfo;
use super::leaderboard::Leaderboard;
use super::links::Links;
use crate::error::{Error, Result};
use crate::results::format;

/// All of them, with their paths.
///
/// # Errors
/// If a page cannot be made.
pub(super) fn pages(leaderboard: &Leaderboard, folder: &Path) -> Result<Vec<(PathBuf, String)>> {
    let links = Links::new(leaderboard, "");
    let mut pages = vec![(folder.join("runs.html"), runs(leaderboard, folder)?)];
    for (name, path) in links.models() {
        let page = Html::page(&about(leaderboard, name), Links::new(leaderboard, "../"))?;
        pages.push((folder.join(path), page));
    }
    Ok(pages)
}

/// The leaderboard with nothing in it but the network `name`. Its rank stays the one among all.
fn about(leaderboard: &Leaderboard, name: &str) -> Leaderboard {
    let board = |board: &Board| {
        let own = board.standings.iter().find(|s| s.entrant.model.name == name)?;
        Some(Board {
            data: board.data.clone(),
            part: board.part.clone(),
            image_set: board.image_set.clone(),
            setup: board.setup.clone(),
            threats: board.threats.clone(),
            attacks: board.attacks.clone(),
            columns: board.columns.clone(),
            standings: vec![own.clone()],
            images: board.images,
        })
    };
    Leaderboard {
        format_version: leaderboard.format_version,
        title: name.to_owned(),
        runs: leaderboard.runs.clone(),
        boards: leaderboard.boards.iter().filter_map(board).collect(),
        notes: Vec::new(),
        published: Vec::new(),
        jobs: Vec::new(),
        view: leaderboard.view.clone(),
    }
}

#[derive(Template)]
#[template(path = "runs.html")]
struct Runs<'a> {
    title: &'a str,
    sessions: Vec<Session<'a>>,
    jobs: Vec<JobRow<'a>>,
}

/// A call of the program.
struct Session<'a> {
    run: &'a str,
    /// When it began.
    began: String,
    took: String,
    command: &'a str,
    machine: &'a str,
    device: &'a str,
    epsball: &'a str,
}

struct JobRow<'a> {
    job: &'a JobInfo,
    /// The first job of its method and network, which links point to.
    anchor: Option<String>,
    eps: String,
    done: String,
    /// From the page to the table; empty if there is none yet.
    table: String,
}

fn runs(leaderboard: &Leaderboard, folder: &Path) -> Result<String> {
    let sessions = leaderboard.runs.iter().flat_map(|run| {
        run.sessions.iter().map(|session| Session {
            run: &run.folder,
            began: date(session.started),
            took: match session.ended.checked_sub(session.started) {
                Some(s) => format!("{}:{:02}:{:02}", s / 3600, s / 60 % 60, s % 60),
                None => "not ended".into(),
            },
            command: &session.command,
            machine: &session.machine,
            device: &session.device,
            epsball: &session.epsball,
        })
    });
    let mut jobs: Vec<JobRow<'_>> = Vec::new();
    let mut known = Vec::new();
    for job in &leaderboard.jobs {
        let anchor = JobInfo::anchor(&job.model, &job.label);
        let first = !known.contains(&anchor);
        known.push(anchor.clone());
        jobs.push(JobRow {
            job,
            anchor: first.then_some(anchor),
            eps: job.eps.iter().map(|eps| format::eps(*eps)).collect::<Vec<_>>().join(", "),
            done: format::done(job.progress),
            table: relative(folder, &job.table),
        });
    }
    let page = Runs { title: &leaderboard.title, sessions: sessions.collect(), jobs };
    page.render().map_err(|e| Error::setting("runs.html", e.to_string(), ""))
}

/// `2026-03-09 14:05 UTC`; nothing for a time that no calendar has.
fn date(seconds: u64) -> String {
    let time = i64::try_from(seconds).ok().and_then(|seconds| DateTime::from_timestamp(seconds, 0));
    time.map_or(String::new(), |time| time.format("%Y-%m-%d %H:%M UTC").to_string())
}

/// The link from a page in `folder` to `file`; empty if the file is not there.
fn relative(folder: &Path, file: &Path) -> String {
    let absolute = |path: &Path| path.canonicalize().ok();
    let (Some(from), Some(to)) = (absolute(folder), absolute(file)) else { return String::new() };
    let common = from.components().zip(to.components()).take_while(|(a, b)| a == b).count();
    let up = from.components().skip(common).map(|_| "..".to_owned());
    let down = to.components().skip(common).map(|part| match part {
        Component::Normal(name) => escaped(&name.to_string_lossy()),
        other => other.as_os_str().to_string_lossy().into_owned(),
    });
    up.chain(down).collect::<Vec<_>>().join("/")
}

/// A part of a path as addresses have it: everything but letters, digits and a few signs as its bytes.
fn escaped(part: &str) -> String {
    let plain = |byte: &u8| byte.is_ascii_alphanumeric() || b"-._~".contains(byte);
    part.bytes()
        .map(
            |byte| if plain(&byte) { char::from(byte).to_string() } else { format!("%{byte:02X}") },
        )
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dates_are_those_of_the_calendar() {
        assert_eq!(date(0), "1970-01-01 00:00 UTC");
        assert_eq!(date(951_827_696), "2000-02-29 12:34 UTC");
        assert_eq!(date(u64::MAX), "");
    }

    #[test]
    fn links_lead_from_folder_to_file() {
        let root = tempfile::tempdir().unwrap();
        let (page, jobs) = (root.path().join("board/a"), root.path().join("runs/x y/jobs"));
        std::fs::create_dir_all(&page).unwrap();
        std::fs::create_dir_all(&jobs).unwrap();
        let table = jobs.join("50%#1.csv");
        assert_eq!(relative(&page, &table), "", "it is not there yet");
        std::fs::write(&table, "").unwrap();
        assert_eq!(relative(&page, &table), "../../runs/x%20y/jobs/50%25%231.csv");
        assert_eq!(relative(&jobs, &table), "50%25%231.csv");
    }
}

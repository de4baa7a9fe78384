//! Where the program's text goes, and how a command ends other than well. Results go to stdout, everything else to
//! stderr. Nobody has to read stderr: that it is closed or full ends nothing. Without stdout there is nothing left
//! to show: a reader that went away ends the command quietly, and any other fault is an error.
//!
//! Text may hold what a file of somebody else says (a name, a note, a row of a table). No hidden character of it
//! reaches a terminal (`hidden.rs`).

use std::borrow::Cow;
use std::fmt::Display;
use std::io::{ErrorKind, Write};
use std::sync::atomic::{AtomicBool, Ordering};

use super::exit;
use crate::error::Error;
use crate::hidden::escaped;

/// Nothing is said but errors (`--quiet`).
static QUIET: AtomicBool = AtomicBool::new(false);

/// From now on nothing is said but errors.
pub(super) fn be_quiet() {
    QUIET.store(true, Ordering::Relaxed);
}

/// Nothing is said but errors.
pub(super) fn is_quiet() -> bool {
    QUIET.load(Ordering::Relaxed)
}

/// What a command ends with.
pub(super) type Ended = Result<u8, Failure>;

/// Why a command did not do what was asked.
#[derive(Debug)]
pub(super) enum Failure {
    /// An argument, a suite or a file cannot be used; nothing was computed.
    Input(Error),
    /// Something failed after work had begun.
    Late(Error),
    /// Stdout did not take the results.
    Stdout(std::io::Error),
}

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        Self::Input(error)
    }
}

impl Failure {
    /// Says what happened, and returns the exit code.
    pub(super) fn report(&self) -> u8 {
        let code = match self {
            Self::Input(Error::Interrupted) | Self::Late(Error::Interrupted) => exit::INTERRUPTED,
            Self::Input(_) => exit::INPUT,
            Self::Stdout(error) if error.kind() == ErrorKind::BrokenPipe => exit::PIPE,
            Self::Late(_) | Self::Stdout(_) => exit::FAILED,
        };
        match self {
            Self::Input(error) | Self::Late(error) => report(error),
            Self::Stdout(_) if code == exit::PIPE => {}
            Self::Stdout(error) => insist(format_args!("error: cannot write to stdout: {error}")),
        }
        code
    }
}

impl From<Failure> for Error {
    fn from(failure: Failure) -> Self {
        match failure {
            Failure::Input(error) | Failure::Late(error) => error,
            Failure::Stdout(error) => Self::io("write to", "stdout")(error),
        }
    }
}

/// An error and, on a line of its own, what to do about it.
pub(super) fn report(error: &Error) {
    insist(format_args!("error: {}", brief(&error.to_string())));
    if let Some(hint) = error.hint() {
        insist(format_args!("hint: {}", brief(&hint)));
    }
}

/// Longest text of an error, in characters. Names come from files, and a name may have any length.
const LONGEST: usize = 8000;

/// The text, or if it is longer than anybody reads its beginning and its end.
fn brief(text: &str) -> Cow<'_, str> {
    let count = text.chars().count();
    if count <= LONGEST {
        return text.into();
    }
    let (first, last) = (LONGEST / 2, LONGEST / 4);
    let begin: String = text.chars().take(first).collect();
    let end: String = text.chars().skip(count - last).collect();
    format!("{begin} [... {} characters ...] {end}", count - first - last).into()
}

/// A line on stderr, unless nothing is to be said.
pub(super) fn say(text: impl Display) {
    if !is_quiet() {
        insist(text);
    }
}

/// A line on stderr, whatever is to be said: an error.
pub(super) fn insist(text: impl Display) {
    let line = escaped(&text.to_string()) + "\n";
    // A closed stderr is no error: nothing else could report it.
    let _ = std::io::stderr().write_all(line.as_bytes());
}

/// Results on stdout, and the end of the line.
///
/// # Errors
/// If stdout does not take them.
pub(super) fn show(text: impl Display) -> Result<(), Failure> {
    show_board(escaped(&text.to_string()) + "\n")
}

/// A value as JSON on stdout.
///
/// # Errors
/// If it cannot be written as JSON, or stdout does not take it.
pub(super) fn show_json(value: &impl serde::Serialize) -> Result<(), Failure> {
    let text = serde_json::to_string_pretty(value);
    let bug = |error: serde_json::Error| {
        Failure::Late(Error::setting("JSON", error.to_string(), "report this as a bug"))
    };
    show(text.map_err(bug)?)
}

/// Text on stdout that has its own colours and line breaks.
///
/// # Errors
/// If stdout does not take it.
pub(super) fn show_board(text: impl AsRef<str>) -> Result<(), Failure> {
    let mut stdout = std::io::stdout().lock();
    let written = stdout.write_all(text.as_ref().as_bytes());
    written.and_then(|()| stdout.flush()).map_err(Failure::Stdout)
}

/// Stderr for log events, without the errors.
pub(super) struct Quiet;

impl Write for Quiet {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        let _ = std::io::stderr().write_all(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

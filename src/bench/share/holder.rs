//! Who holds a lease: a process of a machine, so that another process of the same machine can see that it has died
//! without waiting. Of a process elsewhere only its lease is known.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{SystemTime, UNIX_EPOCH};

use crate::digest::sha256;

/// Hex digits of a name.
const DIGITS: usize = 12;

/// A process that can hold leases.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Holder {
    /// What tells it from every other holder there ever was.
    pub(super) name: String,
    /// The machine since it was started, with its numbers of processes; empty if the system does not tell.
    host: String,
    pid: u32,
    /// When the process began, in ticks since the machine was started: numbers of processes come again.
    started: String,
}

impl Holder {
    /// This process. Every call makes another holder.
    pub(super) fn here() -> Self {
        static COUNT: AtomicU64 = AtomicU64::new(0);
        let (host, pid) = (host(), std::process::id());
        let started = began(pid).unwrap_or_default();
        let now = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_nanos());
        let count = COUNT.fetch_add(1, Ordering::Relaxed);
        let mut name = sha256(format!("{host} {pid} {started} {now} {count}").as_bytes());
        name.truncate(DIGITS);
        Self { name, host, pid, started }
    }

    /// As a lease says it.
    pub(super) fn text(&self) -> String {
        let known = |text: &str| if text.is_empty() { "-".to_owned() } else { text.to_owned() };
        format!("{} {} {} {}", self.name, known(&self.host), self.pid, known(&self.started))
    }

    /// What a lease says; `None` if it is something else.
    pub(super) fn parse(text: &str) -> Option<Self> {
        let mut fields = text.split(' ').map(|field| if field == "-" { "" } else { field });
        let (name, host) = (fields.next()?.to_owned(), fields.next()?.to_owned());
        let (pid, started) = (fields.next()?.parse().ok()?, fields.next()?.to_owned());
        Some(Self { name, host, pid, started })
    }

    /// It was a process of this machine, and is none any more.
    pub(super) fn is_dead(&self) -> bool {
        !self.host.is_empty()
            && !self.started.is_empty()
            && self.host == host()
            && began(self.pid).is_none_or(|started| started != self.started)
    }
}

/// Names this machine since it was started, and the space of numbers that its processes have here: containers of
/// one machine do not see each other's.
fn host() -> String {
    let read = |path: &str| std::fs::read_to_string(path).ok();
    let space = std::fs::read_link("/proc/self/ns/pid").ok();
    let (boot, space) = match (read("/proc/sys/kernel/random/boot_id"), space) {
        (Some(boot), Some(space)) => (boot, space.display().to_string()),
        _ => return String::new(),
    };
    let mut host = sha256(format!("{boot} {space}").as_bytes());
    host.truncate(DIGITS);
    host
}

/// When the process began; `None` if there is none of this number, or it has ended and nobody has asked how.
fn began(pid: u32) -> Option<String> {
    let text = std::fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    // The name of the program, in brackets, may hold anything; fields behind it begin with number 3, the state.
    let mut fields = text.rsplit_once(')')?.1.split_whitespace();
    let ended = matches!(fields.next()?, "Z" | "X");
    // Its first thread may end before the others, which have its files open until they do.
    let threads = || std::fs::read_dir(format!("/proc/{pid}/task")).map_or(0, Iterator::count);
    (!ended || threads() > 1).then(|| fields.nth(18).unwrap_or_default().to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_holder_is_read_back_and_another_every_time() {
        let (one, two) = (Holder::here(), Holder::here());
        assert_ne!(one.name, two.name);
        assert_eq!(Holder::parse(&one.text()), Some(one));
        assert_eq!(Holder::parse("a b c d"), None);
        assert_eq!(Holder::parse(""), None);
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn a_process_of_this_machine_is_known_to_be_dead() {
        let here = Holder::here();
        assert!(!here.is_dead());
        // The number of a process that has ended may be another's by now.
        assert!(Holder { started: "1".into(), ..here.clone() }.is_dead());
        let elsewhere = Holder { host: "elsewhere".into(), started: "1".into(), ..here.clone() };
        assert!(!elsewhere.is_dead());
        let mut child = std::process::Command::new("sleep").arg("60").spawn().unwrap();
        let pid = child.id();
        let held = Holder { pid, started: began(pid).unwrap(), ..here };
        assert!(!held.is_dead());
        child.kill().unwrap();
        // Nobody has asked how it ended, so its number is still taken.
        while !held.is_dead() {
            std::thread::yield_now();
        }
        child.wait().unwrap();
        assert!(held.is_dead());
    }
}

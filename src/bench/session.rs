//! One call of the program, as a run records it: with which arguments, on which machine, when.

use std::ffi::OsString;
use std::sync::OnceLock;
use std::time::{SystemTime, UNIX_EPOCH};

use crate::device::Precision;
use crate::ops::bf16::Unit;
use crate::record::SessionRecord;

/// The session that begins now, its networks on `device` and searching in `precision`.
pub(super) fn begin(device: &str, precision: Precision) -> SessionRecord {
    // Units of processors add in different orders.
    let unit = match (device, precision) {
        ("cpu", Precision::Bf16) => format!(", bf16 by {}", Unit::here()),
        _ => String::new(),
    };
    SessionRecord {
        command: command(),
        epsball: env!("CARGO_PKG_VERSION").into(),
        machine: machine() + &unit,
        device: device.into(),
        started: now(),
        ended: 0,
    }
}

/// Seconds since 1970-01-01 00:00 UTC.
pub(super) fn now() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs())
}

/// The command line of this call, where it is not that of the process.
static SAID: OnceLock<Vec<OsString>> = OnceLock::new();

/// Says with which command line, the name of the program first, this call was made. Only the first time counts.
pub fn say_command(arguments: &[OsString]) {
    // A later call is made by the first one.
    let _ = SAID.set(arguments.to_vec());
}

/// The arguments of the program behind its name, those with spaces in quotes.
fn command() -> String {
    let quoted = |argument: OsString| {
        let argument = argument.to_string_lossy().escape_debug().to_string();
        match argument.is_empty() || argument.contains(char::is_whitespace) {
            true => format!("\"{argument}\""),
            false => argument,
        }
    };
    let said = SAID.get().cloned().unwrap_or_else(|| std::env::args_os().collect());
    let arguments = said.into_iter().skip(1).map(quoted);
    std::iter::once("epsball".to_owned()).chain(arguments).collect::<Vec<_>>().join(" ")
}

/// Operating system, processor and threads.
fn machine() -> String {
    let (system, architecture) = (std::env::consts::OS, std::env::consts::ARCH);
    let threads = rayon::current_num_threads();
    format!("{system} {architecture}, {}{threads} threads", processor())
}

/// Name of the processor, where the system tells it in a file.
fn processor() -> String {
    let text = std::fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let name = text.lines().find_map(|line| {
        let (field, value) = line.split_once(':')?;
        (field.trim() == "model name").then(|| format!("{}, ", value.trim()))
    });
    name.unwrap_or_default()
}

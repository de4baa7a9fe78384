//! Tables of certificates: published logs and this program's own, by the strict reader and by the audit's. A
//! second part, behind a line `---`, is the `run.toml` of the run that the table lies in.
#![no_main]

use epsball::certify::audit::{Given, audit};
use epsball::certify::log::{Log, read_rows};
use libfuzzer_sys::fuzz_target;

#[path = "shared.rs"]
mod shared;

fuzz_target!(|bytes: &[u8]| {
    let parts = shared::parts(bytes);
    match parts.get(1) {
        Some(run) => drop(shared::file("run/run.toml", run)),
        None => shared::no_file("run/run.toml"),
    }
    let path = shared::file("run/jobs/model/sigma_0.25.tsv", parts[0]);
    let _ = Log::read(&path);
    let _ = read_rows(&path);
    if let Ok(audit) = audit(&path, &Given::default(), None, &[], true) {
        let _ = (audit.to_string(), serde_json::to_string(&audit));
    }
});

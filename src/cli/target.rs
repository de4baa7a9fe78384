//! A file that a command will write where its user said: what stands against it is told before anything is computed.

use std::path::Path;

use crate::error::{Error, Result};
use crate::persist;
use crate::record::RunRecord;

/// Makes the folder of `output`, and sees that the file can be written there and is none of the `inputs`.
///
/// # Errors
/// If it cannot be written, or a file that is read, or one that a run is made of, would be lost.
pub(super) fn check(output: &Path, inputs: &[&Path]) -> Result<()> {
    let same = |input: &&&Path| Some(input.canonicalize().ok()? == output.canonicalize().ok()?);
    if inputs.iter().any(|input| same(&input) == Some(true)) {
        return Err(Error::setting(
            "--output",
            format!("{} is the file that is read", output.display()),
            "give the new file another name",
        ));
    }
    if is_of_a_run(output) {
        return Err(Error::setting(
            "--output",
            format!("{} belongs to the run in this folder", output.display()),
            "give the new file another name",
        ));
    }
    if let Some(folder) = output.parent().filter(|folder| !folder.as_os_str().is_empty()) {
        std::fs::create_dir_all(folder).map_err(Error::io("create", folder))?;
    }
    persist::check(output)
}

/// What a run consists of lies beside its `run.toml`, or in the folders of its tables: the tables, and what has their
/// names with another ending.
fn is_of_a_run(output: &Path) -> bool {
    let Some(folder) = output.parent() else { return false };
    let name = output.file_name();
    if name == Some("run.toml".as_ref()) || name == Some("SHA256SUMS".as_ref()) {
        return output.exists();
    }
    let Ok(folder) = nearby(folder).canonicalize() else { return false };
    let mut runs = folder.ancestors().take(3);
    output.exists()
        && runs.any(|run| {
            let Ok(record) = RunRecord::read(run) else { return false };
            record.jobs.iter().any(|job| is_of_table(output, &run.join(&job.file)))
        })
}

/// `output` is the table, or has its name with another ending.
fn is_of_table(output: &Path, table: &Path) -> bool {
    let folder = |file: &Path| file.parent().and_then(|folder| nearby(folder).canonicalize().ok());
    let own = table.with_extension("");
    let (Some(name), Some(stem)) = (output.file_name(), own.file_name()) else { return false };
    let begin = format!("{}.", stem.to_string_lossy());
    name.to_string_lossy().starts_with(&begin) && folder(output) == folder(table)
}

/// The folder, as it is opened: the empty path is the one we are in.
fn nearby(folder: &Path) -> &Path {
    if folder.as_os_str().is_empty() { Path::new(".") } else { folder }
}

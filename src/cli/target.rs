//! A file that a command will write where its user said: what stands against it is told before anything is computed.

use std::path::Path;

use crate::error::{Error, Result};
use crate::persist;

/// Makes the folder of `output`, and sees that the file can be written there and is none of the `inputs`.
///
/// # Errors
/// If it cannot be written, or a file that is read would be lost.
pub(super) fn check(output: &Path, inputs: &[&Path]) -> Result<()> {
    let same = |input: &&&Path| Some(input.canonicalize().ok()? == output.canonicalize().ok()?);
    if inputs.iter().any(|input| same(&input) == Some(true)) {
        return Err(Error::setting(
            "--output",
            format!("{} is the file that is read", output.display()),
            "give the new file another name",
        ));
    }
    if let Some(folder) = output.parent().filter(|folder| !folder.as_os_str().is_empty()) {
        std::fs::create_dir_all(folder).map_err(Error::io("create", folder))?;
    }
    persist::check(output)
}

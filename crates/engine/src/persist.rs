//! Files that are replaced as a whole or not at all: reports, model files, `run.toml`.

use std::io::Write as _;
use std::path::Path;

use crate::error::{Error, Result};

/// Puts `content` into the file `path` in one step, so that no reader ever sees half of it.
///
/// # Errors
/// If the folder cannot be written to.
pub fn replace(path: &Path, content: &[u8]) -> Result<()> {
    let folder = match path.parent() {
        Some(folder) if !folder.as_os_str().is_empty() => folder,
        _ => Path::new("."),
    };
    let mut file = temporary(folder).map_err(Error::io("write in", folder))?;
    file.write_all(content).map_err(Error::io("write", path))?;
    file.as_file().sync_all().map_err(Error::io("write", path))?;
    file.persist(path).map_err(|e| Error::io("replace", path)(e.error))?;
    sync_folder(path)
}

/// Waits until the name of the file `path` is on the disk: after a loss of power a file whose content
/// was written may otherwise still be missing from its folder.
///
/// # Errors
/// If the folder cannot be opened.
pub fn sync_folder(path: &Path) -> Result<()> {
    // Elsewhere a folder cannot be opened as a file.
    #[cfg(unix)]
    {
        let folder = match path.parent() {
            Some(folder) if !folder.as_os_str().is_empty() => folder,
            _ => Path::new("."),
        };
        let opened = std::fs::File::open(folder).map_err(Error::io("open", folder))?;
        opened.sync_all().map_err(Error::io("write", folder))?;
    }
    #[cfg(not(unix))]
    let _ = path;
    Ok(())
}

/// A file in `folder` that will get its name when it is whole. Who may read it is up to the umask, as with any
/// other file; temporary files are private otherwise.
///
/// # Errors
/// If the folder cannot be written to.
pub fn temporary(folder: &Path) -> std::io::Result<tempfile::NamedTempFile> {
    let mut builder = tempfile::Builder::new();
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt as _;
        builder.permissions(std::fs::Permissions::from_mode(0o666));
    }
    builder.tempfile_in(folder)
}

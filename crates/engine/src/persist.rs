//! Files that are replaced as a whole or not at all: reports, model files, `run.toml`.

use std::io::Write as _;
use std::path::Path;

use crate::error::{Error, Result};
use crate::regular;

/// Puts `content` into the file `path` in one step, so that no reader ever sees half of it.
///
/// # Errors
/// If the folder cannot be written to, or something other than a file has this name.
pub fn replace(path: &Path, content: &[u8]) -> Result<()> {
    refuse_other(path)?;
    let folder = folder_of(path);
    let mut file = temporary(folder).map_err(Error::io("write in", folder))?;
    file.write_all(content).map_err(Error::io("write", path))?;
    file.as_file().sync_all().map_err(Error::io("write", path))?;
    file.persist(path).map_err(|e| Error::io("replace", path)(e.error))?;
    sync_folder(path)
}

/// Sees that [`replace`] can put a file there, without doing it.
///
/// # Errors
/// As [`replace`].
pub fn check(path: &Path) -> Result<()> {
    refuse_other(path)?;
    temporary(folder_of(path)).map_err(Error::io("write in", folder_of(path)))?;
    Ok(())
}

/// Refuses what is there and no file: a device would be replaced by one, for everybody, where the user may do that.
fn refuse_other(path: &Path) -> Result<()> {
    regular::check(path).map_err(Error::io("write", path))?;
    match path.is_dir() {
        true => Err(Error::io("write", path)(std::io::ErrorKind::IsADirectory.into())),
        false => Ok(()),
    }
}

fn folder_of(path: &Path) -> &Path {
    match path.parent() {
        Some(folder) if !folder.as_os_str().is_empty() => folder,
        _ => Path::new("."),
    }
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
        let folder = folder_of(path);
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

#[cfg(all(test, unix))]
mod tests {
    use super::*;

    #[test]
    fn only_files_are_replaced() {
        let folder = tempfile::tempdir().unwrap();
        let pipe = folder.path().join("pipe");
        assert!(std::process::Command::new("mkfifo").arg(&pipe).status().unwrap().success());
        for (path, problem) in [
            (pipe.as_path(), "it is a named pipe, and not a file"),
            (folder.path(), "is a directory"),
        ] {
            for error in [replace(path, b"text"), check(path)] {
                let error = error.unwrap_err().to_string();
                assert!(error.contains(problem), "{error}");
            }
        }
        let missing = folder.path().join("none").join("file");
        assert!(check(&missing).is_err() && replace(&missing, b"text").is_err());
        let file = folder.path().join("file");
        check(&file).unwrap();
        assert!(!file.exists());
        for content in [&b"one"[..], b"another"] {
            replace(&file, content).unwrap();
            check(&file).unwrap();
            assert_eq!(std::fs::read(&file).unwrap(), content);
        }
    }
}

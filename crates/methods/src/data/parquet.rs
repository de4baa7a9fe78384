//! Image data sets as the Hugging Face hub stores them: Parquet tables with a column of PNG or JPEG images
//! and one of integer labels, in one file or in shards. The reader needs the cargo feature `parquet`; without
//! it the format is known only to say so.

use std::path::{Path, PathBuf};

use super::{Dataset, Format};
use crate::error::{Error, Result};

#[cfg(feature = "parquet")]
mod column;
#[cfg(feature = "parquet")]
mod pages;
#[cfg(feature = "parquet")]
mod shard;
#[cfg(feature = "parquet")]
mod table;
#[cfg(all(test, feature = "parquet"))]
pub(super) mod tests;

pub(super) const FORMAT: Format = Format {
    name: "parquet",
    usage: "parquet:FILE_OR_FOLDER[,PREPROCESSING]",
    sign: "a .parquet file, or a folder of them",
    fits: |path| match path.is_dir() {
        true => tables(path).is_ok_and(|found| !found.is_empty()),
        false => is_table(path),
    },
    open,
};

#[cfg(feature = "parquet")]
fn open(spec: &str) -> Result<Box<dyn Dataset>> {
    let (path, preprocessing) = super::preprocess::split(spec)?;
    Ok(Box::new(table::Table::open(path, preprocessing)?))
}

#[cfg(not(feature = "parquet"))]
fn open(spec: &str) -> Result<Box<dyn Dataset>> {
    // What is wrong with the name is said first: another build would not help.
    let (path, _) = super::preprocess::split(spec)?;
    files(path)?;
    Err(Error::setting(
        "data",
        "this build of epsball cannot read Parquet files",
        "build it with the feature: cargo build --release --features parquet",
    ))
}

/// The shards of the data set at `path`, sorted by name: a file, all files of a folder, or, for
/// `FOLDER/SPLIT`, those called `SPLIT-00000-of-00002.parquet` and so on.
///
/// # Errors
/// If there are none, they are of several splits, or one is missing.
fn files(path: &Path) -> Result<Vec<PathBuf>> {
    if path.is_file() {
        return Ok(vec![path.into()]);
    }
    let split = path.file_name().unwrap_or_default().to_string_lossy();
    let found = match (path.is_dir(), path.parent()) {
        (true, _) => tables(path)?,
        (false, Some(folder)) if folder.is_dir() => {
            let mut found = tables(folder)?;
            found.retain(|path| numbered(path).is_some_and(|(own, _)| own == split));
            found
        }
        _ => Vec::new(),
    };
    if found.is_empty() {
        // Nothing has this name, or what has it is a folder without tables.
        std::fs::metadata(path).map_err(Error::io("read", path))?;
        let remedy = "name a .parquet file, or the folder that has them, often `data`";
        return Err(Error::file(path, "shards", "no .parquet files in this folder", remedy));
    }
    check_complete(path, &found)?;
    Ok(found)
}

/// Shards that say how many they are have to be all there, and of one split.
fn check_complete(path: &Path, files: &[PathBuf]) -> Result<()> {
    let mut splits: Vec<(&str, usize)> = files.iter().filter_map(|file| numbered(file)).collect();
    splits.dedup();
    match splits.as_slice() {
        [] => Ok(()),
        [(_, total)] if *total == files.len() => Ok(()),
        [(split, total)] => Err(Error::file(
            path,
            "shards",
            format!("{} files, but {split} has {total} shards", files.len()),
            "get those that are missing, and keep other files elsewhere",
        )),
        [first, ..] => Err(Error::file(
            path,
            "shards",
            format!(
                "of several splits: {}",
                splits.iter().map(|s| s.0).collect::<Vec<_>>().join(", ")
            ),
            format!("name one of them: parquet:{}", path.join(first.0).display()),
        )),
    }
}

/// `test-00000-of-00002.parquet` is of the split `test`, which has 2 shards.
fn numbered(path: &Path) -> Option<(&str, usize)> {
    let (head, total) = path.file_stem()?.to_str()?.rsplit_once("-of-")?;
    let (split, number) = head.rsplit_once('-')?;
    number.parse::<usize>().ok()?;
    Some((split, total.parse().ok()?))
}

fn is_table(path: &Path) -> bool {
    path.extension().is_some_and(|ending| ending == "parquet") && path.is_file()
}

/// The tables in a folder, sorted by name.
fn tables(folder: &Path) -> Result<Vec<PathBuf>> {
    let mut tables = Vec::new();
    for entry in std::fs::read_dir(folder).map_err(Error::io("read", folder))? {
        let path = entry.map_err(Error::io("read", folder))?.path();
        if is_table(&path) {
            tables.push(path);
        }
    }
    tables.sort();
    Ok(tables)
}

#[cfg(test)]
mod name_tests {
    use super::*;

    fn folder(names: &[&str]) -> tempfile::TempDir {
        let root = tempfile::tempdir().unwrap();
        names.iter().for_each(|name| std::fs::write(root.path().join(name), "").unwrap());
        root
    }

    #[test]
    fn shards_are_complete_and_of_one_split() {
        let all = [
            "test-00001-of-00002.parquet",
            "test-00000-of-00002.parquet",
            "train-00000-of-00001.parquet",
            "notes.txt",
        ];
        let root = folder(&all);
        let names = |path: &Path| -> Vec<String> {
            let files = files(path).unwrap();
            files.iter().map(|f| f.file_name().unwrap().to_str().unwrap().to_owned()).collect()
        };
        assert_eq!(names(&root.path().join("test")), [all[1], all[0]]);
        assert_eq!(names(&root.path().join("train")), [all[2]]);
        assert_eq!(names(&root.path().join(all[0])), [all[0]]);
        assert_eq!(names(folder(&["1.parquet", "0.parquet"]).path()), ["0.parquet", "1.parquet"]);
        let refused = |path: &Path, problem: &str| {
            let error = files(path).expect_err(problem);
            assert!(error.to_string().contains(problem), "{error}, not {problem}");
        };
        refused(root.path(), "shards: of several splits: test, train");
        refused(&root.path().join("dev"), "cannot read");
        refused(&root.path().join("deep/er"), "cannot read");
        refused(folder(&[]).path(), "no .parquet files");
        refused(folder(&all[..1]).path(), "1 files, but test has 2 shards");
    }

    #[test]
    #[cfg(not(feature = "parquet"))]
    fn a_build_without_the_feature_says_so() {
        let root = folder(&["0.parquet"]);
        for spec in
            [format!("parquet:{}", root.path().display()), root.path().display().to_string()]
        {
            let error = super::super::open(&spec).err().unwrap();
            assert!(error.to_string().contains("cannot read Parquet files"), "{error}");
            assert!(error.hint().unwrap().contains("--features parquet"));
        }
    }
}

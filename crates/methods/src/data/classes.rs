//! Which class a folder of images is. Without a list the folders are numbered in the order of their names, which is
//! what torchvision does and goes wrong silently where one is missing. A list says it: a file `classes.txt` beside
//! the folders, one named in the specification, or the 1,000 synsets of ImageNet, which are built in.

use std::collections::HashMap;
use std::path::{Path, PathBuf};

use crate::error::{Error, Result};
use crate::regular;

/// The classes of ImageNet's challenge (Russakovsky et al. 2015) in their order, which is that of their names.
const SYNSETS: &str = include_str!("imagenet_synsets.txt");

/// Where the classes of folders come from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Classes {
    /// `classes.txt` beside the folders if it is there, the synsets of ImageNet if all folders are some of them,
    /// otherwise the order of names.
    Found,
    /// `classes=sorted`: the order of names.
    Sorted,
    /// `classes=imagenet`: the synsets of ImageNet.
    ImageNet,
    /// `classes=FILE`: a name per line, the first one class 0.
    File(PathBuf),
}

impl Classes {
    /// Takes `,classes=...` off the end of a specification.
    pub(super) fn split(spec: &str) -> (&str, Self) {
        match spec.rsplit_once(",classes=") {
            None => (spec, Self::Found),
            Some((rest, "sorted")) => (rest, Self::Sorted),
            Some((rest, "imagenet")) => (rest, Self::ImageNet),
            Some((rest, file)) => (rest, Self::File(file.into())),
        }
    }

    /// The class of each of the folders `names` below `root`, which are sorted, and the number of classes.
    ///
    /// # Errors
    /// If the list cannot be read, or a folder is not on it.
    pub(super) fn number(&self, root: &Path, names: &[String]) -> Result<(Vec<u32>, usize)> {
        let beside = root.join("classes.txt");
        match self {
            Self::File(file) => listed(file, &read(file)?, names),
            // A folder of that name holds images, and anything else there is meant as the list.
            Self::Found
                if std::fs::symlink_metadata(&beside).is_ok_and(|there| !there.is_dir()) =>
            {
                listed(&beside, &read(&beside)?, names)
            }
            Self::ImageNet => listed(Path::new("the synsets of ImageNet"), SYNSETS, names),
            Self::Found if are_synsets(names) => {
                let found = listed(root, SYNSETS, names)?;
                if found.1 != names.len() {
                    let (root, count) = (root.display(), names.len());
                    tracing::warn!(
                        "{root}: its {count} subfolders are synsets of ImageNet and have the labels of its 1000 \
                         classes; `folder:{root},classes=sorted` numbers them 0 to {}",
                        count - 1
                    );
                }
                Ok(found)
            }
            Self::Found | Self::Sorted => {
                warn_of_order(root, names);
                Ok(((0..names.len() as u32).collect(), names.len()))
            }
        }
    }
}

fn read(file: &Path) -> Result<String> {
    regular::text(file).map_err(Error::io("read", file))
}

/// Every name is on ImageNet's list.
fn are_synsets(names: &[String]) -> bool {
    let is_one = |name: &String| SYNSETS.lines().any(|synset| synset == name);
    !names.is_empty() && names.iter().all(is_one)
}

/// The places of `names` on the list `text`, whose number of entries is that of the classes.
fn listed(list: &Path, text: &str, names: &[String]) -> Result<(Vec<u32>, usize)> {
    let lines = text.lines().map(str::trim_end);
    // Empty lines at the end are no classes.
    let count = lines.clone().enumerate().filter(|(_, line)| !line.is_empty()).last();
    let count = count.map_or(0, |(last, _)| last + 1);
    let mut places: HashMap<&str, u32> = HashMap::new();
    for (place, name) in lines.take(count).enumerate() {
        if places.insert(name, place as u32).is_some() {
            let problem = format!("`{name}` is there twice, or an empty line is between the names");
            let remedy = "write the name of a class in each line, the first one class 0";
            return Err(Error::file(list, format!("line {}", place + 1), problem, remedy));
        }
    }
    let place = |name: &String| {
        places.get(name.as_str()).copied().ok_or_else(|| {
            Error::file(
                list,
                "classes",
                format!("the folder `{name}` is not among the {count} classes"),
                "write the name of every folder into the list, or add `,classes=sorted` to number them by name",
            )
        })
    };
    Ok((names.iter().map(place).collect::<Result<_>>()?, count))
}

/// Says if names that end in numbers are in another order than their numbers: `10` comes before `2`.
fn warn_of_order(root: &Path, names: &[String]) {
    let Some(at) = out_of_order(names) else { return };
    tracing::warn!(
        "{}: folders are classes in the order of their names, so `{}` is class {} and `{}` class {}; if their \
         numbers are meant, write them into a file classes.txt beside the folders, in the order of the classes",
        root.display(),
        names[at],
        at,
        names[at + 1],
        at + 1
    );
}

/// The first of the sorted `names` whose number is larger than that of the next one.
fn out_of_order(names: &[String]) -> Option<usize> {
    let number = |name: &String| -> Option<u64> {
        let text = name.trim_end_matches(|c: char| c.is_ascii_digit());
        name[text.len()..].parse().ok()
    };
    let numbers: Vec<u64> = names.iter().map(number).collect::<Option<_>>()?;
    numbers.windows(2).position(|pair| pair[0] > pair[1])
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(names: &[&str]) -> Vec<String> {
        names.iter().map(|name| (*name).to_owned()).collect()
    }

    #[test]
    fn a_subset_of_imagenet_keeps_its_labels() {
        let five = names(&["n01440764", "n02102040", "n02979186", "n03000684", "n03028079"]);
        let root = Path::new("five");
        for classes in [Classes::Found, Classes::ImageNet] {
            let (labels, count) = classes.number(root, &five).unwrap();
            assert_eq!((labels, count), (vec![0, 217, 482, 491, 497], 1000));
        }
        assert_eq!(Classes::Sorted.number(root, &five).unwrap(), (vec![0, 1, 2, 3, 4], 5));
        let other = names(&["n01440764", "other"]);
        assert_eq!(Classes::Found.number(root, &other).unwrap(), (vec![0, 1], 2));
        let error = Classes::ImageNet.number(root, &other).unwrap_err().to_string();
        assert!(error.contains("the folder `other` is not among the 1000 classes"), "{error}");
        assert!(SYNSETS.lines().is_sorted() && SYNSETS.lines().count() == 1000);
    }

    #[test]
    fn a_list_decides() {
        let root = tempfile::tempdir().unwrap();
        let list = root.path().join("classes.txt");
        std::fs::write(&list, "zebra\r\ncat\ndog\n\n").unwrap();
        let folders = names(&["cat", "zebra"]);
        assert_eq!(Classes::Found.number(root.path(), &folders).unwrap(), (vec![1, 0], 3));
        assert_eq!(Classes::Sorted.number(root.path(), &folders).unwrap(), (vec![0, 1], 2));
        let (spec, classes) = Classes::split("a,b,classes=my/list.txt");
        assert_eq!((spec, classes), ("a,b", Classes::File("my/list.txt".into())));
        assert_eq!(Classes::split("a,b"), ("a,b", Classes::Found));
        for (text, problem) in [
            ("cat\ndog\n", "the folder `zebra` is not among the 2 classes"),
            ("cat\nzebra\ncat\n", "line 3: `cat` is there twice"),
            ("cat\n\n\nzebra\n", "line 3: `` is there twice"),
        ] {
            std::fs::write(&list, text).unwrap();
            let error = Classes::Found.number(root.path(), &folders).unwrap_err();
            assert!(error.to_string().contains(problem), "{error}");
            assert!(error.hint().is_some());
        }
    }

    /// Falling back on the order of names would give other labels without a word.
    #[cfg(unix)]
    #[test]
    fn a_list_that_is_no_file_is_an_error() {
        let root = tempfile::tempdir().unwrap();
        let list = root.path().join("classes.txt");
        assert!(std::process::Command::new("mkfifo").arg(&list).status().unwrap().success());
        let folders = names(&["cat", "dog"]);
        let error = Classes::Found.number(root.path(), &folders).unwrap_err().to_string();
        assert!(error.contains("it is a named pipe, and not a file"), "{error}");
        std::fs::remove_file(&list).unwrap();
        std::fs::create_dir(&list).unwrap();
        let folders = names(&["cat", "classes.txt"]);
        assert_eq!(Classes::Found.number(root.path(), &folders).unwrap(), (vec![0, 1], 2));
    }

    #[test]
    fn numbers_in_names_that_sort_otherwise_are_seen() {
        for (folders, at) in [
            (&["0", "1", "10", "2"][..], Some(2)),
            (&["n0", "n1", "n11", "n2"], Some(2)),
            (&["00", "01", "02", "10"], None),
            (&["a", "b10", "b2"], None),
            (&["cat", "dog"], None),
            (&[], None),
        ] {
            assert_eq!(out_of_order(&names(folders)), at, "{folders:?}");
        }
    }
}

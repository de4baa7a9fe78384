//! Part of a data set. Benchmarks often report the first thousand images, every twentieth, or a fixed
//! list; images keep the id that they have in the whole, so results of a part and of the whole agree
//! row by row.

use std::collections::HashSet;

use serde::{Deserialize, Serialize};

use super::{Batch, DataInfo, Dataset};
use crate::error::{Error, Result};

/// Which images to take.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Selection {
    /// The first `n`.
    First(usize),
    /// Images 0, k, 2k, ... (the smoothing literature certifies every 20th).
    Every(usize),
    /// These, in this order.
    Indices(Vec<usize>),
}

impl Selection {
    /// The indices that are meant in a data set of `len` images.
    ///
    /// # Errors
    /// If there are none, one is not below `len`, or one comes twice.
    pub fn resolve(&self, len: usize) -> Result<Vec<usize>> {
        let error =
            |field, problem: String, remedy: String| Err(Error::setting(field, problem, remedy));
        let indices = match self {
            Self::First(n) if *n > len => {
                let problem = format!("{n} images asked for, the data set has {len}");
                return error("first", problem, format!("ask for at most {len}"));
            }
            Self::First(n) => (0..*n).collect(),
            Self::Every(0) => {
                return error("every", "0 is not a step".into(), "1 takes all images".into());
            }
            Self::Every(k) => (0..len).step_by(*k).collect(),
            Self::Indices(indices) => indices.clone(),
        };
        if indices.is_empty() {
            return error("subset", "no image is selected".into(), "select at least one".into());
        }
        let mut seen = HashSet::new();
        for &index in &indices {
            if index >= len {
                let problem = format!("image {index} does not exist, the data set has {len}");
                return error("indices", problem, format!("they run from 0 to {}", len - 1));
            }
            if !seen.insert(index) {
                let problem = format!("image {index} is selected twice");
                return error(
                    "indices",
                    problem,
                    "results have one row per image: list it once".into(),
                );
            }
        }
        Ok(indices)
    }
}

/// Part of another data set, under the ids of the whole.
pub struct Subset {
    whole: Box<dyn Dataset>,
    indices: Vec<usize>,
    info: DataInfo,
}

impl Subset {
    /// The images of `whole` that `selection` names.
    ///
    /// # Errors
    /// If the selection does not fit; see [`Selection::resolve`].
    pub fn new(whole: Box<dyn Dataset>, selection: &Selection) -> Result<Self> {
        let indices = selection.resolve(whole.info().len)?;
        let info = DataInfo { len: indices.len(), ..whole.info().clone() };
        Ok(Self { whole, indices, info })
    }

    /// The first `n` images.
    ///
    /// # Errors
    /// If there are fewer, or `n` is 0.
    pub fn first(whole: Box<dyn Dataset>, n: usize) -> Result<Self> {
        Self::new(whole, &Selection::First(n))
    }

    /// Images 0, k, 2k, ...
    ///
    /// # Errors
    /// If `k` is 0.
    pub fn every(whole: Box<dyn Dataset>, k: usize) -> Result<Self> {
        Self::new(whole, &Selection::Every(k))
    }

    /// The images at `indices`, in that order.
    ///
    /// # Errors
    /// If there are none, one does not exist, or one comes twice.
    pub fn indices(whole: Box<dyn Dataset>, indices: Vec<usize>) -> Result<Self> {
        Self::new(whole, &Selection::Indices(indices))
    }
}

impl Dataset for Subset {
    fn info(&self) -> &DataInfo {
        &self.info
    }

    fn id(&self, index: usize) -> u64 {
        self.whole.id(self.indices[index])
    }

    fn read(&self, indices: &[usize]) -> Result<Batch> {
        self.info.check(indices)?;
        self.whole.read(&indices.iter().map(|&index| self.indices[index]).collect::<Vec<_>>())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn digits() -> Box<dyn Dataset> {
        crate::data::open("digits").unwrap()
    }

    #[test]
    fn ids_stay_those_of_the_whole_through_two_selections() {
        let every = Subset::every(digits(), 100).unwrap();
        assert_eq!(every.info().len, 4);
        assert_eq!(every.read(&[0, 3]).unwrap().ids, [1437, 1737]);
        let last = Subset::indices(Box::new(every), vec![3, 1]).unwrap();
        let batch = last.read(&[0, 1]).unwrap();
        assert_eq!(batch.ids, [1737, 1537]);
        let all = crate::data::open("digits:all").unwrap().read(&[1737, 1537]).unwrap();
        assert_eq!(batch.labels, all.labels);
        let both = [batch.images, all.images].map(|t| t.flatten_all().unwrap().to_vec1::<f32>());
        assert_eq!(both[0].as_ref().unwrap(), both[1].as_ref().unwrap());
        assert!(last.read(&[2]).is_err());
    }

    #[test]
    fn selections_that_do_not_fit() {
        for (selection, problem) in [
            (Selection::First(361), "first: 361 images asked for, the data set has 360"),
            (Selection::First(0), "subset: no image is selected"),
            (Selection::Every(0), "every: 0 is not a step"),
            (Selection::Indices(vec![]), "subset: no image is selected"),
            (Selection::Indices(vec![0, 360]), "indices: image 360 does not exist"),
            (Selection::Indices(vec![5, 2, 5]), "indices: image 5 is selected twice"),
        ] {
            let error = Subset::new(digits(), &selection).err().expect(problem);
            assert!(error.to_string().contains(problem), "{error}");
            assert!(error.hint().is_some());
        }
    }

    #[test]
    fn a_suite_can_spell_each() {
        #[derive(Deserialize)]
        struct Suite {
            subset: Selection,
        }
        for (text, selection) in [
            ("subset.first = 10", Selection::First(10)),
            ("subset = { every = 20 }", Selection::Every(20)),
            ("subset.indices = [3, 1]", Selection::Indices(vec![3, 1])),
        ] {
            assert_eq!(toml::from_str::<Suite>(text).unwrap().subset, selection);
        }
    }
}

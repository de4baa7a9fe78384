//! Columns: what is known of each active image, a row for each. An attack hands all of its columns to every
//! proposal, and the search drops the rows of the images that leave, from its own columns and from these.

use crate::error::{Error, Result};
use crate::rows::Rows;

/// Columns that follow the active set: a batch, a list with an element for each image, several of these as
/// a tuple, or a struct that names its own with `image_state!`.
pub trait ImageState {
    /// The first column that does not have a row for each of `images` images.
    fn misfit(&self, images: usize) -> Option<Misfit>;

    /// Drops all rows but these, which are in ascending order.
    ///
    /// # Errors
    /// If the device fails.
    fn keep(&mut self, rows: &[usize]) -> Result<()>;
}

/// A column with another number of rows than there are active images.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Misfit {
    /// Its name within the columns that were asked; empty if that is the column.
    column: String,
    rows: usize,
}

impl Misfit {
    /// Of a column of `rows` rows.
    pub fn new(rows: usize) -> Self {
        Self { column: String::new(), rows }
    }

    /// Found in the part `name` of the columns that were asked.
    #[must_use]
    pub fn within(self, name: &str) -> Self {
        let column = match self.column.as_str() {
            "" => name.to_owned(),
            inner => format!("{name}.{inner}"),
        };
        Self { column, ..self }
    }
}

/// Refuses columns that have not a row for each of `images` active images: they were left out of an earlier
/// proposal, and their rows would be taken for those of other images.
pub(super) fn check(columns: &impl ImageState, images: usize) -> Result<()> {
    let Some(Misfit { column, rows }) = columns.misfit(images) else { return Ok(()) };
    Err(Error::setting(
        format!("state of an attack, column {}", if column.is_empty() { "0" } else { &column }),
        format!("it has {rows} rows, and {images} images are active"),
        "hand every column of the attack to every proposal: the search drops the rows of broken images",
    ))
}

/// `image_state!(State { x, gradient; iteration })`: the columns of a struct, and after the semicolon its fields
/// that are none. Every field has to be named, so that none is forgotten.
macro_rules! image_state {
    ($state:ty { $($column:ident),+ $(,)? $(; $($other:ident),+ $(,)?)? }) => {
        impl $crate::attack::ImageState for $state {
            fn misfit(&self, images: usize) -> Option<$crate::attack::Misfit> {
                let Self { $($column,)+ $($($other: _,)+)? } = self;
                None$(.or_else(|| {
                    let misfit = $crate::attack::ImageState::misfit($column, images)?;
                    Some(misfit.within(stringify!($column)))
                }))+
            }

            fn keep(&mut self, rows: &[usize]) -> $crate::error::Result<()> {
                let Self { $($column,)+ $($($other: _,)+)? } = self;
                $($crate::attack::ImageState::keep($column, rows)?;)+
                Ok(())
            }
        }
    };
}
pub(in crate::attack) use image_state;

/// A batch that is left out, or one row for all, has no rows to drop.
impl ImageState for Rows {
    fn misfit(&self, images: usize) -> Option<Misfit> {
        let rows = self.given().filter(|rows| !rows.is_for_all())?.len();
        (rows != images).then(|| Misfit::new(rows))
    }

    fn keep(&mut self, rows: &[usize]) -> Result<()> {
        if !self.is_for_all() && self.given().is_some() {
            *self = self.select(rows)?;
        }
        Ok(())
    }
}

impl<T> ImageState for Vec<T> {
    fn misfit(&self, images: usize) -> Option<Misfit> {
        (self.len() != images).then(|| Misfit::new(self.len()))
    }

    fn keep(&mut self, rows: &[usize]) -> Result<()> {
        // Rows may hold much, and one image after the other leaves: they are moved.
        let (mut row, mut kept) = (0, rows.iter().peekable());
        self.retain(|_| {
            row += 1;
            kept.next_if_eq(&&(row - 1)).is_some()
        });
        Ok(())
    }
}

impl<P: ImageState> ImageState for Option<P> {
    fn misfit(&self, images: usize) -> Option<Misfit> {
        self.as_ref()?.misfit(images)
    }

    fn keep(&mut self, rows: &[usize]) -> Result<()> {
        self.as_mut().map_or(Ok(()), |columns| columns.keep(rows))
    }
}

impl<P: ImageState + ?Sized> ImageState for &mut P {
    fn misfit(&self, images: usize) -> Option<Misfit> {
        (**self).misfit(images)
    }

    fn keep(&mut self, rows: &[usize]) -> Result<()> {
        (**self).keep(rows)
    }
}

/// No columns: nothing of an attack outlives the proposal.
impl ImageState for () {
    fn misfit(&self, _: usize) -> Option<Misfit> {
        None
    }

    fn keep(&mut self, _: &[usize]) -> Result<()> {
        Ok(())
    }
}

macro_rules! tuple {
    ($($part:ident $number:tt),+) => {
        impl<$($part: ImageState),+> ImageState for ($($part,)+) {
            fn misfit(&self, images: usize) -> Option<Misfit> {
                None$(.or_else(|| Some(self.$number.misfit(images)?.within(stringify!($number)))))+
            }

            fn keep(&mut self, rows: &[usize]) -> Result<()> {
                $(self.$number.keep(rows)?;)+
                Ok(())
            }
        }
    };
}
tuple!(A 0, B 1);
tuple!(A 0, B 1, C 2);

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rows::Location;

    fn numbers(numbers: &[f32]) -> Rows {
        Rows::numbers(&Location::default(), numbers.to_vec()).unwrap()
    }

    struct Inner {
        names: Vec<&'static str>,
        nothing: Rows,
    }
    image_state!(Inner { names, nothing });

    struct State<'a> {
        steps: usize,
        x: Rows,
        targets: Option<Vec<u32>>,
        inner: &'a mut Inner,
    }
    image_state!(State<'_> { x, targets, inner; steps });

    #[test]
    fn every_column_keeps_the_rows_of_the_images_that_stay() {
        let nothing = Rows::none(&Location::default()).unwrap();
        let mut inner = Inner { names: vec!["a", "b", "c"], nothing };
        let mut losses = numbers(&[7.0, 8.0, 9.0]);
        let mut state = State {
            steps: 3,
            x: numbers(&[1.0, 2.0, 3.0]),
            targets: Some(vec![4, 5, 6]),
            inner: &mut inner,
        };
        let mut columns = (&mut state, &mut losses);
        check(&columns, 3).unwrap();
        columns.keep(&[0, 2]).unwrap();
        check(&columns, 2).unwrap();
        assert_eq!(**state.x.values().unwrap(), [1.0, 3.0]);
        assert_eq!((state.steps, state.targets), (3, Some(vec![4, 6])));
        assert_eq!(inner.names, ["a", "c"]);
        assert_eq!(**losses.values().unwrap(), [7.0, 9.0]);
    }

    #[test]
    fn a_column_of_other_length_is_refused_by_name() {
        let nothing = Rows::none(&Location::default()).unwrap();
        let mut inner = Inner { names: vec!["a", "b", "c"], nothing };
        let state = State { steps: 3, x: numbers(&[1.0, 2.0]), targets: None, inner: &mut inner };
        let error = check(&(numbers(&[0.0; 2]), state), 2).unwrap_err().to_string();
        let want = "column 1.inner.names: it has 3 rows, and 2 images are active";
        assert!(error.contains(want), "{error}");
        assert!(check(&(Some(vec![1]), ()), 0).is_err());
        assert!(check(&(None::<Rows>, ()), 5).is_ok());
    }

    /// What nobody else shares stays so: a step that changes it in place copies nothing.
    #[test]
    fn what_is_kept_is_shared_with_nothing() {
        let mut x = numbers(&[1.0, 2.0, 3.0]);
        let proposed = x.clone();
        x.keep(&[1]).unwrap();
        drop(proposed);
        // One for the batch, one for the values that are asked for here.
        assert_eq!(std::sync::Arc::strong_count(&x.values().unwrap()), 2);
    }
}

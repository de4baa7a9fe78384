//! The page of a gallery: one file that needs nothing else.

use askama::Template;
use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;

use super::{Broken, Exhibit, Gallery, Rank, Wall};
use crate::error::{Error, Result};

#[derive(Template)]
#[template(path = "gallery.html")]
struct Page<'a> {
    gallery: &'a Gallery,
}

impl Gallery {
    /// The page as text.
    ///
    /// # Errors
    /// If it cannot be made.
    pub fn page(&self) -> Result<String> {
        let failed =
            |e: askama::Error| Error::setting("gallery", e.to_string(), "report this as a bug");
        Page { gallery: self }.render().map_err(failed)
    }
}

impl Wall {
    /// `of 90 correctly classified images broken: 24`, or the numbers at each eps.
    pub fn outcome(&self) -> String {
        let counts: Vec<String> = self
            .broken
            .iter()
            .map(|Broken { budget, images }| match budget.as_str() {
                "" => format!("{images}"),
                budget => format!("{images} within {budget}"),
            })
            .collect();
        format!("of {} correctly classified images broken: {}", self.attacked, counts.join(", "))
    }

    /// The images by rank, without empty ranks.
    fn ranks(&self) -> Vec<(Rank, Vec<&Exhibit>)> {
        let of =
            |rank: Rank| self.exhibits.iter().filter(move |exhibit| exhibit.rank == rank).collect();
        let ranks = [Rank::Closest, Rank::Median, Rank::Hardest].map(|rank| (rank, of(rank)));
        ranks
            .into_iter()
            .filter(|(_, exhibits): &(_, Vec<&Exhibit>)| !exhibits.is_empty())
            .collect()
    }
}

impl Exhibit {
    /// The pictures with their captions.
    fn captioned(&self) -> [(String, String); 3] {
        let captions = [
            format!("clean: {}", self.clean),
            format!("adversarial: {}", self.adversarial),
            format!("change, ×{}", self.shown_factor()),
        ];
        let mut pictures = self.pictures.iter();
        captions.map(|caption| {
            let picture = pictures.next().map_or(String::new(), |png| BASE64_STANDARD.encode(png));
            (caption, picture)
        })
    }

    /// A whole number, or two decimals of one below 1.
    fn shown_factor(&self) -> String {
        if self.factor < 1.0 { format!("{:.2}", self.factor) } else { format!("{}", self.factor) }
    }

    /// `image 17, label 3, distance 0.0981, 40 passes, by pgd`.
    fn about(&self) -> String {
        let by = if self.by.is_empty() { String::new() } else { format!(", by {}", self.by) };
        let Self { idx, label, distance, passes, .. } = self;
        format!("image {idx}, label {label}, distance {distance}, {passes} passes{by}")
    }
}

//! Networks are ranked only over the same images, so the networks of a data set fall into parts, a board
//! for each.

use super::subject::Subject;
use crate::results::ImageSet;

/// The networks whose rows are over one set of images.
#[derive(Debug)]
pub(super) struct Part<'a> {
    /// `a`, `b`, …, if there are several parts.
    pub(super) letter: Option<String>,
    /// The images; `None` if no network was attacked to the end.
    pub(super) images: Option<ImageSet>,
    pub(super) subjects: Vec<Subject<'a>>,
}

/// The parts of a data set, the one with the most images first. Networks that no attack has finished on
/// stand in the first, without a rank.
pub(super) fn parts(subjects: Vec<Subject<'_>>) -> Vec<Part<'_>> {
    let mut parts: Vec<Part<'_>> = Vec::new();
    let mut open = Vec::new();
    for subject in subjects {
        let images = subject.image_set();
        if images.is_none() {
            open.push(subject);
            continue;
        }
        match parts.iter_mut().find(|part| part.images == images) {
            Some(part) => part.subjects.push(subject),
            None => parts.push(Part { letter: None, images, subjects: vec![subject] }),
        }
    }
    parts.sort_by(|a, b| {
        let order = |part: &Part<'_>| part.images.as_ref().map_or(0, |images| images.count);
        order(b).cmp(&order(a)).then(a.images.cmp(&b.images))
    });
    match parts.first_mut() {
        Some(first) => first.subjects.extend(open),
        None if open.is_empty() => {}
        None => parts.push(Part { letter: None, images: None, subjects: open }),
    }
    if parts.len() > 1 {
        (0..).zip(&mut parts).for_each(|(at, part)| part.letter = Some(letter(at)));
    }
    parts
}

/// `a` to `z`, then `a2` to `z2` and so on.
fn letter(at: usize) -> String {
    let letter = char::from(b'a' + (at % 26) as u8);
    match at / 26 {
        0 => letter.to_string(),
        round => format!("{letter}{}", round + 1),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn letters_do_not_run_out() {
        assert_eq!([0, 1, 25, 26, 53].map(letter), ["a", "b", "z", "a2", "b3"]);
    }
}

//! Which outcomes of two sides belong together.

use std::borrow::Cow;

use super::outcomes::Outcomes;
use crate::error::{Error, Result};
use crate::results::ImageKey;

/// One column that both sides have, on the same images.
pub(super) struct Pair<'a> {
    pub(super) title: String,
    pub(super) first: Cow<'a, Outcomes>,
    pub(super) second: Cow<'a, Outcomes>,
}

/// Matches the columns of two sides by network, job and name; networks if either side has several, jobs if
/// either has several. Also returns the names of those without a partner.
pub(super) fn pairs<'a>(
    first: &'a [Outcomes],
    second: &'a [Outcomes],
) -> Result<(Vec<Pair<'a>>, Vec<String>)> {
    let several = |of: fn(&Outcomes) -> &str| {
        [first, second].iter().any(|side| side.iter().any(|o| of(o) != of(&side[0])))
    };
    let by_model = several(|o| &o.model);
    let by_label = several(|o| &o.label);
    let same = |a: &Outcomes, b: &Outcomes| {
        a.column == b.column
            && (!by_model || a.model == b.model)
            && (!by_label || a.label == b.label)
    };
    let same_data = |a: &Outcomes, b: &Outcomes| {
        a.values.keys().any(|image| b.values.contains_key(image)) || a.values.is_empty()
    };
    let title = |o: &Outcomes| {
        let model = if by_model { format!("{}, ", o.model) } else { String::new() };
        let label = if by_label { format!("{}: ", o.label) } else { String::new() };
        format!("{model}{label}{}", o.column)
    };
    let (mut pairs, mut alone) = (Vec::new(), Vec::new());
    for a in first {
        let mut partners = second.iter().filter(|b| same(a, b)).peekable();
        let Some(other) = partners.peek().copied() else {
            alone.push(format!("{} (first only)", title(a)));
            continue;
        };
        if a.lists {
            // Each corruption by itself: of a mean over other lists nothing is known pair by pair.
            match partners.find(|b| a.values.keys().eq(b.values.keys())) {
                Some(b) => {
                    let (first, second) = (Cow::Borrowed(a), Cow::Borrowed(b));
                    pairs.push(Pair { title: title(a), first, second });
                }
                None => alone.push(format!("{} (over other corruptions or images)", title(a))),
            }
            continue;
        }
        let mut aligned = partners.map(|b| align(a, b));
        let Some((first, second)) = aligned.find(|(a, b)| same_data(a, b)) else {
            let name = |o: &Outcomes| o.data.clone().unwrap_or_else(|| "a log".into());
            let problem = match name(a) == name(other) {
                true => format!("no image of {} is on both sides", name(a)),
                false => {
                    format!("it is about {} on one side and {} on the other", name(a), name(other))
                }
            };
            return Err(Error::setting(title(a), problem, "compare runs on the same images"));
        };
        let title = title(a);
        same_images(&title, &first, &second)?;
        pairs.push(Pair { title, first, second });
    }
    for b in second.iter().filter(|b| !first.iter().any(|a| same(a, b))) {
        alone.push(format!("{} (second only)", title(b)));
    }
    if pairs.is_empty() {
        return Err(Error::setting(
            "compare",
            format!("the two have nothing in common: {}", alone.join(", ")),
            "compare jobs on the same images with the same label, or two single tables of the same threat and \
             budget",
        ));
    }
    Ok((pairs, alone))
}

fn same_images(title: &str, a: &Outcomes, b: &Outcomes) -> Result<()> {
    let refuse = |problem: String| {
        let remedy = "attack or certify the same images on both sides";
        Err(Error::setting(title, problem, remedy))
    };
    for (here, there, side) in [(a, b, "first"), (b, a, "second")] {
        let only = here.values.iter().filter(|(image, _)| !there.values.contains_key(image));
        let only: Vec<u64> = only.map(|(_, value)| value.idx).collect();
        if let Some(idx) = only.iter().min() {
            let more = only.len() - 1;
            return refuse(format!(
                "image {idx}{} of the {side} side {} not on the other",
                if more > 0 { format!(" and {more} more") } else { String::new() },
                if more > 0 { "are" } else { "is" },
            ));
        }
    }
    for (here, there) in a.values.values().zip(b.values.values()) {
        if here.label != there.label {
            return refuse(format!(
                "image {} has label {} on one side and {} on the other",
                here.idx, here.label, there.label
            ));
        }
    }
    Ok(())
}

/// Two columns with the same keys for the same images: a log knows its images by their indices only.
fn align<'a>(a: &'a Outcomes, b: &'a Outcomes) -> (Cow<'a, Outcomes>, Cow<'a, Outcomes>) {
    let by_index = |of: &Outcomes| {
        let values = of.values.values().map(|value| (ImageKey::of_index(value.idx), *value));
        Cow::Owned(Outcomes { values: values.collect(), ..of.clone() })
    };
    match (&a.data, &b.data) {
        (Some(_), None) => (by_index(a), Cow::Borrowed(b)),
        (None, Some(_)) => (Cow::Borrowed(a), by_index(b)),
        _ => (Cow::Borrowed(a), Cow::Borrowed(b)),
    }
}

//! Which outcomes of two sides belong together.

use super::outcomes::Outcomes;
use crate::error::{Error, Result};

/// One column that both sides have, on the same images.
pub(super) struct Pair<'a> {
    pub(super) title: String,
    pub(super) first: &'a Outcomes,
    pub(super) second: &'a Outcomes,
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
    let same_data = |a: &Outcomes, b: &Outcomes| match (&a.data, &b.data) {
        (Some((_, a)), Some((_, b))) => a == b,
        // A log does not say; the images and their labels will.
        _ => true,
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
        let Some(b) = partners.find(|b| same_data(a, b)) else {
            let name = |o: &Outcomes| o.data.as_ref().map_or("?".into(), |(name, _)| name.clone());
            return Err(Error::setting(
                title(a),
                format!("it is about {} on one side and {} on the other", name(a), name(other)),
                "compare runs on the same data file",
            ));
        };
        let title = title(a);
        same_images(&title, a, b)?;
        pairs.push(Pair { title, first: a, second: b });
    }
    for b in second.iter().filter(|b| !first.iter().any(|a| same(a, b))) {
        alone.push(format!("{} (second only)", title(b)));
    }
    if pairs.is_empty() {
        return Err(Error::setting(
            "compare",
            format!("the two have nothing in common: {}", alone.join(", ")),
            "compare jobs with the same label, or two single tables of the same threat and budget",
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
        let mut only = here.values.keys().filter(|idx| !there.values.contains_key(idx));
        if let Some(idx) = only.next() {
            let more = only.count();
            return refuse(format!(
                "image {idx}{} of the {side} side {} not on the other",
                if more > 0 { format!(" and {more} more") } else { String::new() },
                if more > 0 { "are" } else { "is" },
            ));
        }
    }
    for ((idx, (here, _)), (there, _)) in a.values.iter().zip(b.values.values()) {
        if here != there {
            return refuse(format!(
                "image {idx} has label {here} on one side and {there} on the other"
            ));
        }
    }
    Ok(())
}

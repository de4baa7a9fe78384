//! How numbers and names are written in every report, so that a table on the terminal and one in a
//! paper agree to the last digit.

use super::proportion::Proportion;

/// A budget: `0.1`, and `8/255` for what is no short decimal but a whole number of grey levels.
pub(crate) fn eps(eps: f64) -> String {
    // Configurations may pass through f32, which keeps seven digits.
    let short = (eps * 1e4).round() / 1e4;
    let levels = (eps * 255.0).round();
    if (eps - short).abs() <= 1e-7 * eps.abs() {
        // Adding zero takes the sign off a budget of -0.
        (short + 0.0).to_string()
    } else if levels >= 1.0 && (eps * 255.0 - levels).abs() <= 1e-5 {
        format!("{levels}/255")
    } else {
        let digits = (3 - eps.abs().log10().floor() as i32).clamp(0, 12) as usize;
        format!("{eps:.digits$}")
    }
}

/// Title of a column: label and budget, unless the label ends in the budget already.
pub(crate) fn title(label: &str, budget: Option<f64>) -> String {
    match budget {
        None => label.to_owned(),
        Some(budget) if ends_in(label, budget) => label.to_owned(),
        Some(budget) => format!("{label} {}", eps(budget)),
    }
}

fn ends_in(label: &str, budget: f64) -> bool {
    label.rsplit_once(['-', ' ', '@', '=', '_']).is_some_and(|(_, end)| {
        end == eps(budget) || end.parse::<f64>().is_ok_and(|end| eps(end) == eps(budget))
    })
}

/// A share for programs: in [0, 1], with six decimals; empty if there is none.
pub(crate) fn share(share: Option<Proportion>) -> String {
    share.map_or(String::new(), |p| number(p.rate))
}

/// A number for programs.
pub(crate) fn number(value: f64) -> String {
    format!("{value:.6}")
}

/// A radius for programs, rounded down; empty if there is none.
pub(crate) fn radius(radius: Option<f64>) -> String {
    radius.map_or(String::new(), |radius| number((radius * 1e6).floor() / 1e6))
}

/// A share in percent: one decimal, two from 1000 images on, where they mean something.
pub(crate) fn percent(p: &Proportion) -> String {
    rate(p.rate, p.total, None)
}

/// The interval of a share in percent: `88.1–93.9`, with `digits` decimals if given.
pub(crate) fn interval(p: &Proportion, digits: Option<usize>) -> String {
    format!("{}–{}", rate(p.low, p.total, digits), rate(p.high, p.total, digits))
}

fn rate(rate: f64, total: usize, digits: Option<usize>) -> String {
    fixed(100.0 * rate, digits.unwrap_or(if total >= 1000 { 2 } else { 1 }))
}

/// A number with so many decimals. What is rounded to zero has no minus sign.
pub(crate) fn fixed(x: f64, decimals: usize) -> String {
    let text = format!("{x:.decimals$}");
    match text.strip_prefix('-') {
        Some(digits) if digits.bytes().all(|b| matches!(b, b'0' | b'.')) => digits.to_owned(),
        _ => text,
    }
}

/// A difference with so many decimals and its sign. What is rounded to zero has a plus sign.
pub(crate) fn signed(x: f64, decimals: usize) -> String {
    let text = fixed(x, decimals);
    if x.is_nan() || text.starts_with('-') { text } else { format!("+{text}") }
}

/// A radius or another L2 distance that must not be overstated: three decimals, rounded down.
pub(crate) fn radius_down(radius: f64) -> String {
    // The nudge keeps 0.29 * 1000 = 289.99999999999994 at 0.290; it is below the six decimals that
    // radii are stored with.
    fixed((radius * 1e3 + 1e-9).floor() / 1e3, 3)
}

/// A mean count: `12.5`, `104`, `12 400`.
pub(crate) fn count(count: f64) -> String {
    if count < 100.0 && count.fract() > 0.0 {
        return format!("{count:.1}");
    }
    let digits = fixed(count, 0);
    let mut grouped = String::new();
    for (i, digit) in digits.chars().enumerate() {
        if i > 0 && (digits.len() - i).is_multiple_of(3) {
            // A narrow no-break space, the thousands separator of ISO 80000.
            grouped.push('\u{202f}');
        }
        grouped.push(digit);
    }
    grouped
}

/// Samples per image, and which share of them the settings would have asked for was saved.
pub(crate) fn samples(samples: f64, saved: Option<f64>) -> String {
    match saved.filter(|saved| *saved > 0.0) {
        Some(saved) => format!("{} ({:.0} % saved)", count(samples), 100.0 * saved),
        None => count(samples),
    }
}

/// Images done: all of them, or how many of how many.
pub(crate) fn done((done, images): (usize, usize)) -> String {
    if done >= images { images.to_string() } else { format!("{done}/{images}") }
}

/// The end of a figure's caption, if it shows `most` of so many networks.
pub(crate) fn only_first(most: usize, networks: usize) -> String {
    match networks > most {
        true => format!(" The first {most} of {networks} networks."),
        false => String::new(),
    }
}

/// A duration in seconds, three digits, in the unit that fits.
pub(crate) fn duration(seconds: f64) -> String {
    let digits = |value: f64| {
        let decimals = if value < 10.0 { 2 } else { usize::from(value < 100.0) };
        format!("{value:.decimals$}")
    };
    match seconds {
        s if s >= 5400.0 => format!("{} h", digits(s / 3600.0)),
        s if s >= 90.0 => format!("{} min", digits(s / 60.0)),
        s if s >= 1.0 => format!("{} s", digits(s)),
        s if s >= 1e-3 => format!("{} ms", digits(s * 1e3)),
        s if s > 0.0 => format!("{} µs", digits(s * 1e6)),
        _ => "0 s".into(),
    }
}

/// `name=value` pairs of a job's hyper-parameters.
pub(crate) fn parameters(parameters: &std::collections::BTreeMap<String, String>) -> String {
    parameters.iter().map(|(name, value)| format!("{name}={value}")).collect::<Vec<_>>().join(", ")
}

/// What stands behind a number, and is explained under the board.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub(crate) struct Marks {
    /// Attacks of the column were not run, or not to their end.
    pub(crate) incomplete: bool,
    /// It is over other images than those of its row.
    pub(crate) elsewhere: bool,
}

impl std::fmt::Display for Marks {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(if self.incomplete { "†" } else { "" })?;
        f.write_str(if self.elsewhere { "§" } else { "" })
    }
}

/// One field of a table of accuracies.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Cell {
    /// Measured, with marks that say what to know about it.
    Value(Proportion, Marks),
    /// The jobs behind it have done so many of so many images.
    Unfinished(usize, usize),
    /// No job of the model belongs to it.
    Absent,
}

impl Cell {
    /// The result of a job, of which `done` of `images` images are.
    pub(crate) fn of(result: Option<Proportion>, done: usize, images: usize) -> Self {
        match result {
            _ if done < images => Self::Unfinished(done, images),
            Some(p) => Self::Value(p, Marks::default()),
            None => Self::Absent,
        }
    }

    /// A share that was measured in full, `elsewhere` if not over the images of its row.
    pub(crate) fn measured(share: Proportion, elsewhere: bool) -> Self {
        Self::Value(share, Marks { elsewhere, ..Marks::default() })
    }

    /// The share, if it was measured in full.
    pub(crate) fn value(&self) -> Option<&Proportion> {
        match self {
            Self::Value(p, _) => Some(p),
            _ => None,
        }
    }
}

impl Cell {
    /// As it is printed, a percentage with `digits` decimals if given.
    pub(crate) fn text(&self, digits: Option<usize>) -> String {
        match self {
            Self::Value(p, marks) => format!("{}{marks}", rate(p.rate, p.total, digits)),
            Self::Unfinished(done, images) => format!("{done}/{images}"),
            Self::Absent => "–".into(),
        }
    }
}

impl std::fmt::Display for Cell {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.text(None))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn budgets() {
        for (value, text) in [
            (0.1, "0.1"),
            (1.0, "1"),
            (0.2, "0.2"),
            (8.0 / 255.0, "8/255"),
            (f64::from(8.0f32 / 255.0), "8/255"),
            (f64::from(0.1f32), "0.1"),
            (0.5 / 255.0, "0.001961"),
            (std::f64::consts::PI, "3.142"),
            (12.0, "12"),
        ] {
            assert_eq!(eps(value), text);
        }
    }

    #[test]
    fn titles_name_the_budget_once() {
        assert_eq!(title("pgd-linf", Some(0.1)), "pgd-linf 0.1");
        assert_eq!(title("pgd-linf-0.1", Some(0.1)), "pgd-linf-0.1");
        assert_eq!(title("pgd-l2-1.0", Some(1.0)), "pgd-l2-1.0");
        assert_eq!(title("pgd-8/255", Some(8.0 / 255.0)), "pgd-8/255");
        assert_eq!(title("pgd-l2", Some(2.0)), "pgd-l2 2");
        assert_eq!(title("pgd-10.1", Some(0.1)), "pgd-10.1 0.1");
        assert_eq!(title("patch-rs", None), "patch-rs");
    }

    #[test]
    fn radii_are_never_rounded_up() {
        assert_eq!(radius_down(0.2999), "0.299");
        assert_eq!(radius_down(0.29), "0.290");
        assert_eq!(radius_down(0.0), "0.000");
    }

    #[test]
    fn a_zero_has_no_minus_sign() {
        assert_eq!(radius_down(-0.0), "0.000");
        assert_eq!(radius_down(-0.001), "-0.001");
        assert_eq!(
            (eps(-0.0), count(-0.0), duration(-0.0)),
            ("0".into(), "0".into(), "0 s".into())
        );
        assert_eq!(rate(-0.0, 1000, None), "0.00");
        for (x, decimals, plain, with_sign) in [
            (0.0, 1, "0.0", "+0.0"),
            (-0.0, 1, "0.0", "+0.0"),
            (-0.04, 1, "0.0", "+0.0"),
            (-0.06, 1, "-0.1", "-0.1"),
            (0.04, 1, "0.0", "+0.0"),
            (-0.4, 0, "0", "+0"),
            (-10.0, 0, "-10", "-10"),
            (12.34, 1, "12.3", "+12.3"),
            (f64::NEG_INFINITY, 1, "-inf", "-inf"),
            (f64::INFINITY, 1, "inf", "+inf"),
            (f64::NAN, 1, "NaN", "NaN"),
        ] {
            assert_eq!((&*fixed(x, decimals), &*signed(x, decimals)), (plain, with_sign), "{x}");
        }
    }

    #[test]
    fn counts_and_durations() {
        assert_eq!(count(12.5), "12.5");
        assert_eq!(count(100.0), "100");
        assert_eq!(count(12_400.4), "12\u{202f}400");
        assert_eq!(count(1_234_567.0), "1\u{202f}234\u{202f}567");
        assert_eq!(duration(0.0312), "31.2 ms");
        assert_eq!(duration(1.5), "1.50 s");
        assert_eq!(duration(7200.0), "2.00 h");
        assert_eq!(duration(0.0), "0 s");
    }

    #[test]
    fn percents_gain_a_digit_with_a_thousand_images() {
        assert_eq!(percent(&Proportion::new(1, 3).unwrap()), "33.3");
        assert_eq!(percent(&Proportion::new(1000, 3000).unwrap()), "33.33");
    }
}

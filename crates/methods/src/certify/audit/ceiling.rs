//! The ceiling: with N votes and alpha not even an image that never changes class has a larger radius
//! than sigma Phi^-1(alpha^(1/N)). A table that goes beyond it was made with another alpha, N or sigma.

use std::cmp::Ordering;

use super::claim::Origin;
use super::printed::Printed;
use super::subject::Subject;
use super::table::AuditRow;
use super::{Check, Seen, counted, down, short, votes};

pub(super) const CHECK: Check = Check {
    name: "ceiling",
    about: "no radius is above what N, alpha and sigma allow",
    run: check,
};

fn check(subject: &Subject) -> Vec<Seen> {
    let (claim, theory) = (&subject.claim, &subject.theory);
    let certified = subject.certified().count();
    if theory.ceiling(claim.n, claim.alpha).is_none() {
        let Some(need) = Need::of(subject.certified()) else { return vec![] };
        return vec![Seen::contradiction(format!(
            "N {}{} and alpha {} certify nothing, but {} a certificate. What would fit: {}",
            claim.n,
            assumed(subject),
            claim.alpha,
            counted(certified, "row has", "rows have"),
            fits(subject, &need, claim.n, None),
        ))];
    }
    let ceiling_of = |n: u64| theory.ceiling(n, claim.alpha).unwrap_or(0.0);
    let above = |row: &&AuditRow| {
        let (n, low) = (subject.n(row), row.radius.low);
        low > ceiling_of(n) * (1.0 + 1e-9) && !theory.allows(n, claim.alpha, low)
    };
    let count = subject.certified().filter(above).count();
    let worst = subject.certified().filter(above).max_by(|a, b| by_low(a, b));
    let Some(n) = worst.map(|row| subject.n(row)) else { return vec![] };
    // Rows that stopped early have ceilings of their own. The message is about those of one N.
    let alike = subject.certified().filter(above).filter(|row| subject.n(row) == n);
    let Some(need) = Need::of(alike) else { return vec![] };
    let ceiling = ceiling_of(n);
    let sigmas = |radius: f64| match claim.family.has_sigma() && claim.norm == "L2" {
        true => format!(" ({:.3} sigma)", radius / claim.sigma),
        false => String::new(),
    };
    let settings = match claim.family.has_sigma() {
        true => format!(", alpha {} and sigma {}", claim.alpha, claim.sigma),
        false => format!(" and alpha {}", claim.alpha),
    };
    vec![Seen::contradiction(format!(
        "{}, {}{}, does not fit N {n}{}{settings}, which allow {}{}; {count} of {certified} radii are too \
         large. What would fit: {}",
        if need.largest < subject.largest() { "a radius" } else { "the largest radius" },
        need.largest,
        sigmas(need.largest),
        assumed(subject),
        down(ceiling),
        sigmas(ceiling),
        fits(subject, &need, n, Some(ceiling)),
    ))]
}

/// The smallest N that allows every radius of the table; `None` if there is none or no certificate.
pub(super) fn smallest_n(subject: &Subject) -> Option<u64> {
    let need = Need::of(subject.certified())?;
    subject.theory.n_for(need.low, subject.claim.alpha)
}

/// What radii ask of a ceiling, however they were rounded.
struct Need {
    /// The largest of them, as it is printed.
    largest: f64,
    /// A ceiling below this one does not allow all of them. It need not belong to `largest`: with three
    /// digits 0.999 is at least 0.9985, and 1.00 at least 0.995.
    low: f64,
    /// No radius is larger.
    high: f64,
}

impl Need {
    /// What `rows` ask; `None` if there is no row.
    fn of<'a>(rows: impl Iterator<Item = &'a AuditRow>) -> Option<Self> {
        rows.map(|row| row.radius).fold(None, |need, Printed { value, low, high }| {
            let before = need.unwrap_or(Self { largest: value, low, high });
            Some(Self {
                largest: before.largest.max(value),
                low: before.low.max(low),
                high: before.high.max(high),
            })
        })
    }
}

fn by_low(a: &AuditRow, b: &AuditRow) -> Ordering {
    a.radius.low.total_cmp(&b.radius.low)
}

/// Says of an N that nobody claims it.
fn assumed(subject: &Subject) -> &'static str {
    match subject.claim.origins.n {
        Origin::Usual => " (assumed)",
        _ => "",
    }
}

/// The alpha, the N and the sigma, one at a time, under which `need` would be met.
fn fits(subject: &Subject, need: &Need, n: u64, ceiling: Option<f64>) -> String {
    let (claim, theory) = (&subject.claim, &subject.theory);
    let mut fits = Vec::new();
    if let Some(alpha) = theory.alpha_for(need.low, n) {
        let most = theory.alpha_for(need.high, n).unwrap_or(0.5);
        let inside = within(alpha, most);
        fits.push(match round_number(alpha, most) {
            Some(round) => {
                let (whole, certified) =
                    (votes::whole(subject, round), subject.certified().count());
                format!(
                    "alpha {} ({} to {}; {whole} of {certified} radii are whole numbers of votes \
                     under it)",
                    short(round),
                    inside[0],
                    inside[1]
                )
            }
            None => format!("alpha {} to {}", inside[0], inside[1]),
        });
    }
    if let Some(n) = theory.n_for(need.low, claim.alpha) {
        fits.push(format!("N {n}"));
    }
    // No sigma makes a certificate of votes that prove nothing.
    if let Some(ceiling) = ceiling.filter(|_| claim.family.has_sigma()) {
        fits.push(format!("sigma {}", rounded(claim.sigma * need.low / ceiling, 3, f64::ceil)));
    }
    match fits.is_empty() {
        true => "no other alpha and no other N".to_owned(),
        false => fits.join(", or "),
    }
}

/// The roundest number between two: the one of fewest digits.
fn round_number(low: f64, high: f64) -> Option<f64> {
    for mantissas in [&[1.0][..], &[5.0], &[2.0], &[2.5], &[3.0, 4.0, 6.0, 7.0, 8.0, 9.0]] {
        for exponent in -15..0 {
            for mantissa in mantissas {
                let number = format!("{mantissa}e{exponent}").parse().unwrap_or(0.0);
                if low <= number && number <= high {
                    return Some(number);
                }
            }
        }
    }
    None
}

/// `x` in so many significant digits, of which `round` makes the last one.
fn rounded(x: f64, digits: i32, round: fn(f64) -> f64) -> String {
    if !x.is_normal() {
        return short(x);
    }
    let exponent = digits - 1 - x.abs().log10().floor() as i32;
    let scaled = x * 10_f64.powi(exponent);
    // What has no more digits is not moved by the rounding of the product.
    let whole = if (scaled - scaled.round()).abs() < 1e-9 * scaled {
        scaled.round()
    } else {
        round(scaled)
    };
    format!("{whole}e{}", -exponent).parse().map_or_else(|_| short(x), short)
}

/// Both ends of a range in the fewest digits, at least three, in which they do not leave it.
fn within(low: f64, high: f64) -> [String; 2] {
    let ends = |digits| [rounded(low, digits, f64::ceil), rounded(high, digits, f64::floor)];
    let inside = |ends: &[String; 2]| {
        let [low, high] = ends.each_ref().map(|end| end.parse::<f64>().unwrap_or(0.0));
        low <= high
    };
    (3..6).map(ends).find(inside).unwrap_or_else(|| [short(low), short(high)])
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;

    use super::super::Given;
    use super::*;

    #[test]
    fn round_numbers() {
        for (low, high, round) in [
            (0.0099, 0.0111, Some(0.01)),
            (0.0004, 0.0006, Some(0.0005)),
            (0.024, 0.026, Some(0.025)),
            (0.0712, 0.0713, None),
        ] {
            assert_eq!(round_number(low, high), round, "{low}");
        }
    }

    #[test]
    fn what_is_said_to_fit_does() {
        for (x, up, down) in
            [(0.009_912, "0.00992", "0.00991"), (0.01, "0.01", "0.01"), (123.4, "124", "123")]
        {
            assert_eq!(
                (rounded(x, 3, f64::ceil), rounded(x, 3, f64::floor)),
                (up.into(), down.into())
            );
        }
        assert_eq!(within(0.009_912, 0.011_19), ["0.00992", "0.0111"]);
        // Three digits have no number in between.
        assert_eq!(within(0.071_212, 0.071_238), ["0.07122", "0.07123"]);
        // The alpha and the sigma that are named allow every radius, and what is a digit less does not.
        let given = |alpha, sigma| Given {
            n: Some(100_000),
            alpha: Some(alpha),
            sigma,
            ..Given::default()
        };
        let radii = &["0.978", "0.5"][..];
        let seen = audited(radii, given(0.001, None)).0.unwrap();
        let ways = seen.split_once("What would fit: ").unwrap().1;
        let number = |start: &str| -> f64 {
            let rest = ways.split_once(start).unwrap().1;
            let end = rest.find(|c: char| c != '.' && !c.is_ascii_digit()).unwrap_or(rest.len());
            rest[..end].parse().unwrap()
        };
        let (low, sigma) = (number("("), number("sigma "));
        assert_eq!(audited(radii, given(low, None)).0, None, "{seen}");
        assert!(audited(radii, given(low * 0.98, None)).0.is_some(), "{seen}");
        assert_eq!(audited(radii, given(0.001, Some(sigma))).0, None, "{seen}");
        assert!(audited(radii, given(0.001, Some(sigma - 0.001))).0.is_some(), "{seen}");
    }

    /// The finding of the ceiling, and the smallest N, of a log of sigma 0.25 with these radii.
    fn audited(radii: &[&str], given: Given) -> (Option<String>, Option<u64>, String) {
        let mut text = "idx\tlabel\tpredict\tradius\tcorrect\ttime\n".to_owned();
        for (image, radius) in radii.iter().enumerate() {
            text += &format!("{image}\t1\t1\t{radius}\t1\t1.0\n");
        }
        let mut file = tempfile::Builder::new().prefix("sigma_0.25-").tempfile().unwrap();
        file.write_all(text.as_bytes()).unwrap();
        let audit = super::super::audit(file.path(), &given, None, &[], false).unwrap();
        let found = audit.findings.iter().find(|f| f.check == "ceiling").map(|f| f.seen.clone());
        (found, audit.smallest_n, audit.to_string())
    }

    #[test]
    fn the_smallest_n_that_fits_is_named() {
        // N = ln(alpha) / ln(Phi(radius / sigma)), rounded up, where the radius is the least that is printed
        // like the largest one. The numbers are from Python's math.erfc and math.log1p.
        for (radii, claimed, n) in [
            // 0.978 is at least 0.9775.
            (&["0.978", "0.5"][..], Some(100_000), 149_684),
            (&["0.978", "0.5"], None, 149_684),
            // 0.999 is at least 0.9985, and 1.00 only at least 0.995, which N 200 468 allows.
            (&["0.999", "1.00"], Some(100_000), 212_648),
            (&["1.00", "0.995"], Some(100_000), 200_468),
            // Nine votes certify nothing.
            (&["0.0501", "0.0500"], Some(9), 13),
            // Of another program, in full precision.
            (&["0.9528641408474784"], Some(10_000), 100_000),
        ] {
            let given = |n| Given { n, alpha: Some(0.001), ..Given::default() };
            let (seen, smallest, _) = audited(radii, given(claimed));
            let seen = seen.unwrap();
            let ways = seen.split_once("What would fit: ").unwrap().1.split(", ");
            let named = format!("N {n}");
            let mut ways = ways.map(|way| way.trim_start_matches("or "));
            assert!(ways.any(|way| way == named), "{n}: {seen}");
            assert_eq!(seen.contains("(assumed)"), claimed.is_none(), "{seen}");
            assert_eq!(smallest, Some(n), "{seen}");
            // What is named does fit, and one vote less does not.
            assert_eq!(audited(radii, given(Some(n))).0, None, "{n}");
            assert!(audited(radii, given(Some(n - 1))).0.is_some(), "{n}");
        }
    }

    #[test]
    fn an_assumed_n_is_compared_with_the_smallest_that_fits() {
        let sentence =
            "N 100000 is only assumed; the smallest N that allows the largest radius is 99413";
        let (seen, smallest, text) = audited(&["0.953", "0.5"], Given::default());
        assert_eq!((seen, smallest), (None, Some(99_413)));
        assert!(text.contains(sentence), "{text}");
        let claimed = Given { n: Some(100_000), ..Given::default() };
        assert!(!audited(&["0.953", "0.5"], claimed).2.contains("assumed;"));
        // No N is large enough for ten sigma.
        let (seen, smallest, _) = audited(&["2.5"], Given::default());
        let seen = seen.unwrap();
        assert_eq!(smallest, None);
        assert!(
            !seen.contains("or N") && !seen.contains("fit: N") && seen.contains("sigma"),
            "{seen}"
        );
    }
}

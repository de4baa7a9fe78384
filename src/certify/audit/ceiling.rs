//! The ceiling: with N votes and alpha not even an image that never changes class has a larger radius
//! than sigma Phi^-1(alpha^(1/N)). A table that goes beyond it was made with another alpha, N or sigma.

use super::subject::Subject;
use super::{Check, Seen, down, short, votes};

pub(super) const CHECK: Check = Check {
    name: "ceiling",
    about: "no radius is above what N, alpha and sigma allow",
    run: check,
};

fn check(subject: &Subject) -> Vec<Seen> {
    let claim = &subject.claim;
    let certified = subject.certified().count();
    let Some(ceiling) = subject.theory.ceiling(claim.n, claim.alpha) else {
        return match certified {
            0 => vec![],
            count => vec![Seen::contradiction(format!(
                "N {} and alpha {} certify nothing, but {count} rows have a certificate",
                claim.n, claim.alpha
            ))],
        };
    };
    let above = |row: &&super::table::Row| {
        let ceiling = subject.theory.ceiling(subject.n(row), claim.alpha).unwrap_or(0.0);
        row.radius.low > ceiling * (1.0 + 1e-9)
    };
    let count = subject.certified().filter(above).count();
    let Some(top) = subject
        .certified()
        .filter(above)
        .map(|row| row.radius)
        .max_by(|a, b| a.value.total_cmp(&b.value))
    else {
        return vec![];
    };
    let sigmas = |radius: f64| match claim.family.has_sigma() && claim.norm == "L2" {
        true => format!(" ({:.3} sigma)", radius / claim.sigma),
        false => String::new(),
    };
    let mut fits = Vec::new();
    if let Some(alpha) = subject.theory.alpha_for(top.low, claim.n) {
        let most = subject.theory.alpha_for(top.high, claim.n).unwrap_or(0.5);
        fits.push(match round_number(alpha, most) {
            Some(round) => {
                let whole = votes::whole(subject, round);
                format!(
                    "alpha {} ({} to {}; {whole} of {certified} radii are whole numbers of votes \
                     under it)",
                    short(round),
                    digits(alpha),
                    digits(most)
                )
            }
            None => format!("alpha {} to {}", digits(alpha), digits(most)),
        });
    }
    if let Some(n) = subject.theory.n_for(top.low, claim.alpha) {
        fits.push(format!("N {n}"));
    }
    if claim.family.has_sigma() {
        fits.push(format!("sigma {}", digits(claim.sigma * top.low / ceiling)));
    }
    vec![Seen::contradiction(format!(
        "the largest radius, {}{}, does not fit N {}, alpha {} and sigma {}, which allow {}{}; {count} of \
         {certified} radii are too large. What would fit: {}",
        top.value,
        sigmas(top.value),
        claim.n,
        claim.alpha,
        claim.sigma,
        down(ceiling),
        sigmas(ceiling),
        fits.join(", or "),
    ))]
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

/// Three significant digits.
fn digits(x: f64) -> String {
    short(format!("{x:.2e}").parse().unwrap_or(x))
}

#[cfg(test)]
mod tests {
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
}

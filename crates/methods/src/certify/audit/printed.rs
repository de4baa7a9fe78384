//! A radius as a table prints it stands for an interval. Published logs hold three significant digits,
//! rounded to nearest, so a printed 0.953 may have been 0.95286; ours hold six decimals, rounded down.

/// A printed radius and the numbers that it may stand for.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Printed {
    /// As printed.
    pub(super) value: f64,
    /// Nothing smaller is printed like that.
    pub(super) low: f64,
    /// Nothing larger is.
    pub(super) high: f64,
}

/// How a table prints its radii.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum Precision {
    /// Printed with this number of decimals, rounded down.
    Down(i32),
    /// At most so many significant digits and so many decimals; the direction is not known.
    Digits { significant: i32, decimals: i32 },
}

impl Precision {
    /// What the printed radii show. A table that prints three significant digits shows it by having no
    /// radius with more; the coarser of the two readings is taken for every radius.
    pub(super) fn of<'a>(texts: impl Iterator<Item = &'a str>) -> Self {
        let (mut significant, mut decimals) = (1, 0);
        for text in texts {
            let (s, d) = digits(text);
            significant = significant.max(s);
            decimals = decimals.max(d);
        }
        Self::Digits { significant, decimals }
    }

    /// The radius printed as `value`, which is finite and at least 0.
    pub(super) fn read(self, value: f64) -> Printed {
        match self {
            Self::Down(decimals) => {
                Printed { value, low: value, high: value + 10f64.powi(-decimals) }
            }
            Self::Digits { significant, decimals } => {
                let mut unit = 10f64.powi(-decimals);
                if value > 0.0 {
                    unit = unit.max(10f64.powi(exponent(value) + 1 - significant));
                }
                Printed { value, low: (value - 0.5 * unit).max(0.0), high: value + unit }
            }
        }
    }
}

/// The decimal exponent of a positive number: 0 for 1 to 9.99.
fn exponent(x: f64) -> i32 {
    // The formatter is exact at powers of ten, where a logarithm may not be.
    let text = format!("{x:e}");
    text.split_once('e').and_then(|(_, e)| e.parse().ok()).unwrap_or(0)
}

/// Significant digits and decimals of a number's text.
fn digits(text: &str) -> (i32, i32) {
    let (mantissa, exponent) = text.split_once(['e', 'E']).unwrap_or((text, "0"));
    let fraction = mantissa.split_once('.').map_or(0, |(_, fraction)| fraction.len() as i32);
    let all: String = mantissa.chars().filter(char::is_ascii_digit).collect();
    let significant = all.trim_start_matches('0').len() as i32;
    (significant, fraction.saturating_sub(exponent.parse().unwrap_or(0)).max(0))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn digits_are_counted() {
        for (text, expected) in [
            ("0.953", (3, 3)),
            ("1.91", (3, 2)),
            ("0.0", (0, 1)),
            ("2.68e-05", (3, 7)),
            ("0.0356", (3, 4)),
            ("3", (1, 0)),
            ("10", (2, 0)),
            ("1e2", (1, 0)),
            ("1e-2147483648", (1, i32::MAX)),
        ] {
            assert_eq!(digits(text), expected, "{text}");
        }
    }

    #[test]
    fn three_digits_stand_for_an_interval_around_them() {
        let precision = Precision::of(["0.0", "0.953", "2.68e-05"].into_iter());
        assert_eq!(precision, Precision::Digits { significant: 3, decimals: 7 });
        for (value, low, high) in
            [(0.953, 0.9525, 0.954), (1.91, 1.905, 1.92), (0.0, 0.0, 1e-7), (0.01, 0.00995, 0.0101)]
        {
            let printed = precision.read(value);
            assert!((printed.low - low).abs() < 1e-15, "{printed:?}");
            assert!((printed.high - high).abs() < 1e-15, "{printed:?}");
        }
    }

    #[test]
    fn ours_were_rounded_down() {
        let printed = Precision::Down(6).read(0.25);
        assert_eq!((printed.low, printed.high), (0.25, 0.25 + 1e-6));
    }
}

//! Figures of shares: their lines and how these look. `drawing.rs` draws them, for the page and for print.

use kuva::plot::line::LineStyle;
use kuva::plot::scatter::MarkerShape;

use super::proportion::Proportion;

/// Line colours on a light page; the page's style sheet brightens them on a dark one.
const ON_PAGE: [&str; 6] = ["#0b6bcb", "#c2410c", "#0f7b4f", "#7c3aed", "#b0186f", "#6b5b00"];

/// Line colours in print: each has another lightness, so that they differ in grey too.
const IN_PRINT: [&str; 6] = ["#000000", "#1f3fae", "#c2410c", "#5ba300", "#9566dd", "#e0a100"];

/// A figure of the report.
#[derive(Debug, Clone)]
pub(crate) struct Figure {
    /// What it is called among the figures of a board, fit for the name of a file.
    pub(crate) name: String,
    /// What it shows, in a line.
    pub(crate) caption: String,
    pub(super) series: Vec<Series>,
    pub(super) x_label: String,
    pub(super) x_max: f64,
    /// The x axis is logarithmic, from 1 on.
    pub(super) log: bool,
}

/// One line of a figure.
#[derive(Debug, Clone)]
pub(crate) struct Series {
    pub(crate) name: String,
    pub(crate) look: Look,
    /// (x, share).
    pub(crate) points: Vec<(f64, f64)>,
    /// Interval of the share at each point.
    pub(crate) interval: Interval,
}

/// How the interval around a line is drawn.
#[derive(Debug, Clone)]
pub(crate) enum Interval {
    /// Bars at marked points.
    Bars(Vec<(f64, f64)>),
    /// A band around a curve.
    Band(Vec<(f64, f64)>),
}

/// How a line is drawn. Colour, dashes and marker all differ, for readers of grey prints.
#[derive(Debug, Clone)]
pub(crate) struct Look {
    /// Number of the colour.
    colour: usize,
    pub(super) style: LineStyle,
    pub(super) marker: MarkerShape,
}

impl Look {
    /// Of the network number `network`, dashed as number `dashes`.
    pub(crate) fn new(network: usize, dashes: usize) -> Self {
        Self {
            colour: network % ON_PAGE.len(),
            style: match dashes % 4 {
                0 => LineStyle::Solid,
                1 => LineStyle::Custom("7 3".into()),
                2 => LineStyle::Custom("2 3".into()),
                _ => LineStyle::Custom("8 3 2 3".into()),
            },
            marker: match dashes % 4 {
                0 => MarkerShape::Circle,
                1 => MarkerShape::Square,
                2 => MarkerShape::Triangle,
                _ => MarkerShape::Diamond,
            },
        }
    }

    /// The same, with its own marker, but not dashed.
    pub(crate) fn solid(self) -> Self {
        Self { style: LineStyle::Solid, ..self }
    }

    /// The colour on the page: a variable of its style sheet, with the colour of a light page.
    pub(super) fn on_page(&self) -> String {
        format!("var(--series-{}, {})", self.colour + 1, ON_PAGE[self.colour])
    }

    /// The colour in print.
    pub(super) fn in_print(&self) -> String {
        IN_PRINT[self.colour].into()
    }
}

impl Figure {
    /// Shares against x; `None` without a line to draw, or one that leaves every scale.
    pub(crate) fn new(
        name: &str,
        caption: String,
        series: Vec<Series>,
        x_label: &str,
    ) -> Option<Self> {
        let x_max = series.iter().flat_map(|s| &s.points).map(|p| p.0).fold(0.0, f64::max);
        // Beyond these the distance of ticks would be 0 or infinite, and their number without end.
        if !(1e-12..1e12).contains(&x_max) {
            return None;
        }
        let (name, x_label) = (file_name(name), x_label.to_owned());
        Some(Self { name, caption, series, x_label, x_max, log: false })
    }

    /// The same against x from 1 on, on a logarithmic scale.
    pub(crate) fn over_decades(
        name: &str,
        caption: String,
        series: Vec<Series>,
        x_label: &str,
    ) -> Option<Self> {
        Some(Self { log: true, ..Self::new(name, caption, series, x_label)? })
    }
}

/// `text` in lower case, with a hyphen for whatever a file had better not be called: `security-linf`.
pub(crate) fn file_name(text: &str) -> String {
    let plain = |c: char| if c.is_alphanumeric() || c == '.' { c } else { ' ' };
    let text: String = text.to_lowercase().chars().map(plain).collect();
    text.split_whitespace().collect::<Vec<_>>().join("-")
}

/// A line through marked points.
pub(crate) fn marked(name: &str, look: Look, shares: &[(f64, Proportion)]) -> Series {
    Series {
        name: name.into(),
        look,
        points: shares.iter().map(|(x, p)| (*x, p.rate)).collect(),
        interval: Interval::Bars(shares.iter().map(|(_, p)| (p.low, p.high)).collect()),
    }
}

/// A nameless line through the corners of a curve of shares of `images` that falls right after each radius,
/// in a band of Wilson intervals.
pub(crate) fn steps(curve: &[(f64, f64)], images: usize) -> Series {
    let mut points: Vec<(f64, f64)> = Vec::new();
    for (radius, share) in curve {
        if let Some((_, before)) = points.last().copied() {
            points.push((*radius, before));
        }
        points.push((*radius, *share));
    }
    let interval = |(_, share): &(f64, f64)| {
        let count = (share * images as f64).round() as usize;
        Proportion::new(count, images).map_or((0.0, 1.0), |p| (p.low, p.high))
    };
    let interval = Interval::Band(points.iter().map(interval).collect());
    Series { name: String::new(), look: Look::new(0, 0), points, interval }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn figures_are_named_as_files_may_be() {
        assert_eq!(file_name("passes, APGD/t (Linf <= 8/255)"), "passes-apgd-t-linf-8-255");
    }

    /// Relative luminance of a colour, in [0, 1] (ITU-R BT.709).
    fn luminance(colour: &str) -> f64 {
        let part =
            |at: usize| f64::from(u8::from_str_radix(&colour[at..at + 2], 16).unwrap()) / 255.0;
        0.2126 * part(1).powf(2.2) + 0.7152 * part(3).powf(2.2) + 0.0722 * part(5).powf(2.2)
    }

    #[test]
    fn colours_in_print_differ_in_grey_and_show_on_white() {
        let mut lightness: Vec<f64> =
            IN_PRINT.iter().map(|c| luminance(c).powf(1.0 / 2.2)).collect();
        lightness.sort_by(f64::total_cmp);
        assert!(lightness.windows(2).all(|two| two[1] - two[0] > 0.04), "{lightness:?}");
        assert!(lightness[5] < 0.75, "{lightness:?}");
    }

    #[test]
    fn steps_fall_after_the_radius_and_bands_lie_around_them() {
        let line = steps(&[(0.0, 0.9), (0.5, 0.4), (0.8, 0.0)], 10);
        assert_eq!(line.points, [(0.0, 0.9), (0.5, 0.9), (0.5, 0.4), (0.8, 0.4), (0.8, 0.0)]);
        let Interval::Band(band) = line.interval else { panic!() };
        for ((_, share), (low, high)) in line.points.iter().zip(&band) {
            assert!(low <= share && share <= high && high - low > 0.1, "{share}: {low} {high}");
        }
        assert_eq!(band[1], band[0]);
        assert_eq!(band[2], Proportion::new(4, 10).map(|p| (p.low, p.high)).unwrap());
    }
}

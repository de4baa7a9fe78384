//! Drawing lines of shares: what every figure has in common.

use std::sync::Arc;

use kuva::TickFormat;
use kuva::backend::svg::SvgBackend;
use kuva::plot::band::BandPlot;
use kuva::plot::line::{LinePlot, LineStyle};
use kuva::plot::scatter::{MarkerShape, ScatterPlot};
use kuva::render::layout::Layout;
use kuva::render::plots::Plot;
use kuva::render::render::render_multiple;
use kuva::render::theme::Theme;

use super::proportion::Proportion;

/// Line colours on a light page; the page's style sheet brightens them on a dark one.
const COLOURS: [&str; 6] = ["#0b6bcb", "#c2410c", "#0f7b4f", "#7c3aed", "#b0186f", "#6b5b00"];

/// A figure of the report.
#[derive(Debug, Clone)]
pub(crate) struct Figure {
    /// What it shows, in a line.
    pub(crate) caption: String,
    /// The drawing, without width and height: it fills its place in the page.
    pub(crate) svg: String,
    /// Its lines: a small drawing of each, and its name.
    pub(crate) key: Vec<(String, String)>,
}

/// One line of a figure.
pub(crate) struct Series {
    pub(crate) name: String,
    pub(crate) look: Look,
    /// (x, share).
    pub(crate) points: Vec<(f64, f64)>,
    /// Interval of the share at each point.
    pub(crate) interval: Interval,
}

/// How the interval around a line is drawn.
pub(crate) enum Interval {
    /// Bars at marked points.
    Bars(Vec<(f64, f64)>),
    /// A band around a curve.
    Band(Vec<(f64, f64)>),
}

/// How a line is drawn. Colour, dashes and marker all differ, for readers of grey prints.
#[derive(Clone)]
pub(crate) struct Look {
    colour: String,
    style: LineStyle,
    marker: MarkerShape,
}

impl Look {
    /// Of the network number `network`, dashed as number `dashes`.
    pub(crate) fn new(network: usize, dashes: usize) -> Self {
        let colour = network % COLOURS.len();
        Self {
            colour: format!("var(--series-{}, {})", colour + 1, COLOURS[colour]),
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

    /// A short piece of the line.
    fn swatch(&self, marked: bool) -> String {
        let colour = &self.colour;
        let dashes = self.style.dasharray().unwrap_or("none".into());
        let marker = match self.marker {
            _ if !marked => "",
            MarkerShape::Circle => "M13 6a4 4 0 1 0 8 0a4 4 0 1 0 -8 0z",
            MarkerShape::Square => "M13.5 2.5h7v7h-7z",
            MarkerShape::Triangle => "M17 1.5l4.3 8h-8.6z",
            _ => "M17 1l5 5l-5 5l-5 -5z",
        };
        format!(
            "<svg viewBox=\"0 0 34 12\" width=\"34\" height=\"12\" aria-hidden=\"true\">\
             <path d=\"M0 6h34\" stroke=\"{colour}\" stroke-width=\"2\" stroke-dasharray=\"{dashes}\" />\
             <path d=\"{marker}\" fill=\"{colour}\" /></svg>"
        )
    }
}

impl Figure {
    /// Draws shares against x; `None` without a line to draw, or one that leaves every scale.
    pub(crate) fn new(caption: String, series: Vec<Series>, x_label: &str) -> Option<Self> {
        Self::drawn(caption, series, x_label, false)
    }

    /// The same against x from 1 on, on a logarithmic scale.
    pub(crate) fn over_decades(
        caption: String,
        series: Vec<Series>,
        x_label: &str,
    ) -> Option<Self> {
        Self::drawn(caption, series, x_label, true)
    }

    fn drawn(caption: String, series: Vec<Series>, x_label: &str, log: bool) -> Option<Self> {
        let x_max = series.iter().flat_map(|s| &s.points).map(|p| p.0).fold(0.0, f64::max);
        // Beyond these the distance of ticks would be 0 or infinite, and their number without end.
        if !(1e-12..1e12).contains(&x_max) {
            return None;
        }
        let key = series
            .iter()
            .map(|line| {
                (line.look.swatch(matches!(line.interval, Interval::Bars(_))), line.name.clone())
            })
            .collect();
        Some(Self { caption, svg: draw(series, x_label, (x_max, log)), key })
    }
}

/// Numbers the drawings of a page. kuva counts clip paths over the life of the process; ids must be
/// unique in the page and the same whenever the page is written again.
pub(crate) fn number<'a>(figures: impl IntoIterator<Item = &'a mut Figure>) {
    const PREFIX: &str = "kuva-clip-";
    for (number, figure) in (1..).zip(figures) {
        let mut parts = figure.svg.split(PREFIX);
        let mut svg = parts.next().unwrap_or_default().to_owned();
        for part in parts {
            svg += &format!("figure-{number}");
            svg += part.trim_start_matches(|c: char| c.is_ascii_digit());
        }
        figure.svg = svg;
    }
}

fn draw(series: Vec<Series>, x_label: &str, (x_max, log): (f64, bool)) -> String {
    // Markers need room around them; a curve without markers starts at the axis.
    let marked = |line: &Series| matches!(line.interval, Interval::Bars(_));
    let margin = if series.iter().any(marked) { 0.035 } else { 0.0 };
    let mut plots: Vec<Plot> = Vec::new();
    // Bands lie under all lines.
    for line in &series {
        if let Interval::Band(interval) = &line.interval {
            let x = line.points.iter().map(|(x, _)| *x);
            let (low, high) = (interval.iter().map(|i| i.0), interval.iter().map(|i| i.1));
            let band = BandPlot::new(x, low, high).with_color(line.look.colour.clone());
            plots.push(Plot::Band(band.with_opacity(0.14)));
        }
    }
    for line in series {
        let Look { colour, style, marker } = line.look;
        let points = line.points.iter().copied();
        let mut plot = LinePlot::new()
            .with_data(points.clone())
            .with_color(colour.clone())
            .with_stroke_width(1.8)
            .with_line_style(style);
        if let Interval::Bars(interval) = &line.interval {
            let arms =
                line.points.iter().zip(interval).map(|((_, p), (low, high))| (p - low, high - p));
            plot = plot.with_y_err_asymmetric(arms);
            let scatter = ScatterPlot::new().with_data(points).with_color(colour).with_size(4.0);
            plots.push(scatter.with_marker(marker).into());
        }
        plots.push(plot.into());
    }
    let layout = Layout::auto_from_plots(&plots)
        .with_width(400.0)
        .with_height(290.0)
        .with_theme(theme())
        .with_x_label(x_label)
        .with_y_axis_min(-margin)
        .with_y_axis_max(1.0 + margin)
        .with_y_tick_step(0.2)
        .with_y_tick_format(TickFormat::Custom(Arc::new(|y| format!("{:.0} %", 100.0 * y))))
        .with_label_size(13)
        .with_tick_size(12);
    let layout = match log {
        true => layout.with_log_x().with_x_axis_min(1.0).with_x_axis_max(x_max.max(10.0)),
        false => layout
            .with_x_axis_min(-margin * x_max)
            .with_x_axis_max(1.035 * x_max)
            .with_x_tick_step(tick_step(x_max)),
    };
    fluid(&SvgBackend::new().render_scene(&render_multiple(plots, layout)))
}

/// A round distance between about five ticks.
fn tick_step(range: f64) -> f64 {
    let rough = range / 5.0;
    let power = 10f64.powf(rough.log10().floor());
    let digit = [1.0, 2.0, 2.5, 5.0].into_iter().find(|d| d * power >= rough * 0.999);
    digit.unwrap_or(10.0) * power
}

fn theme() -> Theme {
    let ink = || "var(--figure-ink, #333)".to_owned();
    Theme {
        background: "none".into(),
        axis_color: ink(),
        grid_color: "var(--figure-grid, #ddd)".into(),
        tick_color: ink(),
        text_color: ink(),
        legend_bg: "none".into(),
        legend_border: "none".into(),
        font_family: Some("system-ui, sans-serif".into()),
        ..Theme::light()
    }
}

/// Lets the drawing scale: its width and height become its coordinate system.
fn fluid(svg: &str) -> String {
    let attribute = |name: &str| {
        let rest = svg.split_once(&format!(" {name}=\""))?.1;
        rest.split_once('"').map(|(value, _)| value)
    };
    match (attribute("width"), attribute("height")) {
        (Some(width), Some(height)) => svg.replacen(
            &format!("width=\"{width}\" height=\"{height}\""),
            &format!("viewBox=\"0 0 {width} {height}\" role=\"img\""),
            1,
        ),
        _ => svg.to_owned(),
    }
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
    fn ticks_are_round() {
        for (range, step) in [(1.0, 0.2), (0.2, 0.05), (8.0 / 255.0, 0.01), (3.0, 1.0), (0.75, 0.2)]
        {
            assert!((tick_step(range) - step).abs() < 1e-12, "{range}: {}", tick_step(range));
        }
    }

    #[test]
    fn drawings_scale() {
        let points = vec![(0.0, 1.0), (1.0, 0.5)];
        let series = || Series {
            name: "a".into(),
            look: Look::new(0, 0),
            points: points.clone(),
            interval: Interval::Band(vec![(0.9, 1.0), (0.4, 0.6)]),
        };
        let figure = Figure::new(String::new(), vec![series()], "eps <").unwrap();
        let start = "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 400 290\"";
        assert!(figure.svg.starts_with(start), "{}", figure.svg);
        assert!(figure.svg.contains("eps &lt;"));
        assert!(Figure::new(String::new(), vec![], "eps").is_none());
        for x in [f64::INFINITY, 1e308, 1e-320, 0.0] {
            let points = vec![(0.0, 1.0), (x, 0.5)];
            let series = Series { points, ..series() };
            assert!(Figure::new(String::new(), vec![series], "eps").is_none(), "{x}");
        }
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

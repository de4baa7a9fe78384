//! The figures of the HTML report, as SVG that goes into the page. Colours are CSS variables of the
//! page with a light-mode fallback, so one figure serves light and dark and survives being cut out;
//! a network looks the same in all of them.

use std::sync::Arc;

use kuva::TickFormat;
use kuva::backend::svg::SvgBackend;
use kuva::plot::line::{LinePlot, LineStyle};
use kuva::plot::scatter::{MarkerShape, ScatterPlot};
use kuva::render::layout::Layout;
use kuva::render::plots::Plot;
use kuva::render::render::render_multiple;
use kuva::render::theme::Theme;

use super::bound_result::BoundResult;
use super::format;
use super::leaderboard::Board;

/// A figure shows this many networks, the best; more lines than that cannot be told apart.
const MOST: usize = 12;

/// Line colours on a light page; the page's style sheet brightens them on a dark one.
const COLOURS: [&str; 6] = ["#0b6bcb", "#c2410c", "#0f7b4f", "#7c3aed", "#b0186f", "#6b5b00"];

/// A figure of the report.
#[derive(Debug, Clone)]
pub(super) struct Figure {
    /// What it shows, in a line.
    pub(super) caption: String,
    /// The drawing, without width and height: it fills its place in the page.
    pub(super) svg: String,
    /// Its lines: a small drawing of each, and its name.
    pub(super) key: Vec<(String, String)>,
}

/// One line of a figure.
struct Series {
    name: String,
    look: Look,
    /// (x, share).
    points: Vec<(f64, f64)>,
    /// Interval of the share at each point.
    interval: Option<Vec<(f64, f64)>>,
}

/// Security curves: robust accuracy against the budget, one figure per threat model with at least two
/// budgets. Budget 0 is clean accuracy.
pub(super) fn security_curves(board: &Board) -> Vec<Figure> {
    let mut threats: Vec<&str> = Vec::new();
    for column in board.threats.iter().filter(|c| c.eps.is_some()) {
        if !threats.contains(&column.threat.as_str()) {
            threats.push(&column.threat);
        }
    }
    threats.into_iter().filter_map(|threat| security_curve(board, threat)).collect()
}

fn security_curve(board: &Board, threat: &str) -> Option<Figure> {
    let columns: Vec<_> = board.threats.iter().filter(|c| c.threat == threat).collect();
    if columns.len() < 2 {
        return None;
    }
    let series = board.standings.iter().take(MOST).enumerate().filter_map(|(at, standing)| {
        let mut shares = vec![(0.0, *standing.clean_cell().value()?)];
        shares.extend(columns.iter().filter_map(|column| {
            let worst = standing.threat(column).filter(|worst| worst.comparable())?;
            Some((column.eps?, worst.robust?))
        }));
        (shares.len() > 1).then(|| Series {
            name: standing.model.name.clone(),
            look: Look::new(at, at),
            points: shares.iter().map(|(eps, p)| (*eps, p.rate)).collect(),
            interval: Some(shares.iter().map(|(_, p)| (p.low, p.high)).collect()),
        })
    });
    let caption = format!(
        "Robust accuracy against the {threat} budget: worst case over the attacks of this threat; 0 is \
         clean accuracy. Bars: 95 % Wilson intervals.{}",
        only_best(board)
    );
    Figure::new(caption, series.collect(), &format!("{threat} budget eps"))
}

/// Certified accuracy against the radius in `norm`, a step curve per finished certificate.
pub(super) fn certified_curve(board: &Board, norm: &str) -> Option<Figure> {
    let standings = board.standings.iter().take(MOST).enumerate();
    let series: Vec<Series> = standings
        .flat_map(|(at, standing)| {
            let own = || standing.certificates.iter().filter(|c| c.norm == norm);
            let several = own().count() > 1;
            let finished = own().filter(|c| c.finished());
            finished.enumerate().map(move |(number, certificate)| Series {
                name: match several {
                    true => format!("{}, {}", standing.model.name, certificate.label),
                    false => standing.model.name.clone(),
                },
                look: Look::new(at, if several { number } else { at }),
                points: steps(&certificate.curve),
                interval: None,
            })
        })
        .collect();
    let all = board.standings.iter().flat_map(|s| &s.certificates);
    let mut sigmas: Vec<f64> = all.filter(|c| c.norm == norm).map(|c| c.sigma).collect();
    sigmas.dedup();
    let sigma = match sigmas[..] {
        [sigma] if sigma > 0.0 => format!(" Noise sigma {}.", format::eps(sigma)),
        _ => String::new(),
    };
    let caption = format!(
        "Certified accuracy against the {norm} radius: share of images classified correctly and certified \
         at least that far.{sigma}{}",
        only_best(board)
    );
    Figure::new(caption, series, &format!("{norm} radius"))
}

/// Verified accuracy against the radius, one figure per threat model.
pub(super) fn verified_curves(board: &Board) -> Vec<Figure> {
    let mut threats: Vec<&str> = board.verified.iter().map(|c| c.threat.as_str()).collect();
    threats.dedup();
    let curve = |threat: &str| {
        let standings = board.standings.iter().take(MOST).enumerate();
        let series = standings.flat_map(|(at, standing)| {
            let own = |b: &&BoundResult| b.finished() && b.threat == threat;
            let bounds: Vec<&BoundResult> = standing.bounds.iter().filter(own).collect();
            let several = bounds.len() > 1;
            bounds.into_iter().enumerate().map(move |(number, bound)| Series {
                name: match several {
                    true => format!("{}, {}", standing.model.name, bound.label),
                    false => standing.model.name.clone(),
                },
                look: Look::new(at, if several { number } else { at }),
                points: steps(&bound.curve),
                interval: None,
            })
        });
        let caption = format!(
            "Verified accuracy against the {threat} radius: share of images classified correctly and \
             proved to stay so at least that far.{}",
            only_best(board)
        );
        Figure::new(caption, series.collect(), &format!("{threat} radius"))
    };
    threats.into_iter().filter_map(curve).collect()
}

/// Corners of a curve that falls right after each radius.
fn steps(curve: &[(f64, f64)]) -> Vec<(f64, f64)> {
    let mut corners: Vec<(f64, f64)> = Vec::new();
    for (radius, share) in curve {
        if let Some((_, before)) = corners.last().copied() {
            corners.push((*radius, before));
        }
        corners.push((*radius, *share));
    }
    corners
}

fn only_best(board: &Board) -> String {
    match board.standings.len() {
        n if n > MOST => format!(" The first {MOST} of {n} networks."),
        _ => String::new(),
    }
}

/// How a line is drawn. Colour, dashes and marker all differ, for readers of grey prints.
#[derive(Clone)]
struct Look {
    colour: String,
    style: LineStyle,
    marker: MarkerShape,
}

impl Look {
    /// Of the network number `network`, dashed as number `dashes`.
    fn new(network: usize, dashes: usize) -> Self {
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
    /// Draws shares against x; `None` without a line to draw.
    fn new(caption: String, series: Vec<Series>, x_label: &str) -> Option<Self> {
        let x_max = series.iter().flat_map(|s| &s.points).map(|p| p.0).fold(0.0, f64::max);
        if x_max <= 0.0 {
            return None;
        }
        let key = series
            .iter()
            .map(|line| (line.look.swatch(line.interval.is_some()), line.name.clone()))
            .collect();
        Some(Self { caption, svg: draw(series, x_label, x_max), key })
    }
}

/// Numbers the drawings of a page. kuva counts clip paths over the life of the process; ids must be
/// unique in the page and the same whenever the page is written again.
pub(super) fn number<'a>(figures: impl IntoIterator<Item = &'a mut Figure>) {
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

fn draw(series: Vec<Series>, x_label: &str, x_max: f64) -> String {
    // Markers need room around them; a curve without markers starts at the axis.
    let margin = if series.iter().any(|line| line.interval.is_some()) { 0.035 } else { 0.0 };
    let mut plots: Vec<Plot> = Vec::new();
    for line in series {
        let Look { colour, style, marker } = line.look;
        let points = line.points.iter().copied();
        let mut plot = LinePlot::new()
            .with_data(points.clone())
            .with_color(colour.clone())
            .with_stroke_width(1.8)
            .with_line_style(style);
        if let Some(interval) = &line.interval {
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
        .with_x_axis_min(-margin * x_max)
        .with_x_axis_max(1.035 * x_max)
        .with_x_tick_step(tick_step(x_max))
        .with_y_axis_min(-margin)
        .with_y_axis_max(1.0 + margin)
        .with_y_tick_step(0.2)
        .with_y_tick_format(TickFormat::Custom(Arc::new(|y| format!("{:.0} %", 100.0 * y))))
        .with_label_size(13)
        .with_tick_size(12);
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn steps_fall_after_the_radius() {
        assert_eq!(
            steps(&[(0.0, 0.9), (0.5, 0.4), (0.8, 0.0)]),
            [(0.0, 0.9), (0.5, 0.9), (0.5, 0.4), (0.8, 0.4), (0.8, 0.0)]
        );
    }

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
            interval: None,
        };
        let figure = Figure::new(String::new(), vec![series()], "eps <").unwrap();
        let start = "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 400 290\"";
        assert!(figure.svg.starts_with(start), "{}", figure.svg);
        assert!(figure.svg.contains("eps &lt;"));
        assert!(Figure::new(String::new(), vec![], "eps").is_none());
    }
}

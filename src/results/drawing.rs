//! Draws figures with kuva: as SVG that goes into the page, and as files of their own for a paper.

use std::sync::Arc;

use image::ImageEncoder as _;
use kuva::TickFormat;
use kuva::backend::pdf::{PageSize, PdfBackend};
use kuva::backend::svg::SvgBackend;
use kuva::plot::band::BandPlot;
use kuva::plot::legend::{LegendEntry, LegendPosition, LegendShape};
use kuva::plot::line::LinePlot;
use kuva::plot::scatter::{MarkerShape, ScatterPlot};
use kuva::render::layout::Layout;
use kuva::render::plots::Plot;
use kuva::render::render::{Scene, render_multiple};
use kuva::render::theme::Theme;
use resvg::tiny_skia::{Pixmap, Transform};
use resvg::usvg;

use super::figure::{Figure, Interval, Look, Series};
use crate::error::{Error, Result};

/// Pixels of an inch, as style sheets count.
const PER_INCH: f64 = 96.0;

/// Width of a letter of a legend, about.
const LETTER: f64 = 6.5;

/// A figure as it goes into the page.
#[derive(Debug, Clone)]
pub(crate) struct Drawing {
    /// What it shows, in a line.
    pub(crate) caption: String,
    /// The drawing, without width and height: it fills its place in the page.
    pub(crate) svg: String,
    /// Its lines: a small drawing of each, and its name.
    pub(crate) key: Vec<(String, String)>,
}

/// How figures are printed.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Print {
    /// The kind of file.
    pub format: PrintFormat,
    /// Inches.
    pub width: f64,
    /// Inches.
    pub height: f64,
    /// The names of the lines stand beside the figure.
    pub legend: bool,
    /// Dots per inch of a PNG file.
    pub dpi: u32,
}

/// Kinds of files.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[allow(missing_docs)]
pub enum PrintFormat {
    Svg,
    Pdf,
    Png,
}

/// Where and for whom a figure is drawn.
struct Canvas {
    /// Pixels.
    size: (f64, f64),
    theme: Theme,
    colour: fn(&Look) -> String,
    legend: Option<LegendPosition>,
    label_size: u32,
    tick_size: u32,
}

/// The figure as it goes into the page.
pub(crate) fn on_page(figure: &Figure) -> Drawing {
    let ink = || "var(--figure-ink, #333)".to_owned();
    let theme = Theme {
        background: "none".into(),
        axis_color: ink(),
        grid_color: "var(--figure-grid, #ddd)".into(),
        tick_color: ink(),
        text_color: ink(),
        legend_bg: "none".into(),
        legend_border: "none".into(),
        font_family: Some("system-ui, sans-serif".into()),
        ..Theme::light()
    };
    let (size, colour) = ((400.0, 290.0), Look::on_page as fn(&Look) -> String);
    let canvas = Canvas { size, theme, colour, legend: None, label_size: 13, tick_size: 12 };
    let key = |line: &Series| {
        (swatch(&line.look, matches!(line.interval, Interval::Bars(_))), line.name.clone())
    };
    let svg = SvgBackend::new().render_scene(&draw(figure, canvas));
    Drawing {
        caption: figure.caption.clone(),
        svg: resized(&svg, |width, height| {
            format!("viewBox=\"0 0 {width} {height}\" role=\"img\"")
        }),
        key: figure.series.iter().map(key).collect(),
    }
}

/// The figure as a file of its own.
///
/// # Errors
/// If it cannot be drawn in this size.
pub(crate) fn printed(figure: &Figure, print: &Print) -> Result<Vec<u8>> {
    let font = match print.format {
        // Whoever shows the file has fonts of their own.
        PrintFormat::Svg => "Helvetica, Arial, sans-serif",
        // The font that kuva brings along and embeds.
        PrintFormat::Pdf | PrintFormat::Png => "DejaVu Sans",
    };
    let theme = Theme {
        background: "white".into(),
        axis_color: "#000000".into(),
        grid_color: "#dddddd".into(),
        tick_color: "#000000".into(),
        text_color: "#000000".into(),
        legend_bg: "none".into(),
        legend_border: "none".into(),
        font_family: Some(font.into()),
        ..Theme::light()
    };
    let size = (print.width * PER_INCH, print.height * PER_INCH);
    // Nine and eight points.
    let (label_size, tick_size) = (12, 11);
    let longest = figure.series.iter().map(|line| line.name.chars().count()).max().unwrap_or(0);
    let legend = match print.legend {
        // With the lines in front of the names.
        true if longest as f64 * LETTER + 60.0 > size.0 / 3.0 => {
            Some(LegendPosition::OutsideBottomColumns)
        }
        true => Some(LegendPosition::OutsideRightMiddle),
        false => None,
    };
    let colour = Look::in_print as fn(&Look) -> String;
    let canvas = |height: f64| Canvas {
        size: (size.0, height),
        theme: theme.clone(),
        colour,
        legend,
        label_size,
        tick_size,
    };
    let mut scene = draw(figure, canvas(size.1));
    // A legend below makes the drawing higher: the curves get what it leaves.
    if scene.height > size.1 {
        scene = draw(figure, canvas((2.0 * size.1 - scene.height).max(size.1 / 3.0)));
    }
    let refused = |problem: String| {
        let remedy = "choose another --width, --height or --format";
        Error::setting(format!("figure {}", figure.name), problem, remedy)
    };
    match print.format {
        PrintFormat::Svg => {
            let inches = |width: &str, height: &str| {
                format!(
                    "width=\"{}in\" height=\"{}in\" viewBox=\"0 0 {width} {height}\"",
                    print.width, print.height
                )
            };
            let svg = numbered(&SvgBackend::new().render_scene(&scene), 1);
            Ok(resized(&svg, inches).into_bytes())
        }
        PrintFormat::Pdf => {
            let page = PageSize::inches(print.width, print.height);
            PdfBackend::new().with_page_size(page).render_scenes(&[scene]).map_err(refused)
        }
        PrintFormat::Png => {
            let exact = |width: &str, height: &str| {
                format!(
                    "width=\"{}\" height=\"{}\" viewBox=\"0 0 {width} {height}\"",
                    size.0, size.1
                )
            };
            let svg = resized(&SvgBackend::new().render_scene(&scene), exact);
            pixels(&svg, f64::from(print.dpi) / PER_INCH).map_err(refused)
        }
    }
}

/// The drawing `svg` as a PNG file, `scale` pixels for each of its own.
fn pixels(svg: &str, scale: f64) -> std::result::Result<Vec<u8>, String> {
    let mut options = usvg::Options::default();
    // No fonts of the machine: the same figure everywhere.
    options.fontdb_mut().load_font_data(dejavu::sans::regular().to_vec());
    let tree = usvg::Tree::from_str(svg, &options).map_err(|e| e.to_string())?;
    let length = |of: f32| (f64::from(of) * scale).round() as u32;
    let (width, height) = (length(tree.size().width()), length(tree.size().height()));
    let picture = Pixmap::new(width, height);
    let mut picture = picture.ok_or_else(|| format!("{width}x{height} pixels are no picture"))?;
    let transform = Transform::from_scale(scale as f32, scale as f32);
    resvg::render(&tree, transform, &mut picture.as_mut());
    // Everything lies on a white ground, so the pixels are opaque.
    let mut file = Vec::new();
    image::codecs::png::PngEncoder::new(&mut file)
        .write_image(picture.data(), width, height, image::ExtendedColorType::Rgba8)
        .map_err(|e| e.to_string())?;
    Ok(file)
}

/// A short piece of a line.
fn swatch(look: &Look, marked: bool) -> String {
    let colour = look.on_page();
    let dashes = look.style.dasharray().unwrap_or("none".into());
    let marker = match look.marker {
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

/// Numbers the drawings of a page. kuva counts clip paths over the life of the process; ids must be
/// unique in the page and the same whenever the page is written again.
pub(crate) fn number<'a>(drawings: impl IntoIterator<Item = &'a mut Drawing>) {
    for (number, drawing) in (1..).zip(drawings) {
        drawing.svg = numbered(&drawing.svg, number);
    }
}

fn numbered(svg: &str, number: usize) -> String {
    let mut parts = svg.split("kuva-clip-");
    let mut all = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        all += &format!("figure-{number}");
        all += part.trim_start_matches(|c: char| c.is_ascii_digit());
    }
    all
}

fn draw(figure: &Figure, canvas: Canvas) -> Scene {
    let Figure { series, x_label, x_max, log, .. } = figure;
    let Canvas { size, theme, colour, legend, label_size, tick_size } = canvas;
    // Markers need room around them; a curve without markers starts at the axis.
    let marked = |line: &Series| matches!(line.interval, Interval::Bars(_));
    let margin = if series.iter().any(marked) { 0.035 } else { 0.0 };
    let mut plots: Vec<Plot> = Vec::new();
    // Bands lie under all lines.
    for line in series {
        if let Interval::Band(interval) = &line.interval {
            let x = line.points.iter().map(|(x, _)| *x);
            let (low, high) = (interval.iter().map(|i| i.0), interval.iter().map(|i| i.1));
            let band = BandPlot::new(x, low, high).with_color(colour(&line.look));
            plots.push(Plot::Band(band.with_opacity(0.14)));
        }
    }
    for line in series {
        let points = line.points.iter().copied();
        let mut plot = LinePlot::new()
            .with_data(points.clone())
            .with_color(colour(&line.look))
            .with_stroke_width(1.8)
            .with_line_style(line.look.style.clone());
        if let Interval::Bars(interval) = &line.interval {
            let arms =
                line.points.iter().zip(interval).map(|((_, p), (low, high))| (p - low, high - p));
            plot = plot.with_y_err_asymmetric(arms);
            let scatter = ScatterPlot::new().with_data(points).with_color(colour(&line.look));
            plots.push(scatter.with_size(4.0).with_marker(line.look.marker).into());
        }
        plots.push(plot.into());
    }
    let mut layout = Layout::auto_from_plots(&plots)
        .with_width(size.0)
        .with_height(size.1)
        .with_theme(theme)
        .with_x_label(x_label)
        .with_y_axis_min(-margin)
        .with_y_axis_max(1.0 + margin)
        .with_y_tick_step(0.2)
        .with_y_tick_format(TickFormat::Custom(Arc::new(|y| format!("{:.0} %", 100.0 * y))))
        .with_label_size(label_size)
        .with_tick_size(tick_size);
    if let Some(position) = legend {
        let entry = |line: &Series| LegendEntry {
            label: line.name.clone(),
            color: colour(&line.look),
            shape: LegendShape::Line,
            dasharray: line.look.style.dasharray(),
        };
        layout = layout
            .with_body_size(tick_size)
            .with_legend_box(false)
            .with_legend_position(position)
            .with_legend_entries(series.iter().map(entry).collect());
    }
    let layout = match log {
        true => layout.with_log_x().with_x_axis_min(1.0).with_x_axis_max(x_max.max(10.0)),
        false => layout
            .with_x_axis_min(-margin * x_max)
            .with_x_axis_max(1.035 * x_max)
            .with_x_tick_step(tick_step(*x_max)),
    };
    render_multiple(plots, layout)
}

/// A round distance between about five ticks.
fn tick_step(range: f64) -> f64 {
    let rough = range / 5.0;
    let power = 10f64.powf(rough.log10().floor());
    let digit = [1.0, 2.0, 2.5, 5.0].into_iter().find(|d| d * power >= rough * 0.999);
    digit.unwrap_or(10.0) * power
}

/// The drawing with other attributes in place of its width and height, which are handed to `attributes`.
fn resized(svg: &str, attributes: impl Fn(&str, &str) -> String) -> String {
    let attribute = |name: &str| {
        let rest = svg.split_once(&format!(" {name}=\""))?.1;
        rest.split_once('"').map(|(value, _)| value)
    };
    match (attribute("width"), attribute("height")) {
        (Some(width), Some(height)) => svg.replacen(
            &format!("width=\"{width}\" height=\"{height}\""),
            &attributes(width, height),
            1,
        ),
        _ => svg.to_owned(),
    }
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

    fn figure(series: Vec<Series>) -> Option<Figure> {
        Figure::new("a name", String::new(), series, "eps <")
    }

    fn line() -> Series {
        Series {
            name: "a".into(),
            look: Look::new(0, 0),
            points: vec![(0.0, 1.0), (1.0, 0.5)],
            interval: Interval::Band(vec![(0.9, 1.0), (0.4, 0.6)]),
        }
    }

    #[test]
    fn drawings_scale() {
        let svg = on_page(&figure(vec![line()]).unwrap()).svg;
        let start = "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 400 290\"";
        assert!(svg.starts_with(start), "{svg}");
        assert!(svg.contains("eps &lt;"));
        assert!(figure(vec![]).is_none());
        for x in [f64::INFINITY, 1e308, 1e-320, 0.0] {
            assert!(
                figure(vec![Series { points: vec![(0.0, 1.0), (x, 0.5)], ..line() }]).is_none(),
                "{x}"
            );
        }
    }

    #[test]
    fn printed_figures_have_the_size_that_was_asked_for() {
        let figure = figure(vec![line()]).unwrap();
        let print = |format, legend| {
            let print = Print { format, width: 3.25, height: 2.0, legend, dpi: 300 };
            printed(&figure, &print).unwrap()
        };
        // With a long name the legend lies below.
        let long = Series { name: "a long name of a network".into(), ..line() };
        let below = self::figure(vec![long.clone(), line(), long]).unwrap();
        let png =
            Print { format: PrintFormat::Png, width: 3.25, height: 2.0, legend: true, dpi: 300 };
        let png = image::load_from_memory(&printed(&below, &png).unwrap()).unwrap();
        assert_eq!((png.width(), png.height()), (975, 600));
        for legend in [false, true] {
            let svg = String::from_utf8(print(PrintFormat::Svg, legend)).unwrap();
            assert!(
                svg.contains("width=\"3.25in\" height=\"2in\" viewBox=\"0 0 312 192\""),
                "{svg}"
            );
            assert!(!svg.contains("var("), "style sheets are the page's: {svg}");
            let png = image::load_from_memory(&print(PrintFormat::Png, legend)).unwrap();
            assert_eq!((png.width(), png.height()), (975, 600));
            let pdf = print(PrintFormat::Pdf, legend);
            let text = String::from_utf8_lossy(&pdf);
            assert!(text.starts_with("%PDF-") && text.contains("[0 0 234 144]"), "{text}");
        }
    }
}

//! The graph as a picture that every browser shows.

use std::fmt::Write as _;

use super::layout::{Line, Measures, Placed, layout};

/// A box of the picture.
pub(super) struct SvgNode<'a> {
    /// What stands in it.
    pub(super) label: String,
    /// The stage's kind.
    pub(super) kind: &'a str,
    /// The numbers of what it needs, each before it.
    pub(super) needs: Vec<usize>,
}

const MEASURES: Measures = Measures {
    column_gap: 56.0,
    row_gap: 14.0,
    height: 40.0,
};
const MARGIN: f64 = 16.0;
/// The mean width of a letter of the labels, and what a box has beside them.
const LETTER: f64 = 7.4;
const PADDING: f64 = 24.0;

const STYLE: &str = "\
  <style>
    text { font: 13px system-ui, 'Segoe UI', 'Helvetica Neue', Arial, sans-serif; fill: #1f2430 }
    .kind { font-size: 10px; fill: #5f6775 }
    rect { fill: #f3f5f8; stroke: #b4bcc8 }
    .command rect { fill: #eef4fb; stroke: #8fb3d9 }
    .iso-base rect, .clone rect, .provision rect { fill: #edf7ee; stroke: #8fc397 }
    .export rect, .pack-ova rect, .publish rect { fill: #fdf4e3; stroke: #dcb768 }
    .verify rect { fill: #f6eefa; stroke: #b995cf }
    path { fill: none; stroke: #98a1af; stroke-width: 1.3 }
    .page { fill: #ffffff; stroke: none }
  </style>
";

/// Draws `nodes`.
pub(super) fn svg(nodes: &[SvgNode<'_>]) -> String {
    let widths: Vec<f64> = nodes.iter().map(width).collect();
    let needs: Vec<Vec<usize>> = nodes.iter().map(|node| node.needs.clone()).collect();
    let drawing = layout(&widths, &needs, MEASURES);
    let (w, h) = (drawing.width + 2.0 * MARGIN, drawing.height + 2.0 * MARGIN);
    let mut text = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {w:.0} {h:.0}\" width=\"{w:.0}\" height=\"{h:.0}\">\n{STYLE}  <defs><marker id=\"end\" viewBox=\"0 0 8 8\" refX=\"7\" refY=\"4\" markerWidth=\"7\" markerHeight=\"7\" orient=\"auto\"><path d=\"M0 0L8 4L0 8z\" style=\"fill: #98a1af; stroke: none\"/></marker></defs>\n  <rect class=\"page\" width=\"100%\" height=\"100%\"/>\n  <g transform=\"translate({MARGIN} {MARGIN})\">\n"
    );
    for line in &drawing.lines {
        let _ = writeln!(
            text,
            "    <path d=\"{}\" marker-end=\"url(#end)\"><title>{} → {}</title></path>",
            curve(line),
            escaped(&nodes[line.from].label),
            escaped(&nodes[line.to].label)
        );
    }
    for (node, placed) in nodes.iter().zip(&drawing.boxes) {
        text.push_str(&shape(node, *placed));
    }
    text.push_str("  </g>\n</svg>\n");
    text
}

fn width(node: &SvgNode<'_>) -> f64 {
    let letters = node.label.chars().count().max(node.kind.len());
    f64::from(u32::try_from(letters).unwrap_or(u32::MAX)) * LETTER + PADDING
}

fn shape(node: &SvgNode<'_>, placed: Placed) -> String {
    let Placed { x, y, width } = placed;
    let (middle, kind) = (x + width / 2.0, escaped(node.kind));
    format!(
        "    <g class=\"{kind}\"><rect x=\"{x:.1}\" y=\"{y:.1}\" width=\"{width:.1}\" height=\"{}\" rx=\"6\"/><text x=\"{middle:.1}\" y=\"{:.1}\" text-anchor=\"middle\">{}</text><text class=\"kind\" x=\"{middle:.1}\" y=\"{:.1}\" text-anchor=\"middle\">{kind}</text></g>\n",
        MEASURES.height,
        y + 18.0,
        escaped(&node.label),
        y + 32.0,
    )
}

/// A line through its points that leaves and reaches each of them level.
fn curve(line: &Line) -> String {
    let mut path = String::new();
    for (i, (x, y)) in line.points.iter().enumerate() {
        if i == 0 {
            let _ = write!(path, "M{x:.1} {y:.1}");
            continue;
        }
        let (from_x, from_y) = line.points[i - 1];
        if (from_y - y).abs() < 0.5 {
            let _ = write!(path, "L{x:.1} {y:.1}");
        } else {
            let middle = (from_x + x) / 2.0;
            let _ = write!(
                path,
                "C{middle:.1} {from_y:.1} {middle:.1} {y:.1} {x:.1} {y:.1}"
            );
        }
    }
    path
}

fn escaped(text: &str) -> String {
    text.replace('&', "&amp;")
        .replace('<', "&lt;")
        .replace('>', "&gt;")
        .replace('"', "&quot;")
}

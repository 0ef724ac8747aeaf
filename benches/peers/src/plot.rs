//! Draws a figure: nanoseconds by a number, both on logarithmic scales. The SVG file supports light and dark themes.

use std::fmt::Write;

const WIDTH: f64 = 760.0;
const HEIGHT: f64 = 440.0;
const LEFT: f64 = 70.0;
const RIGHT: f64 = 580.0;
const TOP: f64 = 48.0;
const BOTTOM: f64 = 390.0;
const APART: f64 = 17.0;

const STYLE: &str = "
  text { font: 13px system-ui, sans-serif; fill: #57606a }
  .title { font-size: 15px; font-weight: 600; fill: #1f2328 }
  .grid { stroke: #d0d7de; stroke-width: 1 }
  .line { fill: none; stroke-width: 2 }
  .own { stroke: #0969da; stroke-width: 3 } .own-dot, .own-text { fill: #0969da } .own-text { font-weight: 600 }
  .floor { stroke: #57606a; stroke-dasharray: 5 4 } .floor-dot { fill: #57606a }
  .peer { stroke: #bc4c00 } .peer-dot, .peer-text { fill: #bc4c00 }
  @media (prefers-color-scheme: dark) {
    text { fill: #9198a1 } .title { fill: #f0f6fc } .grid { stroke: #3d444d }
    .own { stroke: #4493f8 } .own-dot, .own-text { fill: #4493f8 }
    .floor { stroke: #9198a1 } .floor-dot { fill: #9198a1 }
    .peer { stroke: #f0883e } .peer-dot, .peer-text { fill: #f0883e }
  }";

/// Lines, with a heading of `what` is shown by which number.
pub struct Figure {
    pub what: &'static str,
    pub by: &'static str,
    pub lines: Vec<Line>,
}

/// Nanoseconds by numbers, in ascending order. The class is `own`, `floor` or `peer`.
pub struct Line {
    pub name: &'static str,
    pub class: &'static str,
    pub points: Vec<(usize, f64)>,
}

/// A line in the coordinates of the figure.
struct Drawn {
    name: &'static str,
    class: &'static str,
    points: Vec<(f64, f64)>,
}

pub fn svg(figure: &Figure) -> String {
    let Figure { what, by, lines } = figure;
    let all = || lines.iter().flat_map(|line| &line.points);
    let (low, high) = all().fold((f64::MAX, 1.0_f64), |(low, high), (_, time)| (low.min(*time), high.max(*time)));
    let (bottom, top) = (low.log10().floor(), high.log10().ceil());
    let y = |time: f64| BOTTOM - (time.log10() - bottom) / (top - bottom).max(1.0) * (BOTTOM - TOP);
    let mut counts: Vec<usize> = all().map(|(count, _)| *count).collect();
    counts.sort_unstable();
    counts.dedup();
    let end = |count: Option<&usize>| count.map_or(3.0, |count| (*count as f64).log10());
    let (first, last) = (end(counts.first()), end(counts.last()));
    let x =
        |count: usize| LEFT + 20.0 + ((count as f64).log10() - first) / (last - first).max(1.0) * (RIGHT - LEFT - 40.0);
    let drawn = |line: &Line| Drawn {
        name: line.name,
        class: line.class,
        points: line.points.iter().map(|(count, time)| (x(*count), y(*time))).collect(),
    };
    let lines: Vec<Drawn> = lines.iter().filter(|line| !line.points.is_empty()).map(drawn).collect();

    let mut text = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {WIDTH} {HEIGHT}\" role=\"img\" \
         aria-label=\"{what} by {by}\">\n<style>{STYLE}\n</style>\n"
    );
    let _ = writeln!(text, "<text class=\"title\" x=\"{LEFT}\" y=\"24\">{what}, by {by} (less is better)</text>");
    for power in bottom as i32..=top as i32 {
        let (at, label) = (y(10_f64.powi(power)), label(power));
        let _ = writeln!(
            text,
            "<path class=\"grid\" d=\"M{LEFT} {at:.1}H{RIGHT}\"/><text x=\"{:.1}\" y=\"{:.1}\" text-anchor=\"end\">{label}</text>",
            LEFT - 8.0,
            at + 4.0
        );
    }
    for count in counts {
        let (at, count) = (x(count), thousands(count));
        let _ = writeln!(text, "<text x=\"{at:.1}\" y=\"{:.1}\" text-anchor=\"middle\">{count}</text>", BOTTOM + 22.0);
    }
    for line in &lines {
        let points: Vec<String> = line.points.iter().map(|(x, y)| format!("{x:.1},{y:.1}")).collect();
        let _ = writeln!(text, "<polyline class=\"line {}\" points=\"{}\"/>", line.class, points.join(" "));
        for (x, y) in &line.points {
            let _ = write!(text, "<circle class=\"{}-dot\" cx=\"{x:.1}\" cy=\"{y:.1}\" r=\"3\"/>", line.class);
        }
        text.push('\n');
    }
    labels(&mut text, lines);
    text.push_str("</svg>\n");
    text
}

/// Writes the names at the ends of the lines, and moves overlapping names apart.
fn labels(text: &mut String, mut lines: Vec<Drawn>) {
    let end = |line: &Drawn| line.points.last().copied().unwrap_or_default();
    lines.sort_by(|a, b| end(a).1.total_cmp(&end(b).1));
    let mut above = TOP - APART;
    let mut positions: Vec<f64> = Vec::new();
    for line in &lines {
        above = end(line).1.max(above + APART);
        positions.push(above);
    }
    let mut below = BOTTOM + APART;
    for position in positions.iter_mut().rev() {
        *position = position.min(below - APART);
        below = *position;
    }
    for (line, position) in lines.iter().zip(positions) {
        let _ = writeln!(
            text,
            "<text class=\"{}-text\" x=\"{:.1}\" y=\"{:.1}\">{}</text>",
            line.class,
            RIGHT + 8.0,
            position + 4.0,
            line.name
        );
    }
}

fn label(power: i32) -> String {
    match power {
        ..3 => format!("{} ns", 10_f64.powi(power)),
        3..6 => format!("{} µs", 10_i64.pow(power.unsigned_abs() - 3)),
        _ => format!("{} ms", 10_i64.pow(power.unsigned_abs() - 6)),
    }
}

/// Formats a number with separated thousands.
pub fn thousands(value: usize) -> String {
    let digits = value.to_string();
    let mut text = String::new();
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

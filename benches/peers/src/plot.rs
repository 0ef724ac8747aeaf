//! The figure: nanoseconds a decision over the number of tokens, both in powers of ten. One file for light and dark.

use std::fmt::Write;

use crate::field::Field;

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

struct Line {
    name: &'static str,
    class: &'static str,
    points: Vec<(f64, f64)>,
}

pub fn svg(fields: &[Field]) -> String {
    let mut names: Vec<&'static str> = Vec::new();
    for row in fields.iter().flat_map(|field| &field.rows) {
        if !names.contains(&row.name) {
            names.push(row.name);
        }
    }
    let all = fields.iter().flat_map(|field| field.rows.iter().map(|row| row.times.median));
    let (low, high) = all.fold((f64::MAX, 1.0_f64), |(low, high), time| (low.min(time), high.max(time)));
    let (bottom, top) = (low.log10().floor(), high.log10().ceil());
    let y = |time: f64| BOTTOM - (time.log10() - bottom) / (top - bottom).max(1.0) * (BOTTOM - TOP);
    let tokens = |field: Option<&Field>| field.map_or(3.0, |field| (field.tokens as f64).log10());
    let (first, last) = (tokens(fields.first()), tokens(fields.last()));
    let x = |tokens: usize| {
        LEFT + 20.0 + ((tokens as f64).log10() - first) / (last - first).max(1.0) * (RIGHT - LEFT - 40.0)
    };
    let line = |name: &'static str| Line {
        name,
        class: if name.starts_with("portcullis") {
            "own"
        } else if name.ends_with("floor") {
            "floor"
        } else {
            "peer"
        },
        points: fields.iter().filter_map(|field| Some((x(field.tokens), y(field.median(name)?)))).collect(),
    };
    let lines: Vec<Line> = names.into_iter().map(line).collect();

    let mut text = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {WIDTH} {HEIGHT}\" role=\"img\" \
         aria-label=\"Nanoseconds a decision by number of tokens\">\n<style>{STYLE}\n</style>\n"
    );
    let _ = writeln!(
        text,
        "<text class=\"title\" x=\"{LEFT}\" y=\"24\">Nanoseconds a decision, by number of tokens (less is better)</text>"
    );
    for power in bottom as i32..=top as i32 {
        let (at, label) = (y(10_f64.powi(power)), label(power));
        let _ = writeln!(
            text,
            "<path class=\"grid\" d=\"M{LEFT} {at:.1}H{RIGHT}\"/><text x=\"{:.1}\" y=\"{:.1}\" text-anchor=\"end\">{label}</text>",
            LEFT - 8.0,
            at + 4.0
        );
    }
    for field in fields {
        let (at, count) = (x(field.tokens), crate::report::thousands(field.tokens));
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

/// The names at the ends of the lines, moved apart where they would meet.
fn labels(text: &mut String, mut lines: Vec<Line>) {
    let end = |line: &Line| line.points.last().copied().unwrap_or_default();
    lines.sort_by(|a, b| end(a).1.total_cmp(&end(b).1));
    let mut above = TOP - APART;
    let mut places: Vec<f64> = Vec::new();
    for line in &lines {
        above = end(line).1.max(above + APART);
        places.push(above);
    }
    let mut below = BOTTOM + APART;
    for place in places.iter_mut().rev() {
        *place = place.min(below - APART);
        below = *place;
    }
    for (line, place) in lines.iter().zip(places) {
        let _ = writeln!(
            text,
            "<text class=\"{}-text\" x=\"{:.1}\" y=\"{:.1}\">{}</text>",
            line.class,
            RIGHT + 8.0,
            place + 4.0,
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

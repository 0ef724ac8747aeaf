//! Writes the results as tables and a figure.

use std::fmt::Write;
use std::path::Path;

use crate::machine;
use crate::plot::{Figure, Line, svg, thousands};
use crate::point::Point;

pub fn write(points: &[Point], date: &str, folder: Option<&Path>) -> anyhow::Result<()> {
    let text = markdown(points, date);
    print!("{text}");
    if let Some(folder) = folder {
        std::fs::write(folder.join(format!("{date}-exposure-{}.md", machine::slug())), text)?;
        std::fs::write(folder.join("exposure.svg"), figure(points))?;
    }
    Ok(())
}

fn markdown(points: &[Point], date: &str) -> String {
    let mut text = format!("# Names against patterns, {date}\n\n");
    for line in machine::describe() {
        let _ = writeln!(text, "- {line}");
    }
    let names = points.iter().map(|point| point.names).max().unwrap_or_default();
    let _ = writeln!(text, "- one thread; {} names; the median of several rounds\n", thousands(names));
    text.push_str(
        "This record measures how fast the exposure kernel finds the patterns that cover each name, compared with `globset` and\n`RegexSet`. [The method](../README.md#names-against-patterns) explains how to read it.\n\n![Nanoseconds a name by number of patterns](exposure.svg)\n",
    );
    goals(points, &mut text);
    text.push_str(
        "\n## The exposure kernel\n\n| patterns | patterns that cover a name | ns a name | names a second | as Arrow arrays, ns | in random order, ns | build, ms |\n| ---: | ---: | ---: | ---: | ---: | ---: | ---: |\n",
    );
    for point in points {
        let _ = writeln!(
            text,
            "| {} | {:.2} | {:.0} | {} | {:.0} | {:.0} | {:.0} |",
            thousands(point.patterns),
            point.covering,
            point.ordered,
            thousands((1e9 / point.ordered) as usize),
            point.arrays,
            point.shuffled,
            point.build.as_secs_f64() * 1e3
        );
    }
    if points.iter().any(|point| !point.peers.is_empty()) {
        peers(points, &mut text);
    }
    text
}

fn goals(points: &[Point], text: &mut String) {
    let at = |count: usize| points.iter().find(|point| point.patterns == count);
    let yes = |holds: bool| if holds { "yes" } else { "**no**" };
    text.push_str("\n## Goals\n\n| goal | measured | holds |\n| --- | --- | --- |\n");
    if let Some(point) = at(100_000) {
        let rates = [point.ordered, point.shuffled].map(|time| 1e3 / time);
        let _ = writeln!(
            text,
            "| million names a second on one core with 100,000 patterns, at least 2 | {:.1}; in random order {:.1} | {} |",
            rates[0],
            rates[1],
            yes(rates[0] >= 2.0)
        );
    }
    if let (Some(few), Some(many)) = (at(10), points.last()) {
        let ratio = many.ordered / few.ordered;
        let _ = writeln!(
            text,
            "| time for a name with {} patterns ÷ with 10, at most 2 | {ratio:.2} | {} |",
            thousands(many.patterns),
            yes(ratio <= 2.0)
        );
    }
}

fn peers(points: &[Point], text: &mut String) {
    text.push_str(
        "\n## Peers\n\n| patterns | engine | ns a name | ÷ portcullis | build, s | names tested | different answers |\n| ---: | --- | ---: | ---: | ---: | ---: | ---: |\n",
    );
    for point in points {
        for (name, result) in &point.peers {
            let count = thousands(point.patterns);
            let _ = match result {
                Ok(found) => writeln!(
                    text,
                    "| {count} | {name} | {} | {:.1} | {:.2} | {} | {} |",
                    thousands(found.name as usize),
                    found.name / point.ordered,
                    found.build.as_secs_f64(),
                    thousands(found.tested),
                    found.disagree
                ),
                Err(why) => writeln!(text, "| {count} | {name} | {why} | | | | |"),
            };
        }
    }
}

fn figure(points: &[Point]) -> String {
    let own = |name: &'static str, class, time: fn(&Point) -> f64| Line {
        name,
        class,
        points: points.iter().map(|point| (point.patterns, time(point))).collect(),
    };
    let mut lines = vec![
        own("portcullis", "own", |point| point.ordered),
        own("portcullis, random order", "own", |point| point.shuffled),
    ];
    for (at, (name, _)) in points.first().map(|point| &point.peers).into_iter().flatten().enumerate() {
        let measured = |point: &Point| Some((point.patterns, point.peers.get(at)?.1.as_ref().ok()?.name));
        let class = if name.starts_with("each") { "floor" } else { "peer" };
        lines.push(Line { name, class, points: points.iter().filter_map(measured).collect() });
    }
    svg(&Figure { what: "Nanoseconds a name", by: "number of patterns", lines })
}

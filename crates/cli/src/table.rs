//! Aligned text tables, cut to the width of a terminal.

use std::fmt::Write as _;
use std::io::{self, IsTerminal, Write};

use portcullis::base::Timestamp;
use unicode_width::{UnicodeWidthChar, UnicodeWidthStr};

use super::output::{Painted, counted, printable};

/// The spaces between two columns.
const GAP: usize = 2;

/// The width at which a cut column can still be read.
const MIN_WIDTH: usize = 6;

/// A heading and rows. The first column and columns of ids are cut only if the other columns cannot be cut any more.
pub(super) struct Table {
    heading: Vec<&'static str>,
    rows: Vec<Vec<String>>,
}

impl Table {
    pub(super) fn new(heading: &[&'static str]) -> Self {
        Self { heading: heading.to_vec(), rows: Vec::new() }
    }

    pub(super) fn row(&mut self, cells: impl IntoIterator<Item = String>) {
        self.rows.push(cells.into_iter().map(|cell| printable(&cell)).collect());
    }

    /// Writes the table. If standard output is a terminal, the table is cut to its width.
    pub(super) fn print(&self, paint: bool, out: &mut impl Write) -> io::Result<()> {
        let terminal = io::stdout().is_terminal().then(terminal_size::terminal_size).flatten();
        self.write(terminal.map(|(width, _)| usize::from(width.0)), paint, out)
    }

    /// Narrows the columns to a line of `max_width`, first those that are not ids, which users copy.
    fn fit(&self, widths: &mut [usize], max_width: usize) {
        let gaps = GAP * widths.len().saturating_sub(1);
        let mut excess = (widths.iter().sum::<usize>() + gaps).saturating_sub(max_width);
        let columns = widths.iter_mut().zip(&self.heading).enumerate();
        let (ids, texts): (Vec<_>, Vec<_>) =
            columns.partition(|(index, (_, name))| *index == 0 || name.ends_with("ID"));
        let [mut ids, mut texts] =
            [ids, texts].map(|columns| columns.into_iter().map(|(_, (width, _))| width).collect::<Vec<_>>());
        shrink(&mut texts, MIN_WIDTH, &mut excess);
        shrink(&mut texts, 1, &mut excess);
        shrink(&mut ids, 1, &mut excess);
    }

    fn write(&self, max_width: Option<usize>, paint: bool, out: &mut impl Write) -> io::Result<()> {
        let mut widths: Vec<usize> = self.heading.iter().map(|cell| cell.width()).collect();
        for row in &self.rows {
            for (width, cell) in widths.iter_mut().zip(row) {
                *width = (*width).max(cell.width());
            }
        }
        if let Some(max_width) = max_width {
            self.fit(&mut widths, max_width);
        }
        // A terminal that is narrower than the columns are at least cuts whole lines.
        let line = |cells: &[String]| cut(&line(cells, &widths), max_width.unwrap_or(usize::MAX));
        let heading: Vec<_> = self.heading.iter().map(|cell| (*cell).to_owned()).collect();
        writeln!(out, "{}", Painted::bold(paint, line(&heading)))?;
        for row in &self.rows {
            writeln!(out, "{}", line(row))?;
        }
        Ok(())
    }
}

/// Narrows the widest of `widths` until `excess` is 0 or each has the width `min`.
fn shrink(widths: &mut [&mut usize], min: usize, excess: &mut usize) {
    while *excess > 0 {
        match widths.iter_mut().max() {
            Some(widest) if **widest > min => **widest -= 1,
            _ => return,
        }
        *excess -= 1;
    }
}

fn line(cells: &[String], widths: &[usize]) -> String {
    let mut line = String::new();
    for (cell, width) in cells.iter().zip(widths) {
        let cell = cut(cell, *width);
        let _ = write!(line, "{cell}{:1$}", "", GAP + width - cell.width().min(*width));
    }
    line.truncate(line.trim_end().len());
    line
}

/// Cuts `text` to `width` columns.
fn cut(text: &str, width: usize) -> String {
    if text.width() <= width {
        return text.to_owned();
    }
    let mut left = width.saturating_sub(1);
    let fits = |character: &char| {
        let needed = character.width().unwrap_or(0);
        let fits = needed <= left;
        left = left.saturating_sub(needed);
        fits
    };
    text.chars().take_while(fits).chain(['…']).collect()
}

/// The distance of `at` from `now`: `in 6 days`, `3 hours ago`.
pub(super) fn relative(at: Timestamp, now: Timestamp) -> String {
    let seconds = at.seconds().saturating_sub(now.seconds());
    let span = seconds.unsigned_abs();
    let span = match span {
        0..60 => counted(span, "second"),
        60..3_600 => counted(span / 60, "minute"),
        3_600..86_400 => counted(span / 3_600, "hour"),
        _ => counted(span / 86_400, "day"),
    };
    match seconds {
        0 => "now".to_owned(),
        1.. => format!("in {span}"),
        _ => format!("{span} ago"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(width: Option<usize>) -> String {
        let mut table = Table::new(&["ID", "NAME"]);
        table.row(["tk_1".to_owned(), "a map\nof é".to_owned()]);
        table.row(["tk_22".to_owned(), "漢字漢字漢字漢字漢字".to_owned()]);
        let mut out = Vec::new();
        table.write(width, false, &mut out).unwrap();
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn columns_are_aligned_and_cut_to_the_width() {
        assert_eq!(text(None), "ID     NAME\ntk_1   a map of é\ntk_22  漢字漢字漢字漢字漢字\n");
        assert_eq!(text(Some(17)), "ID     NAME\ntk_1   a map of é\ntk_22  漢字漢字…\n");
        assert_eq!(text(Some(8)), "ID     …\ntk_1   …\ntk_22  …\n");
        for width in 1..40 {
            assert!(text(Some(width)).lines().all(|line| line.width() <= width), "{width}: {}", text(Some(width)));
        }
    }

    #[test]
    fn cells_are_on_one_line_and_escaped() {
        let mut table = Table::new(&["ID", "NAME"]);
        table.row(["a\u{1b}[2J".to_owned(), "b\n\tc\u{202e}\u{9b}".to_owned()]);
        let mut out = Vec::new();
        table.write(None, false, &mut out).unwrap();
        let text = String::from_utf8(out).unwrap();
        assert_eq!(text, "ID          NAME\na\\u{1b}[2J  b  c\\u{202e}\\u{9b}\n");
    }

    #[test]
    fn relative_shows_the_largest_unit() {
        let now: Timestamp = "2026-11-22T12:00:00Z".parse().unwrap();
        for (at, want) in [
            ("2026-11-22T12:00:00Z", "now"),
            ("2026-11-22T12:00:01Z", "in 1 second"),
            ("2026-11-22T11:58:59Z", "1 minute ago"),
            ("2026-11-23T11:59:59Z", "in 23 hours"),
            ("2026-11-29T11:59:59Z", "in 6 days"),
            ("2026-11-20T12:00:00Z", "2 days ago"),
        ] {
            assert_eq!(relative(at.parse().unwrap(), now), want, "{at}");
        }
    }
}

//! CSV for spreadsheets: no cell is a formula, and no cell acts on a terminal.

use std::io::{self, Write};

use portcullis::base::Escaped;

/// A CSV table on an output.
pub(crate) struct Csv<W: Write> {
    writer: ::csv::Writer<W>,
}

impl<W: Write> Csv<W> {
    /// Writes the heading.
    pub(crate) fn new<const N: usize>(out: W, heading: [&str; N]) -> io::Result<Self> {
        let mut writer = ::csv::Writer::from_writer(out);
        writer.write_record(heading)?;
        Ok(Self { writer })
    }

    /// Writes a row, with the cells made safe.
    pub(crate) fn row<const N: usize>(&mut self, cells: [&str; N]) -> io::Result<()> {
        Ok(self.writer.write_record(cells.map(safe))?)
    }

    /// Writes what is buffered.
    pub(crate) fn finish(mut self) -> io::Result<()> {
        self.writer.flush()
    }
}

/// Returns the text of a cell. Unsafe characters are escaped, except line breaks. A quote precedes a text that a
/// spreadsheet would calculate; a sign alone is not calculated.
fn safe(cell: &str) -> String {
    let mut characters = cell.chars();
    let first = characters.next();
    let is_formula = matches!(first, Some('=' | '+' | '-' | '@' | '＝' | '＋' | '－' | '＠' | '\n'));
    let is_longer = characters.next().is_some();
    let quote = if is_formula && is_longer { "'" } else { "" };
    format!("{quote}{}", Escaped::lines(cell))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cells_are_neither_formulas_nor_control_characters() {
        for (cell, expected) in [
            ("", ""),
            ("a=b", "a=b"),
            ("=1+1", "'=1+1"),
            ("+cmd|'/c calc'!A0", "'+cmd|'/c calc'!A0"),
            ("-2", "'-2"),
            ("@SUM(A1)", "'@SUM(A1)"),
            ("＝1", "'＝1"),
            ("\t=1", r"\t=1"),
            ("\r=1", r"\r=1"),
            ("\n=1", "'\n=1"),
            ("select 1\nfrom a", "select 1\nfrom a"),
            ("a\u{1b}[2J\u{202e}b", r"a\u{1b}[2J\u{202e}b"),
            // The sign of a change.
            ("+", "+"),
            ("-", "-"),
        ] {
            assert_eq!(safe(cell), expected);
        }
    }

    #[test]
    fn rows_are_quoted_where_needed() {
        let mut out = Vec::new();
        let mut csv = Csv::new(&mut out, ["a", "b"]).unwrap();
        csv.row(["x,y", "say \"hi\""]).unwrap();
        csv.finish().unwrap();
        assert_eq!(String::from_utf8(out).unwrap(), "a,b\n\"x,y\",\"say \"\"hi\"\"\"\n");
    }
}

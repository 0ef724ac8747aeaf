//! The names of a catalog, one after the other.

use std::fs::File;
use std::io::{self, Read, Write};
use std::path::Path;

use anyhow::{Context, bail};
use serde::Deserialize;

use crate::cli::output::{Color, Painted, counted};
use crate::cli::policy::is_stdin;

#[derive(Deserialize)]
struct Row {
    connection: String,
    name: String,
}

/// Hands the connection and name of each row of the catalog to `see`, which says whether the name is well-formed.
pub(super) fn each(path: &Path, color: Color, mut see: impl FnMut(&str, &str) -> bool) -> anyhow::Result<()> {
    let name = path.display();
    let input: Box<dyn Read> = if is_stdin(path) {
        Box::new(io::stdin().lock())
    } else {
        Box::new(File::open(path).with_context(|| format!("cannot read `{name}`"))?)
    };
    let mut reader = csv::Reader::from_reader(io::BufReader::with_capacity(1 << 16, input));
    let headers = reader.headers().with_context(|| format!("cannot read `{name}`"))?;
    if !["connection", "name"].iter().all(|wanted| headers.iter().any(|header| header == *wanted)) {
        bail!("`{name}` has no columns `connection` and `name`");
    }
    let (mut broken, mut first) = (0_u64, None);
    for (row, line) in reader.deserialize::<Row>().zip(2_u64..) {
        let is_known = row.as_ref().is_ok_and(|row| see(&row.connection, &row.name));
        if !is_known {
            broken += 1;
            first.get_or_insert(line);
        }
    }
    if let Some(line) = first {
        let mut stderr = io::stderr().lock();
        let label = Painted::bold(color.on(&stderr), "note:");
        writeln!(stderr, "{label} `{name}` has {} with no name; the first is row {line}", counted(broken, "row"))?;
    }
    Ok(())
}

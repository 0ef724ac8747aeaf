//! Prints the tables that queries read: JSON Lines with `dialect` and `sql` in, JSON Lines with `tables` and `beyond`,
//! or `error`, out. `tests/reads/compare.py` compares them with the reading of another parser.

use std::io::{self, BufRead, BufWriter, Write};

use portcullis::name::Dialect;
use portcullis_audit::reads::reads;
use serde::{Deserialize, Serialize};

#[derive(Deserialize)]
struct Query {
    dialect: String,
    sql: String,
}

#[derive(Serialize)]
#[serde(untagged)]
enum Line {
    Reads { tables: Vec<String>, beyond: Vec<String> },
    Unreadable { error: String },
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut out = BufWriter::new(io::stdout().lock());
    for line in io::stdin().lock().lines() {
        let Query { dialect, sql } = serde_json::from_str(&line?)?;
        let dialect: Dialect = dialect.parse()?;
        let line = match reads(&sql, dialect) {
            Ok(reads) => Line::Reads {
                tables: reads.tables.iter().map(|table| table.display(dialect)).collect(),
                beyond: reads.beyond,
            },
            Err(error) => Line::Unreadable { error: error.to_string() },
        };
        serde_json::to_writer(&mut out, &line)?;
        out.write_all(b"\n")?;
    }
    Ok(out.flush()?)
}

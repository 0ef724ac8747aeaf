//! Generates a policy and a catalog of realistic size for an audit.

use std::fs::File;
use std::io::{BufWriter, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::Context;
use arrow_array::{ArrayRef, Int64Array, RecordBatch, StringArray};
use parquet::arrow::ArrowWriter;
use parquet::basic::Compression;
use parquet::file::properties::WriterProperties;
use portcullis::Decision;
use portcullis::decision::decide;
use portcullis::snapshot::{Options, Snapshot};
use serde_json::json;

use crate::workload::catalog::{Table, catalog};
use crate::workload::{self, Workload};

#[derive(clap::Args)]
pub struct Args {
    /// Folder of the files
    folder: PathBuf,
    /// Number of tokens
    #[arg(long, default_value_t = 100_000)]
    tokens: usize,
    /// Approximate number of names
    #[arg(long, default_value_t = 10_000_000)]
    names: u64,
    /// Number of requests
    #[arg(long, default_value_t = 1_000_000)]
    requests: usize,
    #[arg(long, default_value_t = 1)]
    seed: u64,
}

pub fn run(args: &Args) -> anyhow::Result<()> {
    std::fs::create_dir_all(&args.folder)?;
    let workload = workload::workload(args.tokens, args.requests, args.seed);
    let write = |name: &str, text: &str| {
        let path = args.folder.join(name);
        std::fs::write(&path, text).with_context(|| format!("cannot write `{}`", path.display()))
    };
    write("policy.json", &workload.document)?;
    write("narrower.json", &changed(&workload.document, false))?;
    write("wider.json", &changed(&workload.document, true))?;
    log(&workload, &args.folder)?;
    names(args)
}

/// Removes an API from one token in 500. If `wider`, also adds a grant to one token in 1,000.
fn changed(document: &str, wider: bool) -> String {
    let line = |(at, line): (usize, &str)| match at % 1000 {
        100 | 600 => line.replace("[\"maps\",\"sql\"]", "[\"maps\"]"),
        350 if wider => line.replacen(
            "\"grants\":[",
            "\"grants\":[{\"connection_name\":\"connection_00\",\"source\":\"archive_20.*.raw_*\"},",
            1,
        ),
        _ => line.to_owned(),
    };
    document.lines().enumerate().map(line).flat_map(|line| [line, "\n".to_owned()]).collect()
}

/// Writes the decision log that a sidecar would write for the requests.
fn log(workload: &Workload, folder: &Path) -> anyhow::Result<()> {
    let policy = portcullis_document::load::policy(workload.document.clone())?;
    let snapshot = Snapshot::compile(&policy, &Options::default())?;
    let now = workload::NOW.parse()?;
    let mut out = BufWriter::new(File::create(folder.join("decisions.jsonl"))?);
    for asked in &workload.requests {
        let mut line = json!({
            "log": 1, "time": workload::NOW, "generation": 1, "api": asked.api, "connection": asked.connection,
            "sources": [{"resource": asked.resource}], "ns": 500,
        });
        if let Some(referer) = &asked.referer {
            line["referer"] = json!(referer);
        }
        match decide(&snapshot, &asked.request(), now) {
            Decision::Allow(allow) => {
                line["token_id"] = json!(allow.token());
                line["decision"] = json!("allow");
            }
            Decision::Deny(deny) => {
                line["decision"] = json!("deny");
                line["reason"] = json!(deny.code());
            }
        }
        writeln!(out, "{line}")?;
    }
    Ok(out.flush()?)
}

/// Writes the catalog: CSV in the columns of `INFORMATION_SCHEMA`, JSON Lines of whole names, and Parquet with extra
/// columns.
fn names(args: &Args) -> anyhow::Result<()> {
    let mut csv = csv::Writer::from_writer(BufWriter::new(File::create(args.folder.join("catalog.csv"))?));
    csv.write_record(["connection", "table_catalog", "table_schema", "table_name"])?;
    let mut lines = BufWriter::new(File::create(args.folder.join("catalog.jsonl"))?);
    let mut columns = Columns::create(&args.folder.join("catalog.parquet"))?;
    let mut count = 0_u64;
    catalog(args.names, args.seed, |table| {
        count += 1;
        csv.write_record([table.connection].iter().chain(&table.parts))?;
        let name = table.parts.map(quoted).join(".");
        serde_json::to_writer(&mut lines, &json!({"connection": table.connection, "name": name}))?;
        lines.write_all(b"\n")?;
        columns.push(&table)
    })?;
    csv.flush()?;
    lines.flush()?;
    columns.finish()?;
    eprintln!("{count} names");
    Ok(())
}

fn quoted(part: &str) -> String {
    let bare = part.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_');
    if bare { part.to_owned() } else { format!("\"{}\"", part.replace('"', "\"\"")) }
}

/// Writes a Parquet file, and collects its rows into batches.
struct Columns {
    writer: ArrowWriter<File>,
    texts: [Vec<String>; 4],
}

impl Columns {
    fn create(path: &Path) -> anyhow::Result<Self> {
        let properties = WriterProperties::builder().set_compression(Compression::ZSTD(Default::default())).build();
        let empty = Self::batch([const { Vec::new() }; 4])?;
        let writer = ArrowWriter::try_new(File::create(path)?, empty.schema(), Some(properties))?;
        Ok(Self { writer, texts: [const { Vec::new() }; 4] })
    }

    fn batch(texts: [Vec<String>; 4]) -> anyhow::Result<RecordBatch> {
        let rows: Vec<i64> = (0..).zip(&texts[0]).map(|(at, _)| at * 7919 % 1_000_003).collect();
        let [connection, database, schema, table] = texts.map(|texts| Arc::new(StringArray::from(texts)) as ArrayRef);
        Ok(RecordBatch::try_from_iter([
            ("table_catalog", database),
            ("table_schema", schema),
            ("table_name", table),
            ("row_count", Arc::new(Int64Array::from(rows)) as ArrayRef),
            ("connection", connection),
        ])?)
    }

    fn push(&mut self, table: &Table<'_>) -> anyhow::Result<()> {
        let parts = [table.connection].into_iter().chain(table.parts);
        self.texts.iter_mut().zip(parts).for_each(|(column, text)| column.push(text.to_owned()));
        if self.texts[0].len() >= 1 << 16 { self.write() } else { Ok(()) }
    }

    fn write(&mut self) -> anyhow::Result<()> {
        let texts = std::mem::replace(&mut self.texts, [const { Vec::new() }; 4]);
        Ok(self.writer.write(&Self::batch(texts)?)?)
    }

    fn finish(mut self) -> anyhow::Result<()> {
        self.write()?;
        self.writer.close()?;
        Ok(())
    }
}

//! Reads the catalogs of the workspace.

use std::collections::BTreeMap;
use std::fs::File;
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};

use anyhow::{Context, bail};
use portcullis::name::Dialect;
use portcullis_audit::catalog::{WrittenName, read_file};
use portcullis_registry::record::Connection;
use portcullis_workspace::Catalog;

use crate::output::{counted, file_name};

/// The options of catalogs.
#[derive(clap::Args)]
#[command(next_help_heading = "Catalog")]
pub(super) struct CatalogArgs {
    /// Offer the names in these files as sources
    ///
    /// CSV, JSON Lines, a JSON list or Parquet; text may be compressed with gzip or zstd. The columns are `connection` and
    /// `name`, or those of a listing such as `INFORMATION_SCHEMA.TABLES`. Example: `--catalog catalog.csv`
    #[arg(long, value_name = "FILE", num_args = 1..)]
    pub(super) catalog: Vec<PathBuf>,
    /// Use this connection for rows without one
    ///
    /// For catalogs that have no `connection` column.
    #[arg(long, value_name = "NAME", requires = "catalog")]
    catalog_connection: Option<String>,
}

impl CatalogArgs {
    /// Reads all files. A row that cannot be read is an error: a name that is not offered must not exist.
    pub(super) fn read(&self, connections: &[Connection]) -> anyhow::Result<Catalog> {
        let dialects: BTreeMap<&str, Dialect> = connections.iter().map(|it| (&*it.name, it.dialect)).collect();
        let mut names = Vec::new();
        for path in &self.catalog {
            let before = names.len();
            self.read_one(path, &dialects, &mut names)?;
            tracing::info!("read {} from {}", counted((names.len() - before) as u64, "name"), file_name(path));
        }
        Catalog::new(names).context("the catalogs have more than 4 GiB of names; help: give smaller ones")
    }

    fn read_one(
        &self,
        path: &Path,
        dialects: &BTreeMap<&str, Dialect>,
        names: &mut Vec<(String, String)>,
    ) -> anyhow::Result<()> {
        let shown = file_name(path);
        let file = File::open(path).with_context(|| format!("cannot read {shown}"))?;
        let mut wrong = None;
        read_file(
            file,
            |_| (),
            |row| {
                let row = match row {
                    Ok(row) => row,
                    Err(broken) => {
                        wrong = Some(broken.to_string());
                        return ControlFlow::Break(());
                    }
                };
                let Some(connection) = row.connection.or(self.catalog_connection.as_deref()) else {
                    wrong = Some(format!("line {}: no connection\nhelp: add `--catalog-connection NAME`", row.line));
                    return ControlFlow::Break(());
                };
                let mut name = String::new();
                match row.name {
                    WrittenName::Whole(whole) => name.push_str(whole),
                    parts @ WrittenName::Parts { .. } => {
                        let Some(dialect) = dialects.get(connection) else {
                            wrong = Some(format!(
                                "line {}: the registry has no connection `{connection}`, so its dialect is unknown\n\
                             help: add it with `portcullis connections add`",
                                row.line
                            ));
                            return ControlFlow::Break(());
                        };
                        parts.write(*dialect, &mut name);
                    }
                }
                names.push((connection.to_owned(), name));
                ControlFlow::Continue(())
            },
        )
        .with_context(|| format!("cannot read {shown}"))?;
        if let Some(wrong) = wrong {
            bail!("{shown}: {wrong}");
        }
        Ok(())
    }
}

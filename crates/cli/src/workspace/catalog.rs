//! Reads the catalogs of the workspace.

use std::collections::BTreeMap;
use std::fs::File;
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, bail};
use portcullis::base::quoted;
use portcullis::name::Dialect;
use portcullis_audit::catalog::{WrittenName, read_file};
use portcullis_registry::Location;
use portcullis_registry::record::Connection;
use portcullis_workspace::Catalog;

use crate::bounds::{expected, seconds};
use crate::environment::variable;
use crate::named::name;
use crate::output::{counted, file_name};

/// The variable with a source of the catalog, used without `--catalog`.
const VARIABLE: &str = "PORTCULLIS_CATALOG";

/// The options of catalogs.
#[derive(Clone, clap::Args)]
#[command(next_help_heading = "Catalog")]
pub(super) struct CatalogArgs {
    #[arg(
        long,
        value_name = "SOURCE",
        num_args = 1..,
        help = "Offer the names in these files, or of a database, as sources\n[env: PORTCULLIS_CATALOG]",
        long_help = "Offer the names in these files, or of a database, as sources\n\n\
            Files are CSV, JSON Lines, a JSON list or Parquet; text may be compressed with gzip or zstd. The columns are \
            `connection` and `name`, or those of a listing such as `INFORMATION_SCHEMA.TABLES`.\n\n\
            `postgres://…` reads the tables that its user may use, and reads them again later. A password belongs into \
            PGPASSWORD or ~/.pgpass, or the whole URL into PORTCULLIS_CATALOG. Examples: `--catalog catalog.csv`, \
            `--catalog postgres://reader@db.example.com/warehouse`\n\n\
            [env: PORTCULLIS_CATALOG]"
    )]
    pub(super) catalog: Vec<PathBuf>,
    /// Use this connection for names without one
    ///
    /// For databases, and for files that have no `connection` column.
    #[arg(long, value_name = "NAME", value_parser = connection)]
    catalog_connection: Option<String>,
    /// Read the database of the catalog again after this time
    ///
    /// All sources are read again. Without a database, they are read once.
    #[arg(long, value_name = "SECONDS", default_value = "300", value_parser = seconds)]
    catalog_refresh: Duration,
}

/// Parses the name of a connection of the registry. No such name has a comma.
fn connection(text: &str) -> Result<String, String> {
    const EXAMPLE: &str = "carto_dw";
    if text.contains(',') {
        return Err(expected("the name of one connection, without commas", EXAMPLE));
    }
    name(text, "the name of a connection", EXAMPLE)
}

/// The maximum number of tables of a database.
const MAX_TABLES: usize = 5_000_000;

/// A source of names.
#[derive(Debug, Clone)]
enum Source {
    File(PathBuf),
    /// A database, and the connection of its names.
    Database(Location, String),
}

/// The sources of the catalog.
#[derive(Debug, Clone)]
pub(super) struct Sources {
    all: Vec<Source>,
    /// The connection of rows without one.
    connection: Option<String>,
    refresh: Duration,
}

impl CatalogArgs {
    /// Returns the sources.
    pub(super) fn sources(&self) -> anyhow::Result<Sources> {
        let is_url = |text: &str| text.starts_with("postgres://") || text.starts_with("postgresql://");
        let database = |location: Location| match &self.catalog_connection {
            Some(connection) => Ok(Source::Database(location, connection.clone())),
            None => {
                bail!("`--catalog`: the names of a database have no connection\nhelp: add `--catalog-connection NAME`")
            }
        };
        let source = |path: &PathBuf| match path.to_str().filter(|text| is_url(text)) {
            None => Ok(Source::File(path.clone())),
            Some(url) => {
                let location: Location = url.parse()?;
                if location.has_password() {
                    bail!(
                        "the URL of `--catalog` has a password: other users of this machine can read the arguments of a \
                         command\nhelp: remove it, and give it as `PGPASSWORD` or in `~/.pgpass`; or give the whole URL as \
                         `{VARIABLE}`"
                    );
                }
                database(location)
            }
        };
        let mut sources: Vec<Source> = self.catalog.iter().map(source).collect::<anyhow::Result<_>>()?;
        if let Some(value) = variable(VARIABLE).filter(|_| self.catalog.is_empty()) {
            sources.push(if is_url(&value) { database(value.parse()?)? } else { Source::File(value.into()) });
        }
        if sources.is_empty() && self.catalog_connection.is_some() {
            bail!(
                "`--catalog-connection` has no effect without a catalog\nhelp: add `--catalog SOURCE`, or leave it out"
            );
        }
        Ok(Sources { all: sources, connection: self.catalog_connection.clone(), refresh: self.catalog_refresh })
    }
}

impl Sources {
    /// Returns how often the sources are read again; `None` if they are read once.
    pub(super) fn refresh(&self) -> Option<Duration> {
        self.all.iter().any(|source| matches!(source, Source::Database(..))).then_some(self.refresh)
    }

    /// Reads all sources. What cannot be read is an error: a name that is not offered must not exist.
    pub(super) fn read(&self, connections: &[Connection]) -> anyhow::Result<Catalog> {
        let dialects: BTreeMap<&str, Dialect> = connections.iter().map(|it| (&*it.name, it.dialect)).collect();
        let mut names = Vec::new();
        for source in &self.all {
            let before = names.len();
            let shown = match source {
                Source::File(path) => {
                    self.read_one(path, &dialects, &mut names)?;
                    file_name(path)
                }
                Source::Database(location, connection) => {
                    read_database(location, connection, &dialects, &mut names)?;
                    location.to_string()
                }
            };
            tracing::info!("read {} from {shown}", counted((names.len() - before) as u64, "name"));
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
                let Some(connection) = row.connection.or(self.connection.as_deref()) else {
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

/// Reads the tables of a database.
fn read_database(
    location: &Location,
    connection: &str,
    dialects: &BTreeMap<&str, Dialect>,
    names: &mut Vec<(String, String)>,
) -> anyhow::Result<()> {
    let Some(dialect) = dialects.get(connection) else {
        bail!(
            "the registry has no connection {}, so the dialect of the catalog is unknown\n\
             help: add it with `portcullis connections add`",
            quoted(connection)
        );
    };
    for table in location.tables(MAX_TABLES)? {
        let mut name = String::new();
        let (catalog, schema, table) = (Some(&*table.catalog), &*table.schema, &*table.name);
        WrittenName::Parts { catalog, schema, table, unquoted: false }.write(*dialect, &mut name);
        names.push((connection.to_owned(), name));
    }
    Ok(())
}

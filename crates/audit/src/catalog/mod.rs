//! Catalogs: the names of resources that exist, read as a stream.
//!
//! A catalog is CSV with a heading, or JSON Lines, plain or compressed with gzip or zstd, or, with the feature `parquet`,
//! a Parquet file; which of them, its first bytes tell. Columns are found by name, in any case: `connection` and `name`, or `table_catalog`, `table_schema` and
//! `table_name`, as `INFORMATION_SCHEMA.TABLES` gives them. Other columns are passed over.
//!
//! One row is held at a time, and none of more than [`MAX_ROW_BYTES`], so memory does not grow with the catalog. What
//! cannot be read is handed on as [`Broken`], with its place and the reason; nothing is dropped in silence.

mod columns;
mod lines;
mod name;
#[cfg(feature = "parquet")]
mod parquet;
mod table;
mod unpack;

#[cfg(test)]
mod tests;

use std::fs::File;
use std::io::{self, BufRead, BufReader, Read};
use std::ops::ControlFlow;

pub use name::WrittenName;

use portcullis::base::quoted;
use portcullis::name::{CanonicalName, Dialect, NameBuffer};

/// The most bytes of one row.
pub const MAX_ROW_BYTES: usize = 1 << 20;

/// One resource, as a catalog writes it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Row<'a> {
    /// On which line of the catalog, unpacked, the row begins; the first is 1. In Parquet, which row it is.
    pub line: u64,
    /// The connection, where the catalog has such a column and it is not empty.
    pub connection: Option<&'a str>,
    /// The name.
    pub name: WrittenName<'a>,
}

/// A row that is no resource.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("line {line}: {why}")]
pub struct Broken {
    /// On which line of the catalog, unpacked, it begins; the first is 1. In Parquet, which row it is.
    pub line: u64,
    /// What is wrong.
    pub why: String,
}

impl Broken {
    /// A row whose name is malformed in the dialect of its connection (N2.4).
    pub fn malformed(line: u64, name: &str, dialect: Dialect) -> Self {
        let why = match CanonicalName::read(name, dialect, &mut NameBuffer::new()) {
            Err(error) => format!(": {error}"),
            Ok(_) => String::new(),
        };
        Self { line, why: format!("{} is no name{why}", quoted(name)) }
    }
}

/// Why a catalog cannot be read, or not to its end.
#[derive(Debug, thiserror::Error)]
pub enum CatalogError {
    /// Its bytes do not come.
    #[error("behind line {line}: {error}")]
    Unreadable {
        /// The last line that was read.
        line: u64,
        /// What happened.
        error: io::Error,
    },
    /// The heading of a table names no name.
    #[error("the heading has no column `name`, nor both `table_schema` and `table_name`; it has {}", if .0.is_empty() { "none at all" } else { .0 })]
    Columns(String),
    /// A column stands twice.
    #[error("the heading has the column `{0}` twice")]
    Twice(&'static str),
    /// It is Parquet, and comes as a stream.
    #[error(
        "it is Parquet, which is read from its end: give it as a file of its own, neither through a pipe nor compressed as a whole"
    )]
    ParquetStream,
    /// It is Parquet, and this build cannot read that.
    #[error(
        "it is Parquet, which this build does not read: install portcullis with `--features parquet`, or give CSV or JSON Lines"
    )]
    NoParquet,
    /// A column of a Parquet file holds no text.
    #[error("the column `{column}` is {found}, where text is expected")]
    Type {
        /// The column.
        column: String,
        /// Its type.
        found: String,
    },
    /// A Parquet file cannot be read.
    #[error("behind row {row}: {error}")]
    Rows {
        /// The last row that was read.
        row: u64,
        /// What happened.
        error: io::Error,
    },
}

/// Reads the catalog `input` and hands each row to `see`, in order, until that breaks off.
///
/// # Errors
///
/// If `input` fails, or is a table without the columns of a name.
///
/// # Examples
///
/// ```
/// use std::ops::ControlFlow;
/// use portcullis_audit::catalog::{WrittenName, read};
///
/// let catalog = "Connection,Name\ncarto_dw,carto.shared.roads\n";
/// let mut names = Vec::new();
/// read(catalog.as_bytes(), |row| {
///     if let Ok(row) = row && let WrittenName::Whole(name) = row.name {
///         names.push(name.to_owned());
///     }
///     ControlFlow::Continue(())
/// })?;
/// assert_eq!(names, ["carto.shared.roads"]);
/// # Ok::<(), portcullis_audit::catalog::CatalogError>(())
/// ```
pub fn read(input: impl Read, see: impl FnMut(Result<Row<'_>, Broken>) -> ControlFlow<()>) -> Result<(), CatalogError> {
    let start = |error| CatalogError::Unreadable { line: 0, error };
    let mut input = BufReader::with_capacity(1 << 17, unpack::unpack(input).map_err(start)?);
    // Its first lines, up to one that is not blank, without the mark of UTF-8.
    let (mark, mut first) = ("\u{feff}".as_bytes(), Vec::new());
    loop {
        let begun = first.len();
        let read = input.by_ref().take(MAX_ROW_BYTES as u64).read_until(b'\n', &mut first).map_err(start)?;
        if begun == 0 && first.starts_with(mark) {
            first.drain(..mark.len());
        }
        let is_blank = first.get(begun..).is_some_and(|line| line.trim_ascii().is_empty());
        if read == 0 || !is_blank || first.len() >= MAX_ROW_BYTES {
            break;
        }
    }
    if first.starts_with(&PARQUET) {
        return Err(CatalogError::ParquetStream);
    }
    let is_json = first.trim_ascii_start().starts_with(b"{");
    let input = io::Cursor::new(first).chain(input);
    if is_json { lines::read(input, see) } else { table::read(input, see) }
}

const PARQUET: [u8; 4] = *b"PAR1";

/// As [`read`], from a file, which may be Parquet. Tells `at` now and then how many bytes of it are done with.
///
/// # Errors
///
/// As [`read`]; or if the file is Parquet and this build has not the feature `parquet`, or a column of a name is no text.
pub fn read_file(
    mut file: File,
    at: impl FnMut(u64),
    see: impl FnMut(Result<Row<'_>, Broken>) -> ControlFlow<()>,
) -> Result<(), CatalogError> {
    let mut first = Vec::new();
    let begun = file.by_ref().take(PARQUET.len() as u64).read_to_end(&mut first);
    begun.map_err(|error| CatalogError::Unreadable { line: 0, error })?;
    if first == PARQUET && file.metadata().is_ok_and(|metadata| metadata.is_file()) {
        #[cfg(feature = "parquet")]
        return parquet::read(file, at, see);
        #[cfg(not(feature = "parquet"))]
        return Err(CatalogError::NoParquet);
    }
    read(ProgressReader { input: io::Cursor::new(first).chain(file), read: 0, at }, see)
}

/// Tells how much of it was read.
struct ProgressReader<R, A> {
    input: R,
    read: u64,
    at: A,
}

impl<R: Read, A: FnMut(u64)> Read for ProgressReader<R, A> {
    fn read(&mut self, bytes: &mut [u8]) -> io::Result<usize> {
        let read = self.input.read(bytes)?;
        self.read += read as u64;
        (self.at)(self.read);
        Ok(read)
    }
}

//! Reads catalogs, the names of resources that exist, as a stream.
//!
//! A catalog is CSV with a heading, JSON Lines or a JSON list; plain, or compressed with gzip or zstd. With the feature
//! `parquet`, it can be a Parquet file. The first bytes determine the format. Columns are found by name, in any case:
//! `connection` and `name`, or the columns of a listing such as `INFORMATION_SCHEMA.TABLES`: `table_catalog`,
//! `table_schema` and `table_name`. Further columns are ignored.
//!
//! Memory does not grow with the catalog: one row of at most [`MAX_ROW_BYTES`] is read at a time. A row that cannot be
//! read becomes [`Broken`], with its line and the reason. No row is dropped silently.

mod columns;
mod digest;
mod lines;
mod list;
mod name;
mod object;
mod others;
#[cfg(feature = "parquet")]
mod parquet;
mod quotes;
mod skipped;
mod table;

#[cfg(test)]
mod tests;

use std::fs::File;
use std::io::{self, BufRead, BufReader, Read};
use std::ops::ControlFlow;

pub use digest::sha256;
pub use name::{WrittenName, project_with_dot};
pub use skipped::Skipped;

use portcullis::base::quoted;
use portcullis::name::{CanonicalName, Dialect, NameBuffer};
use portcullis_document::load::{Foreign, Unpacked, unpack};

/// Max bytes of one row.
pub const MAX_ROW_BYTES: usize = 1 << 20;

/// One row of a catalog: a resource.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Row<'a> {
    /// The line of the unpacked catalog on which the row starts, from 1. In Parquet, the row, from 1.
    pub line: u64,
    /// The connection, if the catalog has that column and it is not empty.
    pub connection: Option<&'a str>,
    /// The name.
    pub name: WrittenName<'a>,
}

/// A row that is not a valid resource.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("line {line}: {why}")]
pub struct Broken {
    /// The line of the unpacked catalog on which the row starts, from 1. In Parquet, the row, from 1.
    pub line: u64,
    /// The reason.
    pub why: String,
}

impl Broken {
    /// Describes a row whose name is malformed in the dialect of its connection (N2.4).
    pub fn malformed(line: u64, name: &str, dialect: Dialect) -> Self {
        let why = match CanonicalName::read(name, dialect, &mut NameBuffer::new()) {
            Err(error) => format!(": {error}"),
            Ok(_) => String::new(),
        };
        Self { line, why: format!("{} is no name{why}", quoted(name)) }
    }
}

/// The reason why a catalog cannot be read, or not completely.
#[derive(Debug, thiserror::Error)]
pub enum CatalogError {
    /// Reading the input fails.
    #[error("after line {line}: {error}")]
    Unreadable {
        /// The last line that was read.
        line: u64,
        /// The I/O error.
        error: io::Error,
    },
    /// The file is not text.
    #[error("expected CSV, JSON Lines or Parquet, {0}")]
    Foreign(Foreign),
    /// The heading has no column of a name.
    #[error(
        "expected the column `name`, or columns of schema and table such as `table_schema` and `table_name`; found {0}"
    )]
    Columns(String),
    /// The listing has other objects than tables.
    #[error(
        "expected a listing of tables and views, found a listing of {objects}: {found}; help: give the output of `{query}`"
    )]
    Other {
        /// The objects.
        objects: &'static str,
        /// The headings.
        found: String,
        /// A query that lists tables.
        query: &'static str,
    },
    /// The listing has objects of any type, without their type.
    #[error(
        "expected the column `object_type` beside `object_name`, because not every object is a table; help: give the \
         output of `SELECT owner, object_name, object_type FROM all_objects`"
    )]
    Untyped,
    /// The listing is drawn for people.
    #[error(
        "expected CSV, JSON Lines or Parquet, found a table that is drawn for people; help: write CSV, as `psql --csv` \
         does, or JSON, as `bq ls --format=json` does"
    )]
    Drawn,
    /// The heading has a column twice.
    #[error("the heading has the column `{0}` twice")]
    Twice(&'static str),
    /// The input is Parquet, but is a stream instead of a file.
    #[error(
        "it is Parquet, which is read from its end: give it as a file of its own, neither through a pipe nor compressed as a whole"
    )]
    ParquetStream,
    /// The input is Parquet, which this build cannot read.
    #[error(
        "it is Parquet, which this build does not read: install portcullis with `--features parquet`, or give CSV or JSON Lines"
    )]
    NoParquet,
    /// A column of a Parquet file does not contain text.
    #[error("the column `{column}` has the wrong type: expected text, found {found}")]
    Type {
        /// The column.
        column: String,
        /// The type of the column.
        found: &'static str,
    },
    /// A column of a Parquet file is compressed with a method that is not supported.
    #[error(
        "the column `{column}` is compressed with {found}; help: write the file without compression, or with Snappy, gzip \
         or Zstandard"
    )]
    Compression {
        /// The column.
        column: String,
        /// The method.
        found: &'static str,
    },
    /// A Parquet file cannot be read.
    #[error("after row {row}: {error}")]
    Rows {
        /// The last row that was read.
        row: u64,
        /// The I/O error.
        error: io::Error,
    },
}

/// Reads the catalog `input` and calls `see` with each row, in order, until `see` breaks. Returns the rows that are not
/// tables or views.
///
/// # Errors
///
/// Returns an error if reading `input` fails, or if it is a table without the columns of a name.
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
pub fn read(
    input: impl Read,
    see: impl FnMut(Result<Row<'_>, Broken>) -> ControlFlow<()>,
) -> Result<Skipped, CatalogError> {
    let start = |error| CatalogError::Unreadable { line: 0, error };
    let Unpacked { text, foreign } = unpack(input).map_err(start)?;
    match foreign {
        Some(Foreign::Parquet) => return Err(CatalogError::ParquetStream),
        Some(foreign) => return Err(CatalogError::Foreign(foreign)),
        None => {}
    }
    let mut input = BufReader::with_capacity(1 << 17, text);
    // Reads the first lines, up to one that is not blank, without the byte order mark.
    let (mark, mut first, mut titles) = ("\u{feff}".as_bytes(), Vec::new(), 0_u8);
    loop {
        let begun = first.len();
        let read = input.by_ref().take(MAX_ROW_BYTES as u64).read_until(b'\n', &mut first).map_err(start)?;
        if begun == 0 && first.starts_with(mark) {
            first.drain(..mark.len());
        }
        let is_blank = first.get(begun..).is_some_and(|line| line.trim_ascii().is_empty());
        // psql prints a title before a listing.
        if read > 0 && !is_blank && first.get(begun..).is_some_and(table::is_title) && titles == 0 {
            first.truncate(begun);
            first.push(b'\n');
            titles += 1;
            continue;
        }
        if read == 0 || !is_blank || first.len() >= MAX_ROW_BYTES {
            break;
        }
    }
    let heading = first.clone();
    let input = io::Cursor::new(first).chain(input);
    let mut skipped = Skipped::default();
    match heading.trim_ascii_start().first() {
        Some(b'{') => lines::read(input, &mut skipped, see),
        Some(b'[') => list::read(input, &mut skipped, see),
        _ => table::read(&heading, input, &mut skipped, see),
    }?;
    Ok(skipped)
}

const PARQUET: [u8; 4] = *b"PAR1";

/// Like [`read`], from a file, which may be Parquet. Calls `at` from time to time with the number of bytes that were
/// read.
///
/// # Errors
///
/// Returns the errors of [`read`]. Also fails for a Parquet file without the feature `parquet`, or if a name column is
/// not text.
pub fn read_file(
    mut file: File,
    at: impl FnMut(u64),
    see: impl FnMut(Result<Row<'_>, Broken>) -> ControlFlow<()>,
) -> Result<Skipped, CatalogError> {
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

/// A reader that reports the number of bytes that were read.
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

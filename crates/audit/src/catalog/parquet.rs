//! Reads Parquet: some thousand rows at a time, and only the columns of a name.

use std::error::Error;
use std::fs::File;
use std::io;
use std::ops::ControlFlow;

use arrow_array::{Array, ArrayRef, BinaryArray, BooleanArray, StringArray};
use arrow_schema::DataType;
use parquet::arrow::ProjectionMask;
use parquet::arrow::arrow_reader::{ArrowReaderOptions, ParquetRecordBatchReaderBuilder};
use parquet::basic::Compression;
use parquet::file::metadata::{ParquetMetaData, RowGroupMetaData};
use portcullis_document::definition::Kind;

use super::columns::{Columns, Value};
use super::{Broken, CatalogError, Row, Skipped};

/// The number of rows that are unpacked at once.
const ROWS: usize = 4096;

pub(super) fn read(
    file: File,
    mut at: impl FnMut(u64),
    mut see: impl FnMut(Result<Row<'_>, Broken>) -> ControlFlow<()>,
) -> Result<Skipped, CatalogError> {
    let mut skipped = Skipped::default();
    let after = |row: u64| move |error| CatalogError::Rows { row, error };
    let size = file.metadata().map_err(after(0))?.len();
    // Uses the types of Parquet; the writer's Arrow schema would add dictionaries and views.
    let options = ArrowReaderOptions::new().with_skip_arrow_metadata(true);
    let builder = ParquetRecordBatchReaderBuilder::try_new_with_options(file, options)
        .map_err(|error| after(0)(unreadable(&error)))?;
    let rows = u64::try_from(builder.metadata().file_metadata().num_rows()).unwrap_or(0).max(1);
    let fields = builder.schema().fields().clone();
    let mut columns = Columns::of_heading(fields.iter().map(|field| field.name().as_bytes()))?;
    columns.check_kind(|at| fields.get(at).is_some_and(|field| is_text(field.data_type())));
    let indexes = columns.indexes();
    for field in indexes.iter().filter(|index| !columns.is_any(**index)).filter_map(|&index| fields.get(index)) {
        if !is_text(field.data_type()) {
            return Err(CatalogError::Type { column: field.name().clone(), found: named(field.data_type()) });
        }
    }
    let names: Vec<&str> = indexes.iter().filter_map(|&at| fields.get(at)).map(|field| field.name().as_str()).collect();
    check_compression(builder.metadata(), &names)?;
    let mask = ProjectionMask::roots(builder.parquet_schema(), indexes.iter().copied());
    let batches = builder.with_projection(mask).with_batch_size(ROWS).build();
    let mut row = 0;
    for batch in batches.map_err(|error| after(0)(unreadable(&error)))? {
        let batch = batch.map_err(|error| after(row)(unreadable(&error)))?;
        let values: Vec<Values<'_>> = batch.columns().iter().map(Values::of).collect();
        // The indexes are those of all columns, but only the name columns were read.
        let field = |index: usize, number: usize| {
            let values = indexes.iter().position(|&found| found == index).and_then(|at| values.get(at));
            values.map_or(Ok(Value::Null), |values| values.get(number))
        };
        for number in 0..batch.num_rows() {
            row += 1;
            let result = match columns.row(row, |index| field(index, number)) {
                Ok(Ok(row)) => Ok(row),
                Ok(Err(kind)) => {
                    skipped.add(kind);
                    continue;
                }
                Err(why) => Err(Broken { line: row, why }),
            };
            if see(result).is_break() {
                return Ok(skipped);
            }
        }
        let share = u128::from(size) * u128::from(row) / u128::from(rows);
        at(u64::try_from(share).unwrap_or(size));
    }
    Ok(skipped)
}

/// Fails if one of the columns is compressed with a method that this build cannot decompress.
fn check_compression(metadata: &ParquetMetaData, columns: &[&str]) -> Result<(), CatalogError> {
    for column in metadata.row_groups().iter().flat_map(RowGroupMetaData::columns) {
        let name = column.column_path().parts().first().map(String::as_str).unwrap_or_default();
        let found = match column.compression() {
            Compression::UNCOMPRESSED | Compression::SNAPPY | Compression::GZIP(_) | Compression::ZSTD(_) => continue,
            Compression::LZO => "LZO",
            Compression::BROTLI(_) => "Brotli",
            Compression::LZ4 | Compression::LZ4_RAW => "LZ4",
        };
        if columns.contains(&name) {
            return Err(CatalogError::Compression { column: name.to_owned(), found });
        }
    }
    Ok(())
}

/// Describes an error of the Parquet library, whose own words are about its code.
fn unreadable(error: &(dyn Error + 'static)) -> io::Error {
    let mut cause = Some(error);
    while let Some(error) = cause {
        // The library reports the end of the file as an I/O error of its own.
        if let Some(error) = error.downcast_ref::<io::Error>()
            && error.raw_os_error().is_some()
        {
            return io::Error::new(error.kind(), error.to_string());
        }
        cause = error.source();
    }
    let why =
        "the Parquet data is damaged, cut off or encrypted; help: write the file again, or write CSV or JSON Lines";
    io::Error::new(io::ErrorKind::InvalidData, why)
}

fn is_text(kind: &DataType) -> bool {
    matches!(kind, DataType::Utf8 | DataType::Binary)
}

/// Names the type of a column that is not text.
fn named(kind: &DataType) -> &'static str {
    match kind {
        kind if kind.is_numeric() => "a number",
        kind if kind.is_temporal() => "a date or time",
        kind if kind.is_nested() => "a list or an object",
        DataType::Boolean => "a boolean",
        DataType::FixedSizeBinary(_) => "bytes of a fixed length",
        _ => "another type",
    }
}

/// A column. Some writers do not mark their text as UTF-8.
enum Values<'a> {
    Known(&'a StringArray),
    Bytes(&'a BinaryArray),
    Flags(&'a BooleanArray),
    /// Times or numbers.
    Other(&'a ArrayRef),
}

impl<'a> Values<'a> {
    fn of(column: &'a ArrayRef) -> Self {
        let any = column.as_any();
        let text = any.downcast_ref().map(Self::Known).or_else(|| any.downcast_ref().map(Self::Bytes));
        text.or_else(|| any.downcast_ref().map(Self::Flags)).unwrap_or(Self::Other(column))
    }

    fn get(&self, at: usize) -> Result<Value<'a>, &'static str> {
        Ok(match self {
            Self::Known(texts) if texts.is_valid(at) => Value::Text(texts.value(at)),
            Self::Bytes(bytes) if bytes.is_valid(at) => {
                Value::Text(std::str::from_utf8(bytes.value(at)).map_err(|_| "not UTF-8")?)
            }
            Self::Flags(flags) if flags.is_valid(at) => Value::Flag(flags.value(at)),
            Self::Other(column) if column.is_valid(at) => Value::Other(Kind::Number),
            _ => Value::Null,
        })
    }
}

//! Reads Parquet: some thousand rows at a time, and only the columns of a name.

use std::fs::File;
use std::io;
use std::ops::ControlFlow;

use arrow_array::{Array, ArrayRef, BinaryArray, StringArray};
use arrow_schema::DataType;
use parquet::arrow::ProjectionMask;
use parquet::arrow::arrow_reader::{ArrowReaderOptions, ParquetRecordBatchReaderBuilder};

use super::columns::{Columns, Value};
use super::{Broken, CatalogError, Row};

/// The number of rows that are unpacked at once.
const ROWS: usize = 4096;

pub(super) fn read(
    file: File,
    mut at: impl FnMut(u64),
    mut see: impl FnMut(Result<Row<'_>, Broken>) -> ControlFlow<()>,
) -> Result<(), CatalogError> {
    let after = |row: u64| move |error| CatalogError::Rows { row, error };
    let size = file.metadata().map_err(after(0))?.len();
    // Uses the types of Parquet; the writer's Arrow schema would add dictionaries and views.
    let options = ArrowReaderOptions::new().with_skip_arrow_metadata(true);
    let builder = ParquetRecordBatchReaderBuilder::try_new_with_options(file, options)
        .map_err(|error| after(0)(io::Error::other(error)))?;
    let rows = u64::try_from(builder.metadata().file_metadata().num_rows()).unwrap_or(0).max(1);
    let fields = builder.schema().fields().clone();
    let columns = Columns::of_heading(fields.iter().map(|field| field.name().as_bytes()))?;
    let indexes = columns.indexes();
    for field in indexes.iter().filter_map(|&index| fields.get(index)) {
        if !matches!(field.data_type(), DataType::Utf8 | DataType::Binary) {
            return Err(CatalogError::Type { column: field.name().clone(), found: field.data_type().to_string() });
        }
    }
    let mask = ProjectionMask::roots(builder.parquet_schema(), indexes.iter().copied());
    let batches = builder.with_projection(mask).with_batch_size(ROWS).build();
    let mut row = 0;
    for batch in batches.map_err(|error| after(0)(io::Error::other(error)))? {
        let batch = batch.map_err(|error| after(row)(io::Error::other(error)))?;
        let texts: Vec<Texts<'_>> = batch.columns().iter().filter_map(Texts::of).collect();
        // The indexes are those of all columns, but only the name columns were read.
        let field = |index: usize, number: usize| {
            let texts = indexes.iter().position(|&found| found == index).and_then(|at| texts.get(at));
            texts.map_or(Ok(None), |texts| texts.get(number))
        };
        for number in 0..batch.num_rows() {
            row += 1;
            let value = |index| Ok(field(index, number)?.map_or(Value::Null, Value::Text));
            let Some(result) = columns.row(row, value).map_err(|why| Broken { line: row, why }).transpose() else {
                continue;
            };
            if see(result).is_break() {
                return Ok(());
            }
        }
        let share = u128::from(size) * u128::from(row) / u128::from(rows);
        at(u64::try_from(share).unwrap_or(size));
    }
    Ok(())
}

/// A column of text. Some writers do not mark their bytes as UTF-8.
enum Texts<'a> {
    Known(&'a StringArray),
    Bytes(&'a BinaryArray),
}

impl<'a> Texts<'a> {
    fn of(column: &'a ArrayRef) -> Option<Self> {
        let any = column.as_any();
        any.downcast_ref().map(Self::Known).or_else(|| any.downcast_ref().map(Self::Bytes))
    }

    fn get(&self, at: usize) -> Result<Option<&'a str>, &'static str> {
        match self {
            Self::Known(texts) => Ok(texts.is_valid(at).then(|| texts.value(at))),
            Self::Bytes(bytes) if bytes.is_null(at) => Ok(None),
            Self::Bytes(bytes) => std::str::from_utf8(bytes.value(at)).map(Some).map_err(|_| "not UTF-8"),
        }
    }
}

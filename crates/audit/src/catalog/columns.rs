//! Finds the columns of a table that contain the name.

use super::{CatalogError, Row, WrittenName};

/// The indexes of the columns of a name.
pub(super) struct Columns {
    connection: Option<usize>,
    name: Named,
}

enum Named {
    Whole(usize),
    Parts { catalog: Option<usize>, schema: usize, table: usize },
}

impl Columns {
    /// Finds the columns by their headings, in any case.
    pub(super) fn of<'h>(heading: impl Iterator<Item = &'h [u8]> + Clone) -> Result<Self, CatalogError> {
        let find = |name: &'static str| {
            let named = |(_, found): &(usize, &[u8])| found.trim_ascii().eq_ignore_ascii_case(name.as_bytes());
            let mut indexes = (0_usize..).zip(heading.clone()).filter(named);
            match (indexes.next(), indexes.next()) {
                (_, Some(_)) => Err(CatalogError::Twice(name)),
                (first, None) => Ok(first.map(|(index, _)| index)),
            }
        };
        let name = match (find("name")?, find("table_schema")?, find("table_name")?) {
            (Some(name), ..) => Named::Whole(name),
            (None, Some(schema), Some(table)) => Named::Parts { catalog: find("table_catalog")?, schema, table },
            _ => {
                let found: Vec<_> = heading.map(|name| format!("`{}`", name.escape_ascii())).collect();
                return Err(CatalogError::Columns(found.join(", ")));
            }
        };
        Ok(Self { connection: find("connection")?, name })
    }

    /// Returns the indexes of all columns, ascending.
    #[cfg(feature = "parquet")]
    pub(super) fn indexes(&self) -> Vec<usize> {
        let named = match self.name {
            Named::Whole(name) => [Some(name), None, None],
            Named::Parts { catalog, schema, table } => [catalog, Some(schema), Some(table)],
        };
        let mut indexes: Vec<usize> = named.into_iter().chain([self.connection]).flatten().collect();
        indexes.sort_unstable();
        indexes
    }

    /// Builds the row of a line. `field` returns the value of a column by index; `None` is null.
    pub(super) fn row<'r>(
        &self,
        line: u64,
        field: impl Fn(usize) -> Result<Option<&'r str>, &'static str>,
    ) -> Result<Row<'r>, String> {
        let filled = |at: usize, column: &str| field(at)?.ok_or_else(|| format!("`{column}` is null"));
        let given = |at: Option<usize>| Ok::<_, String>(at.map(&field).transpose()?.flatten());
        let name = match self.name {
            Named::Whole(at) => WrittenName::Whole(filled(at, "name")?),
            Named::Parts { catalog, schema, table } => WrittenName::Parts {
                catalog: given(catalog)?.filter(|part| !part.is_empty()),
                schema: filled(schema, "table_schema")?,
                table: filled(table, "table_name")?,
            },
        };
        Ok(Row { line, connection: given(self.connection)?.filter(|name| !name.is_empty()), name })
    }
}

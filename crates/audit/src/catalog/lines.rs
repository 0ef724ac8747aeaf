//! Reads JSON Lines: one object for each line.

use std::borrow::Cow;
use std::fmt;
use std::io::{BufRead, Read};
use std::ops::ControlFlow;

use serde::de::{Deserialize, Deserializer, Error, IgnoredAny, MapAccess, Visitor};

use super::{Broken, CatalogError, MAX_ROW_BYTES, Row, WrittenName};

pub(super) fn read(
    mut input: impl BufRead,
    mut see: impl FnMut(Result<Row<'_>, Broken>) -> ControlFlow<()>,
) -> Result<(), CatalogError> {
    let mut text = Vec::new();
    for line in 1.. {
        let unreadable = |error| CatalogError::Unreadable { line: line - 1, error };
        text.clear();
        let read = input.by_ref().take(MAX_ROW_BYTES as u64 + 1).read_until(b'\n', &mut text).map_err(unreadable)?;
        let next = if read == 0 {
            return Ok(());
        } else if read > MAX_ROW_BYTES {
            // The last byte may have been the line end.
            if text.last() != Some(&b'\n') {
                input.skip_until(b'\n').map_err(unreadable)?;
            }
            see(Err(Broken { line, why: format!("more than {MAX_ROW_BYTES} bytes") }))
        } else if text.trim_ascii().is_empty() {
            continue;
        } else {
            match serde_json::from_slice::<Object<'_>>(&text) {
                Ok(object) => see(object.row(line).map_err(|why| Broken { line, why })),
                Err(error) => see(Err(Broken { line, why: reason(&error) })),
            }
        };
        if next.is_break() {
            return Ok(());
        }
    }
    Ok(())
}

/// Formats an error of `serde_json` with the column only, because it parses a single line.
fn reason(error: &serde_json::Error) -> String {
    let text = error.to_string();
    let end = text.rfind(" at line ").unwrap_or(text.len());
    format!("column {}: {}", error.column(), text.get(..end).unwrap_or(&text))
}

/// The columns of a row, by the order of [`COLUMNS`].
struct Object<'t>([Option<Cow<'t, str>>; 5]);

const COLUMNS: [&str; 5] = ["connection", "name", "table_catalog", "table_schema", "table_name"];

impl Object<'_> {
    fn row(&self, line: u64) -> Result<Row<'_>, String> {
        let [connection, name, catalog, schema, table] = self.0.each_ref().map(|field| field.as_deref());
        let name = match (name, schema, table) {
            (Some(name), ..) => WrittenName::Whole(name),
            (None, Some(schema), Some(table)) => {
                WrittenName::Parts { catalog: catalog.filter(|part| !part.is_empty()), schema, table }
            }
            _ => return Err("neither `name` nor both `table_schema` and `table_name`".to_owned()),
        };
        Ok(Row { line, connection: connection.filter(|name| !name.is_empty()), name })
    }
}

impl<'de: 't, 't> Deserialize<'de> for Object<'t> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Fields;
        impl<'de> Visitor<'de> for Fields {
            type Value = Object<'de>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Object<'de>, A::Error> {
                let mut fields = [const { None }; 5];
                while let Some(key) = map.next_key::<Text<'de>>()? {
                    let mut columns = COLUMNS.iter().zip(&mut fields);
                    match columns.find(|(name, _)| name.eq_ignore_ascii_case(&key.0)) {
                        Some((name, Some(_))) => return Err(A::Error::custom(format_args!("`{name}` appears twice"))),
                        Some((_, field)) => *field = map.next_value::<Option<Text<'de>>>()?.map(|text| text.0),
                        None => {
                            map.next_value::<IgnoredAny>()?;
                        }
                    }
                }
                Ok(Object(fields))
            }
        }
        deserializer.deserialize_map(Fields)
    }
}

/// A string, borrowed if it has no escape.
#[derive(serde::Deserialize)]
struct Text<'t>(#[serde(borrow)] Cow<'t, str>);

//! Reads a row that is a JSON object.

use std::ops::ControlFlow;

use portcullis_document::definition::{Element, Lenient, Name, Text, json_message};
use serde::de::{Error, IgnoredAny, MapAccess};

use super::columns::{Columns, HEADINGS, MATERIALIZED, Value};
use super::{Broken, Row, Skipped};

/// The object of `bq ls --format=json` that has the parts of a name.
const TABLE_REFERENCE: &str = "tableReference";

/// The object of `dbt ls` with the settings of a model, of which [`MATERIALIZED`] counts.
const CONFIG: &str = "config";

/// Reads objects, which usually have the same keys as the one before.
#[derive(Default)]
pub(super) struct Objects {
    last: Option<(Vec<usize>, Columns)>,
}

impl Objects {
    /// Calls `see` with the row of the object `text`, unless a listing lists something else in it.
    pub(super) fn row(
        &mut self,
        line: u64,
        text: &[u8],
        skipped: &mut Skipped,
        see: &mut impl FnMut(Result<Row<'_>, Broken>) -> ControlFlow<()>,
    ) -> ControlFlow<()> {
        let object: Object<'_> = match serde_json::from_slice(text) {
            Ok(Element::Found(object)) => object,
            Ok(Element::Wrong(found)) => {
                return see(Err(Broken { line, why: format!("expected an object, found {found}") }));
            }
            Ok(Element::Unread(_) | Element::Rest(_)) => {
                return see(Err(Broken { line, why: "expected an object".to_owned() }));
            }
            Err(error) => return see(Err(Broken { line, why: reason(&error) })),
        };
        let columns = match self.columns(&object) {
            Ok(columns) => columns,
            Err(why) => return see(Err(Broken { line, why })),
        };
        match columns.row(line, |at| Ok(object.values.get(at).map_or(Value::Null, |(_, found)| value(found)))) {
            Ok(Ok(row)) => see(Ok(row)),
            Ok(Err(kind)) => {
                skipped.add(kind);
                ControlFlow::Continue(())
            }
            Err(why) => see(Err(Broken { line, why })),
        }
    }

    fn columns(&mut self, object: &Object<'_>) -> Result<&Columns, String> {
        let keys: Vec<usize> = object.values.iter().map(|(key, _)| *key).collect();
        if self.last.as_ref().is_none_or(|(last, _)| *last != keys) {
            let find = |name: &'static str| {
                let key = HEADINGS.binary_search(&name).ok();
                Ok(key.and_then(|key| keys.iter().position(|found| *found == key)))
            };
            let headings = keys.iter().filter_map(|key| HEADINGS.get(*key)).map(|name| name.as_bytes());
            let columns = Columns::of(find, headings).map_err(|error| error.to_string())?;
            self.last = Some((keys, columns));
        }
        self.last.as_ref().map(|(_, columns)| columns).ok_or_else(|| "there are no columns".to_owned())
    }
}

/// Formats an error with the column only, because it is in a single row.
fn reason(error: &serde_json::Error) -> String {
    let message = json_message(error);
    if error.is_syntax() { format!("column {}: {message}", error.column()) } else { message.into() }
}

/// The values of the keys that are headings: by the index of the heading in [`HEADINGS`].
struct Object<'t> {
    values: Vec<(usize, Element<Scalar<'t>>)>,
}

/// A value that a column of a listing can have.
enum Scalar<'t> {
    Text(Text<'t>),
    Flag(bool),
    Null,
}

impl<'t> Lenient<'t> for Scalar<'t> {
    const EXPECTED: &'static str = "a string, a boolean or null";

    fn from_null() -> Option<Self> {
        Some(Self::Null)
    }

    fn from_bool(flag: bool) -> Option<Self> {
        Some(Self::Flag(flag))
    }

    fn from_text(text: Text<'t>) -> Option<Self> {
        Some(Self::Text(text))
    }
}

fn value<'o>(element: &'o Element<Scalar<'_>>) -> Value<'o> {
    match element {
        Element::Found(Scalar::Text(text)) => Value::Text(text),
        Element::Found(Scalar::Flag(flag)) => Value::Flag(*flag),
        Element::Wrong(kind) => Value::Other(*kind),
        Element::Found(Scalar::Null) | Element::Unread(_) | Element::Rest(_) => Value::Null,
    }
}

impl<'t> Lenient<'t> for Object<'t> {
    const EXPECTED: &'static str = "an object";

    fn from_object<A: MapAccess<'t>>(mut map: A) -> Result<Option<Self>, A::Error> {
        let mut object = Self { values: Vec::new() };
        while let Some(Name(key)) = map.next_key()? {
            object.entry(&key, &mut map)?;
        }
        Ok(Some(object))
    }
}

impl<'t> Object<'t> {
    fn entry<A: MapAccess<'t>>(&mut self, key: &str, map: &mut A) -> Result<(), A::Error> {
        if key == TABLE_REFERENCE {
            let reference: Element<Self> = map.next_value()?;
            let Element::Found(Self { values }) = reference else { return Ok(()) };
            values.into_iter().try_for_each(|(key, value)| self.set(key, value))
        } else if key == CONFIG {
            let config: Element<Self> = map.next_value()?;
            let Element::Found(Self { values }) = config else { return Ok(()) };
            let is_materialized = |key: usize| HEADINGS.get(key) == Some(&MATERIALIZED.0);
            let found = values.into_iter().find(|(key, _)| is_materialized(*key));
            found.map_or(Ok(()), |(key, value)| self.set(key, value))
        } else if let Some(heading) = HEADINGS.iter().position(|name| name.eq_ignore_ascii_case(key)) {
            let value = map.next_value()?;
            self.set(heading, value)
        } else {
            map.next_value::<IgnoredAny>().map(drop)
        }
    }

    fn set<E: Error>(&mut self, heading: usize, value: Element<Scalar<'t>>) -> Result<(), E> {
        if self.values.iter().any(|(set, _)| *set == heading) {
            let name = HEADINGS.get(heading).copied().unwrap_or_default();
            return Err(E::custom(format_args!("`{name}` appears twice")));
        }
        self.values.push((heading, value));
        Ok(())
    }
}

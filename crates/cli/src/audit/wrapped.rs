//! Finds the list of rows in a JSON document around it, such as `{"data": [...]}`.

use std::fs::File;
use std::io::Read;
use std::path::Path;

use serde_json::Value;

/// The maximum size of a document that is searched, in bytes.
const MAX_DOCUMENT: u64 = 64 << 20;

/// Returns the program of `jq` that writes the rows of the document at `path` as lines; `None` if it has no list of objects.
pub(super) fn rows(path: &Path) -> Option<String> {
    let is_small = std::fs::metadata(path).is_ok_and(|found| found.is_file() && found.len() <= MAX_DOCUMENT);
    let mut text = Vec::new();
    File::open(path).ok().filter(|_| is_small)?.take(MAX_DOCUMENT).read_to_end(&mut text).ok()?;
    find(&serde_json::from_slice(&text).ok()?)
}

fn find(document: &Value) -> Option<String> {
    /// Keys of the tables in the documents of other programs, such as the manifest of dbt.
    const TABLES: [&str; 3] = ["nodes", "tables", "sources"];
    let members = || document.as_object().into_iter().flatten().filter(|(key, _)| is_bare(key));
    let is_list = |value: &Value| value.as_array().is_some_and(|rows| rows.first().is_some_and(Value::is_object));
    let is_map =
        |value: &Value| value.as_object().is_some_and(|rows| rows.values().next().is_some_and(Value::is_object));
    let list =
        members().filter(|(_, value)| is_list(value)).max_by_key(|(_, value)| value.as_array().map_or(0, Vec::len));
    let map = || TABLES.iter().find_map(|key| members().find(|(name, value)| name == key && is_map(value)));
    list.or_else(map).map(|(key, _)| format!(".{key}[]"))
}

/// Whether `jq` reads `key` without quotes.
fn is_bare(key: &str) -> bool {
    key.starts_with(|first: char| first.is_ascii_alphabetic() || first == '_')
        && key.chars().all(|character| character.is_ascii_alphanumeric() || character == '_')
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::find;

    #[test]
    fn the_list_of_a_document_is_found() {
        for (document, program) in [
            (json!({"data": [{"name": "a"}]}), Some(".data[]")),
            (json!({"TableList": [{"Name": "a"}], "NextToken": "x"}), Some(".TableList[]")),
            (json!({"errors": [{}], "tables": [{}, {}, {}]}), Some(".tables[]")),
            (json!({"metadata": {"a": {}}, "nodes": {"model.a": {}}, "sources": {"b": {}}}), Some(".nodes[]")),
            (json!({"data": []}), None),
            (json!({"data": ["a"]}), None),
            (json!({"a b": [{}]}), None),
            (json!({"name": "a"}), None),
            (json!([{"name": "a"}]), None),
            (json!("a"), None),
        ] {
            assert_eq!(find(&document).as_deref(), program, "{document}");
        }
    }
}

//! The lines of a list of named sources.

use portcullis_audit::reads::NamedSources;
use serde_json::{Value, json};

#[test]
fn named_sources_reject_null() {
    let source = json!({"name": "open-orders", "connection": "dw", "sql": "SELECT 1"});
    assert!(NamedSources::read(source.to_string().as_bytes()).is_ok());
    for member in source.as_object().unwrap().keys() {
        let mut changed = source.clone();
        changed[member] = Value::Null;
        assert!(NamedSources::read(changed.to_string().as_bytes()).is_err(), "{member}");
    }
}

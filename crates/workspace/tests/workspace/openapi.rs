//! The `OpenAPI` document.

use serde_json::Value;

use super::server::{Server, TOKEN};

const COMMITTED: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/openapi.json");

#[test]
fn the_committed_document_is_that_of_the_code() {
    let document = portcullis_workspace::openapi("http://127.0.0.1:8183");
    let text = format!("{}\n", serde_json::to_string_pretty(&document).unwrap());
    if std::env::var_os("UPDATE_OPENAPI").is_some() {
        std::fs::write(COMMITTED, &text).unwrap();
    }
    let committed = std::fs::read_to_string(COMMITTED).unwrap_or_default();
    assert!(committed == text, "run the tests with `UPDATE_OPENAPI=1`, and commit crates/workspace/openapi.json");
}

#[test]
fn the_served_document_names_the_server() {
    let server = Server::start();
    let document = server.send("GET", "/openapi.json", &[], "").expect(200).json();
    assert_eq!(document["servers"][0]["url"], format!("http://{}", server.address));
    assert_eq!(document["openapi"], "3.1.0");
}

/// Checks that `value` has the fields of the schema `name`, and no other field.
fn check(document: &Value, name: &str, value: &Value) {
    let schema = &document["components"]["schemas"][name];
    let properties = schema["properties"].as_object().unwrap_or_else(|| panic!("no schema {name}"));
    let object = value.as_object().unwrap_or_else(|| panic!("{name}: {value}"));
    for required in schema["required"].as_array().unwrap() {
        assert!(object.contains_key(required.as_str().unwrap()), "{name} lacks {required}: {value}");
    }
    for (field, value) in object {
        let property = properties.get(field).unwrap_or_else(|| panic!("{name} has the undocumented field `{field}`"));
        let inner = property["items"]["$ref"].as_str().or_else(|| property["allOf"][0]["$ref"].as_str());
        if let Some(inner) = inner.and_then(|inner| inner.rsplit('/').next()) {
            let values = value.as_array().cloned().unwrap_or_else(|| vec![value.clone()]);
            for value in &values {
                check(document, inner, value);
            }
        }
    }
}

#[test]
fn answers_have_the_documented_fields() {
    let server = Server::start();
    let access = server.access("ana");
    let document = portcullis_workspace::openapi("http://localhost");
    let created = server.post(&access, "/v3/tokens", TOKEN).expect(201);
    let id = created.text("id");
    let rotated = server.post(&access, &format!("/v3/tokens/{id}/rotate"), r#"{"overlap": "1d"}"#).expect(200);
    let source =
        server.post(&access, "/v3/named-sources", r#"{"name": "open-orders", "query": "select 1"}"#).expect(201);
    let client = r#"{"type": "spa", "title": "Atlas", "callbacks": ["https://a.example/"], "web_origins": ["https://a.example"]}"#;
    let client = server.post(&access, "/v3/clients", client).expect(201);
    for (schema, value) in [
        ("TokenWithSecret", created.json()),
        ("TokenWithSecret", rotated.json()),
        ("TokenList", server.get(&access, "/v3/tokens").expect(200).json()),
        ("Token", server.get(&access, &format!("/v3/tokens/{id}")).expect(200).json()),
        ("Usage", server.get(&access, &format!("/v3/tokens/{id}/usage")).expect(200).json()),
        ("Caller", server.get(&access, "/v3/tokens/self").expect(200).json()),
        ("Validation", server.post(&access, "/v3/tokens:validate", TOKEN).expect(200).json()),
        ("NamedSource", source.json()),
        ("NamedSourceList", server.get(&access, "/v3/named-sources").expect(200).json()),
        ("ConnectionList", server.get(&access, "/v3/connections").expect(200).json()),
        ("Client", client.json()),
        ("ClientList", server.get(&access, "/v3/clients").expect(200).json()),
        ("TrailPage", server.get(&access, "/v3/trail").expect(200).json()),
        ("Problem", server.get(&access, "/v3/tokens/none").expect(404).json()),
    ] {
        check(&document, schema, &value);
    }
}

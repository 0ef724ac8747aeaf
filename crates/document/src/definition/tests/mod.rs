//! Cases as data, each through one `check`.
#![expect(clippy::string_slice, reason = "a test may panic")]

mod properties;
mod shapes;
mod spans;
mod syntax;

/// A document with every field and no problem.
const FULL: &str = r#"{
  "version": 1,
  "connections": [{"name": "dw", "dialect": "bigquery", "named_sources_only": true}],
  "apis": [{"name": "tiles", "accepts": ["resource", "all"]}],
  "tokens": [
    {
      "id": "tok_1", "name": "N", "owner": "é\u00e9", "token": "s3cret\n", "allowed_apis": ["maps", "sql"],
      "grants": [
        {"connection_name": "dw", "source": "a.b", "type": "resource"},
        {"connection_name": "dw", "type": "all"}
      ],
      "referers": ["https://carto.com/"], "expiration_date": "2030-01-01", "created_at": null
    },
    {"id": "tok_2", "token_sha256": "s3cret", "allowed_apis": ["lds"], "name": null, "owner": null, "expiration_date": null}
  ]
}"#;

//! Connections and secrets that HTTP requests cannot carry: the warnings agree with the request reader.

use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use portcullis_document::load::{Input, LoadOptions, load};
use portcullis_http::gateway::{Body, HttpRequest, Reader, Reading};
use proptest::prelude::*;
use serde_json::json;

/// Returns the path and message of each warning that is about HTTP requests; `None` if the document is invalid.
fn warnings(document: &serde_json::Value) -> Option<Vec<String>> {
    let loaded = load(
        &[Input::new("policy.json", document.to_string())],
        &LoadOptions { warnings: true, ..LoadOptions::default() },
    );
    loaded.policy.as_ref()?;
    let codes = ["connection_not_in_urls", "secret_not_in_headers"];
    let found = loaded.warnings().filter(|found| codes.contains(&found.code));
    Some(found.map(|found| format!("{} {}", found.path, found.message)).collect())
}

fn with_connection(name: &str) -> [serde_json::Value; 2] {
    let token = json!({"id": "a", "token_sha256": "0".repeat(64), "allowed_apis": ["maps"],
        "grants": [{"connection_name": name, "source": "a.b.c"}]});
    [json!({"connections": [{"name": name}], "tokens": [token]}), json!([token])]
}

fn with_secret(secret: &str) -> serde_json::Value {
    json!([{"id": "x7", "token": secret, "allowed_apis": ["lds"]}])
}

/// Whether a request for a map on the connection is understood.
fn is_read(connection: &str) -> bool {
    let encoded = utf8_percent_encode(connection, NON_ALPHANUMERIC);
    let target = format!("/v3/maps/{encoded}/table?name=a.b.c");
    let headers: [(&str, &str); 0] = [];
    let request = HttpRequest { method: "GET", target: &target, headers: &&headers[..], body: Body::NotPassedOn };
    match Reader::default().read(&request) {
        Ok(Reading::Access(access)) => access.connection == connection,
        _ => false,
    }
}

/// Whether a request with the secret in its `Authorization` header is understood.
fn is_presented(secret: &str) -> bool {
    let header = format!("Bearer {secret}");
    let headers = [("authorization", header.as_str())];
    let request = HttpRequest { method: "GET", target: "/v3/lds/x", headers: &&headers[..], body: Body::NotPassedOn };
    match Reader::default().read(&request) {
        Ok(Reading::Access(access)) => access.token.as_deref() == Some(secret),
        _ => false,
    }
}

fn check_connection(name: &str) {
    for (document, place) in
        with_connection(name).iter().zip(["connections[0].name", "tokens[0].grants[0].connection_name"])
    {
        // Control characters are errors.
        let Some(found) = warnings(document) else { continue };
        assert_eq!(found.len(), usize::from(!is_read(name)), "{name:?}: {found:?}");
        assert!(found.iter().all(|found| found.starts_with(place)), "{name:?}: {found:?}");
    }
}

fn check_secret(secret: &str) {
    let Some(found) = warnings(&with_secret(secret)) else { return };
    assert_eq!(found.len(), usize::from(!is_presented(secret)), "{secret:?}: {found:?}");
    assert!(secret.len() < 4 || found.iter().all(|found| !found.contains(secret)), "{found:?}");
}

#[test]
fn connections_that_no_path_names_are_reported() {
    for (name, is_fine) in [
        ("carto_dw", true),
        ("carto-dw.eu", true),
        ("a b", true),
        ("é", true),
        ("...", true),
        ("a%20b", true),
        ("a+b", true),
        ("publics", true),
        ("public", false),
        ("a/b", false),
        ("/", false),
        ("a//b", false),
        ("\\", false),
        (".", false),
        ("..", false),
        ("a;b", false),
        ("%2e%2E", false),
        (".%2e", false),
        ("a%2Fb", false),
        ("a%5cb", false),
        ("a%3bb", false),
        ("%00", false),
    ] {
        assert_eq!(is_read(name), is_fine, "{name}");
        check_connection(name);
    }
}

#[test]
fn secrets_that_no_header_carries_are_reported() {
    for (secret, is_fine) in [
        ("s3cret", true),
        ("a.b-c_d~e+f/g=", true),
        ("\"quoted\"", true),
        ("Bearer s3cret", false),
        ("bearer\ts3cret", false),
        (" s3cret", false),
        ("s3cret ", false),
        ("s3 cret", false),
        ("s3cret\n", false),
        ("s3,cret", false),
        ("sécret", false),
        ("s3cret\u{200b}", false),
        ("\u{feff}s3cret", false),
        ("s3\u{7f}cret", false),
    ] {
        // The reader drops the blanks before a secret.
        assert_eq!(is_presented(secret), is_fine, "{secret:?}");
        check_secret(secret);
    }
}

proptest! {
    #[test]
    fn warnings_agree_with_the_request_reader(name in "[a-z./%\\\\;5cC2eEfF0 é\u{1}]{1,6}", secret in "[!-~ ,\té\u{7f}]{1,8}") {
        check_connection(&name);
        check_secret(&secret);
    }
}

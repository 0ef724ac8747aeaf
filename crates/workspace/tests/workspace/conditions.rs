//! Changes of a version that the caller has read.

use super::server::{Server, TOKEN};

#[test]
fn a_change_names_the_version_that_was_read() {
    let server = Server::start();
    let access = server.access("ana");
    let created = server.post(&access, "/v3/tokens", TOKEN).expect(201);
    let path = format!("/v3/tokens/{}", created.text("id"));
    let etag = created.header("etag").unwrap().to_owned();
    let change = |method: &str, tag: Option<&str>, body: &str| {
        let headers: Vec<_> = tag.iter().map(|tag| ("if-match", *tag)).collect();
        server.call(&access, method, &path, &headers, body)
    };
    for method in ["PATCH", "DELETE"] {
        change(method, None, r#"{"name": "a"}"#).problem(428, "if_match_required");
        for stale in ["\"0\"", "W/\"x\"", "", &etag.replace('"', "")] {
            change(method, Some(stale), r#"{"name": "a"}"#).problem(412, "version_changed");
        }
    }
    let renamed = change("PATCH", Some(&etag), r#"{"name": "a"}"#).expect(200);
    assert_ne!(renamed.header("etag"), Some(&*etag));
    change("PATCH", Some(&etag), r#"{"name": "b"}"#).problem(412, "version_changed");
    let read = server.get(&access, &path).expect(200);
    assert_eq!((read.text("name"), read.header("etag")), ("a".into(), renamed.header("etag")));
    let unchanged = server.call(&access, "GET", &path, &[("if-none-match", read.header("etag").unwrap())], "");
    assert_eq!((unchanged.expect(304).body, read.status), (String::new(), 200));
    // A new secret is a new version: the token of the caller has changed.
    let rotated = server.post(&access, &format!("{path}/rotate"), "").expect(200);
    assert_ne!(rotated.header("etag"), read.header("etag"));
    change("DELETE", read.header("etag"), "").problem(412, "version_changed");
    let list = format!("\"0\", {}", rotated.header("etag").unwrap());
    change("DELETE", Some(&list), "").expect(204);
    change("DELETE", Some("*"), "").problem(404, "not_found");
}

#[test]
fn a_token_in_use_is_deleted_only_by_force() {
    let server = Server::start();
    let access = server.access("ana");
    let id = server.post(&access, "/v3/tokens", TOKEN).expect(201).text("id");
    let path = format!("/v3/tokens/{id}");
    let now = portcullis_workspace::Workspace::now();
    let usage = portcullis_registry::record::Usage { token: id, allowed: 3, last_used: now };
    server.registry(|registry| registry.record_usage(std::slice::from_ref(&usage)).unwrap());
    assert_eq!(server.get(&access, &format!("{path}/usage")).expect(200).json()["allowed"], 3);
    let delete = |path: &str| server.call(&access, "DELETE", path, &[("if-match", "*")], "");
    let refused = delete(&path).problem(409, "token_in_use");
    assert!(refused.text("help").contains("?force=true"));
    delete(&format!("{path}?force=true")).expect(204);
}

#[test]
fn a_rotated_secret_overlaps() {
    let server = Server::start();
    let access = server.access("ana");
    let created = server.post(&access, "/v3/tokens", TOKEN).expect(201);
    let path = format!("/v3/tokens/{}/rotate", created.text("id"));
    let rotated = server.post(&access, &path, r#"{"overlap": "7d", "expiration_date": "30d"}"#).expect(200);
    assert_ne!(rotated.text("token"), created.text("token"));
    assert_eq!(rotated.text("id"), created.text("id"));
    assert!(rotated.json()["old"]["expiration_date"].is_string() && rotated.json()["expiration_date"].is_string());
    server.post(&access, &path, r#"{"overlap": "soon", "expiration_date": "x"}"#).problem(400, "invalid_span");
    server.call(&access, "POST", &path, &[("if-match", "\"0\"")], "").problem(412, "version_changed");
}

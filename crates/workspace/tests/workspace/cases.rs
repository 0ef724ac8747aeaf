//! What `POST /v3/tokens` accepts, and what it answers otherwise.

use serde_json::Value;

use super::server::{Server, TOKEN};

fn problems(json: &Value) -> Vec<String> {
    let problem = |it: &Value| format!("{}|{}", it["pointer"].as_str().unwrap(), it["reason"].as_str().unwrap());
    json["errors"].as_array().unwrap().iter().map(problem).collect()
}

#[test]
fn tokens_are_created_by_the_rules_of_documents() {
    let server = Server::start();
    let access = server.access("ana");
    let cases: Vec<Value> = serde_json::from_str(include_str!("../../../../tests/data/workspace/tokens.json")).unwrap();
    for case in &cases {
        let why = case["why"].as_str().unwrap();
        let body = case["body"].to_string();
        let reply = server.post(&access, "/v3/tokens", &body);
        assert_eq!(u64::from(reply.status), case["status"].as_u64().unwrap(), "{why}: {reply:?}");
        let checked = server.post(&access, "/v3/tokens:validate", &body);
        if reply.status == 201 {
            let json = reply.json();
            let types: Vec<_> = json["grants"].as_array().unwrap().iter().map(|grant| grant["type"].clone()).collect();
            if let Some(want) = case["types"].as_array() {
                assert_eq!(types, *want, "{why}");
            }
            if let Some(want) = case.get("expiration_date") {
                assert_eq!(json["expiration_date"], *want, "{why}");
            }
            let id = reply.text("id");
            assert_eq!(reply.header("location"), Some(&*format!("/v3/tokens/{id}")), "{why}");
            assert!(reply.text("token").starts_with("pcl_tk_"), "{why}");
            let read = server.get(&access, &format!("/v3/tokens/{id}")).expect(200);
            assert_eq!(read.header("etag"), reply.header("etag"), "{why}");
            assert_eq!(read.json()["grants"], json["grants"], "{why}");
            assert_eq!(checked.expect(200).json()["valid"], true, "{why}");
        } else {
            assert_eq!(reply.header("content-type"), Some("application/problem+json"), "{why}");
            let json = reply.json();
            assert_eq!(json["status"].as_u64(), case["status"].as_u64(), "{why}");
            assert!(json["error"].is_string() && json["help"].is_string(), "{why}");
            if let Some(want) = case["errors"].as_array() {
                assert_eq!(problems(&json), *want, "{why}");
            }
            // A check reports only what it looks at: a body of the wrong shape is not a token at all.
            if checked.status == 200 {
                assert_eq!(checked.json()["valid"], false, "{why}");
                assert_eq!(problems(&checked.json()), problems(&json), "{why}");
            } else {
                assert_eq!(problems(&checked.json()), problems(&json), "{why}");
            }
        }
    }
}

/// PostgreSQL stores no text with this character.
#[test]
fn sql_with_the_character_nul_is_refused_on_every_database() {
    let server = Server::start();
    let access = server.access("root");
    let grant = r#"{"connection_name": "carto_dw", "source": "select '\u0000'"}"#;
    for (path, body, expected) in [
        (
            "/v3/clients",
            format!(r#"{{"type": "m2m", "title": "x", "allowed_apis": ["sql"], "grants": [{grant}]}}"#),
            "/grants/0/source|control_character",
        ),
        (
            "/v3/named-sources",
            r#"{"name": "open-orders", "query": "select '\u0000'"}"#.to_owned(),
            "/query|invalid_query",
        ),
    ] {
        let reply = server.post(&access, path, &body).expect(400);
        assert_eq!(problems(&reply.json()), [expected], "{path}");
    }
}

#[test]
fn hostile_bodies_are_refused() {
    let server = Server::start();
    let access = server.access("ana");
    let grant = r#"{"connection_name":"carto_dw","source":"a.b.c"}"#;
    let many = format!(r#"{{"allowed_apis":["sql"],"grants":[{}{grant}]}}"#, format!("{grant},").repeat(9_999));
    let huge = format!(r#"{{"allowed_apis":["lds"],"name":"{}"}}"#, "x".repeat(10 << 20));
    let deep = format!(r#"{{"allowed_apis":{}{}}}"#, "[".repeat(10_000), "]".repeat(10_000));
    for (body, status, reason, why) in [
        (&*many, 400, "too_many_grants", "10,000 grants"),
        (&huge, 413, "body_too_large", "10 MB"),
        (&deep, 400, "invalid_json", "10,000 levels"),
        (
            r#"{"allowed_apis":["lds"],"allowed_apis":["sql"]}"#,
            400,
            "duplicate_field",
            "two readers may read two values",
        ),
        ("{\"allowed_apis\":[\"lds\"],\"name\":\"\\ud800\"}", 400, "invalid_json", "half a surrogate pair"),
        ("null", 400, "wrong_type", "no object"),
        ("", 400, "invalid_json", "no body"),
    ] {
        let begun = std::time::Instant::now();
        let reply = server.post(&access, "/v3/tokens", body).problem(status, reason);
        assert!(reply.body.len() < 100_000 && begun.elapsed() < std::time::Duration::from_secs(5), "{why}");
    }
    let bearer = format!("Bearer {access}");
    for (kind, why) in
        [("text/plain", "a form of another page can send it"), ("application/x-www-form-urlencoded", "a form")]
    {
        let headers = [("authorization", &*bearer), ("content-type", kind)];
        let reply = server.send("POST", "/v3/tokens", &headers, TOKEN);
        assert_eq!(reply.status, 415, "{why}");
    }
    for (path, reason) in [
        ("/v3/tokens?serach=a", "unknown_parameter"),
        ("/v3/tokens?limit=0", "invalid_parameter"),
        ("/v3/tokens?limit=201", "invalid_parameter"),
        ("/v3/tokens?limit=+1", "invalid_parameter"),
        ("/v3/tokens?limit=1&limit=2", "duplicate_parameter"),
        ("/v3/tokens?sort=owner", "invalid_parameter"),
        ("/v3/tokens?expired=yes", "invalid_parameter"),
        ("/v3/tokens?cursor=x", "invalid_cursor"),
    ] {
        server.get(&access, path).problem(400, reason);
    }
    server.get(&access, "/v3/token").problem(404, "not_found");
    let wrong = server.call(&access, "PUT", "/v3/tokens", &[], "").problem(405, "method_not_allowed");
    assert_eq!(wrong.header("allow"), Some("GET, POST"));
}

#[test]
fn edits_keep_what_they_do_not_name() {
    let server = Server::start();
    let access = server.access("ana");
    let body = r#"{"name": "web", "allowed_apis": ["sql"], "referers": ["https://a.example"], "expiration_date": "2999-01-01",
        "grants": [{"connection_name": "carto_dw", "source": "a.b.c"}, {"connection_name": "other", "source": "s.t"}]}"#;
    let created = server.post(&access, "/v3/tokens", body).expect(201);
    let path = format!("/v3/tokens/{}", created.text("id"));
    let change = |body: &str| server.call(&access, "PATCH", &path, &[("if-match", "*")], body);
    for (body, status, reason, why) in [
        ("{}", 200, "", "an edit of nothing changes nothing"),
        (r#"{"referers": []}"#, 400, "referers_removed", "no referers would open the token to every page"),
        (r#"{"referers": null}"#, 400, "wrong_type", "null would open the token to every page"),
        (r#"{"referers": [], "any_referer": false}"#, 400, "referers_removed", "nothing was confirmed"),
        (r#"{"any_referer": true}"#, 200, "", "a permission alone changes nothing"),
        (r#"{"any_referer": true, "name": "web"}"#, 200, "", "a permission with another change"),
        (r#"{"referers": null, "any_referer": true}"#, 400, "wrong_type", "null is not a list of referers"),
        (r#"{"expiration_date": "2999-01-01T01:00:00+01:00"}"#, 200, "", "the same instant, spelled differently"),
        (r#"{"expiration_date": "2998-01-01"}"#, 409, "expiry_is_fixed", "an earlier expiry"),
        (r#"{"expiration_date": null}"#, 409, "expiry_is_fixed", "no expiry"),
        (r#"{"expiration_date": "30d"}"#, 409, "expiry_is_fixed", "a span"),
        (
            r#"{"remove_grants": [{"connection_name": "other", "source": "x"}]}"#,
            400,
            "no_such_grant",
            "not a grant of it",
        ),
        (r#"{"grants": []}"#, 400, "grants_empty", "the API needs a grant"),
        (r#"{"grants": [], "add_grants": []}"#, 400, "two_lists", "two ways to name the grants"),
        (r#"{"name": null}"#, 400, "wrong_type", "a token has a name"),
        (r#"{"owner": "bo"}"#, 400, "unknown_field", "an owner stays"),
    ] {
        let reply = change(body);
        assert_eq!(reply.status, status, "{why}: {reply:?}");
        if status == 200 {
            assert_eq!(reply.header("etag"), created.header("etag"), "{why}");
        } else {
            assert_eq!(reply.json()["reason"], reason, "{why}");
        }
    }
    let add = r#"{"add_grants": [{"connection_name": "other", "resource": "s.u_*"}], "remove_grants": [{"connection_name": "carto_dw", "source": "a.b.c"}]}"#;
    let edited = change(add).expect(200).json();
    let sources: Vec<_> =
        edited["grants"].as_array().unwrap().iter().map(|grant| grant["source"].as_str().unwrap()).collect();
    assert_eq!(sources, ["s.t", "s.u_*"]);
    assert_eq!(edited["referers"].as_array().unwrap().len(), 1);
    assert_eq!(
        change(r#"{"referers": [], "any_referer": true}"#).expect(200).json()["referers"].as_array().unwrap().len(),
        0
    );
    assert_eq!(
        change(r#"{"grants": [{"connection_name": "other", "source": "*"}]}"#).expect(200).json()["grants"][0]["type"],
        "all"
    );
}

#[test]
fn no_edit_makes_a_token_larger_than_the_limit() {
    let server = Server::start();
    let access = server.access("ana");
    let grants = |from: usize, count: usize| {
        let grant = |number| format!(r#"{{"connection_name":"carto_dw","source":"a.b.t{number}"}}"#);
        format!("[{}]", (from..from + count).map(grant).collect::<Vec<_>>().join(","))
    };
    let body = format!(r#"{{"allowed_apis": ["sql"], "grants": {}}}"#, grants(0, 999));
    let path = format!("/v3/tokens/{}", server.post(&access, "/v3/tokens", &body).expect(201).text("id"));
    let change = |body: &str| server.call(&access, "PATCH", &path, &[("if-match", "*")], body);
    let add = |from, count| change(&format!(r#"{{"add_grants": {}}}"#, grants(from, count)));
    assert_eq!(add(999, 2).problem(400, "too_many_grants").json()["errors"][0]["pointer"], "/add_grants");
    add(0, 1000).expect(200);
    add(1000, 1).problem(400, "too_many_grants");
    add(0, 1000).expect(200);
    // A removal makes room in the same edit.
    change(&format!(r#"{{"remove_grants": {}, "add_grants": {}}}"#, grants(0, 1), grants(1000, 1))).expect(200);
    assert_eq!(server.get(&access, &path).expect(200).json()["grants"].as_array().unwrap().len(), 1000);
    // A token that the command line made larger can still become smaller.
    let id = path.rsplit('/').next().unwrap();
    server.registry(|registry| {
        let added = portcullis_registry::TokenEdit {
            add_grants: (0..50).map(|number| ("carto_dw".into(), format!("z.z.t{number}"))).collect(),
            ..portcullis_registry::TokenEdit::default()
        };
        registry.update_token(&super::server::actor("ana"), id, &added).unwrap();
    });
    change(&format!(r#"{{"remove_grants": {}}}"#, grants(1, 1))).expect(200);
    change(r#"{"name": "large"}"#).expect(200);
    add(2000, 1).problem(400, "too_many_grants");
}

#[test]
fn named_sources_are_managed() {
    let server = Server::start();
    let access = server.access("ana");
    for (body, status, reason) in [
        (r#"{"name": "open-orders", "query": "select 1", "connection": "carto_dw"}"#, 201, ""),
        (r#"{"name": "open-orders", "query": "select 1"}"#, 409, "name_taken"),
        (r#"{"name": "Open", "query": "select 1"}"#, 400, "invalid_name"),
        (r#"{"name": "more", "query": ""}"#, 400, "invalid_query"),
        (r#"{"name": "more", "query": "select 1", "connection": "x"}"#, 400, "unknown_connection"),
        (r#"{"name": "more"}"#, 400, "missing_field"),
    ] {
        let reply = server.post(&access, "/v3/named-sources", body);
        assert_eq!(reply.status, status, "{body}: {reply:?}");
        if status != 201 {
            assert_eq!(reply.json()["reason"], reason, "{body}");
        }
    }
    for number in 0..12 {
        let body = format!(r#"{{"name": "source-{number:02}", "query": "select {number}"}}"#);
        server.post(&access, "/v3/named-sources", &body).expect(201);
    }
    let list = server.get(&access, "/v3/named-sources").expect(200).json();
    assert_eq!(
        (list["named_sources"].as_array().unwrap().len(), list["page"].as_u64(), list["total"].as_u64()),
        (10, Some(1), Some(13))
    );
    let second = server.get(&access, "/v3/named-sources?page=2&pageSize=10").expect(200).json();
    assert_eq!(second["named_sources"].as_array().unwrap().len(), 3);
    assert_eq!(server.get(&access, "/v3/named-sources?search=OPEN").expect(200).json()["total"], 1, "in any case");
    assert_eq!(server.get(&access, "/v3/named-sources?search=select%201").expect(200).json()["total"], 4);
    let path = "/v3/named-sources/open-orders";
    let read = server.get(&access, path).expect(200);
    assert_eq!((read.text("id"), read.text("query")), ("open-orders".into(), "select 1".into()));
    let etag = read.header("etag").unwrap();
    server.call(&access, "PATCH", path, &[], "{}").problem(428, "if_match_required");
    server.call(&access, "PATCH", path, &[("if-match", etag)], r#"{"query": "select 2"}"#).expect(200);
    server
        .call(&access, "PATCH", path, &[("if-match", etag)], r#"{"query": "select 3"}"#)
        .problem(412, "version_changed");
    server.call(&access, "PATCH", "/v3/named-sources/none", &[("if-match", "*")], "{}").problem(404, "not_found");
    let grant = r#"{"allowed_apis": ["sql"], "grants": [{"connection_name": "carto_dw", "source": "open-orders"}]}"#;
    server.post(&access, "/v3/tokens", grant).expect(201);
    let delete = |path: &str| server.call(&access, "DELETE", path, &[("if-match", "*")], "");
    delete(path).problem(409, "conflict");
    delete("/v3/named-sources/source-00").expect(204);
    delete("/v3/named-sources/source-00").problem(404, "not_found");
    assert_eq!(server.get(&access, "/v3/connections").expect(200).json()["connections"].as_array().unwrap().len(), 2);
    server.get(&access, "/v3/connections/none").problem(404, "not_found");
}

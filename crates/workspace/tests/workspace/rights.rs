//! Who may see and change what.

use portcullis_registry::record::Role;

use super::server::{Server, TOKEN, actor, reads};

#[test]
fn a_token_of_another_user_is_as_unknown_as_no_token() {
    let server = Server::start();
    let (ana, bo) = (server.access("ana"), server.access("bo"));
    let id = server.post(&ana, "/v3/tokens", TOKEN).expect(201).text("id");
    let body = r#"{"name": "x"}"#;
    for (method, path, body) in
        [("GET", "", ""), ("GET", "/usage", ""), ("PATCH", "", body), ("DELETE", "", ""), ("POST", "/rotate", "")]
    {
        let call = |id: &str| server.call(&bo, method, &format!("/v3/tokens/{id}{path}"), &[("if-match", "*")], body);
        let (other, unknown) = (call(&id).problem(404, "not_found"), call("tk_0000000000").problem(404, "not_found"));
        assert_eq!(other.body.replace(&id, "ID"), unknown.body.replace("tk_0000000000", "ID"), "{method} {path}");
    }
    assert_eq!(server.get(&bo, "/v3/tokens").expect(200).json()["tokens"].as_array().unwrap().len(), 0);
    assert_eq!(server.get(&bo, "/v3/tokens?owner=ana").expect(200).json()["tokens"].as_array().unwrap().len(), 0);
    let seen = server.get(&bo, &format!("/v3/trail?id={id}")).expect(200).json();
    assert_eq!(seen["entries"].as_array().unwrap().len(), 0);
    server.get(&ana, &format!("/v3/tokens/{id}")).expect(200);
}

#[test]
fn an_administrator_needs_the_scope_to_see_other_users() {
    let server = Server::start();
    let id = server.post(&server.access("ana"), "/v3/tokens", TOKEN).expect(201).text("id");
    let path = format!("/v3/tokens/{id}");
    server.get(&server.access("root"), &path).problem(404, "not_found");
    let scopes = ["read:tokens", "admin"];
    server.get(&server.access_of(&server.machine("root", Some(&scopes))), &path).expect(200);
    // The scope adds nothing to the role of a developer.
    server.get(&server.access_of(&server.machine("bo", Some(&scopes))), &path).problem(404, "not_found");
    server.registry(|registry| registry.set_role(&actor("root").for_all_users(), "eve", Role::Auditor).unwrap());
    let eve = server.access_of(&server.machine("eve", Some(&["read:tokens", "write:tokens", "admin"])));
    server.get(&eve, &path).expect(200);
    server.post(&eve, "/v3/tokens", TOKEN).problem(403, "read_only");
    server.call(&eve, "DELETE", &path, &[("if-match", "*")], "").problem(403, "read_only");
    // A role that is taken away ends the right at once.
    server.registry(|registry| registry.set_role(&actor("root").for_all_users(), "eve", Role::Developer).unwrap());
    server.get(&eve, &path).problem(404, "not_found");
}

#[test]
fn only_administrators_set_roles() {
    let server = Server::start();
    let scopes = ["admin", "read:tokens"];
    let [root, bo] = ["root", "bo"].map(|user| server.access_of(&server.machine(user, Some(&scopes))));
    let set = |access: &str, user: &str, role: &str| {
        server.call(access, "PATCH", &format!("/v3/users/{user}"), &[], &format!(r#"{{"role": "{role}"}}"#))
    };
    set(&bo, "bo", "administrator").problem(403, "role_needed");
    server.get(&bo, "/v3/users").problem(403, "role_needed");
    set(&root, "bo", "auditors").problem(400, "unknown_role");
    set(&root, "root", "developer").problem(409, "last_administrator");
    assert_eq!(set(&root, "bo", "auditor").expect(200).text("role"), "auditor");
    server.get(&bo, "/v3/users").expect(200);
    set(&bo, "bo", "administrator").problem(403, "role_needed");
    set(&root, "bo", "administrator").expect(200);
    set(&bo, "root", "developer").expect(200);
    server.get(&root, "/v3/users").problem(403, "role_needed");
    let users = server.get(&bo, "/v3/users").expect(200).json();
    assert_eq!(users["users"][0], serde_json::json!({"name": "bo", "role": "administrator"}));
}

#[test]
fn each_endpoint_needs_its_scope() {
    let server = Server::start();
    let document = portcullis_workspace::openapi("http://localhost");
    let [none, other] =
        ["write:connections", "read:trail"].map(|scope| server.access_of(&server.machine("ana", Some(&[scope]))));
    for (path, methods) in document["paths"].as_object().unwrap() {
        for (method, operation) in methods.as_object().unwrap() {
            let scopes = operation["security"][0]["oauth"].as_array().unwrap();
            let path = path.replace(['{', '}'], "");
            let none = if scopes.iter().any(|scope| scope == "write:connections") { &other } else { &none };
            let reply = server.call(none, &method.to_uppercase(), &path, &[("if-match", "*")], "{}");
            if scopes.is_empty() {
                reply.expect(200);
                continue;
            }
            let reply = reply.problem(403, "insufficient_scope");
            let challenge = reply.header("www-authenticate").unwrap();
            assert!(challenge.contains(&format!("scope=\"{}\"", scopes[0].as_str().unwrap())), "{challenge}");
        }
    }
}

#[test]
fn a_client_gives_no_scope_that_it_does_not_have() {
    let server = Server::start();
    let narrow = server.access_of(&server.machine("root", Some(&["read:tokens", "write:clients"])));
    let create = |access: &str, more: &str| {
        server.post(access, "/v3/clients", &format!(r#"{{"type": "m2m", "title": "x"{more}}}"#))
    };
    create(&narrow, r#", "scopes": ["admin"]"#).problem(403, "scope_not_held");
    create(&narrow, r#", "scopes": ["write:tokens"]"#).problem(403, "scope_not_held");
    create(&narrow, r#", "scopes": ["tokens"]"#).problem(400, "invalid_scope");
    assert_eq!(create(&narrow, "").expect(201).json()["scopes"], serde_json::json!(["read:tokens", "write:clients"]));
    let id = create(&narrow, r#", "scopes": ["read:tokens"]"#).expect(201).text("client_id");
    let path = format!("/v3/clients/{id}");
    let change = |body: &str| server.call(&narrow, "PATCH", &path, &[("if-match", "*")], body);
    change(r#"{"scopes": ["admin"]}"#).problem(403, "scope_not_held");
    change(r#"{"title": "y"}"#).expect(200);
    server.call(&server.access("ana"), "DELETE", &path, &[("if-match", "*")], "").problem(404, "not_found");
}

#[test]
fn no_caller_gets_the_rights_of_a_client_that_has_more() {
    let server = Server::start();
    let held = ["read:clients", "write:clients"];
    let narrow = server.access_of(&server.machine("ana", Some(&held)));
    let narrowed = {
        let (id, secret) = server.machine("ana", None).into_parts();
        let form = format!(
            "grant_type=client_credentials&scope=write:clients%20read:clients&client_id={id}&client_secret={secret}"
        );
        (server.form("/oauth/token", &form).expect(200).text("access_token"), id)
    };
    let strong = [
        (server.machine("ana", None).id, "the default scopes"),
        (server.machine("ana", Some(&["admin"])).id, "a scope outside of the default ones"),
        (server.machine("ana", Some(&["write:clients", "write:tokens"])).id, "one scope more"),
        (narrowed.1.clone(), "the client of the access token"),
        (server.machine_with("ana", Some(&[]), &reads()).id, "no scopes, but data"),
        (server.machine_with("ana", Some(&held), &reads()).id, "the scopes of the caller, and data"),
    ];
    let weak = [server.machine("ana", Some(&[])).id, server.machine("ana", Some(&["write:clients"])).id];
    let edits = [
        r#"{"title": "y"}"#,
        r#"{"scopes": []}"#,
        r#"{"allowed_apis": [], "grants": []}"#,
        r#"{"grants": [{"connection_name": "other", "source": "*"}]}"#,
        "{}",
    ];
    for access in [&narrow, &narrowed.0] {
        for (id, why) in &strong {
            let path = format!("/v3/clients/{id}");
            for body in ["", r#"{"overlap": "7d"}"#] {
                let reply = server.post(access, &format!("{path}/rotate"), body).problem(403, "scope_not_held");
                assert!(!reply.body.contains("client_secret"), "{why}");
                let key = [("idempotency-key", "d9d0f1f8-5a43-4a0e-9f58-0a5d8d0a3c01")];
                server.call(access, "POST", &format!("{path}/rotate"), &key, body).problem(403, "scope_not_held");
            }
            for body in edits {
                let reply = server.call(access, "PATCH", &path, &[("if-match", "*")], body);
                assert_eq!((reply.status, reply.text("reason")), (403, "scope_not_held".into()), "{why}: {body}");
            }
        }
        for id in &weak {
            let path = format!("/v3/clients/{id}");
            server.call(access, "PATCH", &path, &[("if-match", "*")], r#"{"title": "y"}"#).expect(200);
            server.post(access, &format!("{path}/rotate"), r#"{"overlap": "1d"}"#).expect(200);
        }
    }
    // The client of another user is unknown, whatever its scopes.
    let other = server.machine("bo", None).id;
    server.post(&narrow, &format!("/v3/clients/{other}/rotate"), "").problem(404, "not_found");
    // A deletion gives no right.
    for (id, _) in &strong {
        server.call(&narrow, "DELETE", &format!("/v3/clients/{id}"), &[("if-match", "*")], "").expect(204);
    }
}

#[test]
fn apis_and_grants_of_a_client_need_the_right_to_write_tokens() {
    let server = Server::start();
    let narrow = server.access_of(&server.machine("ana", Some(&["read:tokens", "write:clients"])));
    let wide = server.access_of(&server.machine("ana", Some(&["read:tokens", "write:tokens", "write:clients"])));
    let id = server.machine("ana", Some(&[])).id;
    for access in [
        r#""allowed_apis": ["maps"], "grants": [{"connection_name": "carto_dw", "source": "carto.shared.*"}]"#,
        r#""allowed_apis": ["lds"]"#,
    ] {
        let new = format!(r#"{{"type": "m2m", "title": "x", "scopes": [], {access}}}"#);
        server.post(&narrow, "/v3/clients", &new).problem(403, "scope_not_held");
        server.post(&wide, "/v3/clients", &new).expect(201);
        let edit = |caller: &str| {
            let path = format!("/v3/clients/{id}");
            server.call(caller, "PATCH", &path, &[("if-match", "*")], &format!("{{{access}}}"))
        };
        edit(&narrow).problem(403, "scope_not_held");
        edit(&wide).expect(200);
    }
}

#[test]
fn every_change_names_its_user_and_how_it_was_made() {
    let server = Server::start();
    let machine = server.machine("ana", None);
    let access = server.access_of(&machine);
    let id = server.post(&access, "/v3/tokens", TOKEN).expect(201).text("id");
    let entry = server.get(&access, &format!("/v3/trail?id={id}")).expect(200).json()["entries"][0].clone();
    assert_eq!((entry["user"].as_str(), entry["action"].as_str()), (Some("ana"), Some("create")));
    let how = entry["how"].as_str().unwrap();
    assert!(how.starts_with(&format!("client {}, access token at_", machine.id)), "{how}");
}

#[test]
fn a_caller_with_too_many_requests_waits() {
    let server = Server::start_with(|options| options.rate = 1);
    let (ana, bo) = (server.access("ana"), server.access("bo"));
    let statuses: Vec<_> = (0..30).map(|_| server.get(&ana, "/v3/tokens/self").status).collect();
    assert!(statuses[..10].iter().all(|status| *status == 200) && statuses.contains(&429), "{statuses:?}");
    let refused = server.get(&ana, "/v3/tokens/self").problem(429, "rate_limited");
    assert!(refused.header("retry-after").unwrap().parse::<u64>().unwrap() >= 1);
    server.get(&bo, "/v3/tokens/self").expect(200);
}

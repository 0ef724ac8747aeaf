//! Where secrets never are.

use super::server::{Server, TOKEN};

#[test]
fn a_secret_is_in_one_answer_and_never_in_the_database() {
    let server = Server::start();
    let machine = server.machine_with("ana", None, &super::server::reads());
    let access = server.access_of(&machine);
    let created = server
        .call(&access, "POST", "/v3/tokens", &[("idempotency-key", "5f0c7a52-4c11-4d54-9e2e-0d1f0f3c6a10")], TOKEN)
        .expect(201);
    let id = created.text("id");
    let rotated = server.post(&access, &format!("/v3/tokens/{id}/rotate"), r#"{"overlap": "7d"}"#).expect(200);
    let client = server.post(&access, "/v3/clients", r#"{"type": "m2m", "title": "Night"}"#).expect(201);
    let client_id = client.text("client_id");
    let renewed = server.post(&access, &format!("/v3/clients/{client_id}/rotate"), "").expect(200);
    let link = server.block_on(server.workspace.login_link("ana")).unwrap();
    let session = server.send("GET", link.split_once(&server.address).unwrap().1, &[], "").expect(303);
    let cookie = session.header("set-cookie").unwrap().split(['=', ';']).nth(1).unwrap().to_owned();
    let secrets = [
        created.text("token"),
        rotated.text("token"),
        client.text("client_secret"),
        renewed.text("client_secret"),
        access.clone(),
        machine.secret.clone(),
        link.split_once("link=").unwrap().1.to_owned(),
        cookie,
    ];
    for reply in [&created, &rotated, &client, &renewed] {
        assert_eq!(reply.header("cache-control"), Some("no-store"));
        assert!(reply.headers.iter().all(|(_, value)| !secrets.iter().any(|secret| value.contains(secret))));
    }
    for path in [
        "/v3/tokens",
        &format!("/v3/tokens/{id}"),
        "/v3/clients",
        &format!("/v3/clients/{client_id}"),
        "/v3/trail",
        "/v3/tokens/self",
    ] {
        let reply = server.get(&access, path).expect(200);
        assert!(!reply.body.contains("pcl_"), "{path}: {}", reply.body);
    }
    let files = server.files();
    let paths: Vec<_> = files.iter().map(|(path, _)| path).collect();
    assert!(files.len() >= 2, "the write-ahead log is there, too: {paths:?}");
    // The ids are found, so the files are those of the database.
    assert!(files.iter().any(|(_, bytes)| memchr::memmem::find(bytes, id.as_bytes()).is_some()), "{paths:?}");
    let secrets = secrets.iter().map(String::as_str).chain(["pcl_tk_", "pcl_at_"]);
    for secret in secrets {
        for (path, bytes) in &files {
            assert!(memchr::memmem::find(bytes, secret.as_bytes()).is_none(), "{path:?}");
        }
    }
}

#[test]
fn a_secret_in_a_url_is_refused_before_anything_else() {
    let server = Server::start();
    let access = server.access("ana");
    let secret = server.post(&access, "/v3/tokens", TOKEN).expect(201).text("token");
    let encoded: Vec<_> = secret.bytes().map(|byte| format!("%{byte:02X}")).collect();
    let encoded = encoded.concat();
    for path in [
        format!("/v3/tokens/{secret}"),
        format!("/v3/tokens/{encoded}"),
        format!("/v3/tokens?search={secret}"),
        format!("/v3/tokens?access_token={access}"),
        format!("/{secret}"),
        format!("/oauth/token?client_secret={encoded}"),
    ] {
        let reply = server.get(&access, &path).problem(400, "secret_in_url");
        assert!(!reply.body.contains(&secret) && !reply.body.contains(&access));
        // Without credentials, too.
        server.send("GET", &path, &[], "").problem(400, "secret_in_url");
    }
}

#[test]
fn only_an_access_token_manages_credentials() {
    let server = Server::start();
    let access = server.access("ana");
    let token = server.post(&access, "/v3/tokens", TOKEN).expect(201).text("token");
    for (credentials, why) in [
        (format!("Bearer {token}"), "an API access token"),
        (format!("Bearer {access}x"), "another secret"),
        ("Bearer".to_owned(), "no secret"),
        ("Bearer ".to_owned(), "an empty secret"),
        (format!("Basic {access}"), "another scheme"),
        (access.clone(), "no scheme"),
        (format!("Bearer {access} {access}"), "two secrets"),
    ] {
        let reply = server.send("GET", "/v3/tokens/self", &[("authorization", &credentials)], "");
        assert_eq!((reply.status, reply.text("reason")), (401, "invalid_token".into()), "{why}");
        assert!(reply.header("www-authenticate").unwrap().starts_with("Bearer "), "{why}");
        assert!(!reply.body.contains(&token) && !reply.body.contains(&access), "{why}");
    }
    let bearer = format!("Bearer {access}");
    let twice = [("authorization", &*bearer), ("authorization", &*bearer)];
    server.send("GET", "/v3/tokens/self", &twice, "").problem(401, "invalid_token");
    server.send("GET", "/v3/tokens/self", &[], "").problem(401, "unauthenticated");
    // The scheme is not case-sensitive.
    server.send("GET", "/v3/tokens/self", &[("authorization", &format!("bearer {access}"))], "").expect(200);
}

#[test]
fn names_with_secrets_are_refused() {
    let server = Server::start();
    let access = server.access("ana");
    let body = format!(r#"{{"allowed_apis": ["lds"], "name": "{access}"}}"#);
    let reply = server.post(&access, "/v3/tokens", &body).expect(400);
    assert!(!reply.body.contains(&access));
    let body = format!(r#"{{"type": "m2m", "title": "{access}"}}"#);
    let reply = server.post(&access, "/v3/clients", &body).expect(400);
    assert!(!reply.body.contains(&access));
}

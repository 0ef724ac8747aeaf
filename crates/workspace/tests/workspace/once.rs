//! Requests that are sent again.

use super::server::{Server, TOKEN};

const KEY: &str = "5f0c7a52-4c11-4d54-9e2e-0d1f0f3c6a10";

#[test]
fn a_repeated_request_creates_one_token_and_gets_the_same_answer() {
    let server = Server::start();
    let access = server.access("ana");
    for key in [KEY, "a-key-of-22-characters"] {
        let create =
            |access: &str, body: &str| server.call(access, "POST", "/v3/tokens", &[("idempotency-key", key)], body);
        let before = server.registry(|registry| registry.last_change().unwrap().number);
        let first = create(&access, TOKEN).expect(201);
        let again = create(&access, TOKEN).expect(201);
        assert_eq!((&again.body, again.header("etag")), (&first.body, first.header("etag")));
        assert_eq!(again.header("location"), first.header("location"));
        assert_eq!((first.header("idempotency-replayed"), again.header("idempotency-replayed")), (None, Some("true")));
        assert_eq!(server.registry(|registry| registry.last_change().unwrap().number), before + 1, "one trail entry");
        create(&access, r#"{"allowed_apis": ["lds"]}"#).problem(422, "idempotency_key_reused");
        // White space is not another request.
        assert_eq!(create(&access, &TOKEN.replace(' ', "\n")).expect(201).body, first.body);
        // The key of one client is unknown to another.
        let other = create(&server.access("bo"), TOKEN).expect(201);
        assert_ne!(other.text("id"), first.text("id"));
    }
    for wrong in ["", " ", "short", "a-key-of-21-character", &"x".repeat(256)] {
        let reply = server.call(&access, "POST", "/v3/tokens", &[("idempotency-key", wrong)], TOKEN);
        let reply = reply.problem(400, "invalid_idempotency_key");
        assert!(reply.body.contains("22 to 255 visible characters"), "{reply:?}");
    }
}

/// An answer holds the secret of a token, which a narrowed access token must not get.
#[test]
fn an_answer_is_repeated_only_to_a_caller_with_the_same_rights() {
    let server = Server::start();
    let machine = server.machine("ana", None);
    let create = |access: &str| server.call(access, "POST", "/v3/tokens", &[("idempotency-key", KEY)], TOKEN);
    let scoped = |scope: &str| {
        let form = format!(
            "grant_type=client_credentials&client_id={}&client_secret={}&scope={scope}",
            machine.id, machine.secret
        );
        let headers = [("content-type", "application/x-www-form-urlencoded")];
        server.send("POST", "/oauth/token", &headers, &form).expect(200).text("access_token")
    };
    let first = create(&server.access_of(&machine)).expect(201);
    for (scope, why) in [("write:tokens", "narrower"), ("write:tokens+read:tokens", "still narrower")] {
        let refused = create(&scoped(scope)).problem(422, "idempotency_key_reused");
        assert!(!refused.body.contains(&first.text("token")), "{why}");
    }
    // Another access token of the client with the same rights is the same caller: a retry may come after a renewal.
    assert_eq!(create(&server.access_of(&machine)).expect(201).body, first.body);
    // A role that was given or taken away changes the rights.
    let root = super::server::actor("root").for_all_users();
    server.registry(|registry| {
        registry.set_role(&root, "ana", portcullis_registry::record::Role::Administrator).unwrap()
    });
    create(&server.access_of(&machine)).problem(422, "idempotency_key_reused");
}

#[test]
fn a_repeated_rotation_replaces_the_secret_once() {
    let server = Server::start();
    let access = server.access("ana");
    let created = server.post(&access, "/v3/tokens", TOKEN).expect(201);
    let path = format!("/v3/tokens/{}/rotate", created.text("id"));
    let headers = [("idempotency-key", KEY), ("if-match", created.header("etag").unwrap())];
    let rotate = || server.call(&access, "POST", &path, &headers, "");
    let first = rotate().expect(200);
    assert_eq!(rotate().expect(200).body, first.body);
    let body = r#"{"type": "m2m", "title": "Night"}"#;
    let create =
        || server.call(&access, "POST", "/v3/clients", &[("idempotency-key", "client-key-0123456789abcdef")], body);
    assert_eq!(create().expect(201).body, create().expect(201).body);
    let source = r#"{"name": "open-orders", "query": "select 1"}"#;
    let create = || {
        server.call(&access, "POST", "/v3/named-sources", &[("idempotency-key", "source-key-0123456789abcdef")], source)
    };
    assert_eq!(create().expect(201).body, create().expect(201).body);
}

#[test]
fn a_refused_request_is_not_remembered() {
    let server = Server::start();
    let access = server.access("ana");
    let create = |body: &str| server.call(&access, "POST", "/v3/tokens", &[("idempotency-key", KEY)], body);
    create(r#"{"allowed_apis": ["sql"]}"#).expect(400);
    create(TOKEN).expect(201);
}

#[test]
fn concurrent_requests_with_one_key_create_one_token() {
    let server = Server::start();
    let access = server.access("ana");
    let replies: Vec<_> = std::thread::scope(|scope| {
        let create = || server.call(&access, "POST", "/v3/tokens", &[("idempotency-key", KEY)], TOKEN);
        let threads: Vec<_> = (0..200).map(|_| scope.spawn(create)).collect();
        threads.into_iter().map(|thread| thread.join().unwrap()).collect()
    });
    let bodies: std::collections::HashSet<_> =
        replies.iter().filter(|reply| reply.status == 201).map(|reply| &reply.body).collect();
    assert_eq!(bodies.len(), 1);
    for reply in replies.iter().filter(|reply| reply.status != 201) {
        reply.clone().problem(409, "idempotency_in_progress");
    }
    let list = server.get(&access, "/v3/tokens").expect(200).json();
    assert_eq!(list["tokens"].as_array().unwrap().len(), 1);
}

/// As replicas behind a load balancer: the database alone knows that the key is in use.
#[test]
fn one_key_at_two_workspaces_creates_one_token() {
    let server = Server::start();
    let twin = Server::start_with(|options| options.location = server.location());
    let access = server.access("ana");
    let replies: Vec<_> = std::thread::scope(|scope| {
        let create = |at: usize| {
            let server = if at.is_multiple_of(2) { &server } else { &twin };
            server.call(&access, "POST", "/v3/tokens", &[("idempotency-key", KEY)], TOKEN)
        };
        let threads: Vec<_> = (0..200).map(|at| scope.spawn(move || create(at))).collect();
        threads.into_iter().map(|thread| thread.join().unwrap()).collect()
    });
    let bodies: std::collections::HashSet<_> =
        replies.iter().filter(|reply| reply.status == 201).map(|reply| &reply.body).collect();
    assert_eq!(bodies.len(), 1);
    for reply in replies.iter().filter(|reply| reply.status != 201) {
        reply.clone().problem(409, "idempotency_in_progress");
    }
    assert_eq!(twin.get(&access, "/v3/tokens").expect(200).json()["tokens"].as_array().unwrap().len(), 1);
}

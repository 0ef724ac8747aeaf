//! OAuth for machines.

use std::collections::BTreeSet;

use portcullis::decision::Request;
use portcullis::{Options, Snapshot, Source};
use portcullis_registry::record::{ClientKind, Role, Urls};
use serde_json::json;

use super::server::{Machine, Reply, Server, TOKEN, actor, reads};

/// Returns whether a policy of the registry lets `secret` read a table now.
fn decides(server: &Server, secret: &str, table: &str) -> bool {
    let document = server.registry(|registry| registry.policy_document().unwrap());
    let policy = portcullis_document::read_policy(document).unwrap();
    let snapshot = Snapshot::compile(&policy, &Options::default()).unwrap();
    let request = Request::new("maps", "carto_dw").secret(secret).source(Source::Resource(table));
    portcullis::decide(&snapshot, &request, portcullis_workspace::Workspace::now()).is_allow()
}

fn base64(text: &str) -> String {
    use base64::Engine as _;
    base64::engine::general_purpose::STANDARD.encode(text)
}

fn client_form(machine: &Machine) -> String {
    format!("client_id={}&client_secret={}", machine.id, machine.secret)
}

#[test]
fn a_machine_gets_an_access_token_in_every_way_of_the_standard() {
    let server = Server::start();
    let machine = server.machine("ana", None);
    let Machine { id, secret } = &machine;
    let basic = format!("Basic {}", base64(&format!("{id}:{secret}")));
    let form = "application/x-www-form-urlencoded";
    let json = format!(
        r#"{{"grant_type":"client_credentials","client_id":"{id}","client_secret":"{secret}","audience":"x"}}"#
    );
    for (headers, body, why) in [
        (vec![("content-type", form)], format!("grant_type=client_credentials&{}", client_form(&machine)), "a form"),
        (
            vec![("content-type", form), ("authorization", &*basic)],
            "grant_type=client_credentials".into(),
            "the header",
        ),
        (
            vec![("content-type", form), ("authorization", &*basic)],
            format!("grant_type=client_credentials&client_id={id}"),
            "the id twice",
        ),
        (vec![("content-type", "application/json")], json, "JSON"),
        (
            vec![("content-type", "application/x-www-form-urlencoded; charset=utf-8")],
            format!("grant_type=client_credentials&audience=carto-cloud-native-api&{}", client_form(&machine)),
            "an audience",
        ),
    ] {
        let reply = server.send("POST", "/oauth/token", &headers, &body).expect(200);
        assert_eq!(
            (reply.header("cache-control"), reply.header("pragma")),
            (Some("no-store"), Some("no-cache")),
            "{why}"
        );
        let json = reply.json();
        assert_eq!((json["token_type"].as_str(), json["expires_in"].as_u64()), (Some("Bearer"), Some(3600)), "{why}");
        assert!(reply.text("scope").contains("read:tokens") && !reply.text("scope").contains("admin"), "{why}");
        server.get(&reply.text("access_token"), "/v3/tokens/self").expect(200);
    }
}

#[test]
fn a_request_of_another_form_gets_no_access_token() {
    let server = Server::start();
    let machine = server.machine("ana", None);
    let Machine { id, secret } = &machine;
    let basic = format!("Basic {}", base64(&format!("{id}:{secret}")));
    let form = "application/x-www-form-urlencoded";
    for (headers, body, status, error, why) in [
        (vec![("content-type", form)], client_form(&machine), 400, "invalid_request", "no grant type"),
        (
            vec![("content-type", form)],
            format!("grant_type=password&{}", client_form(&machine)),
            400,
            "unsupported_grant_type",
            "another grant type",
        ),
        (vec![("content-type", form)], "grant_type=client_credentials".into(), 401, "invalid_client", "no client"),
        (
            vec![("content-type", form)],
            format!("grant_type=client_credentials&client_id={id}"),
            401,
            "invalid_client",
            "no secret",
        ),
        (
            vec![("content-type", form), ("authorization", &*basic)],
            format!("grant_type=client_credentials&{}", client_form(&machine)),
            400,
            "invalid_request",
            "two ways",
        ),
        (
            vec![("content-type", form), ("authorization", &*basic)],
            "grant_type=client_credentials&client_id=m2m_other".into(),
            401,
            "invalid_client",
            "two clients",
        ),
        (
            vec![("content-type", form)],
            format!("grant_type=client_credentials&grant_type=client_credentials&{}", client_form(&machine)),
            400,
            "invalid_request",
            "a repeated parameter",
        ),
        (
            vec![("content-type", "text/plain")],
            "grant_type=client_credentials".into(),
            400,
            "invalid_request",
            "another content type",
        ),
        (vec![("content-type", "application/json")], "[]".into(), 400, "invalid_request", "JSON that is not an object"),
        (
            vec![("content-type", "application/json")],
            r#"{"grant_type":7}"#.into(),
            400,
            "invalid_request",
            "JSON that is not texts",
        ),
        (
            vec![("content-type", form)],
            format!("grant_type=client_credentials&scope=read:everything&{}", client_form(&machine)),
            400,
            "invalid_scope",
            "an unknown scope",
        ),
        (
            vec![("content-type", form)],
            format!("grant_type=client_credentials&scope=admin&{}", client_form(&machine)),
            400,
            "invalid_scope",
            "a scope that the client may not have",
        ),
        (
            vec![("content-type", form)],
            format!("grant_type=client_credentials&scope=%20&{}", client_form(&machine)),
            400,
            "invalid_scope",
            "no scope at all",
        ),
    ] {
        let reply = server.send("POST", "/oauth/token", &headers, &body);
        assert_eq!((reply.status, reply.text("error")), (status, error.to_owned()), "{why}: {reply:?}");
        assert_eq!(reply.header("cache-control"), Some("no-store"), "{why}");
        assert!(!reply.body.contains(secret), "{why}");
    }
    assert_eq!(server.send("GET", "/oauth/token", &[], "").status, 405);
}

#[test]
fn an_unknown_client_and_a_wrong_secret_get_the_same_answer() {
    let server = Server::start();
    let machine = server.machine("ana", None);
    let answer = |id: &str, secret: &str| {
        let reply = server
            .form("/oauth/token", &format!("grant_type=client_credentials&client_id={id}&client_secret={secret}"));
        let headers: BTreeSet<_> =
            reply.headers.iter().filter(|(name, _)| !["date", "x-request-id"].contains(&&**name)).cloned().collect();
        (reply.status, headers, reply.body)
    };
    let unknown = answer("m2m_0000000000", &machine.secret);
    assert_eq!(answer(&machine.id, "wrong"), unknown);
    assert_eq!(answer(&machine.id.to_uppercase(), &machine.secret), unknown);
    assert_eq!(unknown.0, 401);
    // A single-page application has no secret.
    let spa = server.registry(|registry| {
        registry.create_client(&actor("ana"), ClientKind::Spa, "Atlas", &Urls::default()).unwrap()
    });
    assert_eq!(answer(&spa.client.id, "x"), unknown);
}

#[test]
fn guesses_are_slowed_down_for_the_client_at_the_address() {
    let server = Server::start();
    let (machine, other) = (server.machine("ana", None), server.machine("bo", None));
    let form = |id: &str, secret: &str| format!("grant_type=client_credentials&client_id={id}&client_secret={secret}");
    let attempt = |id: &str, secret: &str| server.form("/oauth/token", &form(id, secret));
    let statuses: Vec<_> = (0..40).map(|_| attempt(&machine.id, "guess").status).collect();
    assert_eq!((statuses[0], statuses[19], statuses[39]), (401, 401, 429), "{statuses:?}");
    let refused = attempt(&machine.id, "guess").expect(429);
    assert!(refused.header("retry-after").unwrap().parse::<u64>().unwrap() >= 1);
    assert_eq!(refused.text("error"), "temporarily_unavailable");
    // A stranger at the same address, such as the same NAT, does not lock the client out, on any endpoint.
    attempt(&machine.id, &machine.secret).expect(200);
    let introspected = format!("client_id={}&client_secret={}&token=x", machine.id, machine.secret);
    assert_eq!(server.form("/oauth/introspect", &introspected).expect(200).json()["active"], false);
    // The right secret does not give the guesses new attempts.
    attempt(&machine.id, "guess").expect(429);
    attempt(&other.id, "guess").expect(401);
    attempt(&other.id, &other.secret).expect(200);
    #[cfg(target_os = "linux")]
    server.form_from("127.0.0.2", "/oauth/token", &form(&machine.id, &machine.secret)).expect(200);
    // After more failures, further ones of the address get the time to wait, whatever the client: the answer does not tell
    // which clients exist. Clients with their secret are not locked out.
    for client in 0..200 {
        attempt(&format!("m2m_{client:010}"), "guess");
    }
    attempt("m2m_0000000000", "guess").expect(429);
    attempt(&other.id, "guess").expect(429);
    attempt(&other.id, &other.secret).expect(200);
    let spa = |id: &str| {
        let form = format!("grant_type=refresh_token&client_id={id}&refresh_token=x");
        server.form("/oauth/token", &form)
    };
    let atlas = server.registry(|registry| {
        registry.create_client(&actor("ana"), ClientKind::Spa, "Atlas", &Urls::default()).unwrap().client.id
    });
    spa("spa_0000000000").expect(429);
    assert_eq!(spa(&atlas).expect(400).text("error"), "invalid_grant");
    // Secrets that are presented for an application, which has none, do not lock the application out.
    for _ in 0..40 {
        attempt(&atlas, "guess");
    }
    assert_eq!(spa(&atlas).expect(400).text("error"), "invalid_grant");
}

#[test]
fn an_access_token_decides_with_the_grants_of_its_client() {
    let server = Server::start();
    let machine = server.machine_with("ana", None, &reads());
    let access = server.access_of(&machine);
    assert!(decides(&server, &access, "carto.shared.roads"));
    assert!(!decides(&server, &access, "carto.private.roads"));
    // It manages, too, and is no token that can be managed.
    let own = server.get(&access, "/v3/tokens/self").expect(200).text("token_id");
    assert_eq!(server.get(&access, "/v3/tokens").expect(200).json()["tokens"], json!([]));
    for (method, path) in [("GET", ""), ("PATCH", ""), ("DELETE", ""), ("POST", "/rotate")] {
        let body = if method == "PATCH" { "{}" } else { "" };
        let reply = server.call(&access, method, &format!("/v3/tokens/{own}{path}"), &[("if-match", "*")], body);
        reply.problem(404, "not_found");
    }
    // A machine without APIs reads nothing.
    let plain = server.access("ana");
    assert!(!decides(&server, &plain, "carto.shared.roads"));
    // The next access token has the new grants; this one keeps its own.
    let patch = r#"{"grants": [{"connection_name": "carto_dw", "source": "carto.private.*"}]}"#;
    server.call(&plain, "PATCH", &format!("/v3/clients/{}", machine.id), &[("if-match", "*")], patch).expect(200);
    let next = server.access_of(&machine);
    assert!(decides(&server, &next, "carto.private.roads") && !decides(&server, &next, "carto.shared.roads"));
    assert!(decides(&server, &access, "carto.shared.roads"));
    // Deleting the client ends both at once.
    server.call(&plain, "DELETE", &format!("/v3/clients/{}", machine.id), &[("if-match", "*")], "").expect(204);
    assert!(!decides(&server, &next, "carto.private.roads") && !decides(&server, &access, "carto.shared.roads"));
    server.get(&access, "/v3/tokens/self").problem(401, "invalid_token");
}

#[test]
fn a_revoked_access_token_is_unknown_at_once() {
    let server = Server::start();
    let (machine, other) = (server.machine_with("ana", None, &reads()), server.machine("bo", None));
    let access = server.access_of(&machine);
    let call = |path: &str, machine: &Machine, token: &str| {
        server.form(path, &format!("token={token}&{}", client_form(machine)))
    };
    let active = |machine: &Machine| call("/oauth/introspect", machine, &access).expect(200).json()["active"].clone();
    let seen = call("/oauth/introspect", &machine, &access).expect(200).json();
    assert_eq!(
        (seen["active"].as_bool(), seen["client_id"].as_str(), seen["sub"].as_str()),
        (Some(true), Some(&*machine.id), Some("ana"))
    );
    assert_eq!(seen["exp"].as_i64().unwrap() - seen["iat"].as_i64().unwrap(), 3600);
    assert_eq!(active(&other), false, "another user learns nothing");
    call("/oauth/revoke", &other, &access).expect(200);
    assert_eq!(active(&machine), true, "another client revokes nothing");
    call("/oauth/revoke", &machine, "unknown").expect(200);
    let wrong = Machine { secret: "x".into(), ..machine.clone() };
    call("/oauth/revoke", &wrong, &access).expect(401);
    call("/oauth/introspect", &wrong, &access).expect(401);
    call("/oauth/revoke", &machine, &access).expect(200);
    assert_eq!(active(&machine), false);
    assert!(!decides(&server, &access, "carto.shared.roads"));
    server.get(&access, "/v3/tokens/self").problem(401, "invalid_token");
    server.form("/oauth/revoke", &client_form(&machine)).expect(400);
    // An API access token is not an access token of OAuth.
    let token = server.post(&server.access("ana"), "/v3/tokens", TOKEN).expect(201).text("token");
    assert_eq!(call("/oauth/introspect", &machine, &token).expect(200).json(), json!({"active": false}));
}

#[test]
fn scopes_only_narrow() {
    let server = Server::start();
    let machine = server.machine("ana", Some(&["read:tokens", "write:tokens"]));
    let request = |scope: &str| -> Reply {
        server.form("/oauth/token", &format!("grant_type=client_credentials&scope={scope}&{}", client_form(&machine)))
    };
    let narrow = request("read:tokens").expect(200);
    assert_eq!(narrow.text("scope"), "read:tokens");
    server.post(&narrow.text("access_token"), "/v3/tokens", TOKEN).problem(403, "insufficient_scope");
    assert_eq!(
        request("write:tokens%20read:tokens%20read:tokens").expect(200).text("scope"),
        "read:tokens write:tokens"
    );
    assert_eq!(request("read:trail").expect(400).text("error"), "invalid_scope");
}

#[test]
fn a_rotated_client_secret_is_valid_during_the_overlap_alone() {
    let server = Server::start();
    let (machine, access) = (server.machine("ana", None), server.access("ana"));
    let rotate = |body: &str| server.post(&access, &format!("/v3/clients/{}/rotate", machine.id), body);
    let second =
        Machine { secret: rotate(r#"{"overlap": "7d"}"#).expect(200).text("client_secret"), ..machine.clone() };
    for machine in [&machine, &second] {
        server.access_of(machine);
    }
    let third = Machine { secret: rotate("").expect(200).text("client_secret"), ..machine.clone() };
    for old in [&machine, &second] {
        server.form("/oauth/token", &format!("grant_type=client_credentials&{}", client_form(old))).expect(401);
    }
    server.access_of(&third);
    for _ in 0..4 {
        rotate(r#"{"overlap": "7d"}"#).expect(200);
    }
    rotate(r#"{"overlap": "7d"}"#).problem(409, "too_many_secrets");
    rotate(r#"{"overlap": "x"}"#).problem(400, "invalid_span");
}

#[test]
fn a_rotation_without_an_overlap_revokes_the_access_tokens_of_the_client() {
    let server = Server::start();
    let (machine, caller) = (server.machine_with("ana", None, &reads()), server.access("ana"));
    let access = server.access_of(&machine);
    let path = format!("/v3/clients/{}/rotate", machine.id);
    server.post(&caller, &path, r#"{"overlap": "7d"}"#).expect(200);
    server.get(&access, "/v3/tokens/self").expect(200);
    assert!(decides(&server, &access, "carto.shared.roads"));
    server.post(&caller, &path, "").expect(200);
    server.get(&access, "/v3/tokens/self").problem(401, "invalid_token");
    assert!(!decides(&server, &access, "carto.shared.roads"));
    server.get(&caller, "/v3/tokens/self").expect(200);
}

#[test]
fn the_owner_and_administrators_revoke_the_access_tokens_of_a_client() {
    let server = Server::start();
    let (machine, other) = (server.machine_with("ana", None, &reads()), server.access("ana"));
    let (access, plain) = (server.access_of(&machine), server.access_of(&machine));
    let path = format!("/v3/clients/{}/access-tokens", machine.id);
    let revoke = |access: &str, path: &str| server.call(access, "DELETE", path, &[], "");
    for (caller, path, why) in [
        (server.access("bo"), &*path, "another user"),
        (server.access("root"), &path, "an administrator without the scope `admin`"),
        (other.clone(), "/v3/clients/m2m_0000000000/access-tokens", "an unknown client"),
    ] {
        assert_eq!(revoke(&caller, path).status, 404, "{why}");
    }
    server.registry(|registry| registry.set_role(&actor("root").for_all_users(), "eve", Role::Auditor).unwrap());
    let eve = server.access_of(&server.machine("eve", Some(&["write:clients", "admin"])));
    revoke(&eve, &path).problem(403, "read_only");
    assert!(decides(&server, &access, "carto.shared.roads"));
    revoke(&other, &path).expect(204);
    for access in [&access, &plain] {
        server.get(access, "/v3/tokens/self").problem(401, "invalid_token");
        assert!(!decides(&server, access, "carto.shared.roads"));
    }
    server.get(&other, "/v3/tokens/self").expect(200);
    // The client is as it was, and gets new access tokens.
    let next = server.access_of(&machine);
    let root = server.access_of(&server.machine("root", Some(&["write:clients", "admin"])));
    revoke(&root, &path).expect(204);
    server.get(&next, "/v3/tokens/self").problem(401, "invalid_token");
    revoke(&root, &path).expect(204);
}

#[test]
fn an_access_token_has_no_scope_that_its_client_has_lost() {
    let server = Server::start();
    let (machine, caller) = (server.machine("ana", None), server.access("ana"));
    let access = server.access_of(&machine);
    let set = |scopes: &str| {
        let path = format!("/v3/clients/{}", machine.id);
        server.call(&caller, "PATCH", &path, &[("if-match", "*")], &format!(r#"{{"scopes": [{scopes}]}}"#)).expect(200);
    };
    server.post(&access, "/v3/tokens", TOKEN).expect(201);
    set(r#""read:tokens""#);
    assert_eq!(server.get(&access, "/v3/tokens/self").expect(200).text("scope"), "read:tokens");
    server.get(&access, "/v3/tokens").expect(200);
    server.post(&access, "/v3/tokens", TOKEN).problem(403, "insufficient_scope");
    let seen = server.form("/oauth/introspect", &format!("token={access}&{}", client_form(&machine))).expect(200);
    assert_eq!(seen.text("scope"), "read:tokens");
    set("");
    server.get(&access, "/v3/tokens").problem(403, "insufficient_scope");
    // A scope that the client gets later is not in an access token that was narrowed.
    let form = format!("grant_type=client_credentials&scope=read:tokens&{}", client_form(&machine));
    set(r#""read:tokens""#);
    let narrow = server.form("/oauth/token", &form).expect(200).text("access_token");
    set(r#""read:tokens", "write:tokens""#);
    server.post(&narrow, "/v3/tokens", TOKEN).problem(403, "insufficient_scope");
}

#[test]
fn expired_access_tokens_are_removed() {
    let server = Server::start();
    let machine = server.machine_with("ana", None, &reads());
    let access = server.access_of(&machine);
    let later = portcullis::base::Timestamp::from_unix(portcullis_workspace::Workspace::now().seconds() + 3601, 0);
    let digest = portcullis::model::SecretDigest::of(&access);
    server.registry(|registry| {
        assert!(registry.access(&digest, later).unwrap().is_none(), "expired before it is removed");
        let admin = portcullis_registry::Actor::new("portcullis", later).unwrap().for_all_users();
        let longer_ago = portcullis::base::Timestamp::from_unix(0, 0);
        assert_eq!(registry.remove_expired(&admin, longer_ago, 100).unwrap(), 1);
        assert!(registry.access(&digest, portcullis_workspace::Workspace::now()).unwrap().is_none());
        assert_eq!(registry.remove_expired(&admin, later, 100).unwrap(), 0);
    });
}

#[test]
fn metadata_names_the_endpoints_that_exist() {
    let server = Server::start();
    let metadata = server.send("GET", "/.well-known/oauth-authorization-server", &[], "").expect(200).json();
    let url = format!("http://{}", server.address);
    assert_eq!(metadata["issuer"], format!("{url}/"));
    for endpoint in ["token_endpoint", "revocation_endpoint", "introspection_endpoint"] {
        let path = metadata[endpoint].as_str().unwrap().strip_prefix(&*url).unwrap();
        assert_eq!(server.form(path, "").status, 400 + u16::from(endpoint != "token_endpoint"), "{endpoint}");
    }
}

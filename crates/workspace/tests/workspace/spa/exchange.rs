//! Codes for tokens.

use portcullis::decision::Request;
use portcullis::{Options, Snapshot, Source};
use portcullis_registry::{Lifetimes, NewCode, NotGranted, PresentedCode};
use portcullis_workspace::Workspace;

use super::super::server::{Server, actor, reads};
use super::{CALLBACK, CHALLENGE, ORIGIN, Spa, VERIFIER, answer, application};

/// Returns the answer of a policy of the registry to a request for a table from the page `referer`.
fn decides(server: &Server, secret: &str, table: &str, referer: &str) -> bool {
    let document = server.registry(|registry| registry.policy_document().unwrap());
    let policy = portcullis_document::read_policy(document).unwrap();
    let snapshot = Snapshot::compile(&policy, &Options::default()).unwrap();
    let request = Request::new("maps", "carto_dw").secret(secret).source(Source::Resource(table)).referer(referer);
    portcullis::decide(&snapshot, &request, Workspace::now()).is_allow()
}

#[test]
fn an_access_token_decides_for_the_pages_of_the_application() {
    let spa = Spa::start();
    let reply = spa.tokens();
    assert_eq!((reply.header("cache-control"), reply.header("pragma")), (Some("no-store"), Some("no-cache")));
    let json = reply.json();
    assert_eq!((json["token_type"].as_str(), json["expires_in"].as_u64()), (Some("Bearer"), Some(3600)));
    assert_eq!(json["scope"], "openid profile email offline_access read:tokens");
    let access = reply.text("access_token");
    for (table, referer, want, why) in [
        ("carto.shared.roads", "https://app.example.com/map", true, "a granted table, from the application"),
        ("carto.private.roads", "https://app.example.com/map", false, "another table"),
        ("carto.shared.roads", "https://evil.example/", false, "another page"),
        ("carto.shared.roads", "", false, "no page"),
    ] {
        assert_eq!(decides(&spa.server, &access, table, referer), want, "{why}");
    }
    // It manages what its scopes say, in the name of the user.
    let caller = spa.server.get(&access, "/v3/tokens/self").expect(200).json();
    assert_eq!((caller["user"].as_str(), caller["client_id"].as_str()), (Some("ana"), Some(&*spa.id)), "{caller}");
    spa.server.get(&access, "/v3/tokens").expect(200);
    spa.server.post(&access, "/v3/tokens", super::super::server::TOKEN).problem(403, "insufficient_scope");
    spa.server.get(&access, "/v3/clients").problem(403, "insufficient_scope");
    // No secret is in the database, its log, or an address.
    let refresh = reply.text("refresh_token");
    for (path, content) in spa.server.files() {
        for secret in [&access, &refresh] {
            let found = memchr::memmem::find(&content, secret.as_bytes());
            assert!(found.is_none(), "a secret in {}", path.display());
        }
    }
}

#[test]
fn a_code_is_bound_to_its_request() {
    let spa = Spa::start();
    let other = application(&spa.server, "bo", "Other");
    let machine = spa.server.machine("ana", None).into_parts();
    let verifier = |text: &str| VERIFIER.replace("dB", text);
    for (changes, status, error, why) in [
        (vec![("code_verifier", &*verifier("eB"))], 400, "invalid_grant", "another verifier: a stolen code"),
        (vec![("code_verifier", CHALLENGE)], 400, "invalid_grant", "the challenge as verifier: `plain`"),
        (vec![("code_verifier", &VERIFIER.repeat(3))], 400, "invalid_grant", "a verifier that is too long"),
        (vec![("code_verifier", "short")], 400, "invalid_grant", "a verifier that is too short"),
        (vec![("code_verifier", "")], 400, "invalid_request", "no verifier"),
        (
            vec![("redirect_uri", "https://app.example.com/q?a=1")],
            400,
            "invalid_grant",
            "another callback of the client",
        ),
        (vec![("redirect_uri", "")], 400, "invalid_request", "no redirect URI"),
        (vec![("client_id", &other)], 400, "invalid_grant", "a code that was injected into another client"),
        (vec![("client_id", "spa_0000000000")], 401, "invalid_client", "an unknown client"),
        (vec![("client_id", "")], 401, "invalid_client", "no client"),
        (vec![("client_secret", "x")], 401, "invalid_client", "a single-page application has no secret"),
        (
            vec![("client_id", &machine.0), ("client_secret", &machine.1)],
            401,
            "invalid_client",
            "a machine has no redirect URI",
        ),
        (vec![("code", "unknown")], 400, "invalid_grant", "an unknown code"),
        (vec![("code", "")], 400, "invalid_request", "no code"),
        (vec![("grant_type", "password")], 400, "unsupported_grant_type", "a password is for the workspace alone"),
        (vec![("grant_type", "implicit")], 400, "unsupported_grant_type", "no implicit grant"),
    ] {
        let code = spa.code(&[]);
        let changes: Vec<_> = if changes.iter().any(|(name, _)| *name == "code") {
            changes
        } else {
            changes.into_iter().chain([("code", &*code)]).collect()
        };
        let reply = spa.exchange_with(&changes);
        assert_eq!((reply.status, &*reply.text("error")), (status, error), "{why}: {reply:?}");
        assert_eq!(reply.header("cache-control"), Some("no-store"), "{why}");
        if error == "invalid_grant" && !changes.contains(&("code", "unknown")) {
            // The attempt used the code up: a second guess is not possible.
            assert_eq!(spa.exchange(&code).text("error"), "invalid_grant", "{why}");
        }
    }
    // With the code of another authorization of the same client: its challenge is another one.
    let mine = answer(&spa.authorize(&[("code_challenge", &CHALLENGE.replace("E9", "F9"))]));
    let injected = mine.into_iter().find(|(name, _)| name == "code").unwrap().1;
    assert_eq!(spa.exchange(&injected).text("error"), "invalid_grant");
}

#[test]
fn a_replayed_code_revokes_the_tokens_of_its_first_use() {
    let spa = Spa::start();
    let untouched = spa.tokens();
    for verifier in [VERIFIER, "another-verifier-of-an-attacker-who-stole-the-code"] {
        let code = spa.code(&[]);
        let tokens = spa.exchange(&code).expect(200);
        assert!(spa.is_live(&tokens));
        let later = spa.refresh(&tokens.text("refresh_token")).expect(200);
        let replay = spa.exchange_with(&[("code", &code), ("code_verifier", verifier)]).expect(400);
        assert_eq!(replay.text("error"), "invalid_grant");
        assert!(!spa.is_live(&tokens) && !spa.is_live(&later));
        assert!(!decides(&spa.server, &tokens.text("access_token"), "carto.shared.roads", ORIGIN));
        assert_eq!(spa.refresh(&later.text("refresh_token")).text("error"), "invalid_grant");
        // A third time, too.
        assert_eq!(spa.exchange(&code).text("error"), "invalid_grant");
    }
    assert!(spa.is_live(&untouched), "another authorization of the same user and client");
}

#[test]
fn one_of_many_parallel_exchanges_wins_and_the_others_revoke_it() {
    let spa = Spa::start();
    let code = spa.code(&[]);
    let replies: Vec<_> = std::thread::scope(|scope| {
        let sent: Vec<_> = (0..16).map(|_| scope.spawn(|| spa.exchange(&code))).collect();
        sent.into_iter().map(|thread| thread.join().unwrap()).collect()
    });
    let won: Vec<_> = replies.iter().filter(|reply| reply.status == 200).collect();
    assert_eq!(won.len(), 1, "{replies:?}");
    assert!(!spa.is_live(won[0]));
}

#[test]
fn a_code_expires_after_a_minute() {
    let spa = Spa::start();
    let lifetimes = Lifetimes { code: 60, access: 3600, idle: 3600, absolute: 7200, grace: 60, confirmed: 3600 };
    // The user consents.
    spa.code(&[]);
    let now = Workspace::now();
    let after = |seconds: i64| portcullis::base::Timestamp::from_unix(now.seconds() + seconds, 0);
    for (seconds, want) in [(59, None), (60, Some(NotGranted::Invalid)), (61, Some(NotGranted::Invalid))] {
        let digest = portcullis::model::SecretDigest::of(&format!("code {seconds}"));
        let scopes = ["openid".to_owned()];
        let got = spa.server.registry(|registry| {
            let new = NewCode {
                digest,
                client: &spa.id,
                user: "ana",
                redirect_uri: CALLBACK,
                challenge: CHALLENGE,
                scopes: &scopes,
                nonce: None,
                signed_in: now,
            };
            assert!(registry.issue_code(&new, &lifetimes, now).unwrap());
            let client = &*spa.id;
            let presented = PresentedCode { digest, client, redirect_uri: CALLBACK, challenge: CHALLENGE };
            registry.redeem_code(&presented, &lifetimes, after(seconds)).unwrap().err()
        });
        assert_eq!(got, want, "{seconds}");
    }
}

#[test]
fn tokens_end_with_their_client() {
    let spa = Spa::start();
    let (tokens, code) = (spa.tokens(), spa.code(&[]));
    spa.server.registry(|registry| {
        let kind = portcullis_registry::record::ClientKind::Spa;
        registry.delete_client(&actor("bo"), kind, &spa.id).unwrap();
    });
    assert!(!spa.is_live(&tokens));
    assert!(!decides(&spa.server, &tokens.text("access_token"), "carto.shared.roads", ORIGIN));
    assert_eq!(spa.refresh(&tokens.text("refresh_token")).expect(401).text("error"), "invalid_client");
    assert_eq!(spa.exchange(&code).expect(401).text("error"), "invalid_client");
}

#[test]
fn a_client_that_loses_its_pages_gets_no_token_for_every_page() {
    let spa = Spa::start();
    let (tokens, code) = (spa.tokens(), spa.code(&[]));
    spa.server.registry(|registry| {
        let kind = portcullis_registry::record::ClientKind::Spa;
        let remove = registry.client(&actor("bo"), kind, &spa.id).unwrap().urls;
        let edit = portcullis_registry::ClientEdit { remove, ..Default::default() };
        registry.update_client(&actor("bo"), kind, &spa.id, &edit).unwrap();
    });
    assert_eq!(spa.exchange(&code).text("error"), "invalid_grant");
    assert_eq!(spa.refresh(&tokens.text("refresh_token")).text("error"), "invalid_grant");
}

#[test]
fn an_access_token_is_introspected_and_revoked() {
    let spa = Spa::start();
    let machine = spa.server.machine_with("ana", None, &reads());
    let other = spa.server.machine("cleo", None);
    let tokens = spa.tokens();
    let access = tokens.text("access_token");
    let introspect = |machine: &super::super::server::Machine| {
        let client = format!("client_id={}&client_secret={}", machine.id, machine.secret);
        spa.server.form("/oauth/introspect", &format!("token={access}&{client}")).expect(200).json()
    };
    let found = introspect(&machine);
    assert_eq!((found["active"].as_bool(), found["client_id"].as_str()), (Some(true), Some(&*spa.id)), "{found}");
    assert_eq!(found["iss"], format!("http://{}/", spa.server.address));
    assert_eq!(introspect(&other)["active"], false, "another user learns nothing");
    // Everybody knows the id of the application, so it introspects nothing.
    spa.server.form("/oauth/introspect", &format!("token={access}&client_id={}", spa.id)).expect(401);
    let revoke = |client: &str, token: &str| {
        spa.server.form("/oauth/revoke", &format!("token={token}&client_id={client}")).status
    };
    let second = application(&spa.server, "bo", "Other");
    assert_eq!(revoke(&second, &access), 200);
    assert!(spa.is_live(&tokens), "another client revokes nothing");
    assert_eq!(revoke(&spa.id, &access), 200);
    assert!(!spa.is_live(&tokens));
    assert_eq!(introspect(&machine)["active"], false);
    let trail = spa.server.registry(|registry| registry.trail(&actor("ana")).unwrap());
    let last = trail.last().unwrap();
    assert_eq!(
        (&*last.action, &*last.kind, &*last.user),
        ("revoke", "token", "ana"),
        "not the owner of the application"
    );
    assert_eq!(last.how.as_deref(), Some(&*format!("client {}", spa.id)));
    // A refresh token ends its whole family.
    let next = spa.refresh(&tokens.text("refresh_token")).expect(200);
    assert_eq!(revoke(&second, &next.text("refresh_token")), 200);
    assert!(spa.is_live(&next), "another client revokes nothing");
    assert_eq!(revoke(&spa.id, &next.text("refresh_token")), 200);
    assert!(!spa.is_live(&next));
    assert_eq!(spa.refresh(&next.text("refresh_token")).text("error"), "invalid_grant");
    assert_eq!(revoke(&spa.id, &next.text("refresh_token")), 200, "a second time");
    assert_eq!(revoke("spa_0000000000", &access), 401);
}

/// An answer that is remembered for an idempotency key has a secret: it is for one user of the application.
#[test]
fn users_of_one_application_share_no_remembered_answer() {
    let spa = Spa::start();
    let cleo = super::sign_in(&spa.server, "cleo");
    let scope = [("scope", "write:tokens")];
    let ana = spa.exchange(&spa.code(&scope)).expect(200).text("access_token");
    let spa = Spa { cookie: cleo, ..spa };
    let cleo = spa.exchange(&spa.code(&scope)).expect(200).text("access_token");
    let key = [("idempotency-key", "c8a1a2b0-6d5e-4c8f-9d53-8f1f3c2f7a11")];
    let create =
        |access: &str| spa.server.call(access, "POST", "/v3/tokens", &key, super::super::server::TOKEN).expect(201);
    let (first, second) = (create(&ana), create(&cleo));
    assert_ne!(first.text("token"), second.text("token"));
    assert_eq!((first.text("owner"), second.text("owner")), ("ana".to_owned(), "cleo".to_owned()));
    assert_eq!(create(&ana).text("token"), first.text("token"));
}

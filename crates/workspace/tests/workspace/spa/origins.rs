//! Cross-origin calls by scripts.

use portcullis_registry::ClientEdit;
use portcullis_registry::record::{ClientKind, Urls};

use super::{ORIGIN, Spa, actor};

const OTHER: &str = "https://evil.example";

#[test]
fn only_registered_origins_read_answers_and_never_with_cookies() {
    let spa = Spa::start();
    let own = format!("http://{}", spa.server.address);
    for (method, path) in [
        ("POST", "/oauth/token"),
        ("POST", "/oauth/revoke"),
        ("GET", "/oauth/userinfo"),
        ("GET", "/.well-known/jwks.json"),
        ("GET", "/.well-known/openid-configuration"),
        ("GET", "/.well-known/oauth-authorization-server"),
        ("GET", "/v3/tokens"),
    ] {
        for (origin, allowed, why) in [
            (ORIGIN, true, "a web origin"),
            ("https://tools.example.com", true, "an allowed origin"),
            (OTHER, false, "another site"),
            ("http://localhost:5173", false, "the origin of a callback that is not a web origin"),
            ("null", false, "a sandboxed page"),
            ("https://app.example.com.evil.example", false, "a longer host"),
            ("https://APP.example.com", false, "another spelling"),
            ("http://app.example.com", false, "another scheme"),
            (&*own, false, "the workspace needs no permission"),
        ] {
            let send = |method: &str, extra: &[(&str, &str)]| {
                let headers: Vec<_> = [("origin", origin)].into_iter().chain(extra.iter().copied()).collect();
                spa.server.send(method, path, &headers, "")
            };
            let asked = [("access-control-request-method", method), ("access-control-request-headers", "auth0-client")];
            let preflight = send("OPTIONS", &asked).expect(204);
            let call = send(method, &[]);
            for reply in [&preflight, &call] {
                let want = allowed.then_some(origin);
                assert_eq!(reply.header("access-control-allow-origin"), want, "{why}: {path}");
                assert_eq!(reply.header("access-control-allow-credentials"), None, "{why}: {path}");
                assert_eq!(reply.header("vary"), Some("origin"), "{why}: {path}");
            }
            assert_eq!(preflight.header("access-control-allow-headers").is_some(), allowed, "{why}: {path}");
        }
    }
    // No script calls these, and no script reads their answers.
    for path in ["/oauth/authorize", "/oauth/consent", "/oauth/logout", "/oauth/introspect", "/credentials/tokens", "/"]
    {
        let headers = [("origin", ORIGIN), ("access-control-request-method", "POST")];
        for method in ["OPTIONS", "GET", "POST"] {
            let reply = spa.server.send(method, path, &headers, "");
            assert_eq!(reply.header("access-control-allow-origin"), None, "{method} {path}");
        }
    }
}

#[test]
fn a_page_exchanges_only_codes_of_its_own_client() {
    let spa = Spa::start();
    let send = |origin: &[&str]| {
        let code = spa.code(&[]);
        let form = format!(
            "grant_type=authorization_code&client_id={}&redirect_uri={}&code_verifier={}&code={code}",
            spa.id,
            super::CALLBACK,
            super::VERIFIER
        );
        let kind = ("content-type", "application/x-www-form-urlencoded");
        let headers: Vec<_> = origin.iter().map(|origin| ("origin", *origin)).chain([kind]).collect();
        spa.server.send("POST", "/oauth/token", &headers, &form)
    };
    let reply = send(&[ORIGIN]).expect(200);
    assert_eq!(reply.header("access-control-allow-origin"), Some(ORIGIN));
    send(&[]).expect(200);
    for (origin, why) in [
        (&[OTHER][..], "another site"),
        (&["null"], "a sandboxed page"),
        (&[ORIGIN, ORIGIN], "two origins"),
        (&["http://localhost:5173"], "a callback that is not a web origin"),
    ] {
        assert_eq!(send(origin).expect(400).text("error"), "invalid_request", "{why}");
    }
}

#[test]
fn changes_of_applications_change_what_pages_may_call_at_once() {
    let spa = Spa::start();
    let allowed = |origin: &str| {
        let reply = spa.server.send("GET", "/.well-known/jwks.json", &[("origin", origin)], "");
        reply.header("access-control-allow-origin").is_some()
    };
    let urls = |origin: &str| Urls { web_origins: vec![origin.to_owned()], ..Urls::default() };
    let (new, newer) = ("https://new.example.com", "https://newer.example.com");
    assert!(allowed(ORIGIN) && !allowed(new));
    let bo = actor("bo");
    let id = spa
        .server
        .registry(|registry| registry.create_client(&bo, ClientKind::Spa, "New", &urls(new)).unwrap().client.id);
    assert!(allowed(new) && allowed(ORIGIN));
    let edit = ClientEdit { remove: urls(new), add: urls(newer), ..ClientEdit::default() };
    spa.server.registry(|registry| registry.update_client(&bo, ClientKind::Spa, &id, &edit).unwrap());
    assert!(!allowed(new) && allowed(newer));
    // Changes of other records are no change of origins.
    spa.server.machine("ana", None);
    assert!(allowed(newer));
    spa.server.registry(|registry| registry.delete_client(&bo, ClientKind::Spa, &id).unwrap());
    assert!(!allowed(newer) && allowed(ORIGIN));
}

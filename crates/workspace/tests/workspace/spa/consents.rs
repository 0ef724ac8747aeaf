//! What an application gets lasts as long as the consent of the user, and is no more than the user allowed.

use portcullis::model::SecretDigest;
use portcullis_registry::record::{ClientKind, Urls};
use portcullis_registry::{ClientEdit, Lifetimes, NewCode, TypedGrant};
use portcullis_workspace::Workspace;

use super::{CALLBACK, CHALLENGE, Spa, VERIFIER, actor, answer};

const LIFETIMES: Lifetimes =
    Lifetimes { code: 60, access: 3600, idle: 3600, absolute: 7200, grace: 60, confirmed: 3600 };

fn change(spa: &Spa, edit: &ClientEdit) {
    spa.server.registry(|registry| registry.update_client(&actor("bo"), ClientKind::Spa, &spa.id, edit).unwrap());
}

fn end(spa: &Spa) {
    spa.server.registry(|registry| registry.end_consent(&actor("ana"), &spa.id).unwrap());
}

/// Issues a code as a request does that read the consent of the user before.
fn late_code(spa: &Spa, code: &str, scopes: &[&str]) -> bool {
    let scopes: Vec<_> = scopes.iter().map(ToString::to_string).collect();
    let now = Workspace::now();
    let new = NewCode {
        digest: SecretDigest::of(code),
        client: &spa.id,
        user: "ana",
        redirect_uri: CALLBACK,
        challenge: CHALLENGE,
        scopes: &scopes,
        nonce: None,
        signed_in: now,
    };
    spa.server.registry(|registry| registry.issue_code(&new, &LIFETIMES, now).unwrap())
}

#[test]
fn a_code_is_issued_only_while_the_consent_lasts() {
    let spa = Spa::start();
    assert!(!late_code(&spa, "never", &["openid"]), "the user was never asked");
    let _ = spa.tokens();
    assert!(!late_code(&spa, "more", &["openid", "write:tokens"]), "a scope that the user did not allow");
    assert!(late_code(&spa, "early", &["openid"]));
    end(&spa);
    assert!(!late_code(&spa, "late", &["openid"]), "the user ended the consent");
    for code in ["never", "more", "early", "late"] {
        assert_eq!(spa.exchange(code).expect(400).text("error"), "invalid_grant", "{code}");
    }
}

#[test]
fn renewals_that_race_with_the_end_of_a_consent_leave_nothing() {
    let spa = Spa::start();
    let _ = spa.tokens();
    let answers: Vec<_> = std::thread::scope(|scope| {
        let sent: Vec<_> = (0..16).map(|_| scope.spawn(|| spa.authorize(&[("prompt", "none")]))).collect();
        end(&spa);
        sent.into_iter().map(|thread| thread.join().unwrap()).collect()
    });
    for reply in answers {
        let fields = answer(&reply);
        let get = |name: &str| fields.iter().find(|(known, _)| known == name).map(|(_, value)| value.clone());
        match get("code") {
            Some(code) => assert_eq!(spa.exchange(&code).text("error"), "invalid_grant"),
            None => assert_eq!(get("error").as_deref(), Some("consent_required")),
        }
    }
}

#[test]
fn an_application_that_outgrows_its_consent_asks_again() {
    let other = TypedGrant { connection: "carto_dw".into(), source: "carto.secret.*".into(), kind: None };
    let held = TypedGrant { connection: "carto_dw".into(), source: "carto.shared.*".into(), kind: None };
    let urls = |callbacks: &[&str], web_origins: &[&str]| Urls {
        callbacks: callbacks.iter().map(ToString::to_string).collect(),
        web_origins: web_origins.iter().map(ToString::to_string).collect(),
        ..Urls::default()
    };
    let edits = [
        (ClientEdit { grants: Some(vec![held, other]), ..ClientEdit::default() }, true, "a grant"),
        (ClientEdit { apis: Some(vec!["maps".into(), "sql".into()]), ..ClientEdit::default() }, true, "an API"),
        (ClientEdit { add: urls(&["https://new.example.com/cb"], &[]), ..ClientEdit::default() }, true, "a callback"),
        (ClientEdit { add: urls(&[], &["https://new.example.com"]), ..ClientEdit::default() }, true, "a web origin"),
        (
            ClientEdit { add: urls(&["https://app.example.com/other"], &[]), ..ClientEdit::default() },
            false,
            "another page of an origin that the user allowed",
        ),
        (ClientEdit { title: Some("Globe".into()), ..ClientEdit::default() }, false, "the title"),
    ];
    for (edit, asks, why) in edits {
        let spa = Spa::start();
        let (tokens, code) = (spa.tokens().text("refresh_token"), spa.code(&[]));
        change(&spa, &edit);
        if !asks {
            spa.refresh(&tokens).expect(200);
            spa.exchange(&code).expect(200);
            continue;
        }
        assert_eq!(spa.refresh(&tokens).expect(400).text("error"), "invalid_grant", "{why}");
        assert_eq!(spa.exchange(&code).expect(400).text("error"), "invalid_grant", "{why}");
        let silent = answer(&spa.authorize(&[("prompt", "none")]));
        assert!(silent.contains(&("error".into(), "consent_required".into())), "{why}: {silent:?}");
        spa.tokens();
        assert_eq!(spa.refresh(&tokens).text("error"), "invalid_grant", "{why}: the family was revoked");
    }
}

#[test]
fn what_a_user_allowed_a_smaller_application_is_not_allowed_later() {
    let spa = Spa::start();
    spa.tokens();
    change(&spa, &ClientEdit { apis: Some(vec!["maps".into(), "sql".into()]), ..ClientEdit::default() });
    spa.code(&[("scope", "openid")]);
    assert!(spa.authorize(&[]).expect(200).body.contains("Allow Atlas?"));
}

#[test]
fn an_application_at_another_port_is_listed_and_ended_and_asks_each_time() {
    let uri = "http://127.0.0.1:41234/native";
    let spa = Spa::start();
    let code = spa.code(&[("redirect_uri", uri)]);
    let form = [("code", &*code), ("redirect_uri", uri), ("code_verifier", VERIFIER)];
    let tokens = spa.exchange_with(&form).expect(200);
    assert!(spa.open("/applications").expect(200).body.contains("Atlas"));
    let next = spa.refresh(&tokens.text("refresh_token")).expect(200);
    for changes in [&[("redirect_uri", uri)][..], &[("redirect_uri", "http://127.0.0.1/native")], &[]] {
        assert!(spa.authorize(changes).expect(200).body.contains("Allow Atlas?"), "{changes:?}");
    }
    end(&spa);
    assert!(!spa.is_live(&next));
    assert_eq!(spa.refresh(&next.text("refresh_token")).text("error"), "invalid_grant");
    assert!(spa.open("/applications").expect(200).body.contains("No applications"));
}

#[test]
fn an_identifier_with_a_nul_byte_is_unknown() {
    let spa = Spa::start();
    let tokens = spa.tokens();
    assert_eq!(spa.authorize(&[("client_id", "spa\0")]).status, 400);
    for client in ["%00", "spa_%000"] {
        let form =
            format!("grant_type=refresh_token&client_id={client}&refresh_token={}", tokens.text("refresh_token"));
        assert_eq!(spa.server.form("/oauth/token", &form).expect(401).text("error"), "invalid_client", "{client}");
        let form = format!("grant_type=client_credentials&client_id={client}&client_secret=x");
        assert_eq!(spa.server.form("/oauth/token", &form).expect(401).text("error"), "invalid_client", "{client}");
    }
    let access = tokens.text("access_token");
    for path in ["/v3/tokens/tok%00", "/v3/tokens?search=a%00", "/v3/tokens?search=abc%00def"] {
        let status = spa.server.get(&access, path).status;
        assert!((200..500).contains(&status), "{path}: {status}");
    }
}

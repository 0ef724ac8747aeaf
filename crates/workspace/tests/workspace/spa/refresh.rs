//! Refresh tokens: rotation, its grace period, and reuse.

use std::collections::BTreeSet;

use portcullis::base::Timestamp;
use portcullis_registry::{
    Admission, Granted, Lifetimes, NotGranted, PresentedRefresh, SignedIn, Successors, UserEdit,
};
use portcullis_secret::Secret;
use portcullis_workspace::Workspace;

use super::{Spa, application};

const LIFETIMES: Lifetimes =
    Lifetimes { code: 60, access: 3600, idle: 1_000, absolute: 5_000, grace: 60, confirmed: 2_000 };

const ISSUER: &str = "https://login.example.com";
const EMAIL: &str = "ana@example.com";

/// Keeps the successor as it is: only a test may.
struct Plain;

impl Successors for Plain {
    fn seal(&self, successor: &str) -> Option<Vec<u8>> {
        Some(successor.as_bytes().to_vec())
    }

    fn open(&self, sealed: &[u8]) -> Option<String> {
        String::from_utf8(sealed.to_vec()).ok()
    }
}

fn refresh_at(spa: &Spa, token: &str, now: Timestamp) -> Result<Granted, NotGranted> {
    spa.server.registry(|registry| {
        let digest = Secret::read(token).unwrap().digest();
        let presented = PresentedRefresh { digest, client: &spa.id, scopes: None };
        registry.refresh(&presented, &LIFETIMES, &Plain, now).unwrap()
    })
}

fn next_of(granted: &Granted) -> String {
    granted.refresh.as_ref().unwrap().expose().to_owned()
}

#[test]
fn a_refresh_token_is_replaced_and_a_lost_answer_is_repeated() {
    let spa = Spa::start();
    let first = spa.tokens().text("refresh_token");
    let second = spa.refresh(&first).expect(200);
    assert_ne!(second.text("refresh_token"), first);
    assert!(spa.is_live(&second));
    // The answer was lost: the same successor, and no second family.
    let again = spa.refresh(&first).expect(200);
    assert_eq!(again.text("refresh_token"), second.text("refresh_token"));
    let third = spa.refresh(&again.text("refresh_token")).expect(200);
    assert!(spa.is_live(&third) && spa.is_live(&again));
    // Without `offline_access`, there is none.
    let plain = spa.exchange(&spa.code(&[("scope", "openid")])).expect(200);
    assert_eq!(plain.json().get("refresh_token"), None);
    for (token, why) in [
        ("unknown", "no refresh token"),
        ("pcl_rt_0123456789ABCDEFGHIJKLMNOPQRSTUV000000", "wrong check digits"),
        (&*plain.text("access_token"), "an access token"),
        (Secret::mint(portcullis_secret::SecretKind::Refresh).unwrap().expose(), "an unknown one"),
    ] {
        assert_eq!(spa.refresh(token).expect(400).text("error"), "invalid_grant", "{why}");
    }
    assert_eq!(spa.refresh("").text("error"), "invalid_request");
    let other = application(&spa.server, "bo", "Other");
    let (token, form) = (third.text("refresh_token"), "grant_type=refresh_token");
    let reply = spa.server.form("/oauth/token", &format!("{form}&client_id={other}&refresh_token={token}"));
    assert_eq!(reply.text("error"), "invalid_grant", "of another client");
    // A refresh token is no access token.
    spa.server.get(&token, "/v3/tokens/self").problem(401, "invalid_token");
}

#[test]
fn many_parallel_refreshes_leave_one_live_family() {
    let spa = Spa::start();
    let token = spa.tokens().text("refresh_token");
    let replies: Vec<_> = std::thread::scope(|scope| {
        let sent: Vec<_> = (0..50).map(|_| scope.spawn(|| spa.refresh(&token))).collect();
        sent.into_iter().map(|thread| thread.join().unwrap().expect(200)).collect()
    });
    let successors: BTreeSet<_> = replies.iter().map(|reply| reply.text("refresh_token")).collect();
    assert_eq!(successors.len(), 1);
    let next = spa.refresh(successors.first().unwrap()).expect(200);
    spa.refresh(&next.text("refresh_token")).expect(200);
}

#[test]
fn reuse_after_the_grace_period_revokes_the_family() {
    let spa = Spa::start();
    let now = Workspace::now();
    let at = |seconds: i64| Timestamp::from_unix(now.seconds() + seconds, 0);
    let untouched = spa.tokens();
    let tokens = spa.tokens();
    let first = tokens.text("refresh_token");
    let second = next_of(&refresh_at(&spa, &first, at(10)).unwrap());
    assert_eq!(next_of(&refresh_at(&spa, &first, at(70)).unwrap()), second, "in the last second of the grace period");
    let third = next_of(&refresh_at(&spa, &second, at(71)).unwrap());
    assert_eq!(refresh_at(&spa, &first, at(72)).unwrap_err(), NotGranted::Reused);
    for token in [&first, &second, &third] {
        assert_eq!(refresh_at(&spa, token, at(73)).unwrap_err(), NotGranted::Invalid);
    }
    assert!(!spa.is_live(&tokens) && spa.is_live(&untouched));
}

#[test]
fn a_refresh_token_ends_when_it_is_idle_and_with_its_authorization() {
    let spa = Spa::start();
    let now = Workspace::now();
    let at = |seconds: i64| Timestamp::from_unix(now.seconds() + seconds, 0);
    let first = spa.tokens().text("refresh_token");
    // The endpoint's own lifetimes apply to the first one.
    let mut token = next_of(&refresh_at(&spa, &first, at(0)).unwrap());
    assert_eq!(refresh_at(&spa, &token, at(1_001)).unwrap_err(), NotGranted::Invalid, "idle");
    for step in 1..=4 {
        token = next_of(&refresh_at(&spa, &token, at(step * 900)).unwrap());
    }
    let end = 30 * 86_400;
    let first = spa.tokens().text("refresh_token");
    let long = Lifetimes { idle: 40 * 86_400, ..LIFETIMES };
    let refresh = |token: &str, now: Timestamp| {
        spa.server.registry(|registry| {
            let digest = Secret::read(token).unwrap().digest();
            let presented = PresentedRefresh { digest, client: &spa.id, scopes: None };
            registry.refresh(&presented, &long, &Plain, now).unwrap().map(|granted| next_of(&granted))
        })
    };
    let second = refresh(&first, at(86_400)).unwrap();
    let third = refresh(&second, at(end - 10)).unwrap();
    assert_eq!(refresh(&third, at(end + 5)).unwrap_err(), NotGranted::Invalid, "the end of the authorization");
}

/// The provider may not admit the person any more, and the application asks nobody.
#[test]
fn refresh_tokens_of_a_person_end_with_the_time_after_the_sign_in() {
    let spa = Spa::start();
    let now = Workspace::now();
    let at = |seconds: i64| Timestamp::from_unix(now.seconds() + seconds, 0);
    let renewed = |seconds: &[i64]| {
        let tokens = spa.tokens();
        let mut token = tokens.text("refresh_token");
        for second in seconds {
            token = next_of(&refresh_at(&spa, &token, at(*second))?);
        }
        Ok::<_, NotGranted>((tokens, token))
    };
    // A user of login links has no account at a provider.
    renewed(&[900, 1_800, 2_100]).unwrap();
    let (tokens, last) = renewed(&[900, 1_800]).unwrap();
    spa.server.registry(|registry| {
        let root = super::actor("root").for_all_users();
        registry.edit_user(&root, "ana", &UserEdit { email: Some(Some(EMAIL.into())), ..UserEdit::default() }).unwrap();
        let person = SignedIn { issuer: ISSUER.into(), subject: "s1".into(), email: Some(EMAIL.into()) };
        let user = registry.admit(&root, &Admission { person, is_welcome: false, role: None }).unwrap();
        assert_eq!(user.name, "ana");
    });
    renewed(&[900, 1_800, 1_900]).unwrap();
    assert_eq!(renewed(&[900, 1_800, 2_100]).unwrap_err(), NotGranted::Invalid);
    // Authorizations from before count, and everything of them ends.
    assert!(spa.is_live(&tokens));
    assert_eq!(refresh_at(&spa, &last, at(2_100)).unwrap_err(), NotGranted::Invalid);
    assert!(!spa.is_live(&tokens));
    assert_eq!(refresh_at(&spa, &last, at(1_900)).unwrap_err(), NotGranted::Invalid, "revoked");
}

#[test]
fn a_refresh_only_narrows_scopes() {
    let spa = Spa::start();
    let narrowed = |token: &str, scope: &str| {
        let id = &spa.id;
        let form = format!("grant_type=refresh_token&client_id={id}&refresh_token={token}&scope={scope}");
        spa.server.form("/oauth/token", &form)
    };
    let mut token = spa.tokens().text("refresh_token");
    for (scope, why) in [
        ("write:tokens", "a scope that the user did not allow"),
        ("openid%20admin", "a scope that the client may not have"),
        ("everything", "an unknown scope"),
    ] {
        assert_eq!(narrowed(&token, scope).expect(400).text("error"), "invalid_scope", "{why}");
    }
    // The refused requests did not use it up.
    let reply = narrowed(&token, "read:tokens").expect(200);
    assert_eq!(reply.text("scope"), "read:tokens");
    assert_eq!(reply.json().get("id_token"), None);
    token = reply.text("refresh_token");
    // The next one may have all scopes again (RFC 6749, section 6).
    let all = spa.refresh(&token).expect(200);
    assert!(all.text("scope").contains("openid") && all.json().get("id_token").is_some());
    // A scope that the client loses is lost at the next refresh, and at once for the access token.
    spa.server.registry(|registry| {
        let kind = portcullis_registry::record::ClientKind::Spa;
        let scopes = Some(Some(vec!["read:connections".to_owned()]));
        let edit = portcullis_registry::ClientEdit { scopes, ..Default::default() };
        registry.update_client(&super::actor("bo"), kind, &spa.id, &edit).unwrap();
    });
    spa.server.get(&all.text("access_token"), "/v3/tokens").problem(403, "insufficient_scope");
    let less = spa.refresh(&all.text("refresh_token")).expect(200);
    assert_eq!(less.text("scope"), "openid profile email offline_access");
}

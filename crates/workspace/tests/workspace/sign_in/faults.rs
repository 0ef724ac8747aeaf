//! Providers that fail, and answers and ID tokens that are not of the sign-in.

use portcullis_registry::record::Role;
use serde_json::json;

use super::super::fake_provider::{CLIENT, Canned, Forged, SECRET, Sign, merge, new_key, seconds};
use super::{Site, check_failure};

/// Changes an ID token before it is signed.
type Forge = fn(&mut Forged);

#[test]
fn an_id_token_that_is_not_of_this_sign_in_is_refused() {
    let cases: &[(&str, Forge, &str)] = &[
        ("another nonce", |it| it.claims["nonce"] = json!("x"), "it was issued for another sign-in"),
        ("no nonce", |it| merge(&mut it.claims, &json!({"nonce": null})), "it was issued for another sign-in"),
        ("another audience", |it| it.claims["aud"] = json!("other"), "it was issued for another client"),
        ("one more audience", |it| it.claims["aud"] = json!([CLIENT, "other"]), "it was issued for another client"),
        ("no audience", |it| it.claims["aud"] = json!([]), "it was issued for another client"),
        ("another party", |it| it.claims["azp"] = json!("other"), "it was issued for another client"),
        ("expired", |it| it.claims["exp"] = json!(seconds() - 121), "it has expired"),
        ("from the past", |it| it.claims["iat"] = json!(seconds() - 3600), "it has expired, or was not issued now"),
        ("from the future", |it| it.claims["iat"] = json!(seconds() + 300), "it has expired, or was not issued now"),
        ("not valid yet", |it| it.claims["nbf"] = json!(seconds() + 300), "it is not valid yet"),
        ("another issuer", |it| it.claims["iss"] = json!("https://evil.example"), "another provider has issued it"),
        (
            "almost the issuer",
            |it| it.claims["iss"] = json!(format!("{}/", it.claims["iss"].as_str().unwrap())),
            "another provider has issued it",
        ),
        ("no issuer", |it| merge(&mut it.claims, &json!({"iss": null})), "has no tokens"),
        ("no subject", |it| merge(&mut it.claims, &json!({"sub": null})), "has no tokens"),
        ("an empty subject", |it| it.claims["sub"] = json!(""), "its subject is not a text"),
        ("a long subject", |it| it.claims["sub"] = json!("s".repeat(256)), "its subject is not a text"),
        ("no expiry", |it| merge(&mut it.claims, &json!({"exp": null})), "has no tokens"),
        (
            "no signature",
            |it| (it.header["alg"], it.sign) = (json!("none"), Sign::Nothing),
            "an algorithm that is not accepted",
        ),
        ("an empty signature", |it| it.sign = Sign::Nothing, "its signature is not of a key of the provider"),
        (
            "HMAC with the client id",
            |it| (it.header["alg"], it.sign) = (json!("HS256"), Sign::Hmac(CLIENT.as_bytes())),
            "an algorithm that is not accepted",
        ),
        (
            "HMAC with the secret",
            |it| (it.header["alg"], it.sign) = (json!("HS256"), Sign::Hmac(SECRET.as_bytes())),
            "an algorithm that is not accepted",
        ),
        ("another key", |it| it.sign = Sign::OtherKey, "its signature is not of a key of the provider"),
        (
            "an unknown key",
            |it| (it.header["kid"], it.sign) = (json!("two"), Sign::OtherKey),
            "its signature is not of a key of the provider",
        ),
        ("a critical header", |it| it.header["crit"] = json!(["x"]), "its form is not that of an ID token"),
        ("another type", |it| it.header["typ"] = json!("at+jwt"), "its form is not that of an ID token"),
        (
            "another algorithm of the key",
            |it| it.header["alg"] = json!("RS256"),
            "its signature is not of a key of the provider",
        ),
    ];
    let site = Site::start();
    site.invite("ana@example.com", Role::Developer, None);
    for (why, forge, sentence) in cases {
        site.provider.set(|behavior| behavior.forge = *forge);
        let mut browser = site.browser();
        let reply = browser.sign_in("/");
        let status = if sentence.starts_with("has no") { 503 } else { 400 };
        check_failure(&reply, status, sentence, why);
        assert!(!browser.has_session(), "{why}");
    }
    // Clocks may differ a little.
    for forge in [
        (|it: &mut Forged| it.claims["exp"] = json!(seconds() - 60)) as Forge,
        |it| it.claims["iat"] = json!(seconds() + 60),
        |it| it.claims["nbf"] = json!(seconds() + 60),
        |it| it.claims["azp"] = json!(CLIENT),
        |it| it.claims["aud"] = json!([CLIENT]),
        |it| it.claims["email_verified"] = json!("true"),
    ] {
        site.provider.set(|behavior| behavior.forge = forge);
        site.sign_in().expect(200);
    }
}

#[test]
fn an_answer_that_is_not_of_this_attempt_is_refused() {
    let site = Site::start();
    site.invite("ana@example.com", Role::Developer, None);
    let unknown = "The sign-in was started in another browser";
    let refused = |change: fn(String) -> String, status: u16, sentence: &str, why: &str| {
        let mut browser = site.browser();
        let url = browser.start("/");
        let query = change(site.provider.approve(&url));
        check_failure(&browser.come_back(&query), status, sentence, why);
        assert!(!browser.has_session(), "{why}");
    };
    refused(|query| query.replace("state=", "state=A"), 400, unknown, "another state");
    refused(|query| query.replace("state=", "status="), 400, unknown, "no state");
    refused(|query| format!("{query}&state=x"), 400, unknown, "two states");
    refused(|query| query.replace("code=", "coda="), 400, "has no code", "no code");
    refused(|query| format!("{query}&code=x"), 400, "has no code", "two codes");
    refused(|query| query.replace("code=code", "code=made-up"), 400, "does not accept its code", "an unknown code");
    refused(|query| format!("{query}&iss=x"), 400, "is not of the OpenID provider", "two issuers");
    refused(|query| query.replace("iss=http", "iss=https"), 400, "is not of the OpenID provider", "another issuer");
    refused(|query| query.replace("&iss=", "&it="), 400, "is not of the OpenID provider", "a missing issuer");
    refused(
        |query| format!("{query}&error=access_denied"),
        403,
        "has refused the sign-in: `access_denied`",
        "an error",
    );
    refused(
        |query| format!("{query}&error=%3Cb%3E"),
        403,
        "has refused the sign-in: `unknown error`",
        "an unknown error",
    );

    // The answer to one browser is worth nothing in another one.
    let (mut victim, mut attacker) = (site.browser(), site.browser());
    victim.start("/");
    let url = attacker.start("/");
    let query = site.provider.approve(&url);
    check_failure(&victim.come_back(&query), 400, unknown, "the state of another browser");
    check_failure(&site.browser().come_back(&query), 400, unknown, "a browser without a cookie");

    // A code is used once, even if the browser repeats the request with its cookie.
    let kept = attacker.cookies.clone();
    attacker.come_back(&query).expect(200);
    check_failure(&attacker.come_back(&query), 400, unknown, "the attempt is over");
    attacker.cookies = kept;
    check_failure(&attacker.come_back(&query), 400, "does not accept its code", "a replayed code");

    // Two tabs of one browser each finish their own attempt.
    let mut browser = site.browser();
    let (one, two) = (browser.start("/trail"), browser.start("/sources"));
    let kept = browser.cookies.clone();
    assert!(browser.come_back(&site.provider.approve(&two)).expect(200).body.contains("url=/sources"));
    browser.cookies = kept;
    assert!(browser.come_back(&site.provider.approve(&one)).expect(200).body.contains("url=/trail"));
    // A program that only looks at a link changes nothing.
    let signed_out = site.server.send("HEAD", "/login/callback?code=x&state=y", &[], "");
    assert_eq!((signed_out.status, signed_out.header("set-cookie")), (200, None));
}

#[test]
fn a_provider_that_does_not_promise_its_issuer_may_leave_it_out() {
    let site = Site::start();
    site.invite("ana@example.com", Role::Developer, None);
    site.provider.set(|it| it.metadata = json!({"authorization_response_iss_parameter_supported": null}));
    for (change, status) in [("&it=", 200), ("&iss=x", 400)] {
        let mut browser = site.browser();
        let url = browser.start("/");
        let query = site.provider.approve(&url).replace("&iss=", change);
        browser.come_back(&query).expect(status);
    }
}

#[test]
fn keys_that_the_provider_has_replaced_are_read_again_once() {
    let site = Site::start();
    site.invite("ana@example.com", Role::Developer, None);
    site.sign_in().expect(200);
    assert_eq!(site.provider.count("/jwks"), 1);
    site.provider.set(|it| it.keys = vec![("two".to_owned(), new_key())]);
    site.sign_in().expect(200);
    assert_eq!(site.provider.count("/jwks"), 2);
    // A key that the provider does not publish: it is asked once.
    site.provider.set(|it| {
        it.keys.push(("three".to_owned(), new_key()));
        it.publishes_last_key = false;
    });
    check_failure(&site.sign_in(), 400, "its signature is not of a key of the provider", "an unpublished key");
    assert_eq!(site.provider.count("/jwks"), 3);
}

#[test]
fn a_provider_that_cannot_be_used_leaves_login_links_working() {
    const DISCOVERY: &str = "/.well-known/openid-configuration";
    const JSON: &str = "content-type: application/json\r\n";
    let canned = |status, headers, text: &str| Canned::Answer(status, headers, text.to_owned());
    for (path, answer, sentence) in [
        (DISCOVERY, canned(500, JSON, "{}"), "has the status 500"),
        (DISCOVERY, canned(404, JSON, "{}"), "has the status 404"),
        (DISCOVERY, canned(302, "location: http://127.0.0.1:1/\r\n", ""), "redirects to another URL"),
        (DISCOVERY, canned(200, JSON, "<html>"), "is malformed"),
        (DISCOVERY, canned(200, "content-type: text/html\r\n", "{}"), "is malformed"),
        (DISCOVERY, canned(200, JSON, &" ".repeat(600 << 10)), "more than 524288 bytes"),
        ("/jwks", canned(200, JSON, &" ".repeat(600 << 10)), "more than 524288 bytes"),
        ("/jwks", canned(503, JSON, ""), "has the status 503"),
        (DISCOVERY, Canned::Silence, "no answer within 10 seconds"),
    ] {
        let site = Site::start();
        site.provider.set(|it| drop(it.answers.insert(path, answer)));
        let reply = site.browser().get("/login/start");
        check_failure(&reply, 503, sentence, sentence);
        assert_eq!(reply.header("retry-after"), Some("30"));
        let page = site.browser().get("/").expect(200);
        assert!(page.body.contains(sentence) && page.body.contains("one-time link"), "{page:?}");
        let link = site.server.block_on(site.server.workspace.login_link("root")).unwrap();
        let mut browser = site.browser();
        browser.get(link.split_once(&site.server.address).unwrap().1).expect(303);
        browser.get("/credentials/tokens").expect(200);
    }
    for (metadata, sentence) in [
        (json!({"issuer": "https://evil.example"}), "names another issuer"),
        (json!({"token_endpoint": "http://evil.example/token"}), "has no `https` URL"),
        (json!({"jwks_uri": "http://10.0.0.1/jwks"}), "no"),
        (json!({"authorization_endpoint": "javascript:alert(1)"}), "has no `https` URL"),
        (json!({"end_session_endpoint": "data:text/html,x"}), "has no `https` URL"),
        (json!({"token_endpoint": null}), "has no token endpoint"),
        (json!({"jwks_uri": null}), "is malformed"),
    ] {
        let site = Site::start();
        site.provider.set(|it| it.metadata = metadata.clone());
        check_failure(&site.browser().get("/login/start"), 503, sentence, &metadata.to_string());
    }
    // Nobody listens.
    let site = Site::start_with(|options| {
        options.provider.as_mut().unwrap().issuer = "http://127.0.0.1:1".parse().unwrap();
    });
    check_failure(&site.browser().get("/login/start"), 503, "`127.0.0.1:1`: connection refused", "nobody listens");
}

#[test]
fn a_provider_that_fails_later_is_reported() {
    const JSON: &str = "content-type: application/json\r\n";
    let canned = |status, headers, text: &str| Canned::Answer(status, headers, text.to_owned());
    let site = Site::start();
    site.invite("ana@example.com", Role::Developer, None);
    for (answer, status, sentence) in [
        (canned(500, JSON, "{}"), 503, "has the status 500"),
        (canned(302, "location: http://127.0.0.1:1/\r\n", ""), 503, "redirects to another URL"),
        (canned(200, JSON, "{}"), 503, "has no tokens"),
        (canned(200, JSON, r#"{"access_token": "a", "token_type": "Bearer"}"#), 400, "it is missing"),
        (canned(200, JSON, r#"{"access_token": "a", "token_type": "Bearer", "id_token": "x"}"#), 503, "has no tokens"),
        (canned(200, JSON, &" ".repeat(600 << 10)), 503, "more than 524288 bytes"),
        (
            canned(400, JSON, r#"{"error": "invalid_client", "error_description": "s3cret-of-the-client"}"#),
            400,
            "does not accept its code",
        ),
    ] {
        site.provider.set(|it| drop(it.answers.insert("/token", answer)));
        let reply = site.sign_in();
        check_failure(&reply, status, sentence, sentence);
        assert!(!reply.body.contains(SECRET));
    }
}

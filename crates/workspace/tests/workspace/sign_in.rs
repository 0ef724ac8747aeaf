//! Sign-in at an OpenID provider.

use portcullis_registry::UserEdit;
use portcullis_registry::record::{ClientKind, Role, TicketKind};
use portcullis_workspace::{ProviderOptions, Rules, SignInOptions};
use serde_json::{Value, json};

use super::fake_provider::{CLIENT, Canned, FakeProvider, Forged, SECRET, Sign, merge, new_key, seconds};
use super::server::{Reply, Server, TOKEN, actor};

/// Changes an ID token before it is signed.
type Forge = fn(&mut Forged);

/// The user and the role after a sign-in, or the sentence of the failure.
type Expected = Result<(&'static str, Role), &'static str>;

/// A workspace whose users sign in at a provider.
struct Site {
    server: Server,
    provider: FakeProvider,
}

/// A browser, which keeps cookies.
struct Browser<'s> {
    site: &'s Site,
    cookies: Vec<(String, String)>,
}

impl Site {
    fn start() -> Self {
        Self::start_with(|_| {})
    }

    fn start_with(change: impl FnOnce(&mut SignInOptions)) -> Self {
        let provider = FakeProvider::start();
        let server = Server::start_with(|options| {
            let mut sign_in = SignInOptions {
                provider: Some(ProviderOptions {
                    issuer: provider.url.parse().unwrap(),
                    client_id: CLIENT.to_owned(),
                    client_secret: Some(SECRET.to_owned()),
                    redirect_url: format!("{}/login/callback", options.url),
                    signed_out_url: format!("{}/", options.url),
                    scopes: vec!["email".to_owned()],
                    claims: Vec::new(),
                    authorities: None,
                }),
                rules: Rules { groups_claim: "groups".to_owned(), ..Rules::default() },
                refuses_links: false,
            };
            change(&mut sign_in);
            options.sign_in = sign_in;
        });
        Self { server, provider }
    }

    fn invite(&self, name: &str, role: Role, email: Option<&str>) {
        let root = actor("root").for_all_users();
        self.server.registry(|registry| registry.invite_user(&root, name, role, email).unwrap());
    }

    fn browser(&self) -> Browser<'_> {
        Browser { site: self, cookies: Vec::new() }
    }

    /// Signs the provider's user in, and returns the last answer.
    fn sign_in(&self) -> Reply {
        self.browser().sign_in("/")
    }
}

impl Browser<'_> {
    fn get(&mut self, path: &str) -> Reply {
        self.send("GET", path, &[], "")
    }

    fn send(&mut self, method: &str, path: &str, headers: &[(&str, &str)], body: &str) -> Reply {
        let cookies: Vec<_> = self.cookies.iter().map(|(name, value)| format!("{name}={value}")).collect();
        let cookies = cookies.join("; ");
        let headers: Vec<_> = headers.iter().copied().chain([("cookie", &*cookies)]).collect();
        let reply = self.site.server.send(method, path, &headers, body);
        for (name, value) in &reply.headers {
            if name.eq_ignore_ascii_case("set-cookie") {
                let (cookie, value) = value.split(';').next().unwrap().split_once('=').unwrap();
                self.cookies.retain(|(known, _)| known != cookie);
                if !value.is_empty() {
                    self.cookies.push((cookie.to_owned(), value.to_owned()));
                }
            }
        }
        reply
    }

    /// Starts a sign-in: returns the URL of the provider.
    fn start(&mut self, page: &str) -> String {
        let query = url::form_urlencoded::Serializer::new(String::new()).append_pair("return_to", page).finish();
        let reply = self.get(&format!("/login/start?{query}")).expect(303);
        reply.header("location").unwrap().to_owned()
    }

    fn come_back(&mut self, query: &str) -> Reply {
        self.get(&format!("/login/callback?{query}"))
    }

    fn sign_in(&mut self, page: &str) -> Reply {
        let url = self.start(page);
        let query = self.site.provider.approve(&url);
        self.come_back(&query)
    }

    fn has_session(&self) -> bool {
        self.cookies.iter().any(|(name, _)| name == "portcullis")
    }
}

/// Checks that a page states a failure, with the id of the request.
fn check_failure(reply: &Reply, status: u16, sentence: &str, why: &str) {
    assert_eq!(reply.status, status, "{why}: {reply:?}");
    let shown = reply.body.replace("<code>", "`").replace("</code>", "`");
    assert!(shown.contains(sentence), "{why}: {reply:?}");
    let id = reply.header("x-request-id").unwrap();
    assert!(reply.body.contains(id), "{why}: {reply:?}");
    let is_session = |(name, value): &(String, String)| name == "set-cookie" && value.starts_with("portcullis=");
    assert!(!reply.headers.iter().any(is_session), "{why}: {reply:?}");
}

#[test]
fn a_person_signs_in_and_comes_back_to_the_page() {
    let site = Site::start();
    site.invite("ana@example.com", Role::Administrator, None);
    let mut browser = site.browser();
    // A page without a session leads to the provider.
    let start = browser.get("/trail?id=a%20b").expect(303);
    assert_eq!(start.header("location"), Some("/login/start?return_to=%2Ftrail%3Fid%3Da%2520b"));
    let sent = browser.get(start.header("location").unwrap()).expect(303);
    let cookie = sent.header("set-cookie").unwrap();
    assert!(cookie.contains("HttpOnly") && cookie.contains("SameSite=Lax") && cookie.contains("Path=/"), "{cookie}");
    let query = site.provider.approve(sent.header("location").unwrap());
    let page = browser.come_back(&query).expect(200);
    assert!(page.body.contains(r#"<meta http-equiv="refresh" content="0;url=/trail?id=a%20b">"#), "{page:?}");
    assert!(browser.has_session());
    assert!(!browser.cookies.iter().any(|(name, _)| name == "portcullis-sign-in"), "the attempt is over");
    let shown = browser.get("/trail").expect(200);
    assert!(shown.body.contains("ana@example.com") && shown.body.contains("Sign out"), "{shown:?}");

    // The trail names the person, and how the person signed in.
    let origin = format!("http://{}", site.server.address);
    let headers = [("origin", &*origin), ("content-type", "application/json")];
    browser.send("POST", "/v3/tokens", &headers, TOKEN).expect(201);
    let entries = browser.get("/v3/trail").expect(200).json();
    let (created, bound) = (&entries["entries"][0], &entries["entries"][1]);
    let person = format!("ana@example.com, subject ana-7 of {}", site.provider.url);
    assert_eq!(created["user"], "ana@example.com");
    assert_eq!(created["how"], format!("console, {person}"));
    assert_eq!(bound["how"], format!("sign-in of {person}"));
    assert_eq!(bound["after"]["subject"], "ana-7");
    // The next sign-in changes nothing.
    let last = site.server.registry(|registry| registry.last_change().unwrap());
    site.sign_in().expect(200);
    assert_eq!(site.server.registry(|registry| registry.last_change().unwrap()), last);
}

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
    check_failure(&site.browser().get("/login/start"), 503, "no connection", "nobody listens");
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

/// Claims, rules and the records of users, with the name of the user or the sentence of the failure.
#[test]
fn only_admitted_persons_sign_in() {
    let domain = Rules { domains: vec!["Example.com".to_owned()], ..Rules::default() };
    let groups = Rules {
        groups: vec!["data".to_owned()],
        administrators: vec!["admins".to_owned()],
        auditors: vec!["audit".to_owned()],
        groups_claim: "groups".to_owned(),
        ..Rules::default()
    };
    let none = Rules::default();
    let may_not = "may not use this workspace";
    let cases: Vec<(&str, &Rules, Value, Expected)> = vec![
        ("an invited address", &none, json!({"email": "bo@example.com"}), Ok(("bo@example.com", Role::Auditor))),
        (
            "an address in other letters",
            &none,
            json!({"email": "BO@Example.COM"}),
            Ok(("bo@example.com", Role::Auditor)),
        ),
        ("an address of a name", &none, json!({"email": "carla@example.com"}), Ok(("carla", Role::Developer))),
        ("a name is no address", &none, json!({"email": "carla"}), Err(may_not)),
        (
            "an address that is not verified",
            &none,
            json!({"email": "bo@example.com", "email_verified": false}),
            Err(may_not),
        ),
        (
            "an address of which nothing is known",
            &none,
            json!({"email": "bo@example.com", "email_verified": null}),
            Err(may_not),
        ),
        ("a stranger", &none, json!({"email": "eve@example.com"}), Err(may_not)),
        ("no address", &none, json!({}), Err(may_not)),
        ("a disabled user", &none, json!({"email": "dora@example.com"}), Err("is disabled")),
        ("a disabled user of a domain", &domain, json!({"email": "dora@example.com"}), Err("is disabled")),
        ("a domain", &domain, json!({"email": "Eve@example.com"}), Ok(("eve@example.com", Role::Developer))),
        (
            "a domain that is not verified",
            &domain,
            json!({"email": "eve@example.com", "email_verified": false}),
            Err(may_not),
        ),
        ("a longer domain", &domain, json!({"email": "eve@example.com.evil.example"}), Err(may_not)),
        ("a subdomain", &domain, json!({"email": "eve@a.example.com"}), Err(may_not)),
        ("two domains", &domain, json!({"email": "eve@evil.example@example.com"}), Err(may_not)),
        ("another account of a user", &domain, json!({"email": "root@example.com"}), Err("is of another account")),
        ("a group without an address", &groups, json!({"groups": ["data"]}), Ok(("oidc:ana-7", Role::Developer))),
        (
            "a subject that is a name",
            &groups,
            json!({"groups": ["data"], "sub": "root"}),
            Ok(("oidc:root", Role::Developer)),
        ),
        ("an administrator", &groups, json!({"groups": ["data", "admins"]}), Ok(("oidc:ana-7", Role::Administrator))),
        ("an auditor", &groups, json!({"groups": "audit"}), Ok(("oidc:ana-7", Role::Auditor))),
        ("another group", &groups, json!({"groups": ["Data", "dat"]}), Err(may_not)),
        (
            "a role is of the provider",
            &groups,
            json!({"email": "bo@example.com"}),
            Ok(("bo@example.com", Role::Developer)),
        ),
    ];
    for (why, rules, claims, want) in cases {
        let site = Site::start_with(|options| options.rules = rules.clone());
        site.invite("bo@example.com", Role::Auditor, None);
        site.invite("carla", Role::Developer, Some("carla@example.com"));
        site.invite("dora@example.com", Role::Developer, None);
        let root = actor("root").for_all_users();
        site.server.registry(|registry| {
            let disabled = UserEdit { is_disabled: Some(true), ..UserEdit::default() };
            registry.edit_user(&root, "dora@example.com", &disabled).unwrap();
            let person = portcullis_registry::SignedIn {
                issuer: "https://earlier.example".into(),
                subject: "1".into(),
                email: Some("root@example.com".into()),
            };
            let admission = portcullis_registry::Admission { person, is_welcome: true, role: None };
            registry.admit(&root, &admission).unwrap();
        });
        site.provider.set(|behavior| {
            behavior.claims = json!({"sub": "ana-7", "email_verified": true});
            merge(&mut behavior.claims, &claims);
            behavior.user_info = Some(json!({"sub": behavior.claims["sub"]}));
        });
        let mut browser = site.browser();
        let reply = browser.sign_in("/");
        match want {
            Ok((name, role)) => {
                assert_eq!(reply.status, 200, "{why}: {reply:?}");
                let own = browser.get("/v3/tokens/self").expect(200).json();
                assert_eq!(own["user"], name, "{why}: {own}");
                assert_eq!(site.server.registry(|registry| registry.role(name).unwrap()), role, "{why}");
            }
            Err(sentence) => check_failure(&reply, 403, sentence, why),
        }
    }
}

#[test]
fn a_user_belongs_to_the_first_account_that_signs_in() {
    let site = Site::start_with(|options| options.rules.domains = vec!["example.com".to_owned()]);
    site.invite("ana@example.com", Role::Developer, None);
    site.sign_in().expect(200);
    // The address now belongs to somebody else: not the user.
    site.provider.set(|it| it.claims["sub"] = json!("ana-8"));
    check_failure(&site.sign_in(), 403, "is of another account", "a recycled address");
    // The account keeps its user with another address.
    site.provider.set(|it| it.claims = json!({"sub": "ana-7", "email": "ana.b@example.com", "email_verified": true}));
    let mut browser = site.browser();
    browser.sign_in("/").expect(200);
    assert_eq!(browser.get("/v3/tokens/self").expect(200).json()["user"], "ana@example.com");
    // An administrator gives the user to another account.
    let root = actor("root").for_all_users();
    let forget =
        UserEdit { forgets_sign_in: true, email: Some(Some("ana@example.com".to_owned())), ..UserEdit::default() };
    site.server.registry(|registry| registry.edit_user(&root, "ana@example.com", &forget).unwrap());
    browser.get("/v3/tokens/self").problem(401, "unauthenticated");
    site.provider.set(|it| it.claims = json!({"sub": "ana-8", "email": "ana@example.com", "email_verified": true}));
    site.sign_in().expect(200);
}

#[test]
fn a_user_who_leaves_the_group_does_not_sign_in_again() {
    let site = Site::start_with(|options| {
        options.rules.groups = vec!["data".to_owned()];
        options.provider.as_mut().unwrap().claims = vec!["groups".to_owned()];
    });
    // The ID token has no groups: the user information has them.
    site.provider.set(|it| it.user_info = Some(json!({"sub": "ana-7", "groups": ["data"]})));
    site.sign_in().expect(200);
    site.provider.set(|it| it.user_info = Some(json!({"sub": "ana-7", "groups": []})));
    check_failure(&site.sign_in(), 403, "may not use this workspace", "out of the group");
    let root = actor("root").for_all_users();
    let invited = UserEdit { is_invited: Some(true), ..UserEdit::default() };
    site.server.registry(|registry| registry.edit_user(&root, "ana@example.com", &invited).unwrap());
    site.sign_in().expect(200);
    // The user information of somebody else.
    site.provider.set(|it| it.user_info = Some(json!({"sub": "eve", "groups": ["data"]})));
    check_failure(&site.sign_in(), 400, "user information of the OpenID provider is not valid", "another subject");
    site.provider.set(|it| it.user_info = None);
    check_failure(&site.sign_in(), 400, "user information of the OpenID provider is not valid", "no user information");
}

#[test]
fn a_disabled_or_removed_user_loses_the_session_at_once() {
    let root = actor("root").for_all_users();
    for end in ["disable", "remove"] {
        let site = Site::start();
        site.invite("ana@example.com", Role::Developer, None);
        let mut browser = site.browser();
        browser.sign_in("/").expect(200);
        browser.get("/credentials/tokens").expect(200);
        let machine = site.server.machine("ana@example.com", None);
        let access = site.server.access_of(&machine);
        site.server.get(&access, "/v3/tokens").expect(200);
        site.server.registry(|registry| {
            if end == "remove" {
                // A user with clients cannot be removed.
                assert!(registry.remove_user(&root, "ana@example.com").is_err());
                registry.delete_client(&root, ClientKind::M2m, &machine.id).unwrap();
                registry.remove_user(&root, "ana@example.com").unwrap();
            } else {
                let edit = UserEdit { is_disabled: Some(true), ..UserEdit::default() };
                registry.edit_user(&root, "ana@example.com", &edit).unwrap();
            }
        });
        browser.get("/credentials/tokens").expect(303);
        browser.get("/v3/tokens").problem(401, "unauthenticated");
        site.server.get(&access, "/v3/tokens").problem(401, "invalid_token");
        let sentence = if end == "remove" { "may not use this workspace" } else { "is disabled" };
        check_failure(&site.sign_in(), 403, sentence, end);
    }
}

#[test]
fn a_sign_in_comes_back_to_pages_of_the_workspace_only() {
    let site = Site::start();
    site.invite("ana@example.com", Role::Developer, None);
    for (page, want) in [
        ("/trail", "/trail"),
        ("//evil.example", "/"),
        ("/\\evil.example", "/"),
        ("https://evil.example/", "/"),
        ("/.//evil.example", "/"),
        ("/login/start", "/"),
        ("/logout", "/"),
        ("", "/"),
    ] {
        let mut browser = site.browser();
        let reply = browser.sign_in(page).expect(200);
        assert!(reply.body.contains(&format!("content=\"0;url={want}\"")), "{page}: {reply:?}");
        // With a session, the start leads to the page at once.
        let query = url::form_urlencoded::Serializer::new(String::new()).append_pair("return_to", page).finish();
        assert_eq!(browser.get(&format!("/login/start?{query}")).expect(303).header("location"), Some(want), "{page}");
    }
    // A link of another site: the session's cookie does not come along, so the page opens itself once more.
    let linked = site.server.send("GET", "/trail?a=1", &[("sec-fetch-site", "cross-site")], "").expect(200);
    assert!(linked.body.contains("content=\"0;url=/trail?a=1\""), "{linked:?}");
    let again = site.server.send("GET", "/trail?a=1", &[("sec-fetch-site", "same-origin")], "").expect(303);
    assert_eq!(again.header("location"), Some("/login/start?return_to=%2Ftrail%3Fa%3D1"));
    // A form whose session has ended is not sent again.
    let form = site.server.send("POST", "/credentials/tokens/new", &[], "name=a").expect(401);
    assert!(form.body.contains("/login/start?return_to=%2F\""), "{form:?}");
}

#[test]
fn a_sign_out_ends_both_sessions() {
    let site = Site::start();
    site.invite("ana@example.com", Role::Developer, None);
    let origin = format!("http://{}", site.server.address);
    let mut browser = site.browser();
    browser.sign_in("/").expect(200);
    let session = browser.cookies.clone();
    let out = browser.send("POST", "/logout", &[("origin", &origin)], "").expect(200);
    let end =
        format!("{}/end?client_id=portcullis&amp;post_logout_redirect_uri={}", site.provider.url, "http%3A%2F%2F");
    assert!(out.body.contains(&end), "{out:?}");
    assert!(!browser.has_session());
    browser.cookies = session;
    browser.get("/v3/tokens/self").problem(401, "unauthenticated");
    // A provider without an endpoint, and a session of a login link, end here.
    site.provider.set(|it| it.metadata = json!({"end_session_endpoint": null}));
    let link = site.server.block_on(site.server.workspace.login_link("root")).unwrap();
    let mut browser = site.browser();
    browser.get(link.split_once(&site.server.address).unwrap().1).expect(303);
    let out = browser.send("POST", "/logout", &[("origin", &origin)], "").expect(303);
    assert_eq!(out.header("location"), Some("/"));
}

#[test]
fn login_links_can_be_refused() {
    let site = Site::start_with(|options| options.refuses_links = true);
    let link = site.server.block_on(site.server.workspace.login_link("root")).unwrap();
    let mut browser = site.browser();
    let reply = browser.get(link.split_once(&site.server.address).unwrap().1);
    check_failure(&reply, 403, "This workspace does not accept login links", "a link");
    assert!(!browser.get("/").expect(200).body.contains("one-time link"));
}

#[test]
fn a_session_in_use_is_renewed_up_to_its_limit() {
    let server = Server::start();
    let link = server.block_on(server.workspace.login_link("root")).unwrap();
    let reply = server.send("GET", link.split_once(&server.address).unwrap().1, &[], "").expect(303);
    let cookie = reply.header("set-cookie").unwrap().split(';').next().unwrap().to_owned();
    let digest = portcullis::model::SecretDigest::of(cookie.split_once('=').unwrap().1);
    let now = portcullis_workspace::Workspace::now().seconds();
    let at = |seconds: i64| portcullis::base::Timestamp::from_unix(seconds, 0);
    for (started, left, want, why) in [
        (-3600, 3 * 3600, 3 * 3600, "more than half is left"),
        (-3600, 3600, 4 * 3600, "less than half is left"),
        (-11 * 3600, 1800, 3600, "the limit is near"),
        (-11 * 3600, 3600, 3600, "at the limit"),
    ] {
        server.registry(|registry| {
            let ticket = registry.ticket(TicketKind::Session, &digest, at(now)).unwrap().unwrap();
            let body = json!({"started": now + started, "person": null}).to_string().into_bytes();
            registry
                .put_ticket(&portcullis_registry::record::Ticket { expires: at(now + left), body, ..ticket })
                .unwrap();
        });
        server.send("GET", "/v3/tokens/self", &[("cookie", &cookie)], "").expect(200);
        let ticket =
            server.registry(|registry| registry.ticket(TicketKind::Session, &digest, at(now)).unwrap().unwrap());
        let found = ticket.expires.seconds() - now;
        assert!((want..want + 60).contains(&found), "{why}: {found}");
    }
}

#[test]
fn no_file_of_the_registry_has_a_secret_of_a_sign_in() {
    let site = Site::start();
    site.invite("ana@example.com", Role::Developer, None);
    let mut browser = site.browser();
    let url = browser.start("/");
    let mut secrets: Vec<String> = browser.cookies.iter().map(|(_, value)| value.clone()).collect();
    let query = site.provider.approve(&url);
    browser.come_back(&query).expect(200);
    secrets.extend(browser.cookies.iter().map(|(_, value)| value.clone()));
    let parameters = url::Url::parse(&url).unwrap();
    secrets.extend(
        parameters.query_pairs().filter(|(name, _)| name == "nonce" || name == "state").map(|(_, it)| it.into_owned()),
    );
    secrets.extend([SECRET.to_owned(), "upstream-access-token".to_owned()]);
    for (path, content) in site.server.files() {
        for secret in &secrets {
            let found = memchr::memmem::find(&content, secret.as_bytes());
            assert!(found.is_none(), "a secret of the sign-in in {}", path.display());
        }
    }
}

#[test]
fn users_are_invited_and_removed_over_http() {
    let server = Server::start();
    let root = server.access_of(&server.machine("root", Some(&["admin", "read:tokens"])));
    let invite = |body: &str| server.post(&root, "/v3/users", body);
    let created = invite(r#"{"name": "ana", "email": "ana@example.com", "role": "auditor"}"#).expect(201);
    assert_eq!(created.json(), json!({"name": "ana", "role": "auditor", "email": "ana@example.com"}));
    assert_eq!(created.header("location"), Some("/v3/users/ana"));
    invite(r#"{"name": "ana"}"#).problem(409, "name_taken");
    invite(r#"{"name": "bo", "email": "ANA@example.com"}"#).problem(409, "email_taken");
    invite(r#"{"name": "bo", "email": "bo"}"#).problem(400, "invalid_email");
    invite(r#"{"name": "bo", "role": "boss"}"#).problem(400, "unknown_role");
    invite(r#"{"name": ""}"#).expect(400);
    let edit = |user: &str, body: &str| server.call(&root, "PATCH", &format!("/v3/users/{user}"), &[], body);
    assert_eq!(edit("ana", r#"{"disabled": true}"#).expect(200).json()["disabled"], true);
    assert_eq!(
        edit("ana", r#"{"disabled": false, "email": null}"#).expect(200).json(),
        json!({"name": "ana", "role": "auditor"})
    );
    edit("root", r#"{"disabled": true}"#).problem(409, "last_administrator");
    let delete = |user: &str| server.call(&root, "DELETE", &format!("/v3/users/{user}"), &[], "");
    delete("root").problem(409, "last_administrator");
    delete("ana").expect(204);
    delete("ana").problem(404, "not_found");
    let bo = server.access_of(&server.machine("bo", Some(&["admin"])));
    server.post(&bo, "/v3/users", r#"{"name": "eve"}"#).problem(403, "role_needed");
    server.call(&bo, "DELETE", "/v3/users/root", &[], "").problem(403, "role_needed");
}

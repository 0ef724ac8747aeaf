//! Pages before and after a sign-in, and the session between them.

use portcullis_registry::record::{Role, TicketKind};
use serde_json::json;

use super::super::fake_provider::SECRET;
use super::super::server::{Server, TOKEN};
use super::{Site, check_failure};

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

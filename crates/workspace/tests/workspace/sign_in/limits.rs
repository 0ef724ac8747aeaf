//! Sign-ins that take long, and sessions whose person may have left.

use std::time::{Duration, Instant};

use portcullis_registry::UserEdit;
use portcullis_registry::record::Role;

use super::super::fake_provider::Canned;
use super::super::server::actor;
use super::{Site, age, check_failure};

const OPENED: [(&str, &str); 2] = [("sec-fetch-mode", "navigate"), ("sec-fetch-dest", "document")];

#[test]
fn sign_ins_of_one_browser_leave_turns_for_other_browsers() {
    let site = Site::start();
    site.invite("ana@example.com", Role::Developer, None);
    site.provider.set(|it| drop(it.answers.insert("/token", Canned::Silence)));
    let mut slow = site.browser();
    let queries: Vec<_> = (0..40).map(|_| slow.start("/")).map(|url| site.provider.approve(&url)).collect();
    let cookies: Vec<_> = slow.cookies.iter().map(|(name, value)| format!("{name}={value}")).collect();
    let cookies = cookies.join("; ");
    std::thread::scope(|scope| {
        for query in &queries {
            let (server, cookies) = (&site.server, &*cookies);
            scope.spawn(move || {
                let path = format!("/login/callback?{query}");
                server.send("GET", &path, &[("cookie", cookies)], "").expect(503);
            });
        }
        let begun = Instant::now();
        while site.provider.count("/token") < 4 && begun.elapsed() < Duration::from_secs(5) {
            std::thread::sleep(Duration::from_millis(10));
        }
        site.provider.set(|it| drop(it.answers.remove("/token")));
        site.sign_in().expect(200);
        assert!(begun.elapsed() < Duration::from_secs(9), "the slow ones are still in progress");
    });
}

#[test]
fn a_new_sign_in_ends_the_session_that_it_replaces() {
    for (is_sent, why) in [(true, "the browser sends the session"), (false, "it comes back from another site")] {
        let site = Site::start();
        site.invite("ana@example.com", Role::Developer, None);
        let mut browser = site.browser();
        browser.sign_in("/").expect(200);
        let earlier = browser.cookies.clone();
        age(&site.server, &browser.cookies, 1900);
        let url = browser.start("/trail");
        browser.cookies.retain(|(name, _)| is_sent || name != "portcullis");
        let query = site.provider.approve(&url);
        browser.come_back(&query).expect(200);
        browser.get("/v3/tokens/self").expect(200);
        let mut before = site.browser();
        before.cookies = earlier;
        let reply = before.get("/v3/tokens/self");
        assert_eq!(reply.status, 401, "{why}: {reply:?}");
    }
}

#[test]
fn a_session_of_a_person_ends_soon_and_the_provider_is_asked_before() {
    let site = Site::start();
    site.invite("ana@example.com", Role::Developer, None);
    let mut browser = site.browser();
    browser.sign_in("/").expect(200);
    let opened = |browser: &mut super::Browser<'_>| browser.send("GET", "/trail", &OPENED, "");
    opened(&mut browser).expect(200);
    age(&site.server, &browser.cookies, 1700);
    opened(&mut browser).expect(200);
    age(&site.server, &browser.cookies, 1900);
    // A script, a frame and a form cannot go to the provider.
    browser.get("/trail").expect(200);
    browser.get("/v3/tokens/self").expect(200);
    browser.send("GET", "/trail", &[("sec-fetch-mode", "navigate"), ("sec-fetch-dest", "iframe")], "").expect(200);
    let asked = opened(&mut browser).expect(303);
    assert_eq!(asked.header("location"), Some("/login/start?return_to=%2Ftrail"));
    let earlier = browser.cookies.clone();
    let page = browser.sign_in("/trail").expect(200);
    assert!(page.body.contains("url=/trail"), "{page:?}");
    assert_ne!(browser.cookies, earlier);
    opened(&mut browser).expect(200);
    // While the provider is down, pages keep working until the end.
    age(&site.server, &browser.cookies, 3590);
    browser.get("/v3/tokens/self").expect(200);
    age(&site.server, &browser.cookies, 3601);
    browser.get("/v3/tokens/self").problem(401, "unauthenticated");
    // The session of a login link is not of the provider.
    let link = site.server.block_on(site.server.workspace.login_link("root")).unwrap();
    let mut browser = site.browser();
    browser.get(link.split_once(&site.server.address).unwrap().1).expect(303);
    age(&site.server, &browser.cookies, 3601);
    opened(&mut browser).expect(200);
}

#[test]
fn a_person_who_is_not_admitted_any_more_loses_every_session() {
    let site = Site::start();
    site.invite("ana@example.com", Role::Developer, None);
    let (mut one, mut other) = (site.browser(), site.browser());
    one.sign_in("/").expect(200);
    other.sign_in("/").expect(200);
    let root = actor("root").for_all_users();
    let uninvited = UserEdit { is_invited: Some(false), ..UserEdit::default() };
    site.server.registry(|registry| registry.edit_user(&root, "ana@example.com", &uninvited).unwrap());
    age(&site.server, &one.cookies, 1900);
    check_failure(&one.sign_in("/"), 403, "may not use this workspace", "no invitation");
    for browser in [&mut one, &mut other] {
        browser.get("/v3/tokens/self").problem(401, "unauthenticated");
    }
}

#[test]
fn the_provider_asks_again_where_an_application_wants_a_new_sign_in() {
    let site = Site::start();
    site.invite("ana@example.com", Role::Developer, None);
    let mut browser = site.browser();
    browser.sign_in("/").expect(200);
    for (page, asks) in [
        ("/oauth/authorize?client_id=a&prompt=login", true),
        ("/oauth/authorize?client_id=a&prompt=consent+select_account", true),
        ("/oauth/authorize?client_id=a&max_age=60", true),
        ("/oauth/authorize?client_id=a&prompt=consent", false),
        ("/oauth/authorize?client_id=a", false),
    ] {
        let url = browser.start(page);
        assert!(url.starts_with(&site.provider.url), "{page}: a session is not enough: {url}");
        assert_eq!(url.contains("prompt=login"), asks, "{page}: {url}");
    }
}

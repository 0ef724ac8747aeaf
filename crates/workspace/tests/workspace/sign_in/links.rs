//! Login links: whom they sign in, and what wrong ones cost.

use portcullis_secret::{Secret, SecretKind};

use super::super::server::{Reply, Server};

fn link(server: &Server, user: &str) -> String {
    let link = server.block_on(server.workspace.login_link(user)).unwrap();
    link.split_once(&server.address).unwrap().1.to_owned()
}

fn cookie(reply: &Reply) -> String {
    reply.header("set-cookie").unwrap().split(';').next().unwrap().to_owned()
}

fn user(server: &Server, cookie: &str) -> Option<String> {
    let reply = server.send("GET", "/v3/tokens/self", &[("cookie", cookie)], "");
    (reply.status == 200).then(|| reply.text("user"))
}

/// Sends the form of the page that asks.
fn confirm(server: &Server, path: &str, cookie: &str, origin: Option<&str>) -> Reply {
    let form = path.split_once('?').unwrap().1;
    let kind = [("cookie", cookie), ("content-type", "application/x-www-form-urlencoded")];
    let headers: Vec<_> = kind.into_iter().chain(origin.map(|origin| ("origin", origin))).collect();
    server.send("POST", "/login", &headers, form)
}

#[test]
fn a_link_replaces_the_session_of_another_user_only_if_the_user_wants_it() {
    let server = Server::start();
    let own = format!("http://{}", server.address);
    let ana = cookie(&server.send("GET", &link(&server, "ana"), &[], "").expect(303));
    let path = link(&server, "mallory");
    for _ in 0..2 {
        let page = server.send("GET", &path, &[("cookie", &ana)], "").expect(200);
        for text in ["Sign in as mallory?", "signed in as <b>ana</b>", "method=\"post\" action=\"/login\""] {
            assert!(page.body.contains(text), "{text}: {page:?}");
        }
        assert_eq!((page.header("set-cookie"), page.header("cache-control")), (None, Some("no-store")));
    }
    for (origin, why) in
        [(None, "no origin"), (Some("null"), "a sandboxed page"), (Some("https://evil.example"), "another site")]
    {
        let refused = confirm(&server, &path, &ana, origin).expect(403);
        assert_eq!(refused.header("set-cookie"), None, "{why}");
    }
    assert_eq!(user(&server, &ana).as_deref(), Some("ana"));
    let confirmed = confirm(&server, &path, &ana, Some(&own)).expect(200);
    assert!(confirmed.body.contains("http-equiv=\"refresh\" content=\"0;url=/\""), "{confirmed:?}");
    assert_eq!(user(&server, &cookie(&confirmed)).as_deref(), Some("mallory"));
    assert_eq!(user(&server, &ana), None, "the replaced session has ended");
    confirm(&server, &path, "", Some(&own)).expect(403);
    // Another link of the same user asks nothing, and ends the earlier session.
    let before = cookie(&server.send("GET", &link(&server, "ana"), &[], "").expect(303));
    let after = cookie(&server.send("GET", &link(&server, "ana"), &[("cookie", &before)], "").expect(303));
    assert_eq!((user(&server, &before), user(&server, &after).as_deref()), (None, Some("ana")));
}

/// The browser sends no cookie of the session with the link of another site, so that a session would go unnoticed.
#[test]
fn a_link_that_another_site_opens_asks_first() {
    let server = Server::start();
    let path = link(&server, "mallory");
    for site in ["cross-site", "same-site"] {
        let page = server.send("GET", &path, &[("sec-fetch-site", site)], "").expect(200);
        assert!(page.body.contains("Sign in as mallory?") && page.header("set-cookie").is_none(), "{site}: {page:?}");
    }
    let own = format!("http://{}", server.address);
    confirm(&server, &path, "", Some(&own)).expect(200);
    let path = link(&server, "ana");
    server.send("GET", &path, &[("sec-fetch-site", "none")], "").expect(303);
}

#[test]
fn a_browser_that_prefetches_a_link_does_not_use_it_up() {
    let server = Server::start();
    let path = link(&server, "ana");
    for header in [("sec-purpose", "prefetch;prerender"), ("purpose", "prefetch")] {
        let looked = server.send("GET", &path, &[header], "").expect(200);
        assert_eq!(looked.header("set-cookie"), None);
    }
    server.send("GET", &path, &[], "").expect(303);
}

#[test]
fn wrong_links_are_limited_and_do_not_lock_out_valid_ones() {
    let server = Server::start();
    let statuses: Vec<u16> = (0..150)
        .map(|number| {
            // Of two kinds: a text that cannot be a secret, and a secret that nobody knows.
            let text = Secret::mint(SecretKind::Access).unwrap();
            let link = if number % 2 == 0 { "bad" } else { text.expose() };
            let reply = server.send("GET", &format!("/login?link={link}"), &[], "");
            assert_eq!(reply.status == 429, reply.header("retry-after").is_some());
            reply.status
        })
        .collect();
    assert_eq!(statuses.first(), Some(&403));
    assert_eq!(statuses.last(), Some(&429));
    server.send("GET", &link(&server, "ana"), &[], "").expect(303);
}

//! Login links, sessions, and requests from other sites.

use super::server::{Reply, Server, TOKEN};

fn login(server: &Server, user: &str) -> (String, Reply) {
    let link = server.block_on(server.workspace.login_link(user)).unwrap();
    let path = link.split_once(&server.address).unwrap().1.to_owned();
    let reply = server.send("GET", &path, &[], "");
    (path, reply)
}

#[test]
fn a_login_link_works_once() {
    let server = Server::start();
    let (path, reply) = login(&server, "root");
    let reply = reply.expect(303);
    let cookie = reply.header("set-cookie").unwrap();
    assert!(cookie.contains("HttpOnly") && cookie.contains("SameSite=Strict") && cookie.contains("Path=/"), "{cookie}");
    let cookie = cookie.split(';').next().unwrap();
    let start = server.send("GET", "/", &[("cookie", cookie)], "").expect(303);
    let page = server.send("GET", start.header("location").unwrap(), &[("cookie", cookie)], "").expect(200);
    assert!(page.body.contains("root") && page.body.contains("Sign out"), "{page:?}");
    assert_eq!(page.header("cache-control"), Some("no-store"));
    for invalid in [&*path, "/login", "/login?link=", "/login?link=x"] {
        let page = server.send("GET", invalid, &[], "").expect(403);
        assert!(page.body.contains("The login link was used before, or has expired"), "{page:?}");
        assert_eq!(page.header("set-cookie"), None);
    }
    // A link is not an access token, and neither is a session.
    let link = path.split_once("link=").unwrap().1;
    let session = cookie.split_once('=').unwrap().1;
    for secret in [link, session] {
        server.get(secret, "/v3/tokens/self").problem(401, "invalid_token");
    }
    server.get(session, "/v3/tokens/self").problem(401, "invalid_token");
}

#[test]
fn a_request_without_a_body_does_not_use_a_login_link_up() {
    let server = Server::start();
    let link = server.block_on(server.workspace.login_link("ana")).unwrap();
    let path = link.split_once(&server.address).unwrap().1;
    for _ in 0..2 {
        let looked = server.send("HEAD", path, &[], "").expect(200);
        assert_eq!(looked.header("set-cookie"), None);
    }
    server.send("GET", path, &[], "").expect(303);
    server.send("HEAD", path, &[], "").expect(200);
    server.send("GET", path, &[], "").expect(403);
}

#[test]
fn changes_of_a_session_come_from_a_page_of_the_workspace() {
    let server = Server::start();
    let cookie = login(&server, "ana").1.header("set-cookie").unwrap().split(';').next().unwrap().to_owned();
    let own = format!("http://{}", server.address);
    let post = |origin: Option<&str>| {
        let headers = [("cookie", &*cookie), ("content-type", "application/json")];
        let headers: Vec<_> = headers.into_iter().chain(origin.map(|origin| ("origin", origin))).collect();
        server.send("POST", "/v3/tokens", &headers, TOKEN)
    };
    let other_port = "http://127.0.0.1:1";
    for (origin, why) in [
        (None, "no origin"),
        (Some("null"), "a sandboxed page"),
        (Some("https://evil.example"), "another site"),
        (Some(other_port), "another port"),
        (Some(&*own.replace("http:", "https:")), "another scheme"),
        (Some(&*format!("{own}.evil.example")), "a longer name"),
        (Some(""), "an empty origin"),
    ] {
        assert_eq!(post(origin).json()["reason"], "cross_site", "{why}");
    }
    post(Some(&own)).expect(201);
    let get = server.send("GET", "/v3/tokens", &[("cookie", &cookie)], "").expect(200);
    assert_eq!(get.json()["tokens"].as_array().unwrap().len(), 1);
    // Two cookies of one name: another site of the domain may have set one.
    let twice = format!("{cookie}; {cookie}");
    server.send("GET", "/v3/tokens", &[("cookie", &twice)], "").problem(401, "unauthenticated");
    let out = |origin: &str| server.send("POST", "/logout", &[("cookie", &cookie), ("origin", origin)], "");
    assert!(out("https://evil.example").expect(403).body.contains("does not come from the workspace"));
    out(&own).expect(303);
    server.send("GET", "/v3/tokens", &[("cookie", &cookie)], "").problem(401, "unauthenticated");
}

#[test]
fn another_host_name_is_refused() {
    let server = Server::start();
    for (host, status) in
        [("evil.example", 403), ("localhost.evil.example", 403), ("localhost", 200), ("127.0.0.1:1", 200)]
    {
        assert_eq!(server.send("GET", "/healthz", &[("host", host)], "").status, status, "{host}");
    }
}

#[test]
fn every_answer_has_an_id_and_the_headers_of_security() {
    let server = Server::start();
    for path in ["/", "/openapi.json", "/v3/tokens", "/none", "/login", "/oauth/token"] {
        let reply = server.send("GET", path, &[], "");
        assert!(reply.header("x-request-id").unwrap().starts_with("req_"), "{path}");
        assert!(reply.header("content-security-policy").unwrap().contains("frame-ancestors 'none'"), "{path}");
        assert_eq!(reply.header("x-content-type-options"), Some("nosniff"), "{path}");
        // With `no-referrer`, browsers send `Origin: null` with the forms of a page.
        let policy = if ["/", "/login"].contains(&path) { "same-origin" } else { "no-referrer" };
        assert_eq!(reply.header("referrer-policy"), Some(policy), "{path}");
        let named = server.send("GET", path, &[("x-request-id", "mine-7")], "");
        assert_eq!(named.header("x-request-id"), Some("mine-7"), "{path}");
    }
}

#[test]
fn the_first_user_of_a_login_link_becomes_administrator() {
    let server = Server::start();
    let role = |user: &str| server.registry(|registry| registry.role(user).unwrap());
    // `root` is one already.
    login(&server, "ana").1.expect(303);
    assert_eq!(role("ana"), portcullis_registry::record::Role::Developer);
    let dir = tempfile::tempdir().unwrap();
    let location = portcullis_registry::Location::file(dir.path().join("empty.db"));
    let fresh = Server::start_with(|options| options.location = location.clone());
    fresh.block_on(fresh.workspace.login_link("bo")).unwrap();
    let mut registry = portcullis_registry::Registry::open(&location, false).unwrap();
    assert_eq!(registry.role("bo").unwrap(), portcullis_registry::record::Role::Administrator);
}

#[test]
fn a_workspace_may_be_dropped_by_a_task() {
    let server = Server::start();
    let location = server.location();
    let options = |location| portcullis_workspace::Options {
        location,
        url: "http://localhost".into(),
        access_lifetime: 3600,
        rate: 1,
        keep_expired: 0,
        catalog: portcullis_workspace::Catalog::default(),
        sign_in: portcullis_workspace::SignInOptions::default(),
    };
    let second = portcullis_workspace::Workspace::open(options(location)).unwrap();
    server.block_on(async move {
        second.login_link("ana").await.unwrap();
        drop(second);
    });
}

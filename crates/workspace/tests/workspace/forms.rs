//! The forms of clients and tokens in the console, and the pages after them.

use url::form_urlencoded;

use super::server::{Reply, Server};
use super::spa::sign_in;

fn open(server: &Server, cookie: &str, path: &str) -> Reply {
    server.send("GET", path, &[("cookie", cookie)], "").expect(200)
}

/// Sends a form of the page at `path`, with the key of that page.
fn submit(server: &Server, cookie: &str, path: &str, fields: &[(&str, &str)]) -> Reply {
    let page = open(server, cookie, path);
    let key = page.body.split_once("name=\"key\" value=\"").unwrap().1.split_once('"').unwrap().0;
    let mut body = form_urlencoded::Serializer::new(String::new());
    body.append_pair("key", key).extend_pairs(fields);
    let own = format!("http://{}", server.address);
    let headers = [("cookie", cookie), ("origin", &*own), ("content-type", "application/x-www-form-urlencoded")];
    server.send("POST", path, &headers, &body.finish())
}

/// Returns the number of scopes that the form of a page proposes.
fn proposed_scopes(page: &Reply) -> usize {
    page.body
        .split("<input")
        .filter(|it| it.contains("name=\"scope\"") && it.split('>').next().unwrap().contains("checked"))
        .count()
}

#[test]
fn a_new_application_gets_no_scope_that_a_sign_in_does_not_need() {
    let server = Server::start();
    let cookie = sign_in(&server, "ana");
    assert_eq!(proposed_scopes(&open(&server, &cookie, "/credentials/spa/new")), 0);
    assert_eq!(proposed_scopes(&open(&server, &cookie, "/credentials/m2m/new")), 10, "the default scopes");
    let fields = [("title", "Atlas"), ("callbacks", "https://app.example.com/callback"), ("action", "save")];
    let created = submit(&server, &cookie, "/credentials/spa/new", &fields).expect(303);
    let path = created.header("location").unwrap().to_owned();
    let edit = path.replace("/secret", "/edit");
    assert_eq!(proposed_scopes(&open(&server, &cookie, &edit)), 0, "stored as chosen");
}

#[test]
fn the_page_after_the_creation_of_an_application_names_its_next_step() {
    let server = Server::start();
    let cookie = sign_in(&server, "ana");
    for (callbacks, want, other) in [
        ("", "cannot sign anybody in until it has a callback", "Next, write the client id"),
        ("https://app.example.com/callback", "Next, write the client id", "cannot sign anybody in"),
    ] {
        let fields = [
            ("title", if callbacks.is_empty() { "Bare" } else { "Atlas" }),
            ("callbacks", callbacks),
            ("action", "save"),
        ];
        let created = submit(&server, &cookie, "/credentials/spa/new", &fields).expect(303);
        let page = open(&server, &cookie, created.header("location").unwrap());
        for text in ["has no secret", "Client id: ", want] {
            assert!(page.body.contains(text), "{callbacks}: {text}: {}", page.body);
        }
        assert!(!page.body.contains(other), "{callbacks}: {}", page.body);
    }
    let list = open(&server, &cookie, "/credentials/spa");
    assert_eq!(list.body.matches("No callback").count(), 1, "{}", list.body);
}

#[test]
fn a_proposed_token_has_no_warning_about_the_expiry_that_its_form_sets() {
    let server = Server::start();
    let cookie = sign_in(&server, "ana");
    let fields = [
        ("name", "Web"),
        ("api", "maps"),
        ("grant_connection", "carto_dw"),
        ("grant_kind", "name"),
        ("grant_source", "carto.*.roads"),
        ("expiration", "1w"),
        ("action", "check"),
    ];
    let page = submit(&server, &cookie, "/credentials/tokens/new", &fields).expect(200);
    let findings = page.body.split_once(">Findings<").unwrap().1.split_once("</section>").unwrap().0;
    assert!(findings.contains("badge warning"), "{findings}");
    assert!(!findings.contains("expires in"), "{findings}");
    // The page is about one token, whose id nobody has seen yet.
    assert!(!findings.contains("tk_") && !findings.contains('`'), "{findings}");
    assert!(findings.contains("holds a <code>*</code>"), "{findings}");
}

#[test]
fn an_administrator_disables_an_owner_who_was_never_added() {
    let server = Server::start();
    server.post(&server.access("ben"), "/v3/tokens", r#"{"name": "b", "allowed_apis": ["lds"]}"#).expect(201);
    let cookie = sign_in(&server, "root");
    let list = open(&server, &cookie, "/users");
    assert!(list.body.contains("href=\"/users/ben\""), "{}", list.body);
    let page = open(&server, &cookie, "/users/ben");
    assert!(!page.body.contains("Remove user"), "there is nothing to remove: {}", page.body);
    let own = format!("http://{}", server.address);
    let headers = [("cookie", &*cookie), ("origin", &*own), ("content-type", "application/x-www-form-urlencoded")];
    server.send("POST", "/users/ben", &headers, "role=developer&disabled=yes").expect(303);
    let user = server.registry(|registry| registry.user("ben").unwrap().unwrap());
    assert!(user.is_disabled && !user.is_invited, "{user:?}");
    server.send("GET", "/users/nobody", &[("cookie", &*cookie)], "").expect(404);
}

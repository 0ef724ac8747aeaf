//! The forms of the console have the limits of the API.

use portcullis_registry::TokenEdit;
use url::form_urlencoded::Serializer;

use super::server::{Reply, Server, actor};

/// A user of the console.
struct Browser<'s> {
    server: &'s Server,
    cookie: String,
}

impl<'s> Browser<'s> {
    fn of(server: &'s Server, user: &str) -> Self {
        let link = server.block_on(server.workspace.login_link(user)).unwrap();
        let path = link.split_once(&server.address).unwrap().1;
        let reply = server.send("GET", path, &[], "").expect(303);
        Self { server, cookie: reply.header("set-cookie").unwrap().split(';').next().unwrap().to_owned() }
    }

    fn get(&self, path: &str) -> Reply {
        self.server.send("GET", path, &[("cookie", &self.cookie)], "")
    }

    fn send(&self, path: &str, fields: &[(&str, &str)], grants: impl Iterator<Item = String>) -> Reply {
        let mut form = Serializer::new(String::new());
        form.extend_pairs(fields);
        for source in grants {
            form.extend_pairs([("grant_connection", "carto_dw"), ("grant_kind", "name"), ("grant_source", &source)]);
        }
        let origin = format!("http://{}", self.server.address);
        let headers =
            [("cookie", &*self.cookie), ("origin", &origin), ("content-type", "application/x-www-form-urlencoded")];
        self.server.send("POST", path, &headers, &form.finish())
    }
}

fn tables(numbers: std::ops::Range<usize>) -> impl Iterator<Item = String> {
    numbers.map(|number| format!("a.b.t{number}"))
}

/// Returns the value of a hidden field.
fn hidden(page: &Reply, name: &str) -> String {
    let start = format!("name=\"{name}\" value=\"");
    page.body.split_once(&start).unwrap().1.split_once('"').unwrap().0.to_owned()
}

const TOO_MANY: &str = "grants, more than 1000";

#[test]
fn forms_of_tokens_have_the_limit_of_grants() {
    let server = Server::start();
    let browser = Browser::of(&server, "ana");
    let new = "/credentials/tokens/new";
    let key = hidden(&browser.get(new).expect(200), "key");
    let fields = [
        ("key", &*key),
        ("name", "large"),
        ("api", "maps"),
        ("expiration", "never"),
        ("referers", ""),
        ("action", "save"),
    ];
    let preview = browser.send(&format!("{new}/preview"), &fields, tables(0..1001)).expect(200);
    assert!(preview.json()["errors"]["grants"].as_str().unwrap().contains(TOO_MANY), "{preview:?}");
    let refused = browser.send(new, &fields, tables(0..1001)).expect(400);
    assert!(refused.body.contains(TOO_MANY), "{refused:?}");
    let access = server.access("ana");
    let tokens = || server.get(&access, "/v3/tokens").expect(200).json()["tokens"].clone();
    assert_eq!(tokens(), serde_json::json!([]), "nothing was created");
    browser.send(new, &fields, tables(0..1000)).expect(303);

    let id = tokens()[0]["id"].as_str().unwrap().to_owned();
    let edit = format!("/credentials/tokens/{id}/edit");
    let save = |name: &str, grants: std::ops::Range<usize>, path: &str| {
        let version = hidden(&browser.get(&edit).expect(200), "version");
        let fields = [("version", &*version), ("name", name), ("api", "maps"), ("referers", ""), ("action", "save")];
        browser.send(path, &fields, tables(grants))
    };
    let preview = save("large", 0..1001, &format!("{edit}/preview")).expect(200);
    assert!(preview.json()["errors"]["grants"].as_str().unwrap().contains(TOO_MANY), "{preview:?}");
    assert!(save("large", 0..1001, &edit).expect(400).body.contains(TOO_MANY));
    // A token that the command line made larger keeps its grants while its name is edited, and can become smaller.
    server.registry(|registry| {
        let added = TokenEdit {
            add_grants: tables(1000..1050).map(|source| ("carto_dw".into(), source)).collect(),
            ..TokenEdit::default()
        };
        registry.update_token(&actor("ana"), &id, &added).unwrap();
    });
    save("larger", 0..1050, &edit).expect(303);
    assert_eq!(tokens()[0]["name"], "larger");
    save("larger", 0..1049, &edit).expect(303);
    assert!(save("larger", 1..1051, &edit).expect(400).body.contains(TOO_MANY));
    assert_eq!(tokens()[0]["grants"].as_array().unwrap().len(), 1049);
}

#[test]
fn pages_of_tokens_have_the_limit_of_searched_texts() {
    let server = Server::start();
    let (browser, access) = (Browser::of(&server, "ana"), server.access("ana"));
    for (text, status) in [("a".repeat(200), 200), ("a".repeat(201), 400), ("%C3%BC".repeat(101), 400)] {
        assert_eq!(server.get(&access, &format!("/v3/tokens?search={text}")).status, status, "{text}");
        let page = browser.get(&format!("/credentials/tokens?search={text}"));
        assert_eq!((page.status, page.body.contains("more than 200 bytes")), (status, status == 400), "{text}");
    }
    // Other filters are not left out, however long they are.
    let created = r#"{"allowed_apis": ["lds"], "name": "seen"}"#;
    server.post(&access, "/v3/tokens", created).expect(201);
    for filter in ["owner", "api", "connection"] {
        let page = browser.get(&format!("/credentials/tokens?{filter}={}", "x".repeat(300))).expect(200);
        assert!(!page.body.contains("seen"), "{filter}");
    }
}

#[test]
fn forms_have_the_limit_of_bodies() {
    let server = Server::start();
    let (browser, access) = (Browser::of(&server, "ana"), server.access("ana"));
    let long = "x".repeat(1 << 20);
    server.post(&access, "/v3/tokens", &format!(r#"{{"name": "{long}"}}"#)).problem(413, "body_too_large");
    for path in ["/credentials/tokens/new", "/sources/new", "/credentials/m2m/new"] {
        assert_eq!(browser.send(path, &[("name", &long)], std::iter::empty()).status, 413, "{path}");
    }
}

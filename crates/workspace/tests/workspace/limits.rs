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

/// Returns a query of `length` bytes.
fn query(length: usize) -> String {
    format!("select '{}'", "x".repeat(length - 9))
}

const LONGEST: usize = 64 << 10;

#[test]
fn sources_have_a_limit_of_bytes() {
    let server = Server::start();
    let (browser, access) = (Browser::of(&server, "ana"), server.access("ana"));
    let token = |grants: &[&str]| {
        let grants: Vec<_> =
            grants.iter().map(|source| serde_json::json!({"connection_name": "carto_dw", "source": source})).collect();
        serde_json::json!({"allowed_apis": ["sql"], "grants": grants}).to_string()
    };
    let (longest, longer) = (query(LONGEST), query(LONGEST + 1));
    let created = server.post(&access, "/v3/tokens", &token(&["a.b.c", &longest])).expect(201);
    let refused = server.post(&access, "/v3/tokens", &token(&["a.b.c", &longer])).problem(400, "source_too_long");
    assert_eq!(refused.json()["errors"][0]["pointer"], "/grants/1/source");
    let problems = server.post(&access, "/v3/tokens:validate", &token(&[&longer])).expect(200).json();
    assert_eq!(problems["errors"][0]["reason"], "source_too_long");
    let path = format!("/v3/tokens/{}", created.text("id"));
    let edit = |body: &str| server.call(&access, "PATCH", &path, &[("if-match", "*")], body);
    let add = |source: &str| {
        let grants = serde_json::json!([{"connection_name": "carto_dw", "source": source}]);
        edit(&serde_json::json!({"add_grants": grants}).to_string())
    };
    add(&longer).problem(400, "source_too_long");
    // Single additions do not make a token of any size.
    let statuses: Vec<_> = (1..=20).map(|at| add(&query(LONGEST - at)).status).collect();
    assert_eq!((statuses[0], statuses[19]), (200, 400), "{statuses:?}");
    let refused = add(&query(LONGEST - 21)).problem(400, "sources_too_long");
    assert_eq!(refused.json()["errors"][0]["pointer"], "/grants");
    let referers: Vec<_> = (0..200).map(|at| format!("https://{at}.example.com/{}", "x".repeat(500))).collect();
    edit(&serde_json::json!({"referers": referers}).to_string()).problem(400, "sources_too_long");

    let source = |name: &str, query: &str| serde_json::json!({"name": name, "query": query}).to_string();
    server.post(&access, "/v3/named-sources", &source("long-one", &longest)).expect(201);
    let refused = server.post(&access, "/v3/named-sources", &source("longer", &longer)).problem(400, "query_too_long");
    assert_eq!(refused.json()["errors"][0]["pointer"], "/query");
    let longer_query = serde_json::json!({"query": longer}).to_string();
    server
        .call(&access, "PATCH", "/v3/named-sources/long-one", &[("if-match", "*")], &longer_query)
        .problem(400, "query_too_long");

    let key = hidden(&browser.get("/credentials/tokens/new").expect(200), "key");
    let fields = [
        ("key", &*key),
        ("name", "large"),
        ("api", "sql"),
        ("expiration", "never"),
        ("referers", ""),
        ("grant_connection", "carto_dw"),
        ("grant_kind", "query"),
        ("grant_source", &longer),
        ("action", "save"),
    ];
    let refused = browser.send("/credentials/tokens/new", &fields, std::iter::empty()).expect(400);
    assert!(refused.body.contains("The source is too long: expected at most 65536 bytes"), "{refused:?}");
    let refused = browser.send("/sources/new", &[("name", "longer"), ("query", &longer)], std::iter::empty());
    assert!(refused.expect(400).body.contains("The query is too long"));
    // A machine's access tokens have the limit, too.
    let machine = serde_json::json!({
        "type": "m2m", "title": "Night", "allowed_apis": ["sql"],
        "grants": [{"connection_name": "carto_dw", "source": longer}],
    });
    server.post(&access, "/v3/clients", &machine.to_string()).problem(400, "source_too_long");
}

/// What an import has made larger than the limit can be edited, as long as it does not grow.
#[test]
fn imported_sources_may_be_longer_and_stay() {
    let server = Server::start();
    let access = server.access("ana");
    let longer = query(LONGEST + 1);
    let document = serde_json::json!({"version": 1, "tokens": [{
        "id": "tk_large", "owner": "ana", "token_sha256": "ab".repeat(32), "allowed_apis": ["sql"],
        "grants": (0..17).map(|at| serde_json::json!({
            "connection_name": "carto_dw", "source": longer.replace("select", &format!("select {at},")),
        })).collect::<Vec<_>>(),
    }]});
    server.registry(|registry| {
        let input = portcullis_document::load::Input::new("large.json", document.to_string());
        registry.import(&actor("ana"), &input).unwrap();
    });
    let edit = |body: &str| server.call(&access, "PATCH", "/v3/tokens/tk_large", &[("if-match", "*")], body);
    assert_eq!(edit(r#"{"name": "large"}"#).expect(200).text("name"), "large");
    let more = r#"{"add_grants": [{"connection_name": "carto_dw", "source": "a.b.c"}]}"#;
    edit(more).problem(400, "sources_too_long");
    let grant = |at: usize| {
        let source = longer.replace("select", &format!("select {at},"));
        serde_json::json!({"connection_name": "carto_dw", "source": source})
    };
    edit(&serde_json::json!({"remove_grants": [grant(0), grant(1)]}).to_string()).expect(200);
    edit(more).expect(200);
}

#[test]
fn changes_of_one_user_have_a_limit_of_bytes() {
    let server = Server::start();
    let (browser, access, other) = (Browser::of(&server, "ana"), server.access("ana"), server.access("bo"));
    // Nearly as large as a body may be: 15 sources of 60 kB.
    let grants: Vec<_> = (0..15)
        .map(|at| serde_json::json!({"connection_name": "carto_dw", "source": query((60 << 10) + at)}))
        .collect();
    let large = serde_json::json!({"allowed_apis": ["sql"], "grants": grants}).to_string();
    let replies: Vec<_> = (0..20).map(|_| server.post(&access, "/v3/tokens", &large)).collect();
    let created = replies.iter().filter(|reply| reply.status == 201).count();
    assert!((16..=18).contains(&created), "{created}");
    let refused = replies.last().unwrap().clone().problem(429, "too_many_bytes");
    let seconds: u64 = refused.header("retry-after").unwrap().parse().unwrap();
    assert!((1..=60).contains(&seconds), "{seconds}");
    // The limit is of the user: neither another client nor the console gets around it.
    server.post(&server.access("ana"), "/v3/tokens", &large).problem(429, "too_many_bytes");
    let source = [("name", "large"), ("query", &*query(900 << 10))];
    assert_eq!(browser.send("/sources/new", &source, std::iter::empty()).status, 429);
    // Checks, reads and other users are not affected.
    server.post(&access, "/v3/tokens:validate", &large).expect(200);
    server.get(&access, "/v3/tokens").expect(200);
    server.post(&other, "/v3/tokens", &large).expect(201);
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

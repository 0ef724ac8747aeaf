//! Connections over HTTP and in the console, and the grants of machines in the console.

use portcullis_registry::record::Role;
use serde_json::json;

use super::server::{Server, TOKEN, actor};

/// A session of `user`: its cookie, and the origin of the workspace.
fn session(server: &Server, user: &str) -> (String, String) {
    let link = server.block_on(server.workspace.login_link(user)).unwrap();
    let reply = server.send("GET", link.split_once(&server.address).unwrap().1, &[], "").expect(303);
    let cookie = reply.header("set-cookie").unwrap().split(';').next().unwrap().to_owned();
    (cookie, format!("http://{}", server.address))
}

#[test]
fn administrators_add_change_and_delete_connections() {
    let server = Server::start();
    let root = server.access("root");
    let create = |body: &str| server.post(&root, "/v3/connections", body);
    let created = create(r#"{"name": "lake", "dialect": "snowflake"}"#).expect(201);
    assert_eq!(created.json(), json!({"name": "lake", "dialect": "snowflake", "named_sources_only": false}));
    assert_eq!(created.header("location"), Some("/v3/connections/lake"));
    for (body, status, reason, pointer) in [
        (r#"{"name": "lake", "dialect": "snowflake"}"#, 409, "name_taken", "/name"),
        (r#"{"name": "a,b", "dialect": "snowflake"}"#, 400, "invalid_name", "/name"),
        (r#"{"name": "", "dialect": "snowflake"}"#, 400, "invalid_name", "/name"),
        (r#"{"name": "sea", "dialect": "snowflak"}"#, 400, "unknown_dialect", "/dialect"),
        (
            r#"{"name": "sea", "dialect": "bigquery", "case_sensitive": true}"#,
            400,
            "not_case_sensitive",
            "/case_sensitive",
        ),
    ] {
        let problem = create(body).problem(status, reason).json();
        assert_eq!(problem["errors"][0]["pointer"], pointer, "{body}");
        assert!(!problem["help"].as_str().unwrap().contains("--"), "no option of the command line: {problem}");
    }
    let path = "/v3/connections/lake";
    let call = |method: &str, headers: &[(&str, &str)], body: &str| server.call(&root, method, path, headers, body);
    call("PATCH", &[], "{}").problem(428, "if_match_required");
    let tag = created.header("etag").unwrap();
    let changed = call("PATCH", &[("if-match", tag)], r#"{"named_sources_only": true}"#).expect(200);
    assert_eq!(changed.json()["named_sources_only"], true);
    call("PATCH", &[("if-match", tag)], r#"{"dialect": "postgres"}"#).problem(412, "version_changed");
    call("DELETE", &[("if-match", tag)], "").problem(412, "version_changed");
    call("DELETE", &[("if-match", changed.header("etag").unwrap())], "").expect(204);
    call("DELETE", &[("if-match", "*")], "").problem(404, "not_found");
    call("PATCH", &[("if-match", "*")], "{}").problem(404, "not_found");
    // The command line's rules: what is granted stays, and every grant must fit.
    server.post(&root, "/v3/tokens", TOKEN).expect(201);
    let used =
        |method: &str, body: &str| server.call(&root, method, "/v3/connections/carto_dw", &[("if-match", "*")], body);
    used("DELETE", "").problem(409, "connection_in_use");
    // A quoted name of postgres is none of databricks.
    let quoted =
        r#"{"allowed_apis": ["sql"], "grants": [{"connection_name": "other", "resource": "public.\"Roads*\""}]}"#;
    server.post(&root, "/v3/tokens", quoted).expect(201);
    let other = |body: &str| server.call(&root, "PATCH", "/v3/connections/other", &[("if-match", "*")], body);
    other(r#"{"dialect": "databricks"}"#).problem(409, "connection_in_use");
    used("PATCH", r#"{"dialect": "snowflake"}"#).expect(200);
    // The trail names the change.
    let entries = server.get(&root, "/v3/trail").expect(200).json();
    assert!(
        entries["entries"].as_array().unwrap().iter().any(|it| it["kind"] == "connection" && it["action"] == "delete")
    );
}

#[test]
fn only_administrators_change_connections() {
    let server = Server::start();
    server.registry(|registry| registry.set_role(&actor("root").for_all_users(), "eve", Role::Auditor).unwrap());
    for user in ["bo", "eve"] {
        let access = server.access(user);
        let body = r#"{"name": "lake", "dialect": "snowflake"}"#;
        server.post(&access, "/v3/connections", body).problem(403, "role_needed");
        for method in ["PATCH", "DELETE"] {
            let reply = server.call(&access, method, "/v3/connections/other", &[("if-match", "*")], "{}");
            reply.problem(403, "role_needed");
        }
        let (cookie, origin) = session(&server, user);
        let headers =
            [("cookie", &*cookie), ("origin", &*origin), ("content-type", "application/x-www-form-urlencoded")];
        for path in ["/connections/new", "/connections/other/edit", "/connections/other/delete"] {
            server.send("GET", path, &headers[..1], "").expect(403);
            server.send("POST", path, &headers, "name=lake&dialect=snowflake").expect(403);
        }
        let page = server.send("GET", "/connections", &headers[..1], "").expect(200);
        assert!(!page.body.contains("/connections/new"), "{page:?}");
        server.send("GET", "/users", &headers[..1], "").expect(if user == "eve" { 200 } else { 403 });
        server.send("POST", "/users", &headers, "name=x&role=administrator").expect(403);
        server.send("POST", "/users/root", &headers, "role=developer").expect(403);
        server.send("POST", "/users/root/delete", &headers, "").expect(403);
    }
    let names = server.registry(|registry| registry.connections().unwrap());
    assert_eq!(names.len(), 2);
}

#[test]
fn pages_change_connections_by_the_same_rules() {
    let server = Server::start();
    let (cookie, origin) = session(&server, "root");
    let headers = [("cookie", &*cookie), ("origin", &*origin), ("content-type", "application/x-www-form-urlencoded")];
    let get = |path: &str| server.send("GET", path, &headers[..1], "");
    let post = |path: &str, form: &str| server.send("POST", path, &headers, form);
    let version = |path: &str| {
        let page = get(path).expect(200).body;
        let (_, rest) = page.split_once("name=\"version\" value=\"").unwrap();
        rest.split('"').next().unwrap().to_owned()
    };
    let taken = post("/connections/new", "name=other&dialect=postgres").expect(409);
    assert!(taken.body.contains("exists already") && taken.body.contains("value=\"other\""), "{taken:?}");
    post("/connections/new", "name=lake&dialect=redshift&case_sensitive=yes").expect(303);
    assert!(get("/connections").expect(200).body.contains("case-sensitive"));
    let before = version("/connections/lake/edit");
    post("/connections/lake/edit", &format!("version={before}&dialect=redshift&named_sources_only=yes")).expect(303);
    let stale = post("/connections/lake/edit", &format!("version={before}&dialect=postgres")).expect(412);
    assert!(stale.body.contains("Somebody else changed this connection meanwhile"), "{stale:?}");
    let found = server.registry(|registry| registry.connection("lake").unwrap());
    assert!(found.named_sources_only && !found.dialect.is_case_sensitive() && found.dialect.as_str() == "redshift");
    post("/connections/lake/delete", &format!("version={before}")).expect(412);
    let now = version("/connections/lake/delete");
    post("/connections/lake/delete", &format!("version={now}")).expect(303);
    post("/connections/lake/delete", "version=x").expect(404);
    server.post(&server.access("root"), "/v3/tokens", TOKEN).expect(201);
    let now = version("/connections/carto_dw/delete");
    let used = post("/connections/carto_dw/delete", &format!("version={now}")).expect(409);
    assert!(used.body.contains("is granted by"), "{used:?}");
}

#[test]
fn pages_change_the_grants_of_a_machine() {
    let server = Server::start();
    let machine = server.machine("ana", None);
    let (cookie, origin) = session(&server, "ana");
    let headers = [("cookie", &*cookie), ("origin", &*origin), ("content-type", "application/x-www-form-urlencoded")];
    let path = format!("/credentials/m2m/{}/edit", machine.id);
    let get = || server.send("GET", &path, &headers[..1], "").expect(200).body;
    let post = |form: &str| server.send("POST", &path, &headers, &format!("title=Deploy&scope=write%3Atokens&{form}"));
    let version = || get().split_once("name=\"version\" value=\"").unwrap().1.split('"').next().unwrap().to_owned();
    let before = version();
    let row = |source: &str| format!("grant_connection=carto_dw&grant_kind=name&grant_source={source}");
    // The buttons of rows save nothing.
    let added = post(&format!("version={before}&api=maps&{}&action=add", row("a.b.c"))).expect(200);
    assert!(added.body.contains("grant-1-source"), "{added:?}");
    let removed = post(&format!("version={before}&api=maps&{}&remove=0", row("a.b.c"))).expect(200);
    assert!(!removed.body.contains("id=\"grant-0-source\""), "{removed:?}");
    let grants = || {
        let client = server.registry(|registry| registry.client_with_id(&actor("ana"), &machine.id).unwrap());
        (client.allowed_apis, client.grants.iter().map(|grant| grant.source.clone()).collect::<Vec<_>>())
    };
    assert_eq!(grants(), (vec![], vec![]));
    let wrong = post(&format!("version={before}&api=maps&action=save")).expect(400);
    assert!(wrong.body.contains("Add a grant, or remove the APIs"), "{wrong:?}");
    let wrong = post(&format!("version={before}&api=maps&{}&{}&action=save", row("+"), row("%60a.b")));
    assert!(wrong.status >= 400 && wrong.body.contains("data-error=\"grants/1\""), "{wrong:?}");
    post(&format!("version={before}&api=maps&{}&{}&action=save", row("carto.shared.*"), row("+"))).expect(303);
    assert_eq!(grants(), (vec!["maps".to_owned()], vec!["carto.shared.*".to_owned()]));
    assert!(get().contains("carto.shared.*"));
    // Nobody overwrites what somebody else saved.
    let stale = post(&format!("version={before}&action=save")).expect(412);
    assert!(stale.body.contains("Somebody else changed this client meanwhile"), "{stale:?}");
    post(&format!("version={}&action=save", version())).expect(303);
    assert_eq!(grants(), (vec![], vec![]));
    // Another user has no such page.
    let (other, _) = session(&server, "bo");
    server.send("GET", &path, &[("cookie", &other)], "").expect(404);
}

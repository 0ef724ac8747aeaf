//! A workspace whose catalog is a database: its names follow the database, and are never taken for missing.

use std::net::SocketAddr;
use std::path::Path;
use std::process::Command;

use serde_json::Value;

use super::running::ask;
use super::util::eventually;
use super::workspace::{issue, machine, start_with};
use crate::postgres::{Cluster, PASSWORD, USER};

const DB: &str = "sqlite:registry.db";

/// Returns the status and the names of `/v3/catalog`.
fn names(at: SocketAddr, access: &str) -> (u16, Vec<String>) {
    let answer = ask(at, "GET /v3/catalog", &[("authorization", &format!("Bearer {access}"))], "");
    let json: Value = serde_json::from_str(&answer.body).unwrap();
    let text = |name: &Value| format!("{} {}", name["connection_name"], name["name"]).replace('"', "");
    (answer.status, json["names"].as_array().map(|names| names.iter().map(text).collect()).unwrap_or_default())
}

#[test]
fn catalog_follows_a_database_and_keeps_its_names_while_it_cannot_be_read() {
    let Some(cluster) = Cluster::shared() else { return };
    let folder = tempfile::tempdir().unwrap();
    let credentials = machine(folder.path(), DB);
    let database = cluster.database();
    let name = &database.name;
    let role = format!("reader_{name}");
    let mut raw = database.raw();
    raw.run(&format!(
        r#"CREATE SCHEMA sales; CREATE SCHEMA hidden; CREATE TABLE public.roads (a int); CREATE TABLE sales."Q 1" (a int);
         CREATE VIEW sales.recent AS SELECT 1; CREATE TABLE hidden.salaries (a int);
         CREATE ROLE {role} LOGIN; GRANT USAGE ON SCHEMA sales, public TO {role};
         GRANT SELECT ON ALL TABLES IN SCHEMA sales, public TO {role}"#
    ))
    .unwrap();
    let url = database.url().replace(&format!("//{USER}@"), &format!("//{role}@"));
    let args = ["workspace", "--user", "ana", "--catalog-connection", "carto_dw", "--catalog-refresh", "1"];
    let args = |more: &[&'static str]| [&args[..], more].concat();

    let workspace = start_with(folder.path(), &[("PORTCULLIS_DB", DB), ("PORTCULLIS_CATALOG", &url)], &args(&[]));
    let at = workspace.address();
    let access = issue(at, &credentials);
    let mut want = vec![
        format!("carto_dw {name}.public.roads"),
        format!("carto_dw {name}.sales.`Q 1`"),
        format!("carto_dw {name}.sales.recent"),
    ];
    assert_eq!(names(at, &access), (200, want.clone()), "what the user may use, and nothing else");
    raw.run(&format!("CREATE TABLE public.rivers (a int); GRANT SELECT ON public.rivers TO {role}")).unwrap();
    want.insert(0, format!("carto_dw {name}.public.rivers"));
    eventually("a new table is offered", || names(at, &access) == (200, want.clone()));
    raw.run("DROP TABLE public.roads").unwrap();
    want.retain(|name| !name.ends_with("roads"));
    eventually("a dropped table is not offered", || names(at, &access) == (200, want.clone()));

    // No answer is not an empty answer.
    raw.run(&format!("ALTER ROLE {role} NOLOGIN")).unwrap();
    raw.run("CREATE TABLE public.later (a int)").unwrap();
    let unread = start_with(folder.path(), &[("PORTCULLIS_DB", DB), ("PORTCULLIS_CATALOG", &url)], &args(&[]));
    let answer = ask(unread.address(), "GET /v3/catalog", &[("authorization", &format!("Bearer {access}"))], "");
    assert!(answer.status == 503 && answer.body.contains("catalog_unavailable"), "{} {}", answer.status, answer.body);
    std::thread::sleep(std::time::Duration::from_secs(3));
    assert_eq!(names(at, &access), (200, want.clone()), "the names of before");
    raw.run(&format!("GRANT SELECT ON public.later TO {role}; ALTER ROLE {role} LOGIN")).unwrap();
    want.insert(0, format!("carto_dw {name}.public.later"));
    eventually("the names are read again", || names(at, &access) == (200, want.clone()));
    eventually("and by a workspace that had none", || names(unread.address(), &access) == (200, want.clone()));
}

fn error(folder: &Path, args: &[&str]) -> String {
    let output = Command::new(env!("CARGO_BIN_EXE_portcullis"))
        .args(["workspace", "--listen", "127.0.0.1:0"])
        .args(args)
        .current_dir(folder)
        .env("PORTCULLIS_DB", DB)
        .output()
        .unwrap();
    let error = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(2), "{args:?}: {error}");
    assert!(!error.contains(PASSWORD), "{error}");
    error
}

#[test]
fn mistakes_in_a_catalog_of_a_database_are_refused() {
    let folder = tempfile::tempdir().unwrap();
    let with_password = format!("postgres://ana:{PASSWORD}@127.0.0.1/db");
    for (args, want) in [
        (&["--catalog", "postgres://127.0.0.1:1/db"][..], "add `--catalog-connection NAME`"),
        (
            &["--catalog", &with_password, "--catalog-connection", "dw"],
            "the whole URL as `PORTCULLIS_DB` (`--db`) or `PORTCULLIS_CATALOG`",
        ),
        (&["--catalog", "postgres://127.0.0.1/db?sslmode=allow", "--catalog-connection", "dw"], "sslmode"),
        (&["--catalog-connection", "dw"], "no effect without a catalog"),
        (&["--catalog", "none.csv", "--catalog-connection", "dw"], "cannot read"),
    ] {
        let error = error(folder.path(), args);
        assert!(error.contains(want), "{args:?}: {error}");
    }
}

#[test]
fn password_of_the_catalog_is_in_no_message() {
    let Some(cluster) = Cluster::shared() else { return };
    let folder = tempfile::tempdir().unwrap();
    let credentials = machine(folder.path(), DB);
    let database = cluster.database();
    database.raw().run("CREATE TABLE public.roads (a int)").unwrap();
    let args = ["workspace", "--user", "ana", "--catalog-connection", "carto_dw"];
    for (url, want) in [
        (database.network_url(cluster.port), (200, vec![format!("carto_dw {}.public.roads", database.name)])),
        // A wrong password, too.
        (database.network_url(cluster.port).replace(PASSWORD, &format!("no-{PASSWORD}")), (503, Vec::new())),
    ] {
        // Starting it checks each message.
        let variables = [("PORTCULLIS_DB", DB), ("PORTCULLIS_CATALOG", &*url)];
        let workspace = start_with(folder.path(), &variables, &args);
        assert_eq!(names(workspace.address(), &issue(workspace.address(), &credentials)), want);
    }
}

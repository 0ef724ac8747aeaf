//! `audit report`. `tests/report` tests the layout of the page in a browser.

use super::util::{Dir, SECRET};

const NAMES: &str = r#"{
  "connections": [{"name": "dw", "dialect": "bigquery"}],
  "tokens": [{
    "id": "<script>a</script>", "name": "</style><b>", "token": "s3cr3t-of-the-test", "allowed_apis": ["maps"],
    "grants": [{"connection_name": "dw", "source": "a.b.*"}, {"connection_name": "dw", "source": "a.`<img src=x>`.c", "type": "table"}]
  }]
}"#;

const CATALOG: &str = "connection,name\ndw,a.b.one\ndw,a.b.two\ndw,a.c.three\ndw,a..four\nother,x.y\n";

#[test]
fn report_escapes_names_and_has_no_secret() {
    let dir = Dir::new().file("policy.json", NAMES).file("catalog.csv", CATALOG);
    let ran = dir.command("audit report --policy policy.json --catalog catalog.csv --report out.html").run();
    assert_eq!((ran.code, ran.stdout.as_str()), (2, ""));
    assert_eq!(ran.stderr, "note: `catalog.csv`, line 5: `a..four` is no name: an identifier is empty\n");
    let page = std::fs::read_to_string(dir.path("out.html")).unwrap();
    assert!(!page.contains(SECRET));
    for markup in ["<script", "<img", "<b>\"", "</style><b>"] {
        assert!(!page.contains(markup), "{markup}");
    }
    assert!(page.contains("&lt;script&gt;a&lt;/script&gt;"));
    assert!(page.contains("default-src 'none'; style-src 'sha256-"));
    // Two of four names, one row for the token, and a column for each schema.
    assert!(page.contains(">50 %<") && page.contains("of 4 names"), "{page}");
    assert!(page.contains("<title>&lt;script&gt;a&lt;/script&gt; reads 2 of 2 of a.b</title>"), "{page}");
    assert_eq!(page.matches("class=\"cell h").count() - 7, 3);
}

#[test]
fn report_without_catalog_says_so() {
    let dir = Dir::with_policy();
    assert_eq!(dir.command("audit report --policy policy.json --report out.html --title").arg("the map").stdout(0), "");
    let page = std::fs::read_to_string(dir.path("out.html")).unwrap();
    assert!(page.contains("<h1>the map</h1>") && page.contains("No catalog was given"), "{page}");
    let broken = dir.command("audit report --policy policy.json --report no/such/folder.html").stderr();
    assert!(broken.starts_with("error: cannot write `no/such/folder.html`"), "{broken}");
    let strange = Dir::with_policy().file("catalog.csv", "a,b\n1,2\n");
    let error = strange.command("audit report --policy policy.json --report out.html --catalog catalog.csv").stderr();
    assert!(error.contains("the heading has no column `name`"), "{error}");
}

#[test]
fn report_shows_its_origin_and_every_token_without_folders() {
    let policy = r#"{"connections": [{"name": "dw", "dialect": "postgres"}], "tokens": [
        {"id": "wide", "token": "s3cr3t-of-the-test", "allowed_apis": ["maps", "sql"], "expiration_date": "2040-01-01",
         "referers": ["https://a.test/", "https://b.test/"], "grants": [{"connection_name": "dw", "source": "a.b.*"}]},
        {"id": "old", "token": "s3cr3t-of-the-test-2", "allowed_apis": ["maps"], "expiration_date": "2020-01-01",
         "grants": [{"connection_name": "dw", "source": "a.b.one"}]},
        {"id": "query", "token": "s3cr3t-of-the-test-3", "allowed_apis": ["sql"],
         "grants": [{"connection_name": "dw", "source": "SELECT * FROM a.b.one"}]}]}"#;
    let dir = Dir::new();
    std::fs::create_dir(dir.path("secret-plans")).unwrap();
    let dir = dir
        .file("secret-plans/policy.json", policy)
        .file("secret-plans/catalog.csv", "connection,name\ndw,a.b.one\ndw,a.b.two\n");
    let folder = dir.path("secret-plans").display().to_string();
    let report = format!("audit report --policy {folder}/policy.json --report out.html --catalog");
    dir.command(&report).arg(&format!("{folder}/catalog.csv")).stdout(0);
    let page = std::fs::read_to_string(dir.path("out.html")).unwrap();
    let text = page.replace(['<', '>'], "\n");
    assert!(!text.contains("secret-plans") && !text.contains(&folder), "a folder of the machine");
    assert!(page.contains(concat!("by Portcullis ", env!("CARGO_PKG_VERSION"), ".")));
    let inspected = dir.command(&format!("inspect --policy {folder}/policy.json --format json")).stdout(0);
    let content =
        serde_json::from_str::<serde_json::Value>(&inspected).unwrap()["content_id"].as_str().unwrap().to_owned();
    assert!(page.contains(&format!("Content of the policy: <code>{content}</code>")));
    let digest = "ca8992289cf0298a0115f1d35c74bad4d6765c76b5ff3a80ce24197fcd806fd6";
    assert!(page.contains(&format!("SHA-256 of the catalog: <code>{digest}</code>")), "{page}");
    let row = |cells: [&str; 6]| {
        let [id, rest @ ..] = cells;
        format!("<tr><th scope=\"row\">{id}</th><td>{}</td></tr>", rest.join("</td><td>"))
    };
    let rows = [
        row(["wide", "2040-01-01T00:00:00Z", "maps, sql", "https://a.test/ https://b.test/", "1", "2"]),
        row(["query", "never", "sql", "any", "1", "0 + 1 through queries"]),
        row(["old", "expired 2020-01-01T00:00:00Z", "maps", "any", "1", "0"]),
    ];
    assert!(page.contains(&rows.concat()), "{page}");
    // A stream has no digest.
    let stream = dir.command(&report).arg("-").stdin("connection,name\ndw,a.b.one\n");
    stream.stdout(0);
    assert!(!std::fs::read_to_string(dir.path("out.html")).unwrap().contains("SHA-256 of the catalog"));
}

#[test]
fn report_escapes_bidirectional_and_invisible_characters() {
    let text = "\u{202e}z\u{200b}\u{2066}\u{e0041}";
    let policy = serde_json::json!([{"id": text, "name": text, "token": "s3cr3t-of-the-test", "allowed_apis": ["maps"],
        "grants": [{"connection_name": text, "source": format!("a.\"{text}\"")}, {"connection_name": text, "source": format!("{text}.*")}]}]);
    let catalog = format!("connection,name\n{text},\"a.\"\"{text}\"\"\"\n{text},{text}.b\n");
    let name = format!("{text}.json");
    let dir = Dir::new().file(&name, policy.to_string()).file("c.csv", catalog);
    for title in ["", text] {
        let command = dir.command("audit report --catalog c.csv --report out.html --policy").arg(&name);
        let command = if title.is_empty() { command } else { command.arg("--title").arg(title) };
        command.stdout(0);
        let page = std::fs::read_to_string(dir.path("out.html")).unwrap();
        let found = page.chars().find(|&character| portcullis::base::is_unsafe(character) && character != '\n');
        assert_eq!(found, None, "{page}");
        let shown = r"\u{202e}z\u{200b}\u{2066}\u{e0041}";
        for part in ["<h1>", "<title>Audit of ", "<th scope=\"row\">", "token <b>"] {
            assert!(page.contains(&format!("{part}{shown}")), "{part}: {page}");
        }
    }
}

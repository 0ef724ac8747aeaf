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
    assert!(error.contains("expected the column `name`"), "{error}");
}

//! The guarantees of the library apart from its decisions: thread safety, no allocations, no secrets in debug output.

use portcullis::authorizer::Authorizer;
use portcullis::base::Timestamp;
use portcullis::decision::{Decision, Request, Source, decide};
use portcullis::model::{Operation, SecretDigest};
use portcullis::snapshot::{Editor, Options, ResidueStrategy, Snapshot};
use portcullis_document::load;

#[test]
fn snapshots_and_authorizers_are_send_and_sync() {
    fn shared<T: Send + Sync + 'static>() {}
    shared::<Snapshot>();
    shared::<Authorizer>();
    let _ = static_decision;
}

/// Compiles only if a decision borrows the snapshot and not the request.
fn static_decision<'s>(snapshot: &'s Snapshot, request: &Request<'_>, now: Timestamp) -> Decision<'s> {
    decide(snapshot, request, now)
}

/// A policy with more patterns of every class than any threshold of the compiler, and names of two dialects.
fn document() -> String {
    let mut grants: Vec<String> = (0..200)
        .flat_map(|n| {
            [
                format!("db.schema.table_{n}"),
                format!("db.schema_{n}.*"),
                format!("db.*.prefix_{n}_*"),
                format!("db.schema.*inner{n}*"),
                format!("db.*a{n}*b*.t"),
            ]
        })
        .map(|source| format!(r#"{{"connection_name": "dw", "source": "{source}"}}"#))
        .collect();
    grants.push(r#"{"connection_name": "folding", "source": "\"Quoted.Dot\".Table"}"#.into());
    grants.push(r#"{"connection_name": "dw", "source": "SELECT a, b FROM t -- why\n WHERE x = 'y  z'"}"#.into());
    grants.push(r#"{"connection_name": "dw", "source": "my-source"}"#.into());
    format!(
        r#"{{"connections": [{{"name": "folding", "dialect": "snowflake"}}], "tokens": [
            {{"id": "tk", "token": "s3cret-of-tk", "allowed_apis": ["maps", "sql"], "grants": [{}],
              "referers": ["https://app.example.com/", "https://*.carto.com/", "https://x.test/a/*"]}}]}}"#,
        grants.join(",")
    )
}

#[test]
fn decision_does_not_allocate() {
    let policy = load::policy(document()).unwrap();
    let now = "2026-11-22T12:00:00Z".parse().unwrap();
    let resource = |name| Source::Resource(name);
    let asked = [
        (resource("db.schema.table_7"), true),
        (resource("db.schema_7.anything"), true),
        (resource("db.other.prefix_7_x"), true),
        (resource("db.schema.x_inner7_y"), true),
        (resource("db.xa7yb.t"), true),
        (resource("db.schema.none"), false),
        (resource("db..none"), false),
        (Source::Query("  SELECT a,  b FROM t -- why\n   WHERE x = 'y  z' ; "), true),
        (Source::Query("SELECT a,b FROM t -- why\n WHERE x = 'y  z'"), false),
        (Source::NamedSource("my-source"), true),
        (Source::NamedSource("my-sourc"), false),
    ];
    for residue in
        [ResidueStrategy::Auto, ResidueStrategy::EachByItself, ResidueStrategy::Automaton, ResidueStrategy::Literals]
    {
        let snapshot = Snapshot::compile(&policy, &Options { residue, ..Options::default() }).unwrap();
        let decides = |request: &Request<'_>, allows: bool| {
            let mut decided = false;
            let used = allocation_counter::measure(|| decided = decide(&snapshot, request, now).is_allow());
            assert_eq!(decided, allows, "{request:?} under {residue:?}");
            assert_eq!(used.count_total, 0, "{request:?} under {residue:?} allocates");
        };
        for (source, allows) in asked {
            let request = Request::new("maps", "dw").secret("s3cret-of-tk").source(source);
            decides(&request.referer("https://app.example.com/"), allows);
            decides(&request.referer("https://a.b.carto.com/maps/1?x=y"), allows);
            decides(&request.referer("https://evil.example.org/"), false);
            decides(&request, false);
            decides(&request.secret("unknown"), false);
        }
        let quoted = Source::Resource("\"Quoted.Dot\".tabLE");
        let folding = Request::new("sql", "folding").operation(Operation::Model).secret("s3cret-of-tk").source(quoted);
        decides(&folding.referer("https://x.test/a/b"), true);
        decides(&folding.operation(Operation::Query).referer("https://x.test/a/b"), false);
        let sources = [quoted; 4];
        decides(&folding.sources(&sources).referer("https://x.test/a/b"), true);
    }
}

#[test]
fn decision_on_edited_snapshot_does_not_allocate() {
    let mut editor = Editor::new(&load::policy(document()).unwrap(), &Options::default()).unwrap();
    let new = r#"{"id": "new", "token": "s3cret-new", "allowed_apis": ["maps"], "grants": [{"connection_name": "dw", "source": "db.*"}]}"#;
    let new = load::tokens(new, editor.known()).unwrap();
    let snapshot = editor.create(&new).unwrap();
    let now = "2026-11-22T12:00:00Z".parse().unwrap();
    let request = Request::new("maps", "dw").source(Source::Resource("db.t"));
    for (secret, allows) in [("s3cret-new", true), ("s3cret-of-tk", false), ("unknown", false)] {
        let used = allocation_counter::measure(|| {
            assert_eq!(decide(&snapshot, &request.secret(secret), now).is_allow(), allows);
        });
        assert_eq!(used.count_total, 0, "{secret}");
    }
}

#[test]
fn decision_on_longest_name_does_not_allocate() {
    let snapshot = Snapshot::compile(&load::policy(document()).unwrap(), &Options::default()).unwrap();
    let name = format!("db.\"{}\".{}", "Q".repeat(2000), "x".repeat(2000));
    let request = Request::new("maps", "folding").secret("s3cret-of-tk").source(Source::Resource(&name));
    let request = request.referer("https://app.example.com/");
    let now = "2026-11-22T12:00:00Z".parse().unwrap();
    let used = allocation_counter::measure(|| assert!(!decide(&snapshot, &request, now).is_allow()));
    assert_eq!(used.count_total, 0);
}

#[test]
fn debug_output_contains_no_secret() {
    let policy = load::policy(document()).unwrap();
    let snapshot = Snapshot::compile(&policy, &Options::default()).unwrap();
    let request = Request::new("maps", "dw").secret("s3cret-of-tk");
    let authorizer = Authorizer::new(Snapshot::compile(&policy, &Options::default()).unwrap());
    let prints = [
        format!("{policy:?}"),
        format!("{snapshot:?}"),
        format!("{request:?}"),
        format!("{authorizer:?}"),
        format!("{:?}", SecretDigest::of("s3cret-of-tk")),
    ];
    for print in prints {
        assert!(!print.contains("s3cret-of-tk"), "{print}");
    }
}

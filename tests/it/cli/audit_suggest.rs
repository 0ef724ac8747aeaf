//! `audit suggest`.

use serde_json::Value;

use super::util::Dir;

const POLICY: &str = r#"{
  "connections": [{"name": "dw", "dialect": "snowflake"}],
  "tokens": [
    {"id": "map", "token": "s3cr3t-of-the-test", "allowed_apis": ["maps"], "referers": ["https://a.example.com/"],
     "grants": [{"connection_name": "dw", "source": "db.s.*"}, {"connection_name": "dw", "source": "db.t.x"}]},
    {"id": "idle", "token": "s3cr3t-of-the-test-2", "allowed_apis": ["maps"], "grants": [{"connection_name": "dw", "source": "*"}]},
    {"id": "geo", "token": "s3cr3t-of-the-test-3", "allowed_apis": ["lds"]}
  ]
}"#;

const LOG: &str = concat!(
    r#"{"log":1,"time":"2026-11-24T00:00:00Z","token_id":"map","api":"maps","connection":"dw","sources":[{"resource":"DB.s.\"roads\""}],"referer":"https://a.example.com/","decision":"allow","grants":[0],"ns":1}"#,
    "\n",
    r#"{"log":1,"time":"2026-11-24T00:00:00Z","token_id":"map","api":"maps","connection":"dw","sources":[{"resource":"db.u.gone"}],"referer":"https://a.example.com/","decision":"allow","grants":[0],"ns":1}"#,
    "\n",
    r#"{"log":1,"time":"2026-11-24T00:00:00Z","token_id":"geo","api":"lds","decision":"allow","grants":[],"sample":0.5,"ns":1}"#,
    "\n",
);

fn dir() -> Dir {
    let catalog = "connection,name\ndw,db.s.roads\ndw,\"DB.S.\"\"roads\"\"\"\ndw,db.t.x\ndw,db.t.y\n";
    Dir::new().file("policy.json", POLICY).file("log.jsonl", LOG).file("catalog.csv", catalog)
}

#[test]
fn suggestion_lists_removed_and_added_grants() {
    let ran = dir().command("audit suggest --policy policy.json --log log.jsonl --catalog catalog.csv").run();
    assert_eq!(ran.code, 0, "{}", ran.stderr);
    assert_eq!(
        ran.stderr,
        "note: `log.jsonl` has 1 request that the log allowed and the policy denies: not kept\n\
         note: the log is a sample of the allowed requests: more grants may be needed\n"
    );
    assert_eq!(
        ran.stdout,
        "map  1 request allowed; 2 of 3 names no longer readable\n  \
           - dw: DB.S.*  needed 1 time\n  \
           - dw: DB.T.X  not needed\n  \
           + dw: DB.S.\"roads\"\n\
         \n\
         1 token narrower, 1 unchanged, 1 unused (kept; `--drop-unused` leaves them out); 2 requests replayed, none lost\n\
         tokens can read 7 names of the catalog now, 5 as suggested\n"
    );
    let csv =
        dir().command("audit suggest --policy policy.json --log log.jsonl --format csv --drop-unused").run().stdout;
    let rows: Vec<&str> = csv.lines().collect();
    assert_eq!(
        rows[1..],
        ["map,-,dw,DB.S.*,1,,", "map,-,dw,DB.T.X,0,,", "map,+,dw,\"DB.S.\"\"roads\"\"\",1,,", "idle,-,dw,*,0,,"]
    );
}

#[test]
fn incomplete_log_lines_remove_no_grant() {
    let policy = r#"{"tokens": [{"id": "map", "token": "s", "allowed_apis": ["maps"], "referers": ["https://a.com/app/*", "https://b.com/"],
        "grants": [{"connection_name": "dw", "source": "a.b.*"}, {"connection_name": "dw", "source": "x.y.z"}, {"connection_name": "dw", "source": "x.y.w"}]}]}"#;
    let line = |source: &str, referer: &str| {
        format!(
            r#"{{"log":1,"time":"2026-11-24T00:00:00Z","token_id":"map","api":"maps","connection":"dw","sources":[{source}],{referer},"decision":"allow","ns":1}}"#
        )
    };
    let (cut, whole) = (r#""referer":"https://a.com/","referer_cut":true"#, r#""referer":"https://b.com/""#);
    let resource = |name: &str| format!(r#"{{"resource":"{name}"}}"#);
    // The log has no path of the referer. The request was allowed, so its grant was needed.
    let paths = [line(&resource("a.b.c"), whole), line(&resource("x.y.z"), cut)].join("\n");
    // The needed grant is unknown.
    let lost = [line(&resource("a.b.c"), whole), line(r#"{"query_bytes":99}"#, whole)].join("\n");
    let dir = Dir::new().file("policy.json", policy).file("paths.jsonl", paths).file("lost.jsonl", lost);
    let suggest =
        |log: &str| dir.command(&format!("audit suggest --policy policy.json --log {log} --format csv")).run();
    let unused = |log: &str| {
        let found = dir.command(&format!("audit lint --policy policy.json --log {log} --format csv")).run().stdout;
        found.matches("grant_never_used").count()
    };

    let ran = suggest("paths.jsonl");
    let rows: Vec<&str> = ran.stdout.lines().skip(1).collect();
    let expected = ["map,-,dw,a.b.*,1,,", "map,-,dw,x.y.w,0,,", "map,+,dw,a.b.c,2,,", "map,=,dw,x.y.z,2,,"];
    assert_eq!(rows, expected, "{}", ran.stderr);
    assert_eq!(unused("paths.jsonl"), 1);

    let ran = suggest("lost.jsonl");
    assert!(ran.stdout.lines().skip(1).count() == 3 && ran.stdout.matches(",=,").count() == 3, "{}", ran.stdout);
    let note = "note: `lost.jsonl` has 1 request that cannot be replayed: their tokens keep all grants\n";
    assert_eq!((ran.code, ran.stderr.as_str()), (0, note));
    assert_eq!(unused("lost.jsonl"), 0);
}

#[test]
fn suggested_document_is_a_valid_policy_without_secrets() {
    let text =
        dir().command("audit suggest --policy policy.json --log log.jsonl --format json --drop-unused").run().stdout;
    let document: Value = serde_json::from_str(&text).unwrap();
    let ids: Vec<&str> =
        document["tokens"].as_array().unwrap().iter().map(|token| token["id"].as_str().unwrap()).collect();
    assert_eq!(ids, ["map", "geo"]);
    let grants = serde_json::json!([{"connection_name": "dw", "source": "DB.S.\"roads\""}]);
    assert_eq!(document["tokens"][0]["grants"], grants);
    let dir = dir().file("narrower.json", text);
    assert!(dir.command("validate narrower.json").run().stdout.contains("narrower.json: valid"));
    let answers = dir.command("check --policy narrower.json --requests log.jsonl").run().stdout;
    let first = answers.lines().next().unwrap();
    assert!(first.contains("\"decision\":\"allow\""), "{answers}");
}

#[test]
fn missing_log_is_an_error() {
    assert!(dir().command("audit suggest --policy policy.json --log none").stderr().contains("cannot read `none`"));
}

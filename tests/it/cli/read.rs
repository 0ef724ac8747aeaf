//! `read`.

use serde_json::{Value, json};

use super::util::{Dir, POLICY};

fn lines(text: &str) -> Vec<Value> {
    text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

#[test]
fn requests_are_read_in_order() {
    let recorded = [
        r#"{"id": 1, "method": "GET", "url": "/v3/maps/dw/table?name=a.b.c", "headers": {"Authorization": "Bearer t"}}"#,
        r#"{"id": "two", "method": "GET", "url": "https://api.test/v3/maps/dw/table?name=a.b&name=a.c", "headers": {}}"#,
        r#"{"method": "OPTIONS", "url": "/v3/maps/dw/table", "headers": {"origin": "https://a.test", "access-control-request-method": "GET"}}"#,
        r#"{"id": 4, "method": "GET", "url": "/healthz/x"}"#,
        r#"{"id": 5, "method": "POST", "url": "/v3/sql/dw/query", "headers": {"content-type": ["application/json"], "referer": "https://a.test/"}, "body": "{\"q\": \"SELECT 1\"}"}"#,
        r#"{"id": 6, "method": "GET"}"#,
        r#"{"id": 7, "method": "GET", "url": "/v3/lds/isolines", "headers": {"authorization": ["Bearer a", "Bearer b"]}}"#,
    ];
    let dir = Dir::new().file("recorded.jsonl", recorded.join("\n"));
    let run = dir.command("read --requests recorded.jsonl --pass-through /healthz --threads 2").run();
    assert_eq!(run.code, 2, "one line is not an HTTP request");
    assert!(run.stderr.contains("7 requests: 2 understood, 3 not, 1 passed through, 1 invalid"), "{}", run.stderr);
    assert_eq!(
        lines(&run.stdout),
        [
            json!({"id": 1, "token": "sha256:e3b98a4d…", "api": "maps", "operation": "query", "connection": "dw",
               "sources": [{"resource": "a.b.c"}], "referer": null}),
            json!({"id": "two", "not_understood": "a parameter is given twice in the query"}),
            json!({"preflight": true}),
            json!({"id": 4, "passed_through": true}),
            json!({"id": 5, "token": null, "api": "sql", "operation": "query", "connection": "dw",
               "sources": [{"query": "SELECT 1"}], "referer": "https://a.test/"}),
            json!({"line": 6, "error": "`url` is missing (column 26)"}),
            json!({"id": 7, "not_understood": "more than one `Authorization` header"}),
        ]
    );
    let shown = dir.command("read --requests recorded.jsonl --show-tokens --quiet").stdout(2);
    assert_eq!(lines(&shown)[0]["token"], "t");
}

/// The sidecar cannot distinguish an empty body from a body that the gateway did not forward.
#[test]
fn an_empty_body_is_read_as_the_sidecar_reads_it() {
    let url = "/v3/maps/dw/table?name=a.b.c";
    let mut recorded = String::new();
    for method in ["POST", "GET"] {
        for body in [json!(null), json!("")] {
            for headers in [json!({}), json!({"content-length": "0"}), json!({"x-original-content-length": "0"})] {
                let request = json!({"method": method, "url": url, "headers": headers, "body": body});
                recorded.push_str(&request.to_string());
                recorded.push('\n');
            }
        }
    }
    let output = lines(&Dir::new().command("read --requests - -q").stdin(recorded).stdout(0));
    for (at, line) in output.iter().enumerate() {
        assert_eq!(line["not_understood"].is_string(), at < 6, "{at}: {line}");
    }
}

#[test]
fn policy_adds_the_answer_of_check() {
    let url = "/v3/maps/dw/table?name=db.one";
    let request = |token: &str| json!({"id": token, "method": "GET", "url": url, "headers": {"authorization": format!("Bearer {token}")}});
    let recorded = format!(
        "{}\n{}\n{}\n",
        request("demo-1"),
        request("x"),
        json!({"id": 3, "method": "GET", "url": "/v3/maps/dw/table"})
    );
    let policy = r#"[{"id": "a", "token": "demo-1", "allowed_apis": ["maps"], "grants": [{"connection_name": "dw", "source": "db.one"}]}]"#;
    let dir = Dir::new().file("policy.json", policy);
    let output = dir.command("read --requests - --policy policy.json -q").stdin(recorded).stdout(0);
    let answers: Vec<Value> = lines(&output).iter().map(|line| line["answer"].clone()).collect();
    assert_eq!(
        answers,
        [
            json!({"decision": "allow", "token": "a", "grants": [0]}),
            json!({"decision": "deny", "reason": "token_unknown", "status": 401}),
            json!({"decision": "deny", "reason": "request_not_understood", "status": 403}),
        ]
    );
    assert!(!output.contains("demo-1\",\"api"), "tokens are masked: {output}");
}

#[test]
fn routes_are_read_from_a_file() {
    let routes = r#"{"routes": [{"path": "/data/{connection}/{source}", "api": "sql", "operation": "model"}]}"#;
    let dir = Dir::new().file("routes.json", routes).file("policy.json", POLICY);
    let request = r#"{"method": "GET", "url": "/data/dw/a.b"}"#;
    let read = |arguments: &str| dir.command(&format!("read --requests - -q {arguments}")).stdin(request);
    let output = lines(&read("--routes routes.json").stdout(0));
    assert_eq!(
        (&output[0]["api"], &output[0]["operation"], &output[0]["sources"][0]["resource"]),
        (&json!("sql"), &json!("model"), &json!("a.b"))
    );
    assert!(read("--pass-through nonsense").stderr().contains("`--pass-through nonsense`"));
    assert!(read("--routes none.json").stderr().contains("cannot read `none.json`"));
    assert!(dir.command("read --requests - --policy -").stderr().contains("both read standard input"));
}

#[test]
fn recorded_requests_match_the_vectors() {
    let file = crate::repository().join("tests/data/http/requests.jsonl");
    let recorded = std::fs::read_to_string(file).unwrap();
    let recorded = lines(&recorded);
    let requests = recorded.iter().map(|request| {
        let mut request = request.clone();
        request.as_object_mut().unwrap().remove("expect");
        format!("{request}\n")
    });
    let requests: String = requests.collect();
    let output = lines(&Dir::new().command("read --requests - --show-tokens -q").stdin(requests).stdout(0));
    assert_eq!(output.len(), recorded.len());
    for (request, output) in recorded.iter().zip(output) {
        let expected = &request["expect"];
        assert_eq!(output["id"], request["id"]);
        if expected["not_understood"] == true {
            assert!(output["not_understood"].is_string(), "{request}: {output}");
        } else if *expected == "preflight" {
            assert_eq!(output["preflight"], true, "{request}: {output}");
        } else {
            for field in ["token", "api", "connection", "sources", "referer"] {
                assert_eq!(output[field], expected[field], "{field} of {request}: {output}");
            }
            assert_eq!(output["operation"], *expected.get("operation").unwrap_or(&json!("query")), "{request}");
        }
    }
}

#[test]
fn lines_that_are_no_request_are_refused_without_their_values() {
    let cases = [
        (r#"[1, "GET", "/v3/maps/dw/table", {}, null]"#, "expected an object with `method` and `url`, found a list"),
        (r#""s3cr3t-of-the-test""#, "expected an object with `method` and `url`, found a string"),
        (r#"{"url": "/x"}"#, "`method` is missing (column 13)"),
        (
            r#"{"method": "GET", "url": "/x", "header": {}}"#,
            "unknown key `header`, did you mean `headers`? (column 39)",
        ),
        (
            r#"{"method": "GET", "url": "/x", "expect": {}}"#,
            "unknown key `expect`, expected one of `id`, `method`, `url`, `headers`, `body` (column 39)",
        ),
        (r#"{"method": "GET", "method": "GET", "url": "/x"}"#, "`method` is given more than once (column 33)"),
        (r#"{"method": 7, "url": "/x"}"#, "`method`: expected a string, found a number (column 12)"),
        (r#"{"method": "GET", "url": null}"#, "`url`: expected a string, found null (column 30)"),
        (
            r#"{"method": "GET", "url": "/x", "headers": ["s3cr3t-of-the-test"]}"#,
            "`headers`: expected an object of headers, found a list (column 65)",
        ),
        (
            r#"{"method": "GET", "url": "/x", "headers": {"authorization": ["s3cr3t-of-the-test", 7]}}"#,
            "`authorization`: expected a string, or a list of strings, found a list (column 86)",
        ),
        (
            r#"{"method": "GET", "url": "/x", "body": {"q": 1}}"#,
            "`body`: expected a string or null, found an object (column 48)",
        ),
    ];
    let requests: Vec<&str> = cases.iter().map(|(request, _)| *request).collect();
    let output = Dir::new().command("read --requests - -q").stdin(requests.join("\n")).stdout(2);
    for (line, (request, error)) in lines(&output).iter().zip(cases) {
        assert_eq!(line["error"], error, "{request}");
    }
}

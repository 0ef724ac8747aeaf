//! The endpoints of gateways over HTTP, each with its own convention (W5), and their responses.

use std::collections::BTreeSet;
use std::fs;

use portcullis_http::gateway::{Preflights, Reader, ReaderOptions, Routes};
use portcullis_server::{Cors, ServerOptions};
use serde_json::{Value, json};

use super::running::{Running, options, serve, serve_by};
use super::util::{SECRET, policy};

/// A URL that the client may request, and one that it may not.
const MAY: &str = "/v3/maps/dw/table?name=db.t";
const MAY_NOT: &str = "/v3/maps/dw/table?name=db.other";

fn bearer() -> String {
    format!("Bearer {SECRET}")
}

#[test]
fn each_endpoint_reads_the_url_only_from_where_its_gateway_puts_it() {
    let server = serve(Some(&policy("t")), options());
    let (token, get) = (&*bearer(), "GET");
    let nginx =
        |uri, more: &[_]| ("/authz/nginx", [&[("x-original-uri", uri), ("x-original-method", get)], more].concat());
    let forwarded = |uri, more: &[_]| {
        ("/authz/forwarded", [&[("x-forwarded-uri", uri), ("x-forwarded-method", get)], more].concat())
    };
    let none = "request_not_understood";
    let cases = [
        ("nginx allows", nginx(MAY, &[]), ""),
        ("nginx denies", nginx(MAY_NOT, &[]), "source_not_granted"),
        (
            "a client's X-Forwarded-Uri means nothing to nginx",
            nginx(MAY_NOT, &[("x-forwarded-uri", MAY)]),
            "source_not_granted",
        ),
        ("nginx's header twice", nginx(MAY_NOT, &[("x-original-uri", MAY)]), none),
        ("nginx's method twice", nginx(MAY, &[("x-original-method", "OPTIONS")]), none),
        ("nginx without a URL", ("/authz/nginx", vec![("x-original-method", get), ("x-forwarded-uri", MAY)]), none),
        ("nginx without a method", ("/authz/nginx", vec![("x-original-uri", MAY)]), none),
        ("the check's own query means nothing", ("/authz/nginx?name=db.t", vec![]), none),
        ("forwarded allows", forwarded(MAY, &[]), ""),
        ("forwarded denies", forwarded(MAY_NOT, &[]), "source_not_granted"),
        (
            "a client's X-Original-URI means nothing",
            forwarded(MAY_NOT, &[("x-original-uri", MAY)]),
            "source_not_granted",
        ),
        ("forwarded twice", forwarded(MAY, &[("x-forwarded-uri", MAY)]), none),
        ("Envoy allows", ("/authz/envoy/v3/maps/dw/table?name=db.t", vec![]), ""),
        (
            "Envoy denies",
            (
                "/authz/envoy/v3/maps/dw/table?name=db.other",
                vec![("x-original-uri", MAY), ("x-forwarded-uri", MAY), ("x-envoy-original-path", MAY)],
            ),
            "source_not_granted",
        ),
        ("Envoy's raw path", ("/authz/envoy/v3/maps/dw/..%2fdw/table?name=db.t", vec![]), none),
        ("Envoy without a path", ("/authz/envoy", vec![]), "not_found"),
    ];
    for (what, (path, headers), reason) in &cases {
        let headers = [&[("authorization", token)], &headers[..]].concat();
        let answer = server.ask(&format!("GET {path}"), &headers, "");
        assert_eq!(answer.reason(), *reason, "{what}: {answer:?}");
    }
}

#[test]
fn allow_is_an_empty_200_and_deny_reports_why_without_the_secret() {
    let server =
        serve(Some(&policy("t")), ServerOptions { cors: Cors::Only(vec!["https://a.test".into()]), ..options() });
    let ask = |path: &str, headers: &[(&str, &str)]| {
        let headers = [&[("x-request-id", "r-7")], headers].concat();
        server.ask(&format!("GET /authz/envoy{path}"), &headers, "")
    };
    let (token, wrong) = (bearer(), "Bearer not-the-s3cr3t");

    let yes = ask(MAY, &[("authorization", &token), ("x-portcullis-token-id", "forged")]);
    assert_eq!((yes.status, &*yes.body), (200, ""));
    assert_eq!(yes.header("x-portcullis-token-id"), Some("only_t"));
    assert_eq!(yes.header("x-portcullis-generation"), Some("1"));
    assert_eq!(yes.header("x-request-id"), Some("r-7"));

    let no = ask(MAY, &[("authorization", wrong), ("origin", "https://a.test")]);
    assert_eq!((no.status, no.header("www-authenticate")), (401, Some("Bearer")));
    assert_eq!(no.json(), json!({"error": "the access token is not valid", "reason": "token_unknown"}));
    assert_eq!(no.header("access-control-allow-origin"), Some("https://a.test"));
    assert!(!format!("{no:?}").contains("s3cr3t"));

    let elsewhere = ask(MAY_NOT, &[("authorization", &token), ("origin", "https://b.test")]);
    assert_eq!((elsewhere.status, elsewhere.header("access-control-allow-origin")), (403, None));
    assert_eq!(elsewhere.header("vary"), Some("Origin"));
}

#[test]
fn preflight_passes_without_a_token_and_removes_a_forged_id() {
    let preflight = [
        ("x-forwarded-method", "OPTIONS"),
        ("x-forwarded-uri", MAY),
        ("origin", "https://a.test"),
        ("access-control-request-method", "GET"),
        ("x-portcullis-token-id", "forged"),
    ];
    let pass = ReaderOptions { preflights: Preflights::Pass, ..ReaderOptions::default() };
    let passing = serve_by(Some(&policy("t")), options(), Reader::new(Routes::default(), pass));
    let answer = passing.ask("GET /authz/forwarded", &preflight, "");
    assert_eq!((answer.status, answer.header("x-portcullis-token-id")), (200, Some("")));
    let disguised = [&preflight[..], &[("x-http-method-override", "GET")]].concat();
    assert_eq!(passing.ask("GET /authz/forwarded", &disguised, "").reason(), "request_not_understood");
    let refusing = serve(Some(&policy("t")), options());
    assert_eq!(refusing.ask("GET /authz/forwarded", &preflight, "").reason(), "request_not_understood");
    for (server, end) in [(&passing, "passed"), (&refusing, "refused")] {
        let metrics = super::running::ask(server.admin, "GET /metrics", &[], "").body;
        assert!(metrics.contains(&format!("portcullis_preflights_total{{end=\"{end}\"}} 1\n")), "{metrics}");
    }
}

/// Gateways that accept any 2xx never get a 204.
#[test]
fn preflight_of_configured_origin_is_answered_if_gateway_passes_responses_on() {
    let cors = Cors::Only(vec!["https://a.test".into()]);
    let server = serve(Some(&policy("t")), ServerOptions { cors, ..options() });
    let preflight = |origin: &'static str| [("origin", origin), ("access-control-request-method", "GET")];
    let original = [("x-original-method", "OPTIONS"), ("x-original-uri", MAY)];
    let forwarded = [("x-forwarded-method", "OPTIONS"), ("x-forwarded-uri", MAY)];
    let envoy = format!("OPTIONS /authz/envoy{MAY}");
    for (line, headers, hands_on) in [
        (&*envoy, &[][..], true),
        ("GET /authz/script", &original, true),
        ("GET /authz/nginx", &original, false),
        ("GET /authz/forwarded", &forwarded, false),
    ] {
        let answer = server.ask(line, &[headers, &preflight("https://a.test")].concat(), "");
        assert_eq!(answer.status, if hands_on { 204 } else { 403 }, "{line}: {answer:?}");
        if hands_on {
            assert_eq!(answer.body, "");
            assert_eq!(answer.header("access-control-allow-origin"), Some("https://a.test"));
            assert!(answer.header("access-control-allow-headers").is_some_and(|it| it.contains("authorization")));
            assert!(answer.header("access-control-allow-methods").is_some_and(|it| it.contains("POST")));
            assert_eq!(answer.header("vary"), Some("Origin"));
        } else {
            assert_eq!(answer.reason(), "request_not_understood", "{line}");
        }
        let other = server.ask(line, &[headers, &preflight("https://b.test")].concat(), "");
        assert_eq!((other.status, other.header("access-control-allow-origin")), (403, None), "{line}");
        let disguised = [headers, &preflight("https://a.test"), &[("x-http-method-override", "GET")]].concat();
        assert_eq!(server.ask(line, &disguised, "").reason(), "request_not_understood", "{line}");
    }
    let metrics = super::running::ask(server.admin, "GET /metrics", &[], "").body;
    assert!(metrics.contains("portcullis_preflights_total{end=\"answered\"} 2\n"), "{metrics}");
}

#[test]
fn nginx_gets_the_denial_body_in_a_header() {
    let server = serve(Some(&policy("t")), options());
    let token = bearer();
    let ask = |path: &str, uri: &str| {
        let headers = [("authorization", &*token), ("x-original-method", "GET"), ("x-original-uri", uri)];
        server.ask(&format!("GET {path}"), &headers, "")
    };
    let denied = ask("/authz/nginx", MAY_NOT);
    assert_eq!((denied.status, denied.header("x-portcullis-denial")), (403, Some(&*denied.body)));
    assert_eq!(denied.reason(), "source_not_granted");
    assert_eq!(ask("/authz/nginx", MAY).header("x-portcullis-denial"), None);
    assert_eq!(ask("/authz/script", MAY_NOT).header("x-portcullis-denial"), None);
}

#[test]
fn an_original_url_that_differs_is_not_understood() {
    let server = serve(Some(&policy("t")), options());
    let token = bearer();
    for (url, reason) in [
        (MAY.to_owned(), ""),
        (format!("https://api.test{MAY}"), ""),
        (MAY_NOT.to_owned(), "request_not_understood"),
        (format!("https://api.test{MAY_NOT}"), "request_not_understood"),
        (format!("HTTP://[::1]:8443{MAY}"), ""),
        ("https://api.test".to_owned(), "request_not_understood"),
        // The URL that was checked, in a form where servers disagree about the start of the path.
        (format!("/v3/sql/dw/query?q=SELECT+1&x=://h{MAY}"), "request_not_understood"),
        (format!("https://api.test?x={MAY}"), "request_not_understood"),
        (format!("https://api.test\\v3\\sql{MAY}"), "request_not_understood"),
        (format!("https://user@api.test{MAY}"), "request_not_understood"),
        (format!("ftp://api.test{MAY}"), "request_not_understood"),
        (format!("x?q=://h{MAY}"), "request_not_understood"),
        (format!("//api.test{MAY}"), "request_not_understood"),
    ] {
        let headers = [("authorization", &*token), ("x-original-url", &*url)];
        let nginx = [&headers[..], &[("x-original-method", "GET"), ("x-original-uri", MAY)]].concat();
        assert_eq!(server.ask("GET /authz/nginx", &nginx, "").reason(), reason, "{url}");
        assert_eq!(server.ask(&format!("GET /authz/envoy{MAY}"), &headers, "").reason(), reason, "{url}");
    }
}

#[test]
fn a_body_that_is_missing_or_cut_is_not_understood() {
    let server = serve(Some(&policy("t")), options());
    let (token, body) = (&*bearer(), r#"{"name":"db.t"}"#);
    let post = |headers: &[(&str, &str)], body: &str| {
        let own = [
            ("authorization", token),
            ("content-type", "application/json"),
            ("x-original-method", "POST"),
            ("x-original-uri", "/v3/maps/dw/table"),
        ];
        server.ask("POST /authz/nginx", &[&own, headers].concat(), body).reason()
    };
    assert_eq!(post(&[], body), "");
    assert_eq!(post(&[("x-original-content-length", "15")], body), "");
    for (what, headers, body) in [
        ("none", vec![], ""),
        ("cut", vec![("x-original-content-length", "16")], body),
        ("of no length", vec![("x-original-content-length", "many")], body),
        ("partial, says Envoy", vec![("x-envoy-auth-partial-body", "true")], body),
        ("compressed", vec![("content-encoding", "gzip")], body),
        ("no object", vec![], "[1]"),
    ] {
        assert_eq!(post(&headers, body), "request_not_understood", "{what}");
    }
}

#[test]
fn a_body_is_checked_where_no_parameter_is_read() {
    let server = serve(Some(&policy("t")), options());
    let lds = |headers: &[(&str, &str)], body: &str| {
        let own = [("authorization", &*bearer()), ("x-original-method", "POST"), ("x-original-uri", "/v3/lds/geocode")];
        server.ask("POST /authz/script", &[&own, headers].concat(), body).reason()
    };
    let json = ("content-type", "application/json");
    let form = ("content-type", "application/x-www-form-urlencoded");
    // Understood: the token has no grant of that API.
    assert_eq!(lds(&[json], r#"{"address": "Atocha"}"#), "api_not_allowed");
    for (header, body) in [
        (form, "_method=DELETE"),
        (form, "access_token=other"),
        (json, r#"{"_method": "DELETE"}"#),
        (json, r#"{"access_token": "other"}"#),
        (json, ""),
    ] {
        assert_eq!(lds(&[header], body), "request_not_understood", "{header:?} {body}");
    }
}

#[test]
fn a_body_that_only_the_upstream_sees_is_not_understood() {
    let server = serve(Some(&policy("t")), options());
    let token = bearer();
    let get = |header: (&str, &str)| {
        let headers = [("authorization", &*token), ("x-original-method", "GET"), ("x-original-uri", MAY), header];
        server.ask("GET /authz/nginx", &headers, "").reason()
    };
    assert_eq!(get(("x-original-content-length", "")), "");
    assert_eq!(get(("x-original-content-length", "0")), "");
    assert_eq!(get(("x-original-content-length", "31")), "request_not_understood");
    assert_eq!(get(("x-original-transfer-encoding", "chunked")), "request_not_understood");
}

/// The lengths may be the client's: a gateway that does not set them passes them on beside a body that it keeps to itself.
#[test]
fn an_empty_body_is_not_understood_whatever_length_is_announced() {
    let server = serve(Some(&policy("t")), options());
    let token = bearer();
    for announced in [&[][..], &[("x-original-content-length", "0")], &[("content-length", "0")]] {
        for (endpoint, method, target) in [
            ("nginx", "x-original-method", "x-original-uri"),
            ("script", "x-original-method", "x-original-uri"),
            ("forwarded", "x-forwarded-method", "x-forwarded-uri"),
        ] {
            let own = [("authorization", &*token), (method, "POST"), (target, MAY)];
            let denied = server.ask(&format!("GET /authz/{endpoint}"), &[&own, announced].concat(), "");
            assert_eq!(denied.reason(), "request_not_understood", "{endpoint}, {announced:?}");
            assert!(denied.body.contains("an empty body, or one that the gateway did not pass on"), "{}", denied.body);
        }
        let own = [("authorization", &*token)];
        let denied = server.ask(&format!("POST /authz/envoy{MAY}"), &[&own, announced].concat(), "");
        assert_eq!(denied.reason(), "request_not_understood", "Envoy, {announced:?}");
    }
}

#[test]
fn without_a_policy_nothing_passes() {
    let server = serve(None, options());
    let answer = server.ask(&format!("GET /authz/envoy{MAY}"), &[("authorization", &bearer())], "");
    assert_eq!((answer.status, &*answer.reason()), (503, "policy_unavailable"));
    let ready = super::running::ask(server.admin, "GET /readyz", &[], "");
    assert_eq!((ready.status, ready.json()["ready"].clone()), (503, json!(false)));
    assert_eq!(super::running::ask(server.admin, "GET /healthz", &[], "").status, 200);
}

/// Sends each real request to each endpoint, and compares the response with that of the native endpoint.
#[test]
fn every_endpoint_decides_real_requests_alike() {
    let file = crate::repository().join("tests/data/http/requests.jsonl");
    let lines = fs::read_to_string(file).unwrap();
    let lines: Vec<Value> = lines.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let server = serve(Some(&half(&lines)), options());
    let (mut allowed, mut denied) = (0, 0);
    for line in &lines {
        let expected = expected(&server, &line["expect"]);
        let text = |key: &str| line[key].as_str().unwrap_or_default();
        let headers: Vec<_> = line["headers"].as_object().unwrap().iter().collect();
        let headers: Vec<(&str, &str)> =
            headers.iter().map(|(name, value)| (&***name, value.as_str().unwrap())).collect();
        let headers: Vec<_> = headers.into_iter().filter(|(name, _)| *name != "content-length").collect();
        let (method, url, body) = (text("method"), text("url"), text("body"));
        // hyper accepts only targets that are valid in HTTP: a gateway could not send this one either.
        if url.bytes().all(|byte| byte.is_ascii_graphic()) {
            let found = server.ask(&format!("{method} /authz/envoy{url}"), &headers, body).reason();
            assert_eq!(found, expected, "Envoy: {line}");
        }
        for (path, names) in [
            ("/authz/nginx", ["x-original-method", "x-original-uri"]),
            ("/authz/forwarded", ["x-forwarded-method", "x-forwarded-uri"]),
        ] {
            let headers = [&[(names[0], method), (names[1], url)], &headers[..]].concat();
            let found = server.ask(&format!("POST {path}"), &headers, body).reason();
            assert_eq!(found, expected, "{path}: {line}");
        }
        *(if expected.is_empty() { &mut allowed } else { &mut denied }) += 1;
    }
    assert!(allowed > 50 && denied > 20, "{allowed} allowed, {denied} denied: too few of one kind");
}

/// A policy for all tokens of the requests that allows maps only.
fn half(lines: &[Value]) -> String {
    let all = |key: &str| {
        let found = lines.iter().filter_map(|line| line["expect"][key].as_str());
        found.filter(|text| !text.is_empty()).map(str::to_owned).collect::<BTreeSet<_>>()
    };
    let connections: Vec<_> =
        all("connection").into_iter().map(|name| json!({"name": name, "dialect": "postgres"})).collect();
    let grants: Vec<_> =
        all("connection").into_iter().map(|name| json!({"connection_name": name, "source": "*"})).collect();
    let grant = |grants: &Value| grants.clone();
    let tokens: Vec<_> = all("token")
        .into_iter()
        .enumerate()
        .map(|(at, secret)| json!({"id": format!("t{at}"), "token": secret, "allowed_apis": ["maps", "lds"], "grants": grant(&json!(grants))}))
        .collect();
    json!({"connections": connections, "tokens": tokens}).to_string()
}

/// The reason that the rules require.
fn expected(server: &Running, expect: &Value) -> String {
    if expect["not_understood"] == true {
        return "request_not_understood".to_owned();
    }
    let mut request = expect.clone();
    let object = request.as_object_mut().unwrap();
    object.retain(|_, value| !value.is_null() && value.as_array().is_none_or(|list| !list.is_empty()));
    let answer = server.ask("POST /v1/decide", &[], &request.to_string());
    assert_eq!(answer.status, 200, "{answer:?}");
    answer.json()["reason"].as_str().unwrap_or_default().to_owned()
}

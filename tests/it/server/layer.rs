//! The `tower` layer decides as the sidecar does.

use std::fs;

use axum::body::{Body, to_bytes};
use axum::http::{Request, Uri};
use portcullis::{Authorizer, Options, Snapshot};
use portcullis_document::read_policy;
use portcullis_http::tower::AuthorizeLayer;
use serde_json::{Value, json};

use super::running::{options, serve};
use crate::upstream::{Upstream, send};

/// A policy in which half of the tokens of the vectors may read; none may write.
fn policy(lines: &[Value]) -> String {
    let mut secrets: Vec<&str> = lines.iter().filter_map(|line| line["expect"]["token"].as_str()).collect();
    secrets.sort_unstable();
    secrets.dedup();
    let tokens = secrets.iter().enumerate().map(|(at, secret)| {
        let source = if at % 2 == 0 { "*" } else { "carto-demo-data.demo_tables.*" };
        json!({"id": format!("t{at}"), "token": secret, "allowed_apis": ["maps", "sql", "lds"],
            "grants": [{"connection_name": "carto_dw", "source": source}]})
    });
    let tokens: Vec<_> = tokens.collect();
    json!({"connections": [{"name": "carto_dw", "dialect": "bigquery"}], "tokens": tokens}).to_string()
}

#[test]
fn layer_answers_real_requests_as_the_sidecar_does() {
    let file = crate::repository().join("tests/data/http/requests.jsonl");
    let lines = fs::read_to_string(file).unwrap();
    let lines: Vec<Value> = lines.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let policy = policy(&lines);
    let sidecar = serve(Some(&policy), options());
    let snapshot = Snapshot::compile(&read_policy(&policy).unwrap(), &Options::default()).unwrap();
    let layer = AuthorizeLayer::new(Authorizer::new(snapshot));
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
    let (mut compared, mut allowed) = (0, 0);
    for line in &lines {
        let text = |key: &str| line[key].as_str().unwrap_or_default();
        let (method, url, body) = (text("method"), text("url"), text("body"));
        let headers: Vec<(&str, &str)> = line["headers"]
            .as_object()
            .unwrap()
            .iter()
            .map(|(name, value)| (&**name, value.as_str().unwrap()))
            .filter(|(name, _)| !["content-length", "transfer-encoding", "host", "connection"].contains(name))
            .collect();
        // A URL that no HTTP client can send to the layer; a body that the sidecar cannot know to be empty.
        let is_sent = url.parse::<Uri>().is_ok_and(|uri| uri.path_and_query().is_some_and(|sent| sent.as_str() == url));
        if !is_sent || (body.is_empty() && !matches!(method, "GET" | "HEAD" | "OPTIONS")) || method == "HEAD" {
            continue;
        }
        let mut request = Request::builder().method(method).uri(url);
        for (name, value) in &headers {
            request = request.header(*name, *value);
        }
        let Ok(request) = request.body(Body::from(body.to_owned())) else { continue };
        let expected = sidecar.ask(&format!("{method} /authz/envoy{url}"), &headers, body);
        let upstream = Upstream::default();
        let answer = runtime.block_on(send(&layer, &upstream, request));
        let (head, answer) = answer.into_parts();
        let answer = runtime.block_on(to_bytes(answer, usize::MAX)).unwrap();
        assert_eq!(head.status.as_u16(), expected.status, "{line}\n{expected:?}");
        assert_eq!(upstream.forwarded().len(), usize::from(expected.status == 200), "{line}");
        if expected.status == 200 {
            allowed += 1;
            let forwarded = upstream.forwarded();
            let id = forwarded[0].header("x-portcullis-token-id").unwrap_or_default();
            assert_eq!(id, expected.header("x-portcullis-token-id").unwrap_or_default(), "{line}");
            assert_eq!(forwarded[0].body, body.as_bytes(), "{line}");
        } else {
            assert_eq!(serde_json::from_slice::<Value>(&answer).unwrap(), expected.json(), "{line}");
        }
        compared += 1;
    }
    eprintln!("{compared} of {} requests compared, {allowed} of them allowed", lines.len());
    assert!(compared > lines.len() / 2 && allowed > 20 && compared > allowed);
}

//! The `tower` layer: the requests that it forwards, with their headers, and its own responses.

use std::future::ready;
use std::task::{Context, Poll};

use axum::body::{Body, Bytes, HttpBody, to_bytes};
use axum::http::response::Parts;
use axum::http::{HeaderMap, Request, StatusCode};
use portcullis::{Authorizer, Options, Reason, Snapshot, Timestamp};
use portcullis_document::read_policy;
use portcullis_http::gateway::{Preflights, Reader, ReaderOptions, Routes};
use portcullis_http::tower::{AuthorizeLayer, Cors, Denied};
use proptest::prelude::*;
use serde_json::{Value, json};

use crate::upstream::{Forwarded, Upstream, send};

fn snapshot(table: &str) -> Snapshot {
    let policy = json!({
        "connections": [{"name": "dw", "dialect": "postgres"}],
        "tokens": [{"id": "a token", "token": "s3cret", "allowed_apis": ["maps", "lds"], "expiration_date": "2027-01-01",
            "grants": [{"connection_name": "dw", "source": "db.none"}, {"connection_name": "dw", "source": format!("db.{table}")}]}],
    });
    Snapshot::compile(&read_policy(policy.to_string()).unwrap(), &Options::default()).unwrap()
}

fn layer() -> AuthorizeLayer<Timestamp> {
    AuthorizeLayer::new(Authorizer::new(snapshot("t"))).clock("2026-11-24T12:00:00Z".parse::<Timestamp>().unwrap())
}

struct Reply {
    answer: Parts,
    body: Bytes,
    forwarded: Option<Forwarded>,
}

fn runtime() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_multi_thread().worker_threads(1).build().unwrap()
}

/// Sends a request with a line such as `GET /path`, these headers and this body.
fn request(layer: &AuthorizeLayer<Timestamp>, line: &str, headers: &[(&str, &str)], body: impl Into<Body>) -> Reply {
    let (method, uri) = line.split_once(' ').unwrap();
    let mut request = Request::builder().method(method).uri(uri);
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    let (request, upstream) = (request.body(body.into()).unwrap(), Upstream::default());
    runtime().block_on(async {
        let (answer, body) = send(layer, &upstream, request).await.into_parts();
        let body = to_bytes(body, usize::MAX).await.unwrap();
        Reply { answer, body, forwarded: upstream.forwarded().pop() }
    })
}

impl Reply {
    fn header(&self, name: &str) -> Option<&str> {
        self.answer.headers.get(name).map(|value| value.to_str().unwrap())
    }

    fn reason(&self) -> String {
        match &self.forwarded {
            Some(_) => String::new(),
            None => serde_json::from_slice::<Value>(&self.body).unwrap()["reason"].as_str().unwrap().to_owned(),
        }
    }
}

const MAY: &str = "GET /v3/maps/dw/table?name=db.t";
const BEARER: (&str, &str) = ("authorization", "Bearer s3cret");
const PREFLIGHT: &[(&str, &str)] = &[("origin", "https://a.test"), ("access-control-request-method", "GET")];

/// The method and URL, the headers, the body, and the reason of the denial. An empty reason expects a forwarded
/// request.
type Case<'c> = (&'static str, &'c [(&'static str, &'static str)], &'static str, &'static str);

#[test]
fn layer_forwards_allowed_requests_and_denies_others_with_a_reason() {
    let (json, form) = (("content-type", "application/json"), ("content-type", "text/plain"));
    let cases: &[Case<'_>] = &[
        (MAY, &[BEARER], "", ""),
        ("GET /v3/maps/dw/table?name=db.t&access_token=s3cret", &[], "", ""),
        ("GET /v3/maps/dw/table?name=db.other", &[BEARER], "", "source_not_granted"),
        ("GET /v3/maps/other/table?name=db.t", &[BEARER], "", "connection_not_granted"),
        ("GET /v3/sql/dw/query?q=SELECT+1", &[BEARER], "", "api_not_allowed"),
        (MAY, &[], "", "token_missing"),
        (MAY, &[("authorization", "Bearer wrong")], "", "token_unknown"),
        (MAY, &[BEARER, BEARER], "", "request_not_understood"),
        ("GET /v3/other", &[BEARER], "", "request_not_understood"),
        (MAY, &[BEARER, ("x_portcullis_token_id", "root")], "", "request_not_understood"),
        (MAY, &[BEARER, ("x.portcullis.token.id", "root")], "", "request_not_understood"),
        (MAY, &[BEARER, ("x-http-method-override", "POST")], "", "request_not_understood"),
        (MAY, &[BEARER, ("upgrade", "h2c")], "", "request_not_understood"),
        (MAY, &[BEARER, ("upgrade", "websocket")], "", ""),
        ("GET /v3/maps/dw/table?name=db.t&name]=db.other", &[BEARER], "", "request_not_understood"),
        ("GET http://h.test/v3/maps/dw/table?name=db.t", &[BEARER], "", ""),
        ("CONNECT h.test:443", &[BEARER], "", "request_not_understood"),
        ("POST /v3/maps/dw/table", &[BEARER, json], r#"{"name": "db.t"}"#, ""),
        ("POST /v3/maps/dw/table", &[BEARER, json], r#"{"name": "db.other"}"#, "source_not_granted"),
        ("POST /v3/maps/dw/table", &[BEARER], "{", "request_not_understood"),
        ("POST /v3/maps/dw/table", &[BEARER, form], r#"{"name": "db.t"}"#, "request_not_understood"),
        ("POST /v3/maps/dw/table", &[BEARER], r#"{"name": "db.t"}"#, "request_not_understood"),
        ("POST /v3/maps/dw/table?name=db.t", &[BEARER], "", ""),
        ("GET /v3/maps/dw/table?name=db.t", &[BEARER, json], r#"{"name": "db.other"}"#, "request_not_understood"),
        ("POST /v3/lds/geocode", &[BEARER], "", ""),
        ("POST /v3/lds/geocode", &[BEARER, json], r#"{"address": "Atocha"}"#, ""),
        ("POST /v3/lds/geocode", &[BEARER, form], "_method=DELETE", "request_not_understood"),
        ("POST /v3/lds/geocode", &[BEARER, json], r#"{"access_token": "other"}"#, "request_not_understood"),
        ("OPTIONS /v3/maps/dw/table?name=db.t", PREFLIGHT, "", "request_not_understood"),
        ("OPTIONS /v3/lds/geocode", PREFLIGHT, "a body", "request_not_understood"),
    ];
    for (line, headers, body, reason) in cases {
        let reply = request(&layer(), line, headers, *body);
        assert_eq!(reply.reason(), *reason, "{line} {headers:?} {body}");
        if let Some(forwarded) = reply.forwarded {
            assert_eq!(forwarded.body, body.as_bytes(), "{line}");
            assert_eq!(reply.body, "upstream");
        }
    }
}

#[test]
fn handlers_receive_decision_headers_and_clients_cannot_forge_them() {
    let forged =
        [BEARER, ("x-portcullis-token-id", "forged"), ("X-Portcullis-Token-Id", "too"), ("x-portcullis-else", "x")];
    let forwarded = request(&layer(), MAY, &forged, "").forwarded.unwrap();
    assert_eq!(forwarded.header("x-portcullis-token-id"), Some("a%20token"));
    assert_eq!(forwarded.header("x-portcullis-generation"), Some("1"));
    assert_eq!(forwarded.header("x-portcullis-else"), None);
    let allowed = forwarded.allowed.unwrap();
    assert_eq!((allowed.token_id(), allowed.generation(), allowed.grants()), ("a token", 1, [1].as_slice()));

    let forged = [PREFLIGHT, &forged[1..]].concat();
    let forwarded = request(&passing_preflights(), "OPTIONS /v3/maps/dw/table", &forged, "").forwarded.unwrap();
    assert_eq!((forwarded.header("x-portcullis-token-id"), &forwarded.allowed), (None, &None));
}

#[test]
fn denial_has_the_body_and_headers_of_the_sidecar() {
    let wrong = [("authorization", "Bearer not-the-s3cret"), ("origin", "https://a.test")];
    let cors = layer().cors(Cors::Only(vec!["https://a.test".into()]));
    let denied = request(&cors, MAY, &wrong, "");
    assert_eq!((denied.answer.status, denied.header("www-authenticate")), (StatusCode::UNAUTHORIZED, Some("Bearer")));
    assert_eq!(denied.header("access-control-allow-origin"), Some("https://a.test"));
    let expected = json!({"error": "the access token is not valid", "reason": "token_unknown"});
    assert_eq!(serde_json::from_slice::<Value>(&denied.body).unwrap(), expected);
    let denial = denied.answer.extensions.get::<Denied>().unwrap();
    assert_eq!((denial.reason(), denial.token_id(), denial.generation()), (Reason::TokenUnknown, None, 1));
    assert_eq!(request(&layer(), MAY, &wrong, "").header("access-control-allow-origin"), None);
}

fn passing_preflights() -> AuthorizeLayer<Timestamp> {
    let pass = ReaderOptions { preflights: Preflights::Pass, ..ReaderOptions::default() };
    layer().reader(Reader::new(Routes::default(), pass))
}

#[test]
fn preflights_are_answered_for_configured_origins_and_passed_only_if_configured() {
    let line = "OPTIONS /v3/maps/dw/table";
    let answering = layer().cors(Cors::Only(vec!["https://a.test".into()]));
    let answered = request(&answering, line, PREFLIGHT, "");
    assert!(answered.forwarded.is_none());
    assert_eq!((answered.answer.status, &*answered.body), (StatusCode::NO_CONTENT, &b""[..]));
    assert_eq!(answered.header("access-control-allow-origin"), Some("https://a.test"));
    assert!(answered.header("access-control-allow-headers").is_some_and(|it| it.starts_with("authorization")));
    let other = [("origin", "https://b.test"), PREFLIGHT[1]];
    assert_eq!(request(&answering, line, &other, "").reason(), "request_not_understood");
    assert_eq!(request(&passing_preflights(), line, PREFLIGHT, "").reason(), "");
    let disguised = [PREFLIGHT, &[("x-http-method-override", "GET")]].concat();
    for layer in [&answering, &passing_preflights()] {
        assert_eq!(request(layer, line, &disguised, "").reason(), "request_not_understood");
        assert_eq!(request(layer, line, PREFLIGHT, "a body").reason(), "request_not_understood");
    }
}

#[test]
fn options_change_body_limit_routes_and_clock() {
    let body = r#"{"name": "db.t"}"#;
    let headers = [BEARER, ("content-type", "application/json")];
    let tight = layer().body_bytes(body.len() - 1);
    let long = request(&tight, "POST /v3/maps/dw/table", &headers, body);
    assert_eq!((long.answer.status, &*long.reason()), (StatusCode::PAYLOAD_TOO_LARGE, "body_too_large"));
    assert_eq!(request(&layer().body_bytes(body.len()), "POST /v3/maps/dw/table", &headers, body).reason(), "");
    let routes = Routes::from_json(r#"{"routes": [], "passed_through": ["/healthz"]}"#).unwrap();
    let tight = tight.reader(Reader::new(routes, ReaderOptions::default()));
    let passing = request(&tight, "POST /healthz", &[], "longer than the limit of the body").forwarded.unwrap();
    assert!(passing.is_as_sent, "the layer reads a body that has no effect");

    let late = layer().clock("2027-02-01T00:00:00Z".parse::<Timestamp>().unwrap());
    assert_eq!(request(&late, MAY, &[BEARER], "").reason(), "token_expired");
}

#[test]
fn new_and_changed_policies_apply_immediately() {
    let authorizer = Authorizer::unavailable();
    let layer = AuthorizeLayer::new(authorizer.clone()).clock("2026-11-24T12:00:00Z".parse::<Timestamp>().unwrap());
    let none = request(&layer, MAY, &[BEARER], "");
    assert_eq!((none.answer.status, &*none.reason()), (StatusCode::SERVICE_UNAVAILABLE, "policy_unavailable"));
    authorizer.swap(snapshot("t"));
    assert_eq!(request(&layer, MAY, &[BEARER], "").reason(), "");
    authorizer.swap(snapshot("other"));
    assert_eq!(request(&layer, MAY, &[BEARER], "").reason(), "source_not_granted");
}

/// Some servers merge trailers into headers.
#[test]
fn trailers_are_not_forwarded() {
    use http_body_util::{BodyExt, Full};
    let trailers = || {
        let mut trailers = HeaderMap::new();
        trailers.insert("x-portcullis-token-id", "root".parse().unwrap());
        trailers
    };
    for (line, body) in
        [("POST /v3/maps/dw/table", r#"{"name": "db.t"}"#), ("POST /v3/lds/geocode", r#"{"address": "x"}"#)]
    {
        let body = Full::new(Bytes::from(body)).with_trailers(ready(Some(Ok(trailers()))));
        let upstream = Upstream::default();
        let request = Request::builder().method("POST").uri(line.split_once(' ').unwrap().1);
        let request = request.header("authorization", BEARER.1).header("content-type", "application/json");
        let request = request.body(Body::new(body)).unwrap();
        let status = runtime().block_on(async { send(&layer(), &upstream, request).await.status() });
        let forwarded = upstream.forwarded();
        assert_eq!((status, forwarded.len()), (StatusCode::OK, 1), "{line}");
        assert!(!forwarded[0].body.is_empty() && forwarded[0].trailers.is_none(), "{line}: {forwarded:?}");
    }
}

#[test]
fn incomplete_body_is_denied_with_bad_request() {
    struct Broken;
    impl HttpBody for Broken {
        type Data = Bytes;
        type Error = std::io::Error;
        fn poll_frame(
            self: std::pin::Pin<&mut Self>,
            _: &mut Context<'_>,
        ) -> Poll<Option<Result<http_body::Frame<Bytes>, std::io::Error>>> {
            Poll::Ready(Some(Err(std::io::ErrorKind::UnexpectedEof.into())))
        }
    }
    let broken = request(&layer(), "POST /v3/maps/dw/table", &[BEARER], Body::new(Broken));
    assert_eq!((broken.answer.status, &*broken.reason()), (StatusCode::BAD_REQUEST, "body_incomplete"));
}

proptest! {
    /// If the reader needs no body, no body changes the result.
    #[test]
    fn unneeded_bodies_have_no_effect(
        method in "GET|POST|OPTIONS|PUT",
        path in prop_oneof![
            "/v3/(maps|sql|stats|lds|imports)/(dw|a%2Fb)(/(table|query|model|a\\.b|[a-z]{1,3})){0,3}", "[/a-z0-9.%]{0,20}"],
        query in "(\\?[a-z=&]{0,10})?",
        body in prop::collection::vec(any::<u8>(), 0..20),
        preflight in any::<bool>(),
    ) {
        use portcullis_http::gateway::{Body, HttpRequest};
        let (reader, target) = (Reader::default(), format!("{path}{query}"));
        let headers: &[(&str, &str)] = if preflight { PREFLIGHT } else { &[] };
        let read = |body| format!("{:?}", reader.read(&HttpRequest { method: &method, target: &target, headers: &headers, body }));
        if !reader.needs_body(&method, &target) {
            prop_assert_eq!(read(Body::NotPassedOn), read(Body::Whole(&body)));
        }
    }
}

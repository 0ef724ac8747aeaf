//! Envoy's checks over gRPC.

use std::collections::HashMap;
use std::net::SocketAddr;

use envoy_types::pb::envoy::service::auth::v3::attribute_context::{HttpRequest, Request};
use envoy_types::pb::envoy::service::auth::v3::authorization_client::AuthorizationClient;
use envoy_types::pb::envoy::service::auth::v3::check_response::HttpResponse;
use envoy_types::pb::envoy::service::auth::v3::{AttributeContext, CheckRequest, CheckResponse};
use envoy_types::pb::google::protobuf::value::Kind;
use portcullis_http::gateway::{Preflights, Reader, ReaderOptions, Routes};
use portcullis_server::{Cors, Limits, ServerOptions};
use tonic::transport::Endpoint;
use tonic_health::pb::HealthCheckRequest;
use tonic_health::pb::health_client::HealthClient;

use super::binary::start;
use super::running::{Running, options, serve, serve_by};
use super::util::{SECRET, policy};

fn check(server: &Running, http: HttpRequest) -> CheckResponse {
    check_at(server.tcp(), http)
}

fn check_at(address: SocketAddr, http: HttpRequest) -> CheckResponse {
    let attributes = AttributeContext {
        request: Some(Request { http: Some(http), ..Request::default() }),
        ..AttributeContext::default()
    };
    let endpoint = Endpoint::from_shared(format!("http://{address}")).unwrap();
    runtime().block_on(async {
        let mut client = AuthorizationClient::new(endpoint.connect().await.unwrap());
        client.check(CheckRequest { attributes: Some(attributes) }).await.unwrap().into_inner()
    })
}

fn runtime() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap()
}

fn get(target: &str, headers: &[(&str, &str)]) -> HttpRequest {
    let headers = headers.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
    let token = [("authorization".to_owned(), format!("Bearer {SECRET}"))];
    let headers: HashMap<_, _> = token.into_iter().chain(headers).collect();
    HttpRequest { method: "GET".into(), path: target.into(), headers, ..HttpRequest::default() }
}

/// The reason that access logs can show; empty for an allow.
fn reason(response: &CheckResponse) -> String {
    let fields = &response.dynamic_metadata.as_ref().unwrap().fields;
    match fields.get("reason").and_then(|reason| reason.kind.clone()) {
        Some(Kind::StringValue(reason)) => reason,
        _ => String::new(),
    }
}

#[test]
fn a_check_is_allowed_with_headers_for_the_upstream() {
    let server = serve(Some(&policy("t")), options());
    let response = check(&server, get("/v3/maps/dw/table?name=db.t", &[("x-portcullis-token-id", "forged")]));
    assert_eq!((response.status.as_ref().unwrap().code, &*reason(&response)), (0, ""));
    let Some(HttpResponse::OkResponse(ok)) = &response.http_response else { panic!("{response:?}") };
    let headers: Vec<_> = ok.headers.iter().map(|option| option.header.clone().unwrap()).collect();
    let headers: Vec<_> = headers.iter().map(|header| (&*header.key, &*header.value)).collect();
    assert_eq!(headers, [("x-portcullis-token-id", "only_t"), ("x-portcullis-generation", "1")]);
    let metadata = &response.dynamic_metadata.as_ref().unwrap().fields;
    assert_eq!(metadata["token_id"].kind, Some(Kind::StringValue("only_t".into())));
    assert!(metadata.contains_key("grants"));
}

#[test]
fn a_check_is_denied_with_a_body_that_browsers_may_read() {
    let server = serve(Some(&policy("t")), ServerOptions { cors: Cors::Any, ..options() });
    let response = check(&server, get("/v3/maps/dw/table?name=db.u", &[("origin", "https://a.test")]));
    assert_eq!(reason(&response), "source_not_granted");
    let Some(HttpResponse::DeniedResponse(denied)) = &response.http_response else { panic!("{response:?}") };
    assert_eq!(denied.status.as_ref().unwrap().code, 403);
    assert_eq!(denied.body, r#"{"error":"the access token does not allow this source","reason":"source_not_granted"}"#);
    let origin =
        denied.headers.iter().filter_map(|it| it.header.as_ref()).find(|it| it.key == "access-control-allow-origin");
    assert_eq!(origin.unwrap().value, "https://a.test");
}

#[test]
fn a_body_counts_only_if_it_is_whole() {
    let server = serve(Some(&policy("t")), options());
    let post = |body: &str, size: i64, headers: &[(&str, &str)]| {
        let headers = [&[("content-type", "application/json")], headers].concat();
        let http = HttpRequest { method: "POST".into(), body: body.into(), size, ..get("/v3/maps/dw/table", &headers) };
        reason(&check(&server, http))
    };
    let body = r#"{"name":"db.t"}"#;
    assert_eq!(post(body, 15, &[]), "");
    assert_eq!(post(body, -1, &[]), "");
    for (what, found) in [
        ("cut", post(body, 20, &[])),
        ("not passed on", post("", 15, &[])),
        ("partial", post(body, -1, &[("x-envoy-auth-partial-body", "true")])),
        ("several tokens joined", post(body, 15, &[("authorization", "Bearer a,Bearer b")])),
    ] {
        assert_eq!(found, "request_not_understood", "{what}");
    }
}

/// A longer message is refused by gRPC itself.
#[test]
fn a_body_above_the_limit_is_denied_with_413() {
    let limits = Limits { body_bytes: 100, ..Limits::default() };
    let server = serve(Some(&policy("t")), ServerOptions { limits, ..options() });
    let padded = |bytes: usize| {
        let body = r#"{"name":"db.t","v":""}"#;
        body.replace(r#""v":""#, &format!(r#""v":"{}"#, "x".repeat(bytes - body.len())))
    };
    let post = |body: String| HttpRequest {
        method: "POST".into(),
        size: i64::try_from(body.len()).unwrap(),
        body,
        ..get("/v3/maps/dw/table", &[("content-type", "application/json")])
    };
    assert_eq!(reason(&check(&server, post(padded(100)))), "");
    for bytes in [101, 200_000] {
        let raw = HttpRequest { raw_body: padded(bytes).into_bytes(), body: String::new(), ..post(padded(bytes)) };
        for http in [post(padded(bytes)), raw] {
            let response = check(&server, http);
            assert_ne!(response.status.as_ref().unwrap().code, 0, "{bytes}");
            let Some(HttpResponse::DeniedResponse(denied)) = &response.http_response else { panic!("{response:?}") };
            assert_eq!(denied.status.as_ref().unwrap().code, 413, "{bytes}");
            assert_eq!(denied.body, r#"{"error":"the body is longer than 100 bytes","reason":"body_too_large"}"#);
        }
    }
    let endpoint = Endpoint::from_shared(format!("http://{}", server.tcp())).unwrap();
    let attributes = AttributeContext {
        request: Some(Request { http: Some(post(padded(300_000))), ..Request::default() }),
        ..AttributeContext::default()
    };
    let status = runtime().block_on(async {
        let mut client = AuthorizationClient::new(endpoint.connect().await.unwrap());
        client.check(CheckRequest { attributes: Some(attributes) }).await.unwrap_err()
    });
    assert_eq!(status.code(), tonic::Code::OutOfRange, "{status}");
}

#[test]
fn the_option_of_the_command_line_limits_bodies_of_grpc() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("policy.json"), policy("t")).unwrap();
    let process = start(folder.path(), &["--max-body", "40"]);
    for (body, code) in
        [(r#"{"name":"db.t"}"#.to_owned(), 0), (format!(r#"{{"name":"db.t","v":"{}"}}"#, "x".repeat(40)), 413)]
    {
        let size = i64::try_from(body.len()).unwrap();
        let json = get("/v3/maps/dw/table", &[("content-type", "application/json")]);
        let response = check_at(process.listen, HttpRequest { method: "POST".into(), size, body, ..json });
        let denied = match response.http_response {
            Some(HttpResponse::DeniedResponse(denied)) => denied.status.unwrap().code,
            _ => 0,
        };
        assert_eq!(denied, code);
    }
}

#[test]
fn preflight_is_answered_or_refused_and_passes_only_if_configured() {
    let headers = [("origin", "https://a.test"), ("access-control-request-method", "GET")];
    let preflight = HttpRequest { method: "OPTIONS".into(), ..get("/v3/maps/dw/table?name=db.u", &headers) };
    let pass = ReaderOptions { preflights: Preflights::Pass, ..ReaderOptions::default() };
    let passing = serve_by(Some(&policy("t")), options(), Reader::new(Routes::default(), pass));
    let response = check(&passing, preflight.clone());
    let Some(HttpResponse::OkResponse(ok)) = &response.http_response else { panic!("{response:?}") };
    assert_eq!(ok.headers_to_remove, ["x-portcullis-token-id"], "a forged id is taken away");

    let refusing = serve(Some(&policy("t")), options());
    assert_eq!(reason(&check(&refusing, preflight.clone())), "request_not_understood");

    let answering = serve(Some(&policy("t")), ServerOptions { cors: Cors::Any, ..options() });
    let response = check(&answering, preflight);
    assert_ne!(response.status.as_ref().unwrap().code, 0, "an answer is not a yes");
    let Some(HttpResponse::DeniedResponse(answer)) = &response.http_response else { panic!("{response:?}") };
    assert_eq!((answer.status.as_ref().unwrap().code, &*answer.body), (204, ""));
    let origin = answer.headers.iter().filter_map(|it| it.header.as_ref());
    let origin = origin.into_iter().find(|it| it.key == "access-control-allow-origin");
    assert_eq!(origin.unwrap().value, "https://a.test");
}

#[test]
fn a_header_that_servers_confuse_with_another_is_not_understood() {
    let server = serve(Some(&policy("t")), options());
    for (name, expected) in [
        ("x-portcullis-token-id", ""),
        (":path", ""),
        ("x_portcullis_token_id", "request_not_understood"),
        ("x.portcullis.token.id", "request_not_understood"),
        ("x-http-method-override", "request_not_understood"),
        ("upgrade", "request_not_understood"),
    ] {
        let response = check(&server, get("/v3/maps/dw/table?name=db.t", &[(name, "root")]));
        assert_eq!(reason(&response), expected, "{name}");
    }
}

#[test]
fn too_many_headers_are_refused_over_http2_too() {
    let server =
        serve(Some(&policy("t")), ServerOptions { limits: Limits { headers: 20, ..Limits::default() }, ..options() });
    let endpoint = Endpoint::from_shared(format!("http://{}", server.tcp())).unwrap();
    let ask = |count: usize| {
        let mut request = tonic::Request::new(HealthCheckRequest::default());
        for at in 0..count {
            let name = tonic::metadata::MetadataKey::from_bytes(format!("x-{at}").as_bytes()).unwrap();
            request.metadata_mut().insert(name, "1".parse().unwrap());
        }
        runtime().block_on(async { HealthClient::new(endpoint.connect().await.unwrap()).check(request).await })
    };
    assert!(ask(5).is_ok());
    assert!(ask(30).is_err());
}

#[test]
fn the_health_service_answers() {
    let server = serve(None, options());
    let endpoint = Endpoint::from_shared(format!("http://{}", server.tcp())).unwrap();
    for service in ["", "envoy.service.auth.v3.Authorization"] {
        let status = runtime().block_on(async {
            let mut client = HealthClient::new(endpoint.connect().await.unwrap());
            client.check(HealthCheckRequest { service: service.into() }).await.unwrap().into_inner().status
        });
        assert_eq!(status, 1, "{service}: serving");
    }
}

#[test]
fn health_watch_outlives_the_request_time_limit() {
    let time = std::time::Duration::from_millis(200);
    let limits = Limits { request_time: time, idle_time: time, ..Limits::default() };
    let mut server = serve(None, ServerOptions { limits, ..options() });
    let endpoint = Endpoint::from_shared(format!("http://{}", server.tcp())).unwrap();
    runtime().block_on(async {
        let mut client = HealthClient::new(endpoint.connect().await.unwrap());
        let watched = HealthCheckRequest { service: "envoy.service.auth.v3.Authorization".into() };
        let mut changes = client.watch(watched).await.unwrap().into_inner();
        assert_eq!(changes.message().await.unwrap().unwrap().status, 1);
        tokio::time::sleep(10 * time).await;
        server.stop();
        assert_eq!(changes.message().await.unwrap().unwrap().status, 2, "not serving");
    });
}

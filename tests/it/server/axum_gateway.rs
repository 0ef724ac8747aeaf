//! The example gateway, over real sockets.

#[path = "../../../examples/axum_gateway.rs"]
#[allow(dead_code, unreachable_pub, reason = "`main` is not called here, and every other item only here")]
mod example;

use std::net::SocketAddr;
use std::sync::{Arc, Mutex};

use axum::Router;
use axum::body::{Body, to_bytes};
use axum::extract::Request;
use portcullis::Authorizer;
use serde_json::{Value, json};

use super::running::ask;
use super::util::{SECRET, policy};

/// Serves `router` on a free port until the test ends.
fn serve(runtime: &tokio::runtime::Runtime, router: Router) -> SocketAddr {
    let listener = runtime.block_on(tokio::net::TcpListener::bind("127.0.0.1:0")).unwrap();
    let address = listener.local_addr().unwrap();
    runtime.spawn(async move { axum::serve(listener, router).await });
    address
}

#[test]
fn only_allowed_requests_reach_the_upstream_unchanged() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("policy.json");
    let (file, write) = (file.to_str().unwrap(), |text: &str| std::fs::write(&file, text).unwrap());
    write(&policy("t"));
    let authorizer = Authorizer::unavailable();
    example::reload(&authorizer, file);

    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    let reached: Arc<Mutex<Vec<String>>> = Arc::default();
    let upstream = {
        let reached = Arc::clone(&reached);
        Router::new().fallback(async move |request: Request<Body>| {
            reached.lock().unwrap().push(request.uri().to_string());
            let (parts, body) = request.into_parts();
            let body = String::from_utf8(to_bytes(body, usize::MAX).await.unwrap().to_vec()).unwrap();
            let header = |name: &str| {
                let values: Vec<_> = parts.headers.get_all(name).iter().map(|value| value.to_str().unwrap()).collect();
                json!(values)
            };
            json!({"uri": parts.uri.to_string(), "body": body, "token_id": header("x-portcullis-token-id"),
                "generation": header("x-portcullis-generation"), "else": header("x-portcullis-else")})
            .to_string()
        })
    };
    let upstream = serve(&runtime, upstream);
    let gateway = serve(&runtime, example::gateway(authorizer.clone(), upstream.to_string().parse().unwrap()));
    let reached = || std::mem::take(&mut *reached.lock().unwrap());
    let bearer = format!("Bearer {SECRET}");
    let token = ("authorization", &*bearer);

    let forged = [
        token,
        ("x-portcullis-token-id", "forged"),
        ("x-portcullis-else", "forged"),
        ("connection", "x-portcullis-token-id, x-portcullis-generation"),
    ];
    let allowed = ask(gateway, "GET /v3/maps/dw/table?name=db.t&x=%C3%A9", &forged, "");
    assert_eq!(allowed.status, 200, "{allowed:?}");
    let expected = json!({"uri": "/v3/maps/dw/table?name=db.t&x=%C3%A9", "body": "", "token_id": ["only_t"],
        "generation": ["1"], "else": []});
    assert_eq!(allowed.json(), expected);
    assert_eq!(reached().len(), 1);

    let denied = ask(gateway, "GET /v3/maps/dw/table?name=db.other", &[token], "");
    assert_eq!((denied.status, &*denied.reason()), (403, "source_not_granted"));
    let missing = ask(gateway, "GET /v3/maps/dw/table?name=db.t", &[], "");
    assert_eq!((missing.status, missing.header("www-authenticate")), (401, Some("Bearer")));
    let unclear = ask(gateway, "POST /v3/maps/dw/table?name=db.t", &[token, ("content-type", "application/json")], "{");
    assert_eq!(&*unclear.reason(), "request_not_understood");
    assert_eq!(reached(), [""; 0], "no denied request reaches it");

    // One body is read for the decision and longer than a segment, one is not read.
    let body = json!({"name": "db.t", "filler": "é".repeat(100_000)}).to_string();
    for (line, body) in
        [("POST /v3/maps/dw/table", &body), ("POST /v3/maps/dw/table?name=db.t", &json!({"v": "3"}).to_string())]
    {
        let answer = ask(gateway, line, &[token, ("content-type", "application/json")], body);
        assert_eq!(answer.json()["body"], Value::from(&**body), "{line}");
    }
    // With chunked encoding.
    let mut stream = super::running::connect(gateway);
    let chunks = format!(
        "POST /v3/maps/dw/table HTTP/1.1\r\nhost: test\r\nconnection: close\r\nauthorization: {bearer}\r\n\
        content-type: application/json\r\ntransfer-encoding: chunked\r\n\r\n8\r\n{{\"name\":\r\n7\r\n\"db.t\"}}\r\n0\r\n\r\n"
    );
    std::io::Write::write_all(&mut stream, chunks.as_bytes()).unwrap();
    assert_eq!(super::running::answer(&mut stream).json()["body"], r#"{"name":"db.t"}"#);
    assert_eq!(reached().len(), 3);

    write("{");
    example::reload(&authorizer, file);
    assert_eq!(ask(gateway, "GET /v3/maps/dw/table?name=db.t", &[token], "").status, 200, "the last good policy stays");
    write(&policy("other"));
    example::reload(&authorizer, file);
    assert_eq!(ask(gateway, "GET /v3/maps/dw/table?name=db.t", &[token], "").status, 403);
    assert_eq!(ask(gateway, "GET /v3/maps/dw/table?name=db.other", &[token], "").json()["generation"], json!(["2"]));
}

//! A gateway: a reverse proxy with axum and hyper that decides every request with the layer. `SIGHUP` reloads the policy.
//!
//! `cargo run --example axum_gateway -- examples/policy.json 127.0.0.1:8080 127.0.0.1:9000`
#![allow(clippy::print_stderr, reason = "it has no log")]

use std::error::Error;

use axum::Router;
use axum::body::Body;
use axum::extract::{Request, State};
use axum::http::header::{CONNECTION, HeaderMap, HeaderName, TE, TRAILER, TRANSFER_ENCODING, UPGRADE};
use axum::http::uri::{Authority, PathAndQuery, Scheme};
use axum::http::{StatusCode, Uri, Version};
use axum::response::{IntoResponse, Response};
use hyper_util::client::legacy::{Client, connect::HttpConnector};
use hyper_util::rt::TokioExecutor;
use portcullis::{Authorizer, Options, Snapshot};
use portcullis_document::read_policy;
use portcullis_http::tower::AuthorizeLayer;
use tokio::net::TcpListener;
use tokio::signal::unix::{SignalKind, signal};

/// Returns a router that forwards the requests that `authorizer` allows to `upstream`, such as `127.0.0.1:9000`.
pub fn gateway(authorizer: Authorizer, upstream: Authority) -> Router {
    let client = Client::builder(TokioExecutor::new()).build_http();
    Router::new().fallback(forward).with_state(Upstream { client, upstream }).layer(AuthorizeLayer::new(authorizer))
}

/// Reloads the policy. If it cannot be read, the last valid one stays active.
pub fn reload(authorizer: &Authorizer, path: &str) {
    let load = || -> Result<Snapshot, Box<dyn Error>> {
        Ok(Snapshot::compile(&read_policy(&std::fs::read_to_string(path)?)?, &Options::default())?)
    };
    match authorizer.reload(load) {
        Ok(swapped) => eprintln!("generation {} is in force", swapped.generation),
        Err(error) => eprintln!("generation {} stays: {error}", authorizer.current().number()),
    }
}

fn main() -> Result<(), Box<dyn Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [policy, listen, upstream] = arguments.as_slice() else {
        return Err("usage: axum_gateway POLICY LISTEN UPSTREAM".into());
    };
    let (policy, upstream) = (policy.clone(), upstream.parse()?);
    let authorizer = Authorizer::unavailable();
    reload(&authorizer, &policy);
    tokio::runtime::Builder::new_multi_thread().enable_all().build()?.block_on(async {
        let (mut hangup, current) = (signal(SignalKind::hangup())?, authorizer.clone());
        tokio::spawn(async move {
            while hangup.recv().await.is_some() {
                reload(&current, &policy);
            }
        });
        axum::serve(TcpListener::bind(listen).await?, gateway(authorizer, upstream)).await?;
        Ok(())
    })
}

#[derive(Clone)]
struct Upstream {
    client: Client<HttpConnector, Body>,
    upstream: Authority,
}

async fn forward(State(upstream): State<Upstream>, mut request: Request) -> Response {
    let target = request.uri().path_and_query().cloned().unwrap_or(PathAndQuery::from_static("/"));
    let uri = Uri::builder().scheme(Scheme::HTTP).authority(upstream.upstream).path_and_query(target).build();
    let Ok(uri) = uri else { return StatusCode::BAD_GATEWAY.into_response() };
    *request.uri_mut() = uri;
    *request.version_mut() = Version::HTTP_11;
    end_of_hop(request.headers_mut());
    match upstream.client.request(request).await {
        Ok(mut response) => {
            end_of_hop(response.headers_mut());
            response.map(Body::new)
        }
        Err(error) => {
            eprintln!("{error}");
            StatusCode::BAD_GATEWAY.into_response()
        }
    }
}

/// Removes the headers of this hop (RFC 9110, 7.6.1). A `Connection` header of a client cannot remove the layer's headers.
fn end_of_hop(headers: &mut HeaderMap) {
    let named = headers.get_all(CONNECTION).iter().filter_map(|value| value.to_str().ok());
    let named = named.flat_map(|names| names.split(',')).filter_map(|name| name.trim().parse::<HeaderName>().ok());
    let named: Vec<_> = named.filter(|name| !name.as_str().starts_with("x-portcullis-")).collect();
    let always = [CONNECTION, TE, TRAILER, TRANSFER_ENCODING, UPGRADE, HeaderName::from_static("keep-alive")];
    for name in named.into_iter().chain(always) {
        headers.remove(name);
    }
}

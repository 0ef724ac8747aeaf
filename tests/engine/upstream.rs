//! An upstream after the tower layer, which records what the layer forwards.

use std::convert::Infallible;
use std::future::{Ready, ready};
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll};

use axum::body::{Body, HttpBody};
use axum::http::{HeaderMap, Request, Response};
use portcullis_http::tower::{Allowed, AuthorizeLayer, RequestBody, ResponseBody};
use tower_layer::Layer;
use tower_service::Service;

/// A service that accepts all requests and records them.
#[derive(Debug, Clone, Default)]
pub(crate) struct Upstream(Arc<Mutex<Vec<Forwarded>>>);

/// A forwarded request.
#[derive(Debug, Clone)]
pub(crate) struct Forwarded {
    pub(crate) headers: HeaderMap,
    pub(crate) allowed: Option<Allowed>,
    pub(crate) body: Vec<u8>,
    pub(crate) trailers: Option<HeaderMap>,
    pub(crate) is_as_sent: bool,
}

impl Upstream {
    pub(crate) fn forwarded(&self) -> Vec<Forwarded> {
        self.0.lock().unwrap().clone()
    }
}

impl Forwarded {
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        let mut values = self.headers.get_all(name).iter();
        let value = values.next()?;
        assert!(values.next().is_none(), "{name} twice: {self:?}");
        Some(value.to_str().unwrap())
    }
}

impl Service<Request<RequestBody<Body>>> for Upstream {
    type Response = Response<Body>;
    type Error = Infallible;
    type Future = Ready<Result<Response<Body>, Infallible>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<RequestBody<Body>>) -> Self::Future {
        let (parts, body) = request.into_parts();
        let is_as_sent = matches!(body, RequestBody::Right(_));
        let length = body.size_hint().exact();
        let read = http_body_util::BodyExt::collect(body);
        let read = tokio::task::block_in_place(|| tokio::runtime::Handle::current().block_on(read)).unwrap();
        let trailers = read.trailers().cloned();
        let body = read.to_bytes().to_vec();
        assert!(length.is_none_or(|length| length == body.len() as u64));
        let allowed = parts.extensions.get().cloned();
        self.0.lock().unwrap().push(Forwarded { headers: parts.headers, allowed, body, trailers, is_as_sent });
        ready(Ok(Response::new(Body::from("upstream"))))
    }
}

pub(crate) async fn send<C>(layer: &AuthorizeLayer<C>, upstream: &Upstream, request: Request<Body>) -> Response<Body>
where
    C: portcullis::authorizer::Clock + Clone + Send + Sync + 'static,
{
    let mut service = layer.layer(upstream.clone());
    // Spawns a task, as a multi-threaded server does: the upstream of the test blocks.
    let answer = tokio::task::spawn(async move { service.call(request).await.unwrap() });
    answer.await.unwrap().map(|body: ResponseBody<Body>| Body::new(body))
}

//! A `tower` layer that decides requests in the process of a gateway in Rust: one line in axum, hyper or any other
//! `tower` stack.
//!
//! ```
//! use axum::{Extension, Router, routing::get};
//! use portcullis_http::tower::{Allowed, AuthorizeLayer};
//! # fn load() -> Result<portcullis::Snapshot, Box<dyn std::error::Error>> {
//! #     Ok(portcullis::Snapshot::compile(&portcullis_document::read_policy("[]")?, &portcullis::Options::default())?)
//! # }
//!
//! let authorizer = portcullis::Authorizer::new(load()?);
//! let app: Router = Router::new()
//!     .route("/v3/maps/{connection}/table", get(async |Extension(allowed): Extension<Allowed>| allowed.token_id().to_owned()))
//!     .layer(AuthorizeLayer::new(authorizer.clone()));
//! // Whenever the policy changes; the layer decides by it from then on.
//! authorizer.swap(load()?);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! The layer reads a request as the sidecar does (W1 to W4, W6) and decides it with the authorizer's current snapshot.
//! A denial is answered at once, with the sidecar's status, body and headers, and never reaches the inner service.
//! [`Denied`] is in the extensions of the response, for access logs. Without a policy every response is 503.
//!
//! An allowed request is forwarded with [`Allowed`] in its extensions and with the headers that the sidecar has
//! gateways set. All other headers named `x-portcullis-…` are removed. Paths and preflights that the operator lets pass
//! are forwarded without [`Allowed`]. By default no preflight is forwarded: those from the web sites of
//! [`AuthorizeLayer::cors`] are answered at once.
//!
//! A body is read before the decision only if it may hold a source, up to a limit, and is forwarded unchanged, without
//! trailers. The layer sets no time limit: put a timeout around it.
//!
//! The layer decides on the URL of the request. Place it where this is the URL that is forwarded: neither inside nor
//! outside of a layer that rewrites or strips paths.

mod body;
mod extensions;

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use bytes::Bytes;
use http::header::{HeaderMap, HeaderName, ORIGIN};
use http::request::Parts;
use http::uri::PathAndQuery;
use http::{Request, Response};
use http_body_util::{Either, Full};
use tower_layer::Layer;
use tower_service::Service;

pub use crate::answer::Cors;
use body::without_trailers;
pub use body::{ReadBody, RequestBody, ResponseBody, WithoutTrailers};
pub use extensions::{Allowed, Denied};

use crate::answer::{HttpDecision, Responses, decide, is_own};
use crate::gateway::{Body, Headers, HttpRequest, Reader};
use portcullis::authorizer::{Authorizer, Clock, SystemClock};

/// A layer that decides requests before the inner service. See the [module](self).
#[derive(Debug, Clone)]
pub struct AuthorizeLayer<C = SystemClock> {
    rules: Rules<C>,
}

/// A service that forwards only allowed requests.
#[derive(Debug, Clone)]
pub struct Authorize<S, C = SystemClock> {
    inner: S,
    rules: Arc<Rules<C>>,
}

#[derive(Debug, Clone)]
struct Rules<C> {
    authorizer: Authorizer,
    clock: C,
    reader: Reader,
    answers: Responses,
    body_bytes: usize,
}

impl AuthorizeLayer {
    /// Decides with the current snapshot of `authorizer`, with the built-in routes and the system's clock.
    pub fn new(authorizer: Authorizer) -> Self {
        let (reader, answers) = (Reader::default(), Responses::default());
        Self { rules: Rules { authorizer, clock: SystemClock, reader, answers, body_bytes: 1 << 20 } }
    }
}

impl<C> AuthorizeLayer<C> {
    /// Reads requests with `reader`, for other routes or options.
    #[must_use]
    pub fn reader(mut self, reader: Reader) -> Self {
        self.rules.reader = reader;
        self
    }

    /// Answers preflights from these web sites, and lets their pages read the reason of a denial. None by default.
    #[must_use]
    pub fn cors(mut self, cors: Cors) -> Self {
        self.rules.answers = Responses { cors };
        self
    }

    /// Reads bodies of up to `most` bytes, and answers 413 to longer ones. The default is 1 MiB.
    #[must_use]
    pub fn body_bytes(mut self, most: usize) -> Self {
        self.rules.body_bytes = most;
        self
    }

    /// Decides at the time of `clock`.
    #[must_use]
    pub fn clock<D: Clock>(self, clock: D) -> AuthorizeLayer<D> {
        let Rules { authorizer, clock: _, reader, answers, body_bytes } = self.rules;
        AuthorizeLayer { rules: Rules { authorizer, clock, reader, answers, body_bytes } }
    }
}

impl<S, C: Clone> Layer<S> for AuthorizeLayer<C> {
    type Service = Authorize<S, C>;

    fn layer(&self, inner: S) -> Self::Service {
        Authorize { inner, rules: Arc::new(self.rules.clone()) }
    }
}

impl<S, B, R, C> Service<Request<B>> for Authorize<S, C>
where
    S: Service<Request<RequestBody<B>>, Response = Response<R>, Future: Send> + Clone + Send + 'static,
    B: http_body::Body<Data = Bytes, Error: Into<Box<dyn std::error::Error + Send + Sync>>> + Send + 'static,
    C: Clock + Send + Sync + 'static,
{
    type Response = Response<ResponseBody<R>>;
    type Error = S::Error;
    type Future = Pin<Box<dyn Future<Output = Result<Self::Response, S::Error>> + Send>>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.inner.poll_ready(context)
    }

    fn call(&mut self, request: Request<B>) -> Self::Future {
        // The service that was polled ready must be called; its clone may not be ready.
        let clone = self.inner.clone();
        let mut inner = std::mem::replace(&mut self.inner, clone);
        let rules = Arc::clone(&self.rules);
        Box::pin(async move {
            match rules.pass(request).await {
                Ok(request) => Ok(inner.call(request).await?.map(Either::Right)),
                Err(response) => Ok(response.map(Either::Left)),
            }
        })
    }
}

impl<C: Clock> Rules<C> {
    /// Returns the request to forward, or the response.
    async fn pass<B>(&self, request: Request<B>) -> Result<Request<RequestBody<B>>, Response<Full<Bytes>>>
    where
        B: http_body::Body<Data = Bytes, Error: Into<Box<dyn std::error::Error + Send + Sync>>>,
    {
        let (mut parts, body) = request.into_parts();
        let is_empty = body.is_end_stream();
        let body = if !is_empty && self.reader.needs_body(parts.method.as_str(), target(&parts)) {
            Either::Left(ReadBody::read(body, self.body_bytes).await?)
        } else {
            Either::Right(without_trailers(body))
        };
        let decision = self.decide(
            &parts,
            match &body {
                Either::Left(read) => Body::Whole(read.bytes()),
                Either::Right(_) if is_empty => Body::Whole(b""),
                Either::Right(_) => Body::NotPassedOn,
            },
        );
        if !decision.is_allow() {
            let mut response = self.answers.response(&decision, parts.headers.get(ORIGIN));
            response.extensions_mut().extend(Denied::of(decision));
            return Err(response);
        }
        set_headers(&mut parts.headers, self.answers.headers(&decision, None));
        parts.extensions.extend(Allowed::of(decision));
        Ok(Request::from_parts(parts, body))
    }

    fn decide(&self, parts: &Parts, body: Body<'_>) -> HttpDecision {
        let (method, headers) = (parts.method.as_str(), &Sent(&parts.headers));
        let request = HttpRequest { method, target: target(parts), headers, body };
        decide(&self.authorizer.current(), &self.reader, &request, &self.answers.cors, &self.clock)
    }
}

/// Returns path and query; an empty text, which is not understood, if there are none.
fn target(parts: &Parts) -> &str {
    parts.uri.path_and_query().map_or("", PathAndQuery::as_str)
}

/// Replaces the client's headers of such names by ours. None of ours is empty.
fn set_headers(headers: &mut HeaderMap, ours: HeaderMap) {
    let forged: Vec<HeaderName> = headers.keys().filter(|name| is_own(name.as_str())).cloned().collect();
    for name in forged {
        headers.remove(name);
    }
    headers.extend(ours.into_iter().filter(|(_, value)| !value.is_empty()));
}

/// The headers that a client sent.
struct Sent<'h>(&'h HeaderMap);

impl Headers for Sent<'_> {
    fn for_each<'h>(&'h self, visit: &mut dyn FnMut(&'h str, &'h [u8])) {
        for (name, value) in self.0 {
            visit(name.as_str(), value.as_bytes());
        }
    }
}

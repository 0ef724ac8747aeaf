//! Endpoints as a table. The router and the `OpenAPI` document are made from the same entries, so neither knows an endpoint
//! that the other one does not.

use std::collections::HashMap;
use std::pin::Pin;
use std::sync::Arc;

use axum::Router;
use axum::body::{Body, to_bytes};
use axum::extract::{RawPathParams, Request};
use axum::routing::{MethodFilter, on};
use axum::{RequestExt, response::IntoResponse};
use http::header::{ALLOW, CONTENT_TYPE};
use http::{HeaderMap, Method, StatusCode};
use portcullis::base::{nearest, quoted};
use url::form_urlencoded;

use crate::answer::Outcome;
use crate::authenticate::caller;
use crate::identity::Identity;
use crate::json::{Kind, Object, Shape, read};
use crate::problem::{Detail, Problem};
use crate::service::Workspace;

/// The maximum size of a body, in bytes.
pub(crate) const MAX_BODY: usize = 1 << 20;

/// An endpoint of the API.
pub(crate) struct Endpoint {
    pub(crate) method: Method,
    /// The path, with parameters such as `{token}`.
    pub(crate) path: &'static str,
    /// The scope that an access token needs; empty for any.
    pub(crate) scope: &'static str,
    pub(crate) summary: &'static str,
    pub(crate) query: &'static [Parameter],
    /// The body, and whether it is required.
    pub(crate) body: Option<(&'static Shape, bool)>,
    pub(crate) success: Success,
    /// The statuses of errors beyond those of every endpoint.
    pub(crate) errors: &'static [u16],
    pub(crate) traits: Traits,
    pub(crate) handler: Handler,
}

/// The parts of an endpoint that do not follow from what it does to a record.
#[derive(Clone, Copy)]
pub(crate) struct Route {
    pub(crate) path: &'static str,
    pub(crate) scope: &'static str,
    pub(crate) summary: &'static str,
    pub(crate) is_addition: bool,
    pub(crate) handler: Handler,
}

/// Answers a call.
type Handler = fn(Call) -> Pin<Box<dyn Future<Output = Outcome> + Send>>;

impl Route {
    /// `GET` of a list.
    pub(crate) const fn list(self, shape: &'static Shape, query: &'static [Parameter]) -> Endpoint {
        let success = Success { status: 200, shape: Some(shape), has_version: false };
        self.endpoint(Method::GET, query, None, success, &[], Traits::NONE)
    }

    /// `GET` of a record, with its version.
    pub(crate) const fn get(self, shape: &'static Shape) -> Endpoint {
        let success = Success { status: 200, shape: Some(shape), has_version: true };
        self.endpoint(Method::GET, &[], None, success, &[404], Traits::NONE)
    }

    /// `POST` of a record, once for each `Idempotency-Key`.
    pub(crate) const fn create(self, body: &'static Shape, shape: &'static Shape) -> Endpoint {
        let success = Success { status: 201, shape: Some(shape), has_version: true };
        let traits = Traits { is_made_once: true, ..Traits::NONE };
        self.endpoint(Method::POST, &[], Some((body, true)), success, &[409, 422], traits)
    }

    /// `PATCH` of a version of a record.
    pub(crate) const fn update(self, body: &'static Shape, shape: &'static Shape) -> Endpoint {
        let success = Success { status: 200, shape: Some(shape), has_version: true };
        let traits = Traits { needs_version: true, ..Traits::NONE };
        self.endpoint(Method::PATCH, &[], Some((body, true)), success, &[404, 409], traits)
    }

    /// `DELETE` of a version of a record.
    pub(crate) const fn delete(self, errors: &'static [u16]) -> Endpoint {
        let success = Success { status: 204, shape: None, has_version: false };
        let traits = Traits { needs_version: true, ..Traits::NONE };
        self.endpoint(Method::DELETE, &[], None, success, errors, traits)
    }

    const fn endpoint(
        self,
        method: Method,
        query: &'static [Parameter],
        body: Option<(&'static Shape, bool)>,
        success: Success,
        errors: &'static [u16],
        traits: Traits,
    ) -> Endpoint {
        let Self { path, scope, summary, is_addition, handler } = self;
        Endpoint {
            method,
            path,
            scope,
            summary,
            query,
            body,
            success,
            errors,
            traits: Traits { is_addition, ..traits },
            handler,
        }
    }
}

/// The headers that an endpoint reads.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Traits {
    /// Whether the change needs `If-Match`.
    pub(crate) needs_version: bool,
    /// Whether the change is made once for each `Idempotency-Key`.
    pub(crate) is_made_once: bool,
    /// Whether the endpoint is our addition to the API of the platform.
    pub(crate) is_addition: bool,
}

impl Traits {
    const NONE: Self = Self { needs_version: false, is_made_once: false, is_addition: false };
}

/// The answer of success.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Success {
    pub(crate) status: u16,
    /// The body, if any.
    pub(crate) shape: Option<&'static Shape>,
    /// Whether the answer has an `ETag`.
    pub(crate) has_version: bool,
}

/// A parameter of the query.
#[derive(Debug)]
pub(crate) struct Parameter {
    pub(crate) name: &'static str,
    pub(crate) kind: ParameterKind,
    pub(crate) about: &'static str,
}

/// The values of a parameter of the query.
#[derive(Debug, Clone, Copy)]
pub(crate) enum ParameterKind {
    Text,
    Bool,
    /// A whole number from the first to the second.
    Whole(u64, u64),
    OneOf(&'static [&'static str]),
}

/// A call of an endpoint.
pub(crate) struct Call {
    pub(crate) workspace: Arc<Workspace>,
    pub(crate) identity: Identity,
    pub(crate) headers: HeaderMap,
    pub(crate) method: Method,
    /// The path as it was sent.
    pub(crate) path: String,
    parameters: HashMap<String, String>,
    query: HashMap<&'static str, String>,
    pub(crate) body: Object,
}

impl Call {
    /// Returns a parameter of the path.
    pub(crate) fn parameter(&self, name: &str) -> String {
        self.parameters.get(name).cloned().unwrap_or_default()
    }

    /// Returns a parameter of the query.
    pub(crate) fn query(&self, name: &str) -> Option<&str> {
        self.query.get(name).map(String::as_str)
    }

    /// Whether a parameter of the query is `true`.
    pub(crate) fn is_set(&self, name: &str) -> bool {
        self.query(name) == Some("true")
    }

    /// Returns a number of the query.
    pub(crate) fn whole(&self, name: &str, default: usize) -> usize {
        self.query(name).and_then(|text| text.parse().ok()).unwrap_or(default)
    }

    /// Returns a text that is equal for lists with equal filters and order.
    pub(crate) fn list(&self) -> String {
        let mut filters: Vec<_> = self.query.iter().filter(|(name, _)| !matches!(**name, "cursor" | "limit")).collect();
        filters.sort();
        format!("{} {filters:?}", self.path)
    }
}

/// Returns the router of `endpoints`.
pub(crate) fn router(workspace: &Arc<Workspace>, endpoints: &'static [Endpoint]) -> Router {
    let mut router = Router::new();
    for endpoint in endpoints {
        let Ok(filter) = MethodFilter::try_from(endpoint.method.clone()) else { continue };
        let workspace = Arc::clone(workspace);
        let handler = move |request: Request| {
            let workspace = Arc::clone(&workspace);
            async move {
                match answer(workspace, endpoint, request).await {
                    Ok(response) => response,
                    Err(problem) => problem.into_response(),
                }
            }
        };
        router = router.route(endpoint.path, on(filter, handler));
    }
    router.method_not_allowed_fallback(move |request: Request| async move { wrong_method(endpoints, &request) })
}

async fn answer(workspace: Arc<Workspace>, endpoint: &'static Endpoint, mut request: Request) -> Outcome {
    let mut identity = caller(&workspace, &endpoint.method, request.headers()).await?;
    workspace.count(&identity.account())?;
    check_scope(endpoint, &identity)?;
    let parameters = request.extract_parts::<RawPathParams>().await.map_err(|_| {
        Problem::invalid("invalid_path", "the path is not valid UTF-8", "percent-encode the path in UTF-8")
    })?;
    let parameters = parameters.iter().map(|(name, value)| (name.to_owned(), value.to_owned())).collect();
    let query = read_query(endpoint, request.uri().query().unwrap_or_default())?;
    let (parts, body) = request.into_parts();
    let body = match endpoint.body {
        Some((shape, is_required)) => {
            let bytes = body_of(body).await?;
            // A check of a token writes nothing.
            if !endpoint.scope.starts_with("read:") {
                workspace.count_bytes(&identity, bytes.len())?;
            }
            let body = read_body(&parts.headers, &bytes, shape, is_required)?;
            // The caller may have lost its rights while the body arrived.
            identity = caller(&workspace, &endpoint.method, &parts.headers).await?;
            check_scope(endpoint, &identity)?;
            body
        }
        None => Object::default(),
    };
    let path = parts.uri.path().to_owned();
    let (headers, method) = (parts.headers, parts.method);
    (endpoint.handler)(Call { workspace, identity, headers, method, path, parameters, query, body }).await
}

fn check_scope(endpoint: &Endpoint, identity: &Identity) -> Result<(), Problem> {
    if endpoint.scope.is_empty() { Ok(()) } else { identity.require(endpoint.scope) }
}

fn read_body(headers: &HeaderMap, bytes: &[u8], shape: &'static Shape, is_required: bool) -> Result<Object, Problem> {
    if bytes.is_empty() && !is_required {
        return Ok(Object::default());
    }
    let mut types = headers.get_all(CONTENT_TYPE).iter();
    let found = types.next().filter(|_| types.next().is_none()).and_then(|found| found.to_str().ok());
    let kind = found.and_then(|found| found.split(';').next()).unwrap_or_default().trim();
    if !["application/json", "application/merge-patch+json"].iter().any(|known| kind.eq_ignore_ascii_case(known)) {
        let help = "send the header `Content-Type: application/json`";
        let message = "the body is not declared as JSON";
        return Err(Problem::new(StatusCode::UNSUPPORTED_MEDIA_TYPE, "json_expected", message, help));
    }
    read(bytes, shape)
}

/// Reads a body up to the limit.
pub(crate) async fn body_of(body: Body) -> Result<Vec<u8>, Problem> {
    match to_bytes(body, MAX_BODY).await {
        Ok(bytes) => Ok(bytes.to_vec()),
        Err(_) => Err(Problem::new(
            StatusCode::PAYLOAD_TOO_LARGE,
            "body_too_large",
            format!("the body has more than {MAX_BODY} bytes, or did not arrive"),
            "send a smaller body",
        )),
    }
}

fn read_query(endpoint: &Endpoint, query: &str) -> Result<HashMap<&'static str, String>, Problem> {
    let (mut values, mut problems) = (HashMap::new(), Vec::new());
    for (name, value) in form_urlencoded::parse(query.as_bytes()) {
        let known = endpoint.query.iter().map(|parameter| parameter.name);
        let Some(parameter) = endpoint.query.iter().find(|parameter| parameter.name == name) else {
            let help = match nearest(&name, known.clone()) {
                Some(meant) => format!("did you mean `{meant}`?"),
                None if endpoint.query.is_empty() => "this path has no parameters".to_owned(),
                None => format!("the parameters are `{}`", known.collect::<Vec<_>>().join("`, `")),
            };
            problems.push(Detail::new("", "unknown_parameter", format!("unknown parameter {}", quoted(&name)), help));
            continue;
        };
        let name = parameter.name;
        if let Some(expected) = parameter.kind.refuses(&value) {
            let message = format!("`{name}`: expected {expected}, found {}", quoted(&value));
            problems.push(Detail::new("", "invalid_parameter", message, format!("write {expected}")));
        }
        if values.insert(name, value.into_owned()).is_some() {
            let message = format!("parameter `{name}` is given more than once");
            problems.push(Detail::new("", "duplicate_parameter", message, "write it once"));
        }
    }
    Problem::of_details(problems).map_or(Ok(values), Err)
}

impl ParameterKind {
    /// Returns what is expected, if `value` is something else.
    fn refuses(self, value: &str) -> Option<String> {
        match self {
            Self::Text => None,
            Self::Bool => (!matches!(value, "true" | "false")).then(|| "`true` or `false`".to_owned()),
            Self::Whole(from, to) => {
                let is_plain = !value.is_empty() && value.bytes().all(|byte| byte.is_ascii_digit());
                let is_valid = is_plain && value.parse().is_ok_and(|number| (from..=to).contains(&number));
                (!is_valid).then(|| format!("a whole number from {from} to {to}"))
            }
            Self::OneOf(names) => (!names.contains(&value)).then(|| format!("one of `{}`", names.join("`, `"))),
        }
    }
}

fn wrong_method(endpoints: &[Endpoint], request: &Request) -> axum::response::Response {
    let path = request.extensions().get::<axum::extract::MatchedPath>();
    let known = endpoints.iter().filter(|endpoint| path.is_some_and(|path| path.as_str() == endpoint.path));
    let methods: Vec<&str> = known.map(|endpoint| endpoint.method.as_str()).collect();
    let message = "this path does not support the method";
    let help = format!("use one of {}", methods.join(", "));
    Problem::new(StatusCode::METHOD_NOT_ALLOWED, "method_not_allowed", message, help)
        .with(ALLOW, &methods.join(", "))
        .into_response()
}

/// A field of a body that need not be given.
pub(crate) const fn optional(name: &'static str, kind: Kind, about: &'static str) -> crate::json::Member {
    crate::json::Member { name, kind, is_required: false, about }
}

/// A field of a body that must be given.
pub(crate) const fn required(name: &'static str, kind: Kind, about: &'static str) -> crate::json::Member {
    crate::json::Member { name, kind, is_required: true, about }
}

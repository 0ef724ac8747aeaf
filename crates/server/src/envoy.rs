//! Envoy's external authorization over gRPC (`envoy.service.auth.v3`).

use std::sync::Arc;

use axum::http::{HeaderName, HeaderValue, header::ORIGIN};
use envoy_types::pb::envoy::config::core::v3::header_value_option::HeaderAppendAction;
use envoy_types::pb::envoy::config::core::v3::{HeaderValue as EnvoyHeader, HeaderValueOption};
use envoy_types::pb::envoy::service::auth::v3::attribute_context::HttpRequest as EnvoyRequest;
use envoy_types::pb::envoy::service::auth::v3::authorization_server::{Authorization, AuthorizationServer};
use envoy_types::pb::envoy::service::auth::v3::check_response::HttpResponse;
use envoy_types::pb::envoy::service::auth::v3::{CheckRequest, CheckResponse, DeniedHttpResponse, OkHttpResponse};
use envoy_types::pb::envoy::r#type::v3::HttpStatus;
use envoy_types::pb::google::protobuf::value::Kind;
use envoy_types::pb::google::protobuf::{ListValue, Struct, Value};
use envoy_types::pb::google::rpc;
use tonic::{Code, Request, Response, Status};

use super::http::{Shared, ids_by, is_request_id};
use super::lookup::{last, only};
use portcullis_http::answer::{Denial, GENERATION, HttpDecision, Outcome, TOKEN_ID, body_too_large};
use portcullis_http::gateway::{Body, Headers, HttpRequest};

/// The authorization service.
#[derive(Debug)]
pub(super) struct Checks {
    shared: Arc<Shared>,
}

/// Creates the service over `shared`.
pub(super) fn service(shared: Arc<Shared>) -> AuthorizationServer<Checks> {
    let bytes = shared.body_bytes.saturating_add(MESSAGE);
    AuthorizationServer::new(Checks { shared }).max_decoding_message_size(bytes)
}

/// The limit of a check without its body, in bytes.
const MESSAGE: usize = 256 * 1024;

#[tonic::async_trait]
impl Authorization for Checks {
    async fn check(&self, request: Request<CheckRequest>) -> Result<Response<CheckResponse>, Status> {
        let attributes = request.into_inner().attributes;
        let Some(http) = attributes.and_then(|attributes| attributes.request).and_then(|request| request.http) else {
            return Err(Status::invalid_argument("`attributes.request.http` is missing"));
        };
        self.shared.authority.operations().room().await;
        let headers = Received(&http);
        let mut ids = ids_by(|name| only(&headers, name));
        ids.request = ids.request.or(Some(&*http.id).filter(|id| is_request_id(id)));
        let most = self.shared.body_bytes;
        if http.raw_body.len().max(http.body.len()) > most {
            return Ok(Response::new(too_large(most)));
        }
        let request = HttpRequest { method: &http.method, target: &http.path, headers: &headers, body: body(&http) };
        let verdict = self.shared.authority.decide_http(&request, ids, &self.shared.answers.cors);
        let origin = last(&headers, ORIGIN.as_str()).and_then(|origin| HeaderValue::from_str(origin).ok());
        Ok(Response::new(self.answer(&verdict, origin.as_ref())))
    }
}

impl Checks {
    fn answer(&self, verdict: &HttpDecision, origin: Option<&HeaderValue>) -> CheckResponse {
        let headers = self.shared.answers.headers(verdict, origin);
        let headers: Vec<_> = headers.iter().filter(|(_, value)| !value.is_empty()).map(option).collect();
        let (code, response) = match &verdict.outcome {
            Outcome::Allow { .. } | Outcome::Pass => {
                // Our headers replace the client's; a header that we do not set must not come from the client. Envoy removes after it
                // sets, so no name may be in both lists.
                let is_set = |name: &str| headers.iter().filter_map(|it| it.header.as_ref()).any(|it| it.key == name);
                let own = [TOKEN_ID, GENERATION];
                let removed = own.iter().map(|name| name.as_str().to_owned()).filter(|name| !is_set(name)).collect();
                let response = OkHttpResponse { headers_to_remove: removed, headers, ..OkHttpResponse::default() };
                (Code::Ok, HttpResponse::OkResponse(response))
            }
            Outcome::Preflight => {
                let status = Some(HttpStatus { code: verdict.status().into() });
                let response = DeniedHttpResponse { status, headers, body: String::new() };
                (Code::PermissionDenied, HttpResponse::DeniedResponse(response))
            }
            Outcome::Deny { reason, error } => {
                let status = Some(HttpStatus { code: verdict.status().into() });
                let body = Denial { error, reason: reason.code() }.json();
                let response = DeniedHttpResponse { status, headers, body };
                let code = if verdict.status() == 401 { Code::Unauthenticated } else { Code::PermissionDenied };
                (code, HttpResponse::DeniedResponse(response))
            }
        };
        CheckResponse {
            status: Some(rpc::Status { code: code.into(), ..rpc::Status::default() }),
            dynamic_metadata: Some(metadata(verdict)),
            http_response: Some(response),
        }
    }
}

/// Answers 413 to a body of more than `most` bytes, as the endpoints over HTTP do.
fn too_large(most: usize) -> CheckResponse {
    let denial = body_too_large(most);
    let status = Some(HttpStatus { code: denial.status().as_u16().into() });
    let headers = denial.headers().iter().map(option).collect();
    let response = DeniedHttpResponse { status, headers, body: denial.into_body() };
    CheckResponse {
        status: Some(rpc::Status { code: Code::ResourceExhausted.into(), ..rpc::Status::default() }),
        dynamic_metadata: None,
        http_response: Some(HttpResponse::DeniedResponse(response)),
    }
}

/// Returns a header that replaces the client's.
fn option((name, value): (&HeaderName, &HeaderValue)) -> HeaderValueOption {
    HeaderValueOption {
        header: Some(EnvoyHeader {
            key: name.as_str().to_owned(),
            value: String::from_utf8_lossy(value.as_bytes()).into_owned(),
            ..EnvoyHeader::default()
        }),
        append_action: HeaderAppendAction::OverwriteIfExistsOrAdd.into(),
        ..HeaderValueOption::default()
    }
}

/// Returns the metadata that access logs can show.
fn metadata(verdict: &HttpDecision) -> Struct {
    let value = |kind| Value { kind: Some(kind) };
    let text = |text: &str| value(Kind::StringValue(text.to_owned()));
    #[expect(clippy::cast_precision_loss, reason = "a protobuf struct stores every number as a double")]
    let number = |number: u64| value(Kind::NumberValue(number as f64));
    let mut fields = vec![("generation", number(verdict.generation))];
    fields.extend(verdict.token_id.as_deref().map(|id| ("token_id", text(id))));
    match &verdict.outcome {
        Outcome::Allow { grants } => {
            let values = grants.iter().map(|grant| number((*grant).into())).collect();
            fields.extend([("decision", text("allow")), ("grants", value(Kind::ListValue(ListValue { values })))]);
        }
        Outcome::Pass => fields.push(("decision", text("pass"))),
        Outcome::Preflight => fields.push(("decision", text("preflight"))),
        Outcome::Deny { reason, .. } => {
            fields.extend([("decision", text("deny")), ("reason", text(reason.code()))]);
        }
    }
    Struct { fields: fields.into_iter().map(|(name, value)| (name.to_owned(), value)).collect() }
}

/// Returns the body if it is complete. An empty one may be one that Envoy is not configured to pass on.
fn body(http: &EnvoyRequest) -> Body<'_> {
    let body = if http.raw_body.is_empty() { http.body.as_bytes() } else { &http.raw_body };
    let is_part = last(&Received(http), "x-envoy-auth-partial-body").is_some_and(|part| part != "false");
    // -1 if Envoy does not know the size.
    let is_other = usize::try_from(http.size).is_ok_and(|size| size != body.len());
    if body.is_empty() || is_part || is_other { Body::NotPassedOn } else { Body::Whole(body) }
}

/// The client's headers: joined by commas for each name or, if Envoy is configured so, each as it arrived.
struct Received<'r>(&'r EnvoyRequest);

impl Headers for Received<'_> {
    fn for_each<'h>(&'h self, visit: &mut dyn FnMut(&'h str, &'h [u8])) {
        match &self.0.header_map {
            Some(map) => map.headers.iter().for_each(|header| {
                let value = if header.raw_value.is_empty() { header.value.as_bytes() } else { &header.raw_value };
                visit(&header.key, value);
            }),
            None => self.0.headers.iter().for_each(|(name, value)| visit(name, value.as_bytes())),
        }
    }
}

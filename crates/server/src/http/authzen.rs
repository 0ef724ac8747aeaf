//! AuthZEN 1.0, the Authorization API of the OpenID Foundation.
//!
//! | AuthZEN | portcullis |
//! | --- | --- |
//! | `subject` | the token: `type` is `token`, `id` its secret |
//! | `action.name` | the API, such as `maps`; or API and operation, such as `sql.model` |
//! | `resource` | the source: `type` is `resource`, `query` or `named_source`, `id` its text; `properties.connection`. For an API without sources, `type` is `none` |
//! | `context` | `referer`, and `time` if the decision is not about the present |

use std::borrow::Cow;
use std::sync::Arc;

use axum::extract::{Request, State};
use axum::http::header::HOST;
use axum::http::{HeaderMap, StatusCode};
use axum::response::Response;
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use super::batch::elements;
use super::id::ids_of;
use super::object::Object;
use super::{Refused, Shared, decided, received};
use crate::authority::Authority;
use crate::decided::Ids;
use portcullis::decision::{Credential, Request as DecisionRequest, Source, Sources};
use portcullis::model::Operation;
use portcullis_document::definition::present;
use portcullis_http::answer::{HttpDecision, Outcome, json};

#[derive(Deserialize)]
struct Subject<'t> {
    #[serde(borrow, rename = "type")]
    kind: Cow<'t, str>,
    #[serde(borrow)]
    id: Cow<'t, str>,
}

#[derive(Deserialize)]
struct Action<'t> {
    #[serde(borrow)]
    name: Cow<'t, str>,
}

#[derive(Deserialize)]
struct Resource<'t> {
    #[serde(borrow, rename = "type")]
    kind: Cow<'t, str>,
    #[serde(borrow)]
    id: Cow<'t, str>,
    #[serde(borrow, default)]
    properties: Object<Properties<'t>>,
}

#[derive(Default, Deserialize)]
struct Properties<'t> {
    #[serde(borrow, default, deserialize_with = "present")]
    connection: Option<Cow<'t, str>>,
}

#[derive(Default, Deserialize)]
struct Context<'t> {
    #[serde(borrow, default, deserialize_with = "present")]
    referer: Option<Cow<'t, str>>,
    #[serde(borrow, default, deserialize_with = "present")]
    time: Option<Cow<'t, str>>,
}

#[derive(Default, Deserialize)]
struct Evaluation<'t> {
    #[serde(borrow, default, deserialize_with = "present")]
    subject: Option<Object<Subject<'t>>>,
    #[serde(borrow, default, deserialize_with = "present")]
    action: Option<Object<Action<'t>>>,
    #[serde(borrow, default, deserialize_with = "present")]
    resource: Option<Object<Resource<'t>>>,
    #[serde(borrow, default, deserialize_with = "present")]
    context: Option<Object<Context<'t>>>,
}

/// Several evaluations, with defaults for their missing members.
#[derive(Deserialize)]
struct Evaluations<'t> {
    #[serde(borrow, default, deserialize_with = "present")]
    subject: Option<Object<Subject<'t>>>,
    #[serde(borrow, default, deserialize_with = "present")]
    action: Option<Object<Action<'t>>>,
    #[serde(borrow, default, deserialize_with = "present")]
    resource: Option<Object<Resource<'t>>>,
    #[serde(borrow, default, deserialize_with = "present")]
    context: Option<Object<Context<'t>>>,
    /// Parsed one by one: an invalid element fails alone.
    #[serde(borrow, default, rename = "evaluations", deserialize_with = "present")]
    list: Option<&'t RawValue>,
    #[serde(default)]
    options: Object<EvaluationOptions>,
}

/// An evaluation with its own and its default members.
struct Filled<'e> {
    subject: Option<&'e Subject<'e>>,
    action: Option<&'e Action<'e>>,
    resource: Option<&'e Resource<'e>>,
    context: Option<&'e Context<'e>>,
}

#[derive(Default, Deserialize)]
struct EvaluationOptions {
    #[serde(default)]
    evaluations_semantic: Semantic,
}

/// When to stop evaluating a list.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Semantic {
    #[default]
    ExecuteAll,
    DenyOnFirstDeny,
    PermitOnFirstPermit,
}

#[derive(Serialize)]
struct EvaluationResponse {
    decision: bool,
    context: ResponseContext,
}

#[derive(Default, Serialize)]
struct ResponseContext {
    #[serde(skip_serializing_if = "Option::is_none")]
    reason: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    status: Option<u16>,
    #[serde(skip_serializing_if = "Option::is_none")]
    token_id: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    grants: Option<Vec<u32>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<ResponseError>,
}

#[derive(Serialize)]
struct ResponseError {
    status: u16,
    message: String,
}

#[derive(Serialize)]
struct EvaluationsResponse {
    evaluations: Vec<EvaluationResponse>,
}

#[derive(Serialize)]
struct Configuration {
    policy_decision_point: String,
    access_evaluation_endpoint: String,
    access_evaluations_endpoint: String,
}

pub(super) async fn evaluation(State(shared): State<Arc<Shared>>, request: Request) -> Response {
    let (headers, body) = match received(&shared, request).await {
        Ok(received) => received,
        Err(response) => return response,
    };
    shared.authority.operations().room().await;
    let answer = read_json(&body).and_then(|Object(evaluation): Object<Evaluation<'_>>| {
        to_json(&evaluation.filled(&Evaluation::default()).decide(&shared.authority, ids_of(&headers))?)
    });
    decided(answer.map_err(Refused::Invalid))
}

pub(super) async fn evaluations(State(shared): State<Arc<Shared>>, request: Request) -> Response {
    let (headers, body) = match received(&shared, request).await {
        Ok(received) => received,
        Err(response) => return response,
    };
    decided(evaluate(&shared, ids_of(&headers), &body).await)
}

async fn evaluate(shared: &Shared, ids: Ids<'_>, body: &[u8]) -> Result<String, Refused> {
    let Object(Evaluations { subject, action, resource, context, list, options }) =
        read_json(body).map_err(Refused::Invalid)?;
    let defaults = Evaluation { subject, action, resource, context };
    let list = list.map(|list| elements(list.get().as_bytes(), shared.max_batch)).transpose()?.unwrap_or_default();
    // Without a list the request is one evaluation, and gets a single response.
    if list.is_empty() {
        shared.authority.operations().room().await;
        let answer = defaults.filled(&Evaluation::default()).decide(&shared.authority, ids);
        return answer.and_then(|answer| to_json(&answer)).map_err(Refused::Invalid);
    }
    let mut turn = shared.batches.turn().await;
    let mut parsed = Vec::with_capacity(list.len());
    let mut bytes = 0_usize;
    for evaluation in list {
        turn.pause().await;
        let evaluation = read_json(evaluation.get().as_bytes()).map(|Object(it): Object<Evaluation<'_>>| it);
        bytes = bytes.saturating_add(evaluation.as_ref().map_or(0, |it| it.filled(&defaults).bytes()));
        parsed.push(evaluation);
    }
    if bytes > shared.body_bytes {
        return Err(Refused::TooLarge(format!(
            "with its defaults filled in, the list is longer than {} bytes: send it in parts",
            shared.body_bytes
        )));
    }
    let semantic = options.0.evaluations_semantic;
    let mut answers = Vec::with_capacity(parsed.len());
    for evaluation in parsed {
        turn.pause().await;
        shared.authority.operations().room().await;
        let answer = evaluation.and_then(|evaluation| evaluation.filled(&defaults).decide(&shared.authority, ids));
        let answer = answer.unwrap_or_else(EvaluationResponse::error);
        let is_last = match semantic {
            Semantic::ExecuteAll => false,
            Semantic::DenyOnFirstDeny => !answer.decision,
            Semantic::PermitOnFirstPermit => answer.decision,
        };
        answers.push(answer);
        if is_last {
            break;
        }
    }
    to_json(&EvaluationsResponse { evaluations: answers }).map_err(Refused::Invalid)
}

/// Returns the metadata of the policy decision point: the URLs of its endpoints.
pub(super) async fn configuration(State(shared): State<Arc<Shared>>, headers: HeaderMap) -> Response {
    let host = || format!("https://{}", headers.get(HOST).and_then(|host| host.to_str().ok()).unwrap_or("localhost"));
    let base = shared.public_url.as_ref().map_or_else(host, |url| url.trim_end_matches('/').to_owned());
    let configuration = Configuration {
        access_evaluation_endpoint: format!("{base}/access/v1/evaluation"),
        access_evaluations_endpoint: format!("{base}/access/v1/evaluations"),
        policy_decision_point: base,
    };
    json(StatusCode::OK, serde_json::to_string(&configuration).unwrap_or_default())
}

impl Evaluation<'_> {
    /// Takes missing members from `defaults`.
    fn filled<'e>(&'e self, defaults: &'e Self) -> Filled<'e> {
        let Self { subject, action, resource, context } = self;
        Filled {
            subject: subject.as_ref().or(defaults.subject.as_ref()).map(|Object(it)| it),
            action: action.as_ref().or(defaults.action.as_ref()).map(|Object(it)| it),
            resource: resource.as_ref().or(defaults.resource.as_ref()).map(|Object(it)| it),
            context: context.as_ref().or(defaults.context.as_ref()).map(|Object(it)| it),
        }
    }
}

impl Filled<'_> {
    /// Returns the total length of the texts, in bytes.
    fn bytes(&self) -> usize {
        let length = |text: &Option<Cow<'_, str>>| text.as_deref().map_or(0, str::len);
        let subject = self.subject.map_or(0, |subject| subject.kind.len() + subject.id.len());
        let action = self.action.map_or(0, |action| action.name.len());
        let resource = self
            .resource
            .map_or(0, |resource| resource.kind.len() + resource.id.len() + length(&resource.properties.0.connection));
        let context = self.context.map_or(0, |context| length(&context.referer) + length(&context.time));
        subject + action + resource + context
    }

    fn decide(&self, authority: &Authority, ids: Ids<'_>) -> Result<EvaluationResponse, String> {
        let subject = self.subject.ok_or("`subject` is missing")?;
        let action = self.action.ok_or("`action` is missing")?;
        let resource = self.resource.ok_or("`resource` is missing")?;
        if subject.kind != "token" {
            return Err("`subject.type`: expected `token`, with its secret as the `id`".to_owned());
        }
        let (api, operation) = match action.name.split_once('.') {
            None => (&*action.name, Operation::default()),
            Some(("sql", operation)) => {
                let operation = Operation::from_name(operation);
                ("sql", operation.ok_or("`action.name`: expected `sql.query` or `sql.model`")?)
            }
            Some(_) => return Err("`action.name`: only `sql` has operations".to_owned()),
        };
        let source = match &*resource.kind {
            "resource" => Some(Source::Resource(&resource.id)),
            "query" => Some(Source::Query(&resource.id)),
            "named_source" => Some(Source::NamedSource(&resource.id)),
            "none" => None,
            _ => {
                let expected = "expected `resource`, `query`, `named_source`, or `none` for an API without sources";
                return Err(format!("`resource.type`: {expected}"));
            }
        };
        let connection = resource.properties.0.connection.as_deref();
        if source.is_some() && connection.is_none() {
            return Err("`resource.properties.connection` is missing".to_owned());
        }
        let time = self.context.and_then(|context| context.time.as_deref());
        let time = time.map(str::parse).transpose().map_err(|_| "`context.time`: expected an RFC 3339 instant")?;
        let request = DecisionRequest {
            credential: if subject.id.is_empty() { Credential::Missing } else { Credential::Secret(&subject.id) },
            api,
            operation,
            connection: connection.unwrap_or_default(),
            sources: source.map_or(Sources::Many(&[]), Sources::One),
            referer: self.context.and_then(|context| context.referer.as_deref()),
        };
        Ok(EvaluationResponse::new(authority.decide(&request, ids, time)))
    }
}

impl EvaluationResponse {
    fn new(verdict: HttpDecision) -> Self {
        match verdict.outcome {
            Outcome::Allow { grants } => {
                let grants = Some(grants.to_vec());
                let context = ResponseContext { token_id: verdict.token_id, grants, ..ResponseContext::default() };
                Self { decision: true, context }
            }
            Outcome::Pass => Self { decision: true, context: ResponseContext::default() },
            // Only HTTP requests are preflights. A preflight is not permission.
            Outcome::Preflight => Self { decision: false, context: ResponseContext::default() },
            Outcome::Deny { reason, .. } => {
                let (reason, status) = (Some(reason.code()), Some(reason.status()));
                Self { decision: false, context: ResponseContext { reason, status, ..ResponseContext::default() } }
            }
        }
    }

    /// An evaluation that fails is denied.
    fn error(message: String) -> Self {
        let error = Some(ResponseError { status: 400, message });
        Self { decision: false, context: ResponseContext { error, ..ResponseContext::default() } }
    }
}

fn read_json<'t, T: Deserialize<'t>>(text: &'t [u8]) -> Result<T, String> {
    serde_json::from_slice(text).map_err(|error| error.to_string())
}

fn to_json(answer: &impl Serialize) -> Result<String, String> {
    serde_json::to_string(answer).map_err(|error| error.to_string())
}

//! AuthZEN 1.0, the Authorization API of the OpenID Foundation.
//!
//! | there | here |
//! | --- | --- |
//! | `subject` | the token: `type` is `token`, `id` its secret |
//! | `action.name` | the API, `maps`; or with the operation, `sql.model` |
//! | `resource` | the source: `type` is `resource`, `query` or `named_source`, `id` its text; `properties.connection`; `type` is `none` under an API without |
//! | `context` | `referer`, and `time` where not now is meant |

use std::borrow::Cow;
use std::sync::Arc;

use axum::extract::{Request, State};
use axum::http::header::HOST;
use axum::http::{HeaderMap, StatusCode};
use axum::response::Response;
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use super::Shared;
use super::id::told;
use super::object::Object;
use crate::answer::{Outcome, Verdict, failure, json, read};
use crate::decision::{Credential, Request as Asked, Source, Sources};
use crate::model::Operation;
use crate::server::authority::Authority;
use crate::server::decided::Ids;

#[derive(Clone, Deserialize)]
struct Subject<'t> {
    #[serde(borrow, rename = "type")]
    kind: Cow<'t, str>,
    #[serde(borrow)]
    id: Cow<'t, str>,
}

#[derive(Clone, Deserialize)]
struct Action<'t> {
    #[serde(borrow)]
    name: Cow<'t, str>,
}

#[derive(Clone, Deserialize)]
struct Resource<'t> {
    #[serde(borrow, rename = "type")]
    kind: Cow<'t, str>,
    #[serde(borrow)]
    id: Cow<'t, str>,
    #[serde(borrow, default)]
    properties: Object<Properties<'t>>,
}

#[derive(Clone, Default, Deserialize)]
struct Properties<'t> {
    #[serde(borrow)]
    connection: Option<Cow<'t, str>>,
}

#[derive(Clone, Default, Deserialize)]
struct Context<'t> {
    #[serde(borrow)]
    referer: Option<Cow<'t, str>>,
    #[serde(borrow)]
    time: Option<Cow<'t, str>>,
}

#[derive(Clone, Deserialize)]
struct Evaluation<'t> {
    #[serde(borrow)]
    subject: Option<Object<Subject<'t>>>,
    #[serde(borrow)]
    action: Option<Object<Action<'t>>>,
    #[serde(borrow)]
    resource: Option<Object<Resource<'t>>>,
    #[serde(borrow)]
    context: Option<Object<Context<'t>>>,
}

/// What stands beside the defaults, which are an evaluation themselves.
#[derive(Deserialize)]
struct Evaluations<'t> {
    /// Each may be wrong by itself.
    #[serde(borrow, default, rename = "evaluations")]
    list: Vec<&'t RawValue>,
    #[serde(default)]
    options: Object<EvaluationOptions>,
}

#[derive(Default, Deserialize)]
struct EvaluationOptions {
    #[serde(default)]
    evaluations_semantic: Semantic,
}

/// When to stop.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Semantic {
    #[default]
    ExecuteAll,
    DenyOnFirstDeny,
    PermitOnFirstPermit,
}

#[derive(Serialize)]
struct Answer {
    decision: bool,
    context: AnswerContext,
}

#[derive(Default, Serialize)]
struct AnswerContext {
    #[serde(skip_serializing_if = "Option::is_none")]
    reason: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    status: Option<u16>,
    #[serde(skip_serializing_if = "Option::is_none")]
    token_id: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    grants: Option<Vec<u32>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<AnswerError>,
}

#[derive(Serialize)]
struct AnswerError {
    status: u16,
    message: String,
}

#[derive(Serialize)]
struct Answers {
    evaluations: Vec<Answer>,
}

#[derive(Serialize)]
struct Configuration {
    policy_decision_point: String,
    access_evaluation_endpoint: String,
    access_evaluations_endpoint: String,
}

pub(super) async fn evaluation(State(shared): State<Arc<Shared>>, request: Request) -> Response {
    evaluated(&shared, request, |authority, ids, body| {
        let Object(evaluation): Object<Evaluation<'_>> = read_json(body)?;
        written(&evaluation.decide(authority, ids)?)
    })
    .await
}

pub(super) async fn evaluations(State(shared): State<Arc<Shared>>, request: Request) -> Response {
    evaluated(&shared, request, |authority, ids, body| {
        let Object(defaults): Object<Evaluation<'_>> = read_json(body)?;
        let Object(Evaluations { list, options: Object(options) }) = read_json(body)?;
        // Without a list it is one evaluation, and answered as such.
        if list.is_empty() {
            return written(&defaults.decide(authority, ids)?);
        }
        let semantic = options.evaluations_semantic;
        let mut evaluations = Vec::with_capacity(list.len());
        for evaluation in list {
            let evaluation = read_json(evaluation.get().as_bytes());
            let answer = evaluation
                .and_then(|Object(evaluation): Object<Evaluation<'_>>| evaluation.or(&defaults).decide(authority, ids));
            let answer = answer.unwrap_or_else(Answer::error);
            let last = match semantic {
                Semantic::ExecuteAll => false,
                Semantic::DenyOnFirstDeny => !answer.decision,
                Semantic::PermitOnFirstPermit => answer.decision,
            };
            evaluations.push(answer);
            if last {
                break;
            }
        }
        written(&Answers { evaluations })
    })
    .await
}

/// Where everything is: metadata of the policy decision point.
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

async fn evaluated(
    shared: &Shared,
    request: Request,
    answer: impl FnOnce(&Authority, Ids<'_>, &[u8]) -> Result<String, String>,
) -> Response {
    let (parts, body) = request.into_parts();
    let body = match read(body, shared.body_bytes).await {
        Ok(body) => body.to_bytes(),
        Err(answer) => return answer,
    };
    match answer(&shared.authority, told(&parts.headers), &body) {
        Ok(text) => json(StatusCode::OK, text),
        Err(error) => failure(StatusCode::BAD_REQUEST, "invalid_request", &error),
    }
}

impl Evaluation<'_> {
    /// What it lacks, from `defaults`.
    fn or(self, defaults: &Self) -> Self {
        let Self { subject, action, resource, context } = defaults;
        Self {
            subject: self.subject.or_else(|| subject.clone()),
            action: self.action.or_else(|| action.clone()),
            resource: self.resource.or_else(|| resource.clone()),
            context: self.context.or_else(|| context.clone()),
        }
    }

    fn decide(&self, authority: &Authority, ids: Ids<'_>) -> Result<Answer, String> {
        let Object(subject) = self.subject.as_ref().ok_or("`subject` is missing")?;
        let Object(action) = self.action.as_ref().ok_or("`action` is missing")?;
        let Object(resource) = self.resource.as_ref().ok_or("`resource` is missing")?;
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
                let expected = "expected `resource`, `query`, `named_source`, or `none` under an API without";
                return Err(format!("`resource.type`: {expected}"));
            }
        };
        let connection = resource.properties.0.connection.as_deref();
        if source.is_some() && connection.is_none() {
            return Err("`resource.properties.connection` is missing".to_owned());
        }
        let context = self.context.as_ref().map(|Object(context)| context);
        let time = context.and_then(|context| context.time.as_deref());
        let time = time.map(str::parse).transpose().map_err(|_| "`context.time`: expected an instant of RFC 3339")?;
        let request = Asked {
            credential: if subject.id.is_empty() { Credential::Missing } else { Credential::Secret(&subject.id) },
            api,
            operation,
            connection: connection.unwrap_or_default(),
            sources: source.map_or(Sources::Many(&[]), Sources::One),
            referer: context.and_then(|context| context.referer.as_deref()),
        };
        Ok(Answer::new(authority.decide(&request, ids, time)))
    }
}

impl Answer {
    fn new(verdict: Verdict) -> Self {
        match verdict.outcome {
            Outcome::Allow { grants } => {
                let grants = Some(grants.to_vec());
                let context = AnswerContext { token_id: verdict.token_id, grants, ..AnswerContext::default() };
                Self { decision: true, context }
            }
            Outcome::Pass => Self { decision: true, context: AnswerContext::default() },
            // Only HTTP requests are preflights: an answer to one is not a yes.
            Outcome::Preflight => Self { decision: false, context: AnswerContext::default() },
            Outcome::Deny { reason, .. } => {
                let (reason, status) = (Some(reason.code()), Some(reason.status()));
                Self { decision: false, context: AnswerContext { reason, status, ..AnswerContext::default() } }
            }
        }
    }

    /// An evaluation that cannot be made is no.
    fn error(message: String) -> Self {
        let error = Some(AnswerError { status: 400, message });
        Self { decision: false, context: AnswerContext { error, ..AnswerContext::default() } }
    }
}

fn read_json<'t, T: Deserialize<'t>>(text: &'t [u8]) -> Result<T, String> {
    serde_json::from_slice(text).map_err(|error| error.to_string())
}

fn written(answer: &impl Serialize) -> Result<String, String> {
    serde_json::to_string(answer).map_err(|error| error.to_string())
}

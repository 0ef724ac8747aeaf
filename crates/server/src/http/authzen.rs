//! AuthZEN 1.0, the Authorization API of the OpenID Foundation.
//!
//! | AuthZEN | portcullis |
//! | --- | --- |
//! | `subject` | the token: `type` is `token`, `id` its secret |
//! | `action.name` | the API, such as `maps`; or API and operation, such as `sql.model` |
//! | `resource` | the source: `type` is `resource`, `query` or `named_source`, `id` its text; `properties.connection`. For an API without sources, `type` is `none` |
//! | `context` | `referer`, and `time` if the decision is not about the present |

use std::collections::BTreeMap;
use std::sync::Arc;

use axum::extract::{Request, State};
use axum::response::Response;
use serde::de::IgnoredAny;
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use super::batch::elements;
use super::id::ids_of;
use super::object::{Object, Place, Text};
use super::{Refused, Shared, decided, received};
use crate::authority::Authority;
use crate::decided::Ids;
use crate::unread::Seen;
use portcullis::base::{InstantError, quoted};
use portcullis::decision::{Credential, Reason, Request as DecisionRequest, Source, Sources};
use portcullis::model::Operation;
use portcullis_document::definition::present;
use portcullis_http::answer::{HttpDecision, Outcome};

/// The member with the evaluations of a list.
const LIST: &str = "evaluations";

#[derive(Deserialize)]
struct Subject<'t> {
    #[serde(borrow, rename = "type")]
    kind: Text<'t>,
    #[serde(borrow)]
    id: Text<'t>,
    #[serde(default, rename = "properties", deserialize_with = "present")]
    _properties: Option<Object<IgnoredAny>>,
}

#[derive(Deserialize)]
struct Action<'t> {
    #[serde(borrow)]
    name: Text<'t>,
    #[serde(default, rename = "properties", deserialize_with = "present")]
    _properties: Option<Object<IgnoredAny>>,
}

#[derive(Deserialize)]
struct Resource<'t> {
    #[serde(borrow, rename = "type")]
    kind: Text<'t>,
    #[serde(borrow)]
    id: Text<'t>,
    #[serde(borrow, default, deserialize_with = "present")]
    properties: Option<Object<Properties<'t>>>,
}

#[derive(Deserialize)]
struct Properties<'t> {
    #[serde(borrow, default, deserialize_with = "present")]
    connection: Option<Text<'t>>,
}

#[derive(Deserialize)]
struct Context<'t> {
    #[serde(borrow, default, deserialize_with = "present")]
    referer: Option<Text<'t>>,
    #[serde(borrow, default, deserialize_with = "present")]
    time: Option<Text<'t>>,
}

/// One evaluation; or several, with defaults for their missing members. A member that is present is never replaced: `null`
/// is an error.
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
    /// Parsed one by one: an invalid element fails alone.
    #[serde(borrow, default, rename = "evaluations", deserialize_with = "present")]
    list: Option<&'t RawValue>,
    /// Parsed only with a list.
    #[serde(borrow, default, deserialize_with = "present")]
    options: Option<&'t RawValue>,
}

/// An evaluation with its own and its default members.
struct Filled<'e> {
    /// Where it is, for messages.
    place: Place,
    subject: Option<&'e Subject<'e>>,
    action: Option<&'e Action<'e>>,
    resource: Option<&'e Resource<'e>>,
    context: Option<&'e Context<'e>>,
}

#[derive(Deserialize)]
struct EvaluationOptions<'t> {
    #[serde(borrow, default, deserialize_with = "present")]
    evaluations_semantic: Option<Text<'t>>,
}

/// When to stop evaluating a list.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
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

pub(super) async fn evaluation(State(shared): State<Arc<Shared>>, request: Request) -> Response {
    let (headers, body) = match received(&shared, request).await {
        Ok(received) => received,
        Err(response) => return response,
    };
    shared.authority.operations().room().await;
    let answer = Place::Body.read(&body).and_then(|Object(evaluation): Object<Evaluation<'_>>| {
        let nothing = Evaluation::default();
        to_json(&evaluation.filled(Place::Body, &nothing).decide(&shared.authority, ids_of(&headers))?)
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
    let Object(defaults): Object<Evaluation<'_>> = Place::Body.read(body).map_err(Refused::Invalid)?;
    let list = defaults.list.map(|list| elements(Place::Member(LIST), list.get().as_bytes(), shared.max_batch));
    let list = list.transpose()?.unwrap_or_default();
    let semantic = defaults.options.map_or(Ok(Semantic::default()), Semantic::of).map_err(Refused::Invalid)?;
    // Without a list the request is one evaluation, and gets a single response.
    if list.is_empty() {
        shared.authority.operations().room().await;
        let answer = defaults.filled(Place::Body, &Evaluation::default()).decide(&shared.authority, ids);
        return answer.and_then(|answer| to_json(&answer)).map_err(Refused::Invalid);
    }
    let mut turn = shared.batches.turn().await;
    let mut parsed = Vec::with_capacity(list.len());
    let mut bytes = 0_usize;
    for (index, evaluation) in list.into_iter().enumerate() {
        turn.pause().await;
        let place = Place::Element(LIST, index);
        let evaluation = place.read(evaluation.get().as_bytes()).map(|Object(it): Object<Evaluation<'_>>| it);
        bytes = bytes.saturating_add(evaluation.as_ref().map_or(0, |it| it.filled(place, &defaults).bytes()));
        parsed.push((place, evaluation));
    }
    if bytes > shared.body_bytes {
        return Err(Refused::TooLarge(format!(
            "with its defaults filled in, the list is longer than {} bytes: send it in parts",
            shared.body_bytes
        )));
    }
    let mut answers = Vec::with_capacity(parsed.len());
    for (place, evaluation) in parsed {
        turn.pause().await;
        shared.authority.operations().room().await;
        let answer =
            evaluation.and_then(|evaluation| evaluation.filled(place, &defaults).decide(&shared.authority, ids));
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
    to_json(&BTreeMap::from([("evaluations", answers)])).map_err(Refused::Invalid)
}

impl Semantic {
    fn of(options: &RawValue) -> Result<Self, String> {
        let Object(EvaluationOptions { evaluations_semantic }) =
            Place::Member("options").read(options.get().as_bytes())?;
        match evaluations_semantic.as_deref() {
            None => Ok(Self::default()),
            Some("execute_all") => Ok(Self::ExecuteAll),
            Some("deny_on_first_deny") => Ok(Self::DenyOnFirstDeny),
            Some("permit_on_first_permit") => Ok(Self::PermitOnFirstPermit),
            Some(other) => Err(format!(
                "`options.evaluations_semantic`: expected `execute_all`, `deny_on_first_deny` or \
                 `permit_on_first_permit`, found {}",
                quoted(other)
            )),
        }
    }
}

impl Evaluation<'_> {
    /// Takes members that the evaluation at `place` lacks from `defaults`.
    fn filled<'e>(&'e self, place: Place, defaults: &'e Self) -> Filled<'e> {
        let Self { subject, action, resource, context, .. } = self;
        Filled {
            place,
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
        let length = |text: &Option<Text<'_>>| text.as_deref().map_or(0, str::len);
        let subject = self.subject.map_or(0, |subject| subject.kind.len() + subject.id.len());
        let action = self.action.map_or(0, |action| action.name.len());
        let resource = self.resource.map_or(0, |resource| {
            let properties = resource.properties.as_ref().map_or(0, |Object(it)| length(&it.connection));
            resource.kind.len() + resource.id.len() + properties
        });
        let context = self.context.map_or(0, |context| length(&context.referer) + length(&context.time));
        subject + action + resource + context
    }

    fn decide(&self, authority: &Authority, ids: Ids<'_>) -> Result<EvaluationResponse, String> {
        let at = |path: &str| self.place.member(path);
        let missing = |path: &str| format!("`{}` is missing", at(path));
        let subject = self.subject.ok_or_else(|| missing("subject"))?;
        let action = self.action.ok_or_else(|| missing("action"))?;
        let resource = self.resource.ok_or_else(|| missing("resource"))?;
        // Types and actions of other systems are valid, and nothing of them is allowed. What was found is for the caller
        // only: the log repeats no text that may be a secret.
        let unknown = |path: &str, expected: &str, found: &str| {
            let secrets = [(&*subject.id).into()];
            let seen = Seen { secrets: &secrets, ..Seen::default() };
            let why = format!("`{}`: {expected}", at(path));
            let message = format!("{why}, found {found}");
            let answer = EvaluationResponse::new(authority.not_understood(why.into(), ids, &seen));
            Ok(answer.with_message(message))
        };
        if &*subject.kind != "token" {
            // The type may be the secret, exchanged with the id.
            return unknown("subject.type", "expected `token`, with its secret as the `id`", "another type");
        }
        let operation = action.name.strip_prefix("sql.").and_then(Operation::from_name);
        let (api, operation) = operation.map_or((&*action.name, Operation::default()), |operation| ("sql", operation));
        if authority.lacks_api(api) {
            let expected = "expected an API such as `maps`, or `sql.query` or `sql.model`";
            return unknown("action.name", expected, &quoted(&action.name));
        }
        let source = match &*resource.kind {
            "resource" => Some(Source::Resource(&resource.id)),
            "query" => Some(Source::Query(&resource.id)),
            "named_source" => Some(Source::NamedSource(&resource.id)),
            "none" => None,
            other => {
                let expected = "expected `resource`, `query`, `named_source`, or `none` for an API without sources";
                return unknown("resource.type", expected, &quoted(other));
            }
        };
        let connection = resource.properties.as_ref().and_then(|Object(it)| it.connection.as_deref());
        if source.is_some() && connection.is_none() {
            return Err(missing("resource.properties.connection"));
        }
        let time = self.context.and_then(|context| context.time.as_deref());
        let time = time.map(|time| {
            let found: Result<_, InstantError> = time.parse();
            found.map_err(|error| format!("`{}`: {error}", at("context.time")))
        });
        let request = DecisionRequest {
            credential: if subject.id.is_empty() { Credential::Missing } else { Credential::Secret(&subject.id) },
            api,
            operation,
            connection: connection.unwrap_or_default(),
            sources: source.map_or(Sources::Many(&[]), Sources::One),
            referer: self.context.and_then(|context| context.referer.as_deref()),
        };
        Ok(EvaluationResponse::new(authority.decide(&request, ids, time.transpose()?)))
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
            Outcome::Deny { reason, error } => {
                let status = reason.status();
                let is_read = reason != Reason::RequestNotUnderstood;
                let error = (!is_read).then(|| ResponseError { status, message: error.into_owned() });
                let (reason, status) = (Some(reason.code()), Some(status));
                Self {
                    decision: false,
                    context: ResponseContext { reason, status, error, ..ResponseContext::default() },
                }
            }
        }
    }

    /// Replaces the message of the error, if there is one.
    fn with_message(mut self, message: String) -> Self {
        if let Some(error) = &mut self.context.error {
            error.message = message;
        }
        self
    }

    /// An evaluation that fails is denied.
    fn error(message: String) -> Self {
        let error = Some(ResponseError { status: 400, message });
        Self { decision: false, context: ResponseContext { error, ..ResponseContext::default() } }
    }
}

fn to_json(answer: &impl Serialize) -> Result<String, String> {
    serde_json::to_string(answer).map_err(|error| error.to_string())
}

//! Decides a request of HAProxy, and writes the answer as variables.

use std::sync::Arc;

use axum::http::header::{ACCESS_CONTROL_ALLOW_ORIGIN, ORIGIN};
use axum::http::{HeaderValue, Response, StatusCode};

use crate::Ids;
use crate::gate::Gate;
use crate::http::{Shared, ids_by};
use crate::limits::TOO_MANY_HEADERS;
use crate::lookup::{last, only};
use crate::unread::Seen;
use portcullis_http::answer::{HttpDecision, Outcome, body_too_large, failure, token_id};
use portcullis_http::gateway::{Body, HttpRequest};
use portcullis_http::spop::{Ack, Check, Data, FrameId, LENGTH, NotACheck, Notify, Status};

/// Answers requests.
#[derive(Debug, Clone)]
pub(super) struct Answers {
    pub(super) shared: Arc<Shared>,
    pub(super) gate: Gate,
}

/// The answer to a request.
enum Answer {
    /// A decision, and the response for the client.
    Decided(HttpDecision, Response<String>),
    /// A denial without a decision, with its reason.
    Refused(&'static str, Response<String>),
}

impl Answers {
    /// Appends the answer to `notify` to `out`.
    ///
    /// # Errors
    ///
    /// If the messages are malformed.
    pub(super) async fn answer(&self, notify: &Notify<'_>, max_frame: u32, out: &mut Vec<u8>) -> Result<(), Status> {
        let answer = match self.gate.enter() {
            None => {
                self.gate.shed();
                refused(StatusCode::SERVICE_UNAVAILABLE, "overloaded", "too many requests at once: try again")
            }
            Some(_passed) => self.decide(notify).await?,
        };
        let start = out.len();
        answer.write(notify.id, out);
        if out.len().saturating_sub(start + LENGTH) > max_frame as usize {
            out.truncate(start);
            write_bare_denial(notify.id, out);
        }
        Ok(())
    }

    async fn decide(&self, notify: &Notify<'_>) -> Result<Answer, Status> {
        let (limits, authority) = (self.gate.limits(), &self.shared.authority);
        if tokio::time::timeout(limits.request_time, authority.operations().room()).await.is_err() {
            return Ok(refused(StatusCode::SERVICE_UNAVAILABLE, "timeout", "the request took too long"));
        }
        let check = match Check::read(notify.messages) {
            Ok(check) => check,
            Err(NotACheck::Malformed(status)) => return Err(status),
            Err(NotACheck::Incomplete(why)) => {
                let verdict = authority.not_understood(why.into(), Ids::default(), &Seen::default());
                let response = self.shared.answers.response(&verdict, None);
                return Ok(Answer::Decided(verdict, response));
            }
        };
        let Check { method, target, headers, body, is_whole } = check;
        if let Err(why) = limits.check_headers(headers.count(), target.len() + headers.bytes()) {
            return Ok(refused(StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE, TOO_MANY_HEADERS, &why));
        }
        if !is_whole {
            let error = "the request does not fit the buffer of the gateway";
            return Ok(refused(StatusCode::PAYLOAD_TOO_LARGE, BODY_TOO_LARGE, error));
        }
        let most = limits.body_bytes;
        if matches!(body, Body::Whole(body) if body.len() > most) {
            return Ok(Answer::Refused(BODY_TOO_LARGE, body_too_large(most)));
        }
        let ids = ids_by(|name| only(&headers, name));
        let request = HttpRequest { method, target, headers: &headers, body };
        let verdict = authority.decide_http(&request, ids, &self.shared.answers.cors);
        let origin = last(&headers, ORIGIN.as_str()).and_then(|origin| HeaderValue::from_str(origin).ok());
        let response = self.shared.answers.response(&verdict, origin.as_ref());
        Ok(Answer::Decided(verdict, response))
    }
}

/// The value of `decision` for a denial.
const DENY: &str = "deny";

const BODY_TOO_LARGE: &str = "body_too_large";

fn refused(status: StatusCode, reason: &'static str, error: &str) -> Answer {
    Answer::Refused(reason, failure(status, reason, error))
}

impl Answer {
    /// Appends the answer. The decision is the last variable: HAProxy ignores what follows a malformed one.
    fn write(&self, id: FrameId, out: &mut Vec<u8>) {
        let mut ack = Ack::start(out, id);
        let (decision, response) = match self {
            Self::Decided(verdict, response) => {
                let token_id = token_id(verdict);
                if !token_id.is_empty() {
                    ack.set("token_id", Data::String(token_id.as_bytes()));
                }
                ack.set("generation", Data::Uint64(verdict.generation));
                match &verdict.outcome {
                    Outcome::Allow { .. } => ("allow", None),
                    Outcome::Pass => ("pass", None),
                    Outcome::Preflight => ("preflight", Some(response)),
                    Outcome::Deny { reason, .. } => {
                        ack.set("reason", Data::String(reason.code().as_bytes()));
                        (DENY, Some(response))
                    }
                }
            }
            Self::Refused(reason, response) => {
                ack.set("reason", Data::String(reason.as_bytes()));
                (DENY, Some(response))
            }
        };
        if let Some(response) = response {
            ack.set("status", Data::Uint32(response.status().as_u16().into()));
            ack.set("body", Data::String(response.body().as_bytes()));
            if let Some(origin) = response.headers().get(ACCESS_CONTROL_ALLOW_ORIGIN) {
                ack.set("allow_origin", Data::String(origin.as_bytes()));
            }
        }
        ack.set("decision", Data::String(decision.as_bytes()));
        ack.end();
    }
}

/// Appends a denial without a reason, which fits the smallest frame.
fn write_bare_denial(id: FrameId, out: &mut Vec<u8>) {
    let mut ack = Ack::start(out, id);
    ack.set("decision", Data::String(DENY.as_bytes()));
    ack.end();
}

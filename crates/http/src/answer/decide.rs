//! Reads and decides one HTTP request.

use super::{Cors, HttpDecision};
use crate::gateway::{HttpRequest, Reader, Reading};
use portcullis::authorizer::{Clock, Current};

/// Reads an HTTP request with `reader` and decides it with the generation `current` (W1 to W6). `cors` lists the web sites
/// whose preflights are answered.
///
/// ```
/// use portcullis::Authorizer;
/// use portcullis::authorizer::SystemClock;
/// use portcullis_http::answer::{Cors, decide};
/// use portcullis_http::gateway::{Body, HttpRequest, Reader};
///
/// let (authorizer, reader) = (Authorizer::unavailable(), Reader::default());
/// let target = "/v3/maps/dw/table?name=a.b.c";
/// let request = HttpRequest { method: "GET", target, headers: &[("", ""); 0], body: Body::Whole(b"") };
/// let decision = decide(&authorizer.current(), &reader, &request, &Cors::None, &SystemClock);
/// assert_eq!(decision.status(), 503);
/// ```
pub fn decide(
    current: &Current,
    reader: &Reader,
    request: &HttpRequest<'_>,
    cors: &Cors,
    clock: &impl Clock,
) -> HttpDecision {
    match reader.read(request) {
        Ok(Reading::Access(access)) => {
            let (token_id, decision) = current.decide_identified(&access.request(&access.sources()), clock.now());
            HttpDecision::of(&decision, current.number(), token_id)
        }
        Ok(Reading::PassedThrough) => HttpDecision::pass(current.number()),
        Ok(Reading::Preflight(preflight)) if preflight.passes => HttpDecision::pass(current.number()),
        Ok(Reading::Preflight(preflight)) => HttpDecision::of_preflight(preflight.origin, cors, current.number()),
        Err(why) => HttpDecision::not_understood(why.to_string().into(), current.number()),
    }
}

//! Reads and decides one HTTP request.

use super::{Cors, HttpDecision, Outcome};
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
    let HttpDecision { outcome, generation, token_id } = decide_borrowed(current, reader, request, cors, clock);
    HttpDecision { outcome, generation, token_id: token_id.map(str::to_owned) }
}

/// Decides like [`decide`], and borrows the id of the token from `current`.
pub fn decide_borrowed<'c>(
    current: &'c Current,
    reader: &Reader,
    request: &HttpRequest<'_>,
    cors: &Cors,
    clock: &impl Clock,
) -> HttpDecision<&'c str> {
    let mut token_id = None;
    let outcome = match reader.read(request) {
        Ok(Reading::Access(access)) => {
            let (id, decision) = current.decide_identified(&access.request(&access.sources()), clock.now());
            token_id = id;
            Outcome::of(&decision)
        }
        Ok(Reading::PassedThrough) => Outcome::Pass,
        Ok(Reading::Preflight(preflight)) if preflight.passes => Outcome::Pass,
        Ok(Reading::Preflight(preflight)) => Outcome::of_preflight(preflight.origin, cors),
        Err(why) => Outcome::not_understood(why.to_string().into()),
    };
    HttpDecision { outcome, generation: current.number(), token_id }
}

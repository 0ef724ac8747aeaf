//! Decides an HTTP request, with the reader and the answers of the sidecar.

use crate::abi::{PCL_MAX_HEADERS, PCL_MAX_TEXT, pcl_answer, pcl_header, pcl_http_request, pcl_text};
use crate::borrow::{Invalid, bytes, list, needed, sized, text, value};
use crate::guard::guarded;
use crate::handle::pcl_policy;
use crate::request::instant;
use http::{HeaderValue, Response};
use portcullis::decision::{Decision, Reason};
use portcullis_http::answer::{HttpDecision, Outcome, Responses, body_too_large, decide, is_own};
use portcullis_http::gateway::{Body, HttpRequest};

/// The answer if the library fails. Never freed.
static UNDECIDED: Static = Static(pcl_answer {
    allowed: 0,
    status: 403,
    headers: (&raw const JSON.0).cast(),
    header_count: 1,
    removed: std::ptr::null(),
    removed_count: 0,
    body: pcl_text::of(r#"{"error":"the request could not be decided","reason":"request_not_understood"}"#),
    reason: pcl_text::of(Reason::RequestNotUnderstood.code()),
    token_id: pcl_text::MISSING,
    generation: 0,
});

static JSON: StaticHeader =
    StaticHeader(pcl_header { name: pcl_text::of("content-type"), value: pcl_text::of("application/json") });

struct Static(pcl_answer);
struct StaticHeader(pcl_header);

// SAFETY: the pointers lead to constants.
unsafe impl Sync for Static {}
// SAFETY: as above.
unsafe impl Sync for StaticHeader {}

/// Reads and decides an HTTP request, and answers as the sidecar does.
///
/// Never returns NULL. For an invalid argument and for a failure of the library, the answer is a denial. NULL for `policy`
/// denies with 503. Forward the request only if `allowed` is 1.
///
/// Memory: the answer and all its texts are valid until `pcl_answer_free`. It keeps no pointer to the request.
///
/// Threads: any number at once.
///
/// # Safety
///
/// Every pointer is NULL or valid, and the lengths are right.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn pcl_decide_http(
    policy: *const pcl_policy,
    request: *const pcl_http_request,
) -> *const pcl_answer {
    guarded(
        || &raw const UNDECIDED.0,
        // SAFETY: valid by the contract.
        || unsafe { answered(policy, request) }.into_raw(),
    )
}

/// Returns 1 if a decision about this request needs its body, if it has one: read the body then, and pass it to
/// `pcl_decide_http`. Otherwise 0: the body may stay NULL. 1 for an invalid argument and for a failure of the library.
///
/// Threads: any number at once.
///
/// # Safety
///
/// `policy` is NULL or valid, and the lengths are right.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn pcl_needs_body(policy: *const pcl_policy, method: pcl_text, target: pcl_text) -> i32 {
    let needs = || -> Result<bool, Invalid> {
        // SAFETY: valid by the contract.
        let policy = needed(unsafe { value(policy, "policy") }?, "policy")?;
        // SAFETY: valid by the contract.
        let (method, target) = unsafe { (text(method, "method")?, text(target, "target")?) };
        Ok::<_, Invalid>(policy.reader.needs_body(needed(method, "method")?, needed(target, "target")?))
    };
    guarded(|| 1, || needs().unwrap_or(true).into())
}

/// Frees `answer` and its texts. NULL is ignored.
///
/// # Safety
///
/// `answer` is NULL, or was returned by `pcl_decide_http` and not freed. No thread uses it.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn pcl_answer_free(answer: *const pcl_answer) {
    guarded(
        || (),
        || {
            if !answer.is_null() && !std::ptr::eq(answer, &raw const UNDECIDED.0) {
                // SAFETY: `into_raw` returned it: a pointer to the first field of a boxed `Stored`.
                drop(unsafe { Box::from_raw(answer.cast_mut().cast::<Stored>()) });
            }
        },
    );
}

/// An answer with the memory that it points to.
#[repr(C)]
struct Stored {
    // INVARIANT: the first field; its pointers lead into the other fields, which do not change.
    view: pcl_answer,
    texts: Texts,
    headers: Vec<pcl_header>,
    removed: Vec<pcl_text>,
}

#[derive(Default)]
struct Texts {
    headers: Vec<(String, Vec<u8>)>,
    removed: Vec<String>,
    body: String,
    token_id: Option<String>,
}

/// The result of deciding an HTTP request.
struct Answered {
    allowed: bool,
    status: u16,
    reason: Option<&'static str>,
    generation: u64,
    texts: Texts,
}

/// # Safety
///
/// Every pointer is NULL or valid.
unsafe fn answered(policy: *const pcl_policy, request: *const pcl_http_request) -> Answered {
    // SAFETY: valid by the contract.
    let policy = match unsafe { value(policy, "policy") } {
        Ok(Some(policy)) => policy,
        Ok(None) => return Answered::without(&HttpDecision::of(&Decision::Deny(Reason::PolicyUnavailable), 0, None)),
        Err(invalid) => return Answered::invalid(invalid),
    };
    // SAFETY: valid by the contract.
    unsafe { decided(policy, request) }.unwrap_or_else(Answered::invalid)
}

/// # Safety
///
/// `request` is NULL or valid.
unsafe fn decided(policy: &pcl_policy, request: *const pcl_http_request) -> Result<Answered, Invalid> {
    // SAFETY: valid by the contract.
    let request = needed(unsafe { sized(request, "request") }?, "request")?;
    // SAFETY: valid by the contract.
    let (method, target) =
        unsafe { (text(request.method, "request.method")?, text(request.target, "request.target")?) };
    let (method, target) = (needed(method, "request.method")?, needed(target, "request.target")?);
    // SAFETY: valid by the contract.
    let headers = unsafe { headers(request) }?;
    // SAFETY: valid by the contract.
    let now = unsafe { instant(request.at, "request.at") }?;
    // As in the layer for Rust gateways: on other paths the body does not matter.
    let is_needed = policy.reader.needs_body(method, target);
    let is_given = !request.body.data.is_null();
    if is_needed && is_given && request.body.length > policy.max_body {
        return Ok(Answered::too_large(policy.max_body));
    }
    let body = if is_needed || !is_given || request.body.length == 0 {
        // SAFETY: valid by the contract.
        let body = unsafe { bytes(request.body, "request.body", PCL_MAX_TEXT) }?;
        body.map_or(Body::NotPassedOn, Body::Whole)
    } else {
        Body::NotPassedOn
    };
    let shared = policy.shared();
    let http = HttpRequest { method, target, headers: &headers, body };
    let decision = decide(&shared.authorizer.current(), &policy.reader, &http, &policy.responses.cors, &now);
    match decision.outcome {
        Outcome::Allow { .. } => shared.counters.count(None),
        Outcome::Deny { reason, .. } => shared.counters.count(Some(reason)),
        // No token decided.
        Outcome::Pass | Outcome::Preflight => {}
    }
    let named = |name: &'static str| headers.iter().find(|(found, _)| found.eq_ignore_ascii_case(name));
    let origin = named("origin").and_then(|(_, value)| HeaderValue::from_bytes(value).ok());
    let mut answered = Answered::of(&decision, &policy.responses, origin.as_ref());
    let own = headers.iter().filter(|(name, _)| is_own(name));
    answered.texts.removed = own.map(|(name, _)| (*name).to_owned()).collect();
    Ok(answered)
}

/// # Safety
///
/// `request` is valid during `'a`.
unsafe fn headers<'a>(request: &pcl_http_request) -> Result<Vec<(&'a str, &'a [u8])>, Invalid> {
    // SAFETY: valid by the contract.
    let headers: &[pcl_header] =
        unsafe { list(request.headers, request.header_count, "request.headers", PCL_MAX_HEADERS) }?;
    let header = |header: &pcl_header| {
        // SAFETY: valid by the contract.
        let name = needed(unsafe { text(header.name, "request.headers.name") }?, "request.headers.name")?;
        // SAFETY: valid by the contract.
        let value = unsafe { bytes(header.value, "request.headers.value", PCL_MAX_TEXT) }?;
        Ok((name, value.unwrap_or_default()))
    };
    headers.iter().map(header).collect()
}

impl Answered {
    fn of(decision: &HttpDecision, responses: &Responses, origin: Option<&HeaderValue>) -> Self {
        let reason = match decision.outcome {
            Outcome::Deny { reason, .. } => Some(reason.code()),
            Outcome::Allow { .. } | Outcome::Pass | Outcome::Preflight => None,
        };
        let response = responses.response(decision, origin);
        let mut answered = Self::from_response(response, reason, decision.generation);
        answered.allowed = decision.is_allow();
        answered.texts.token_id.clone_from(&decision.token_id);
        answered
    }

    /// Answers a request that no policy decided.
    fn without(decision: &HttpDecision) -> Self {
        Self::of(decision, &Responses::default(), None)
    }

    fn invalid(why: Invalid) -> Self {
        Self::without(&HttpDecision::not_understood(why.0, 0))
    }

    fn too_large(max: usize) -> Self {
        Self::from_response(body_too_large(max), Some("body_too_large"), 0)
    }

    /// Converts a denial. A header without a value is left out: it only replaces a header of the client, which is removed.
    fn from_response(response: Response<String>, reason: Option<&'static str>, generation: u64) -> Self {
        let headers = response.headers().iter().filter(|(_, value)| !value.is_empty());
        let headers = headers.map(|(name, value)| (name.as_str().to_owned(), value.as_bytes().to_vec())).collect();
        let status = response.status().as_u16();
        let texts = Texts { headers, body: response.into_body(), ..Texts::default() };
        Self { allowed: false, status, reason, generation, texts }
    }

    fn into_raw(self) -> *const pcl_answer {
        let Self { allowed, status, reason, generation, texts } = self;
        let pair = |(name, value): &(String, Vec<u8>)| pcl_header {
            name: pcl_text::of(name),
            value: pcl_text::of_bytes(value),
        };
        // The texts are on the heap, so that their bytes stay where they are when the vectors move.
        let headers: Vec<pcl_header> = texts.headers.iter().map(pair).collect();
        let removed: Vec<pcl_text> = texts.removed.iter().map(|name| pcl_text::of(name)).collect();
        let view = pcl_answer {
            allowed: allowed.into(),
            status: status.into(),
            headers: headers.as_ptr(),
            header_count: headers.len(),
            removed: removed.as_ptr(),
            removed_count: removed.len(),
            body: pcl_text::of(&texts.body),
            reason: reason.map_or(pcl_text::MISSING, pcl_text::of),
            token_id: texts.token_id.as_deref().map_or(pcl_text::MISSING, pcl_text::of),
            generation,
        };
        Box::into_raw(Box::new(Stored { view, texts, headers, removed })).cast::<pcl_answer>().cast_const()
    }
}

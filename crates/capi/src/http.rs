//! Decides an HTTP request, with the reader and the answers of the sidecar.

use std::borrow::Cow;

use crate::abi::{PCL_MAX_HEADERS, PCL_MAX_TEXT, pcl_answer, pcl_header, pcl_http_request, pcl_text};
use crate::borrow::{Invalid, bytes, list, needed, sized, text, value};
use crate::guard::guarded;
use crate::handle::pcl_policy;
use crate::request::instant;
use http::{HeaderName, HeaderValue, Response};
use portcullis::decision::{Decision, Reason};
use portcullis_http::answer::{
    GENERATION, HttpDecision, Outcome, Responses, TOKEN_ID, body_too_large, decide, escaped_id, is_own,
};
use portcullis_http::gateway::{Body, HttpRequest};
use smallvec::SmallVec;

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
    answered: Answered,
    generation: itoa::Buffer,
    headers: SmallVec<[pcl_header; 2]>,
    removed: Vec<pcl_text>,
}

/// The result of deciding an HTTP request.
struct Answered {
    reason: Option<&'static str>,
    generation: u64,
    token_id: Option<String>,
    /// The headers of the client that only the gateway may set.
    removed: Vec<String>,
    content: Content,
}

/// The headers of the forwarded request, or the response to the client.
enum Content {
    /// `escaped_id` replaces an id that is not the value of a header.
    Allowed {
        escaped_id: Option<String>,
    },
    Response(Response<String>),
}

/// The headers of a forwarded request.
static OF_UPSTREAM: [HeaderName; 2] = [TOKEN_ID, GENERATION];

/// The headers of a request. Most requests have fewer than these.
type Sent<'a> = SmallVec<[(&'a str, &'a [u8]); 16]>;

/// # Safety
///
/// Every pointer is NULL or valid.
unsafe fn answered(policy: *const pcl_policy, request: *const pcl_http_request) -> Answered {
    // SAFETY: valid by the contract.
    let policy = match unsafe { value(policy, "policy") } {
        Ok(Some(policy)) => policy,
        Ok(None) => return Answered::without(HttpDecision::of(&Decision::Deny(Reason::PolicyUnavailable), 0, None)),
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
    let mut headers = Sent::new();
    // SAFETY: valid by the contract.
    unsafe { read_headers(request, &mut headers) }?;
    // SAFETY: valid by the contract.
    let now = unsafe { instant(request.at, "request.at") }?;
    let body = match (request.body.data.is_null(), request.body.length) {
        (true, 0) => Body::NotPassedOn,
        (false, 0) => Body::Whole(b""),
        // As in the layer for Rust gateways: on other paths the body does not matter.
        (false, _) if !policy.reader.needs_body(method, target) => Body::NotPassedOn,
        (false, length) if length > policy.max_body => return Ok(Answered::too_large(policy.max_body)),
        // SAFETY: valid by the contract.
        _ => unsafe { bytes(request.body, "request.body", PCL_MAX_TEXT) }?.map_or(Body::NotPassedOn, Body::Whole),
    };
    let shared = policy.shared();
    let http = HttpRequest { method, target, headers: &headers.as_slice(), body };
    let decision = decide(&shared.authorizer.current(), &policy.reader, &http, &policy.responses.cors, &now);
    match decision.outcome {
        Outcome::Allow { .. } => shared.counters.count(None),
        Outcome::Deny { reason, .. } => shared.counters.count(Some(reason)),
        // No token decided.
        Outcome::Pass | Outcome::Preflight => {}
    }
    let mut answered = Answered::of(decision, &policy.responses, &headers);
    let own = headers.iter().filter(|(name, _)| is_own(name));
    answered.removed = own.map(|(name, _)| (*name).to_owned()).collect();
    Ok(answered)
}

/// # Safety
///
/// `request` is valid during `'a`.
unsafe fn read_headers(request: &pcl_http_request, headers: &mut Sent<'_>) -> Result<(), Invalid> {
    // SAFETY: valid by the contract.
    let list: &[pcl_header] =
        unsafe { list(request.headers, request.header_count, "request.headers", PCL_MAX_HEADERS) }?;
    for header in list {
        // SAFETY: valid by the contract.
        let name = needed(unsafe { text(header.name, "request.headers.name") }?, "request.headers.name")?;
        // SAFETY: valid by the contract.
        let value = unsafe { bytes(header.value, "request.headers.value", PCL_MAX_TEXT) }?;
        headers.push((name, value.unwrap_or_default()));
    }
    Ok(())
}

impl Answered {
    fn of(decision: HttpDecision, responses: &Responses, headers: &[(&str, &[u8])]) -> Self {
        let reason = match decision.outcome {
            Outcome::Deny { reason, .. } => Some(reason.code()),
            Outcome::Allow { .. } | Outcome::Pass | Outcome::Preflight => None,
        };
        let content = if decision.is_allow() {
            match escaped_id(decision.token_id.as_deref().unwrap_or_default()) {
                Cow::Borrowed(_) => Content::Allowed { escaped_id: None },
                Cow::Owned(escaped) => Content::Allowed { escaped_id: Some(escaped) },
            }
        } else {
            let origin = headers.iter().find(|(name, _)| name.eq_ignore_ascii_case("origin"));
            let origin = origin.and_then(|(_, value)| HeaderValue::from_bytes(value).ok());
            Content::Response(responses.response(&decision, origin.as_ref()))
        };
        let HttpDecision { outcome: _, generation, token_id } = decision;
        Self { reason, generation, token_id, removed: Vec::new(), content }
    }

    /// Answers a request that no policy decided.
    fn without(decision: HttpDecision) -> Self {
        Self::of(decision, &Responses::default(), &[])
    }

    fn invalid(why: Invalid) -> Self {
        Self::without(HttpDecision::not_understood(why.0, 0))
    }

    fn too_large(max: usize) -> Self {
        Self {
            reason: Some("body_too_large"),
            generation: 0,
            token_id: None,
            removed: Vec::new(),
            content: Content::Response(body_too_large(max)),
        }
    }

    fn into_raw(self) -> *const pcl_answer {
        let stored = Box::into_raw(Box::new(Stored {
            view: UNDECIDED.0,
            answered: self,
            generation: itoa::Buffer::new(),
            headers: SmallVec::new(),
            removed: Vec::new(),
        }));
        // SAFETY: just allocated, and no one else has the pointer.
        unsafe { &mut *stored }.point();
        stored.cast::<pcl_answer>().cast_const()
    }
}

impl Stored {
    /// Sets the pointers, when the answer is where it stays.
    fn point(&mut self) {
        let Self { view, answered, generation, headers, removed } = self;
        let token_id = answered.token_id.as_deref();
        let (allowed, status, body) = match &answered.content {
            Content::Allowed { escaped_id } => {
                let id = escaped_id.as_deref().or(token_id).unwrap_or_default();
                let values = [id, generation.format(answered.generation)];
                headers.extend(
                    OF_UPSTREAM.iter().zip(values).map(|(name, value)| header(name.as_str(), value.as_bytes())),
                );
                (true, 200, "")
            }
            Content::Response(response) => {
                let all = response.headers().iter();
                headers.extend(all.map(|(name, value)| header(name.as_str(), value.as_bytes())));
                (false, response.status().as_u16(), response.body().as_str())
            }
        };
        // It only replaces a header of the client, which is removed.
        headers.retain(|header| header.value.length > 0);
        removed.extend(answered.removed.iter().map(|name| pcl_text::of(name)));
        *view = pcl_answer {
            allowed: allowed.into(),
            status: status.into(),
            headers: headers.as_ptr(),
            header_count: headers.len(),
            removed: removed.as_ptr(),
            removed_count: removed.len(),
            body: pcl_text::of(body),
            reason: answered.reason.map_or(pcl_text::MISSING, pcl_text::of),
            token_id: token_id.map_or(pcl_text::MISSING, pcl_text::of),
            generation: answered.generation,
        };
    }
}

fn header(name: &str, value: &[u8]) -> pcl_header {
    pcl_header { name: pcl_text::of(name), value: pcl_text::of_bytes(value) }
}

//! Decides an HTTP request, with the reader and the answers of the sidecar.

use std::borrow::Cow;
use std::ops::Range;

use crate::abi::{PCL_MAX_HEADERS, PCL_MAX_TEXT, pcl_answer, pcl_header, pcl_http_request, pcl_text};
use crate::borrow::{Invalid, bytes, list, needed, sized, text, utf8, value};
use crate::guard::guarded;
use crate::handle::pcl_policy;
use crate::request::instant;
use http::{HeaderName, HeaderValue, Response};
use portcullis::decision::{Decision, Reason};
use portcullis_http::answer::{
    GENERATION, HttpDecision, Outcome, Responses, TOKEN_ID, body_too_large, decide_borrowed, escaped_id, is_own,
};
use portcullis_http::gateway::{Body, Headers, HttpRequest};
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
    /// The headers of the forwarded request, or of the response.
    headers: SmallVec<[pcl_header; 2]>,
    /// The id of the token, the same escaped if it needs escapes, and the generation.
    texts: SmallVec<[u8; 64]>,
    /// The length of the id at the start of `texts`; `None` if the token is unknown.
    id_length: Option<usize>,
    /// The value of the header with the id, in `texts`. The generation follows it.
    escaped_id: Range<usize>,
    /// The headers of the client that only the gateway may set.
    removed: Vec<pcl_text>,
    removed_names: Vec<String>,
    /// `None` if the request may be forwarded.
    response: Option<Box<Response<String>>>,
}

/// The headers of a forwarded request.
static OF_UPSTREAM: [HeaderName; 2] = [TOKEN_ID, GENERATION];

/// The headers of a request.
struct Sent<'a>(Few<'a>);

/// Most requests have fewer headers than these.
type Few<'a> = SmallVec<[(&'a str, &'a [u8]); 16]>;

impl Headers for Sent<'_> {
    fn for_each<'h>(&'h self, visit: &mut dyn FnMut(&'h str, &'h [u8])) {
        for (name, value) in &self.0 {
            visit(name, value);
        }
    }

    fn text<'h>(&self, value: &'h [u8]) -> Option<&'h str> {
        utf8(value).ok()
    }
}

/// # Safety
///
/// Every pointer is NULL or valid.
unsafe fn answered(policy: *const pcl_policy, request: *const pcl_http_request) -> Box<Stored> {
    // SAFETY: valid by the contract.
    let policy = match unsafe { value(policy, "policy") } {
        Ok(Some(policy)) => policy,
        Ok(None) => return Stored::without(&HttpDecision::of(&Decision::Deny(Reason::PolicyUnavailable), 0, None)),
        Err(invalid) => return Stored::invalid(invalid),
    };
    // SAFETY: valid by the contract.
    unsafe { decided(policy, request) }.unwrap_or_else(Stored::invalid)
}

/// # Safety
///
/// `request` is NULL or valid.
unsafe fn decided(policy: &pcl_policy, request: *const pcl_http_request) -> Result<Box<Stored>, Invalid> {
    // SAFETY: valid by the contract.
    let request = needed(unsafe { sized(request, "request") }?, "request")?;
    // SAFETY: valid by the contract.
    let (method, target) =
        unsafe { (text(request.method, "request.method")?, text(request.target, "request.target")?) };
    let (method, target) = (needed(method, "request.method")?, needed(target, "request.target")?);
    let mut headers = Sent(Few::new());
    // SAFETY: valid by the contract.
    unsafe { read_headers(request, &mut headers.0) }?;
    // SAFETY: valid by the contract.
    let now = unsafe { instant(request.at, "request.at") }?;
    let body = match (request.body.data.is_null(), request.body.length) {
        (true, 0) => Body::NotPassedOn,
        (false, 0) => Body::Whole(b""),
        // As in the layer for Rust gateways: on other paths the body does not matter.
        (false, _) if !policy.reader.needs_body(method, target) => Body::NotPassedOn,
        (false, length) if length > policy.max_body => return Ok(Stored::too_large(policy.max_body)),
        // SAFETY: valid by the contract.
        _ => unsafe { bytes(request.body, "request.body", PCL_MAX_TEXT) }?.map_or(Body::NotPassedOn, Body::Whole),
    };
    let shared = policy.shared();
    let http = HttpRequest { method, target, headers: &headers, body };
    let current = shared.authorizer.current();
    let decision = decide_borrowed(&current, &policy.reader, &http, &policy.responses.cors, &now);
    match decision.outcome {
        Outcome::Allow { .. } => shared.counters.count(None),
        Outcome::Deny { reason, .. } => shared.counters.count(Some(reason)),
        // No token decided.
        Outcome::Pass | Outcome::Preflight => {}
    }
    Ok(Stored::of(&decision, &policy.responses, &headers.0))
}

/// # Safety
///
/// `request` is valid during `'a`.
unsafe fn read_headers(request: &pcl_http_request, headers: &mut Few<'_>) -> Result<(), Invalid> {
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

impl Stored {
    fn of<Id: AsRef<str>>(decision: &HttpDecision<Id>, responses: &Responses, headers: &[(&str, &[u8])]) -> Box<Self> {
        let id = decision.token_id.as_ref().map(Id::as_ref);
        let reason = match decision.outcome {
            Outcome::Deny { reason, .. } => Some(reason.code()),
            Outcome::Allow { .. } | Outcome::Pass | Outcome::Preflight => None,
        };
        let response = if decision.is_allow() {
            None
        } else {
            let origin = headers.iter().find(|(name, _)| name.eq_ignore_ascii_case("origin"));
            let origin = origin.and_then(|(_, value)| HeaderValue::from_bytes(value).ok());
            Some(responses.response(decision, origin.as_ref()))
        };
        let mut stored = Self::new(response, id, reason, decision.generation);
        for (name, _) in headers.iter().filter(|(name, _)| is_own(name)) {
            stored.removed_names.push((*name).to_owned());
        }
        stored
    }

    /// Answers a request that no policy decided.
    fn without(decision: &HttpDecision) -> Box<Self> {
        Self::of(decision, &Responses::default(), &[])
    }

    fn invalid(why: Invalid) -> Box<Self> {
        Self::without(&HttpDecision::not_understood(why.0, 0))
    }

    fn too_large(max: usize) -> Box<Self> {
        Self::new(Some(body_too_large(max)), None, Some("body_too_large"), 0)
    }

    /// Stores the answer, still without pointers.
    fn new(
        response: Option<Response<String>>,
        id: Option<&str>,
        reason: Option<&'static str>,
        generation: u64,
    ) -> Box<Self> {
        let mut stored = Box::new(Self {
            view: pcl_answer {
                allowed: response.is_none().into(),
                status: response.as_ref().map_or(200, |response| response.status().as_u16().into()),
                reason: reason.map_or(pcl_text::MISSING, pcl_text::of),
                generation,
                ..UNDECIDED.0
            },
            headers: SmallVec::new(),
            texts: SmallVec::new(),
            id_length: id.map(str::len),
            escaped_id: 0..0,
            removed: Vec::new(),
            removed_names: Vec::new(),
            response: response.map(Box::new),
        });
        let id = id.unwrap_or_default();
        stored.texts.extend_from_slice(id.as_bytes());
        if stored.response.is_none() {
            stored.escaped_id = match escaped_id(id) {
                Cow::Borrowed(_) => 0..id.len(),
                Cow::Owned(escaped) => {
                    stored.texts.extend_from_slice(escaped.as_bytes());
                    id.len()..stored.texts.len()
                }
            };
            stored.texts.extend_from_slice(itoa::Buffer::new().format(generation).as_bytes());
        }
        stored
    }

    fn into_raw(self: Box<Self>) -> *const pcl_answer {
        let stored = Box::into_raw(self);
        // SAFETY: a box led there, and no one else has the pointer.
        unsafe { &mut *stored }.point();
        stored.cast::<pcl_answer>().cast_const()
    }

    /// Sets the pointers, when the answer is where it stays.
    fn point(&mut self) {
        let Self { view, headers, texts, id_length, escaped_id, removed, removed_names, response } = self;
        view.body = match response {
            None => {
                let values =
                    [texts.get(escaped_id.clone()), texts.get(escaped_id.end..)].map(Option::unwrap_or_default);
                headers.extend(OF_UPSTREAM.iter().zip(values).map(|(name, value)| header(name.as_str(), value)));
                pcl_text::of("")
            }
            Some(response) => {
                let all = response.headers().iter();
                headers.extend(all.map(|(name, value)| header(name.as_str(), value.as_bytes())));
                pcl_text::of(response.body())
            }
        };
        // It only replaces a header of the client, which is removed.
        headers.retain(|header| header.value.length > 0);
        (view.headers, view.header_count) = (headers.as_ptr(), headers.len());
        removed.extend(removed_names.iter().map(|name| pcl_text::of(name)));
        (view.removed, view.removed_count) = (removed.as_ptr(), removed.len());
        if let Some(id) = id_length.and_then(|length| texts.get(..length)) {
            view.token_id = pcl_text::of_bytes(id);
        }
    }
}

fn header(name: &str, value: &[u8]) -> pcl_header {
    pcl_header { name: pcl_text::of(name), value: pcl_text::of_bytes(value) }
}

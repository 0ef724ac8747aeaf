//! A property of all functions of the C API that need no file.
//!
//! The SAFETY of each call: a pointer is NULL or leads to a value that lives during the call, and lengths are right.
#![allow(
    clippy::indexing_slicing,
    clippy::panic,
    clippy::undocumented_unsafe_blocks,
    clippy::unwrap_used,
    reason = "a property fails as a test does"
)]

use std::ptr;

use portcullis_c::abi::*;
use portcullis_c::*;

/// The bytes of an input, separated by bytes `0x1E`.
struct Parts<'b> {
    rest: Option<&'b [u8]>,
}

impl<'b> Parts<'b> {
    fn bytes(&mut self) -> &'b [u8] {
        let Some(rest) = self.rest else { return &[] };
        let mut halves = rest.splitn(2, |&byte| byte == 0x1E);
        let part = halves.next().unwrap_or_default();
        self.rest = halves.next();
        part
    }

    /// Returns the next part. Missing if the part is the byte `0x1F`.
    fn text(&mut self) -> pcl_text {
        match self.bytes() {
            [0x1F] => pcl_text::MISSING,
            bytes => pcl_text::of_bytes(bytes),
        }
    }
}

/// Returns the bytes of a text of the library.
fn read(text: &pcl_text) -> Option<&str> {
    assert!(!text.data.is_null() || text.length == 0, "a missing text has the length 0");
    let bytes =
        (!text.data.is_null()).then(|| unsafe { std::slice::from_raw_parts(text.data.cast::<u8>(), text.length) });
    bytes.map(|bytes| std::str::from_utf8(bytes).expect("texts of the library are UTF-8"))
}

/// Frees a text of the library, and returns it.
fn taken(string: *mut pcl_string) -> Option<String> {
    let text = unsafe { pcl_string_text(string) };
    let owned = read(&text).map(str::to_owned);
    unsafe { pcl_string_free(string) };
    owned
}

/// What an input is allowed.
pub(crate) struct Allowed {
    pub(crate) request: bool,
    pub(crate) http_request: bool,
}

/// Calls every function that needs no file with the parts of `input`: choices, document, routes, origin, secret, API,
/// connection, source, referer, method, target, body, and a name and a value for each header.
///
/// An allow has no error and no reason. A denial has a reason. The functions agree with each other. Nothing is written
/// outside of the caller's memory. No answer has a header with a line break. No text contains the secret.
///
/// # Panics
///
/// If this does not hold.
pub(crate) fn property(input: &[u8]) -> Allowed {
    let mut parts = Parts { rest: Some(input) };
    let choices = parts.bytes();
    let choice = |index: usize| choices.get(index).copied().unwrap_or(0);
    let document = parts.text();
    let (routes, origin) = (parts.text(), [parts.text()]);
    let options = pcl_options {
        struct_size: if choice(0) & 1 == 0 { size_of::<pcl_options>() } else { usize::from(choice(1)) },
        flags: u32::from(choice(2)),
        poll_milliseconds: u32::from(choice(3)),
        routes,
        cors_origins: origin.as_ptr(),
        cors_origin_count: usize::from(choice(0) >> 1 & 1),
        max_body: usize::from(choice(4)),
    };
    let options = if choice(0) & 4 == 0 { &raw const options } else { ptr::null() };
    let mut error = ptr::null_mut();
    let policy = unsafe { pcl_open_bytes(document, options, &raw mut error) };
    let reason = taken(error);
    assert_eq!(policy.is_null(), reason.is_some(), "a policy is opened, or there is a reason");

    let allowed = Allowed {
        request: decide(policy, &mut parts, &choice),
        http_request: decide_http(policy, &mut parts, &choice),
    };

    let is_open = !policy.is_null();
    assert_eq!(unsafe { pcl_generation(policy) }, u64::from(is_open));
    assert_eq!(taken(unsafe { pcl_last_error(policy) }).is_none(), is_open);
    assert_eq!(taken(unsafe { pcl_metrics(policy) }).is_some(), is_open);
    let mut error = ptr::null_mut();
    assert_eq!(unsafe { pcl_reload(policy, &raw mut error) }, 0, "only a live policy has a file");
    assert!(taken(error).is_some());
    unsafe { pcl_policy_free(policy) };
    allowed
}

/// A byte that the library does not write.
const UNTOUCHED: u8 = 0xA5;

fn decide(policy: *const pcl_policy, parts: &mut Parts<'_>, choice: &dyn Fn(usize) -> u8) -> bool {
    let (secret, api, connection) = (parts.text(), parts.text(), parts.text());
    let sources = [pcl_source { kind: u32::from(choice(5)), text: parts.text() }];
    let at = pcl_time { seconds: i64::from(choice(6)) << choice(7).min(55), nanoseconds: u32::from(choice(8)) << 24 };
    let request = pcl_request {
        struct_size: size_of::<pcl_request>(),
        secret,
        api,
        connection,
        sources: sources.as_ptr(),
        source_count: usize::from(choice(9) & 1 == 0),
        referer: parts.text(),
        operation: u32::from(choice(10)),
        at: if choice(9) & 2 == 0 { ptr::null() } else { &raw const at },
    };
    let (mut id, mut grants) = ([UNTOUCHED; 16], [u32::MAX; 2]);
    let (id_capacity, grants_capacity) = (usize::from(choice(11)).min(8), usize::from(choice(12)).min(1));
    let mut decision = pcl_decision {
        struct_size: size_of::<pcl_decision>(),
        token_id: id.as_mut_ptr().cast(),
        token_id_capacity: id_capacity,
        grants: grants.as_mut_ptr(),
        grants_capacity,
        allowed: 1,
        status: 200,
        error: PCL_ERROR_NONE,
        reason: pcl_text::MISSING,
        generation: 7,
        token_id_length: 7,
        grant_count: 7,
    };
    let allowed = unsafe { pcl_decide(policy, &raw const request, &raw mut decision) };
    assert_eq!(allowed, decision.allowed);
    let is_allowed = allowed == 1;
    assert_eq!(is_allowed, decision.status == 200 && decision.error == PCL_ERROR_NONE);
    assert_eq!(is_allowed, read(&decision.reason).is_none());
    assert!(!is_allowed || decision.generation == 1);
    assert!(id[id_capacity..].iter().all(|&byte| byte == UNTOUCHED), "the id is written only if it fits");
    assert!(grants[grants_capacity..].iter().all(|&grant| grant == u32::MAX));

    let mut error = ptr::null_mut();
    let explanation = taken(unsafe { pcl_explain(policy, &raw const request, &raw mut error) });
    let refused = taken(error);
    assert_eq!(explanation.is_none(), refused.is_some());
    let Some(explanation) = explanation else { return is_allowed };
    let explanation: serde_json::Value = serde_json::from_str(&explanation).expect("an explanation is JSON");
    // Without an instant, the two calls decide at two instants.
    if !request.at.is_null() {
        assert_eq!(explanation["decision"] == "allow", is_allowed, "{explanation}");
    }
    is_allowed
}

fn decide_http(policy: *const pcl_policy, parts: &mut Parts<'_>, choice: &dyn Fn(usize) -> u8) -> bool {
    let (method, target, body) = (parts.text(), parts.text(), parts.text());
    let mut headers = Vec::new();
    while parts.rest.is_some() {
        headers.push(pcl_header { name: parts.text(), value: parts.text() });
    }
    let request = pcl_http_request {
        struct_size: if choice(13) & 1 == 0 { size_of::<pcl_http_request>() } else { usize::from(choice(14)) },
        method,
        target,
        headers: headers.as_ptr(),
        header_count: headers.len(),
        body,
        at: ptr::null(),
    };
    let needs_body = unsafe { pcl_needs_body(policy, method, target) };
    assert!(needs_body == 0 || needs_body == 1);
    let answer = unsafe { pcl_decide_http(policy, &raw const request) };
    let found = unsafe { answer.as_ref() }.expect("there is always an answer");
    assert!(found.allowed == 0 || (found.allowed == 1 && found.status == 200 && found.generation == 1));
    assert!(found.allowed == 0 || read(&found.reason).is_none());
    assert!(!policy.is_null() || (found.allowed == 0 && found.status == 503));
    for text in [&found.body, &found.reason, &found.token_id] {
        read(text);
    }
    let sent =
        (found.header_count > 0).then(|| unsafe { std::slice::from_raw_parts(found.headers, found.header_count) });
    for header in sent.unwrap_or_default() {
        for text in [&header.name, &header.value] {
            let text = read(text).expect("headers of an answer have names and values");
            assert!(!text.contains(['\r', '\n', '\0']), "{text:?}");
        }
    }
    let removed =
        (found.removed_count > 0).then(|| unsafe { std::slice::from_raw_parts(found.removed, found.removed_count) });
    removed.unwrap_or_default().iter().for_each(|name| assert!(read(name).is_some()));
    let is_allowed = found.allowed == 1;
    unsafe { pcl_answer_free(answer) };
    is_allowed
}

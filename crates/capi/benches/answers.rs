//! Answers a fixed list of HTTP requests through the C API, for counting instructions: `benches/instructions.sh` runs this
//! program in callgrind, which counts only inside the function `counted_answers`.
#![allow(
    clippy::indexing_slicing,
    clippy::print_stdout,
    clippy::undocumented_unsafe_blocks,
    clippy::unwrap_used,
    missing_docs,
    unreachable_pub,
    reason = "a benchmark that fails should stop"
)]

#[expect(dead_code, reason = "other benchmarks use the rest")]
#[path = "../../../benches/workload/http.rs"]
mod http;

use std::ptr;

use portcullis_c::abi::{pcl_header, pcl_http_request, pcl_text};
use portcullis_c::{pcl_answer_free, pcl_decide_http, pcl_open_bytes, pcl_policy, pcl_policy_free};

/// SAFETY of the calls in this file: all pointers lead to values that live during the call.
fn main() {
    let document = http::policy(1_000);
    let policy = unsafe { pcl_open_bytes(pcl_text::of(&document), ptr::null(), ptr::null_mut()) };
    assert!(!policy.is_null());
    let targets = http::tiles(1_000);
    let headers =
        http::HEADERS.map(|(name, value)| pcl_header { name: pcl_text::of(name), value: pcl_text::of(value) });
    let request = |target: &String| {
        let request: pcl_http_request = unsafe { std::mem::zeroed() };
        pcl_http_request {
            struct_size: size_of::<pcl_http_request>(),
            method: pcl_text::of("GET"),
            target: pcl_text::of(target),
            headers: headers.as_ptr(),
            header_count: headers.len(),
            body: pcl_text::of(""),
            ..request
        }
    };
    let requests: Vec<_> = targets.iter().map(request).collect();
    // Fills what the first decision of a thread keeps.
    answer_all(policy, &requests[..1]);
    assert_eq!(counted_answers(policy, &requests), requests.len());
    unsafe { pcl_policy_free(policy) };
    println!("{} answers", requests.len());
}

#[inline(never)]
fn counted_answers(policy: *const pcl_policy, requests: &[pcl_http_request]) -> usize {
    answer_all(policy, requests)
}

fn answer_all(policy: *const pcl_policy, requests: &[pcl_http_request]) -> usize {
    let is_allowed = |request: &&pcl_http_request| {
        let answer = unsafe { pcl_decide_http(policy, ptr::from_ref(*request)) };
        let allowed = unsafe { (*answer).allowed };
        unsafe { pcl_answer_free(answer) };
        allowed == 1
    };
    requests.iter().filter(is_allowed).count()
}

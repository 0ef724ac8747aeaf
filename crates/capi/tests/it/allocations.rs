//! A decision through C allocates nothing, and an answer that allows an HTTP request allocates once.

use std::ptr;

use portcullis_c::abi::*;
use portcullis_c::*;

/// SAFETY of the calls in this file: all pointers lead to values that live during the call.
#[test]
fn decision_does_not_allocate() {
    let document = r#"[{"id": "a", "token": "s3cret", "allowed_apis": ["maps"], "referers": ["https://a.test"],
        "grants": [{"connection_name": "dw", "source": "a.b.*"}]}]"#;
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("policy.json");
    std::fs::write(&path, document).unwrap();
    let fixed = unsafe { pcl_open_bytes(pcl_text::of(document), ptr::null(), ptr::null_mut()) };
    let path = pcl_text::of(path.to_str().unwrap());
    let options: pcl_options = unsafe { std::mem::zeroed() };
    let options = pcl_options { struct_size: size_of::<pcl_options>(), poll_milliseconds: u32::MAX, ..options };
    let live = unsafe { pcl_live_open(path, &raw const options, ptr::null_mut()) };
    for policy in [fixed, live] {
        // The first use starts the thread of a live policy.
        assert_eq!(unsafe { pcl_generation(policy) }, 1);
        for (resource, allowed) in [("a.b.c", 1), ("a.x.c", 0)] {
            let sources = [pcl_source { kind: PCL_SOURCE_RESOURCE, text: pcl_text::of(resource) }; 2];
            let request: pcl_request = unsafe { std::mem::zeroed() };
            let request = pcl_request {
                struct_size: size_of::<pcl_request>(),
                secret: pcl_text::of("s3cret"),
                api: pcl_text::of("maps"),
                connection: pcl_text::of("dw"),
                sources: sources.as_ptr(),
                source_count: sources.len(),
                referer: pcl_text::of("https://a.test/x"),
                ..request
            };
            let mut decision: pcl_decision = unsafe { std::mem::zeroed() };
            decision.struct_size = size_of::<pcl_decision>();
            // Fills what the first decision of a thread keeps.
            assert_eq!(unsafe { pcl_decide(policy, &raw const request, &raw mut decision) }, allowed);
            let used = allocation_counter::measure(|| {
                assert_eq!(unsafe { pcl_decide(policy, &raw const request, &raw mut decision) }, allowed);
            });
            assert_eq!(used.count_total, 0, "{resource}");
        }
        unsafe { pcl_policy_free(policy) };
    }
}

/// The answer itself, which also holds the id of the token.
#[test]
fn answer_that_allows_allocates_once() {
    let document = r#"[{"id": "a", "token": "s3cret", "allowed_apis": ["maps"],
        "grants": [{"connection_name": "dw", "source": "a.b.*"}]}]"#;
    let policy = unsafe { pcl_open_bytes(pcl_text::of(document), ptr::null(), ptr::null_mut()) };
    let header = |name, value| pcl_header { name: pcl_text::of(name), value: pcl_text::of(value) };
    let headers = [header("Host", "a.test"), header("Authorization", "Bearer s3cret"), header("Accept", "*/*")];
    let request: pcl_http_request = unsafe { std::mem::zeroed() };
    let request = pcl_http_request {
        struct_size: size_of::<pcl_http_request>(),
        method: pcl_text::of("GET"),
        target: pcl_text::of("/v3/maps/dw/table?name=a.b.c"),
        headers: headers.as_ptr(),
        header_count: headers.len(),
        body: pcl_text::of(""),
        ..request
    };
    let decide = || {
        let answer = unsafe { pcl_decide_http(policy, &raw const request) };
        assert_eq!(unsafe { (*answer).allowed }, 1);
        unsafe { pcl_answer_free(answer) };
    };
    // Fills what the first decision of a thread keeps.
    decide();
    assert_eq!(allocation_counter::measure(decide).count_total, 1);
    unsafe { pcl_policy_free(policy) };
}

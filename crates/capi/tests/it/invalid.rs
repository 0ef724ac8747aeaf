//! Invalid arguments are denials or errors: never an allow, a crash or a read outside of the argument.

use std::ffi::c_char;
use std::ptr;

use portcullis_c::abi::*;
use portcullis_c::*;

const POLICY: &str = r#"[{"id": "a", "token": "s3cret", "allowed_apis": ["lds", "maps"],
    "grants": [{"connection_name": "dw", "source": "*"}]}]"#;

/// SAFETY of the calls in this file: each pointer is NULL, or leads to a value that lives during the call, or is rejected
/// by the check that the case is about.
fn open() -> *mut pcl_policy {
    let policy = unsafe { pcl_open_bytes(pcl_text::of(POLICY), ptr::null(), ptr::null_mut()) };
    assert!(!policy.is_null());
    policy
}

fn read(text: pcl_text) -> Option<String> {
    let bytes = (!text.data.is_null())
        .then(|| unsafe { std::slice::from_raw_parts(text.data.cast::<u8>(), text.length) }.to_vec());
    bytes.map(|bytes| String::from_utf8(bytes).unwrap())
}

fn taken(string: *mut pcl_string) -> Option<String> {
    let text = read(unsafe { pcl_string_text(string) });
    unsafe { pcl_string_free(string) };
    text
}

fn long(length: usize) -> pcl_text {
    pcl_text { data: pcl_text::of("x").data, length }
}

/// Sets one text of a request.
type Change = fn(&mut pcl_request, pcl_text);

/// A decision as a later version of the header may declare it.
#[repr(C)]
struct Later {
    decision: pcl_decision,
    more: u64,
}

fn lengths() -> impl Iterator<Item = pcl_text> {
    [PCL_MAX_POLICY + 1, 1 << 32, isize::MAX.unsigned_abs(), isize::MAX.unsigned_abs() + 1, usize::MAX]
        .into_iter()
        .map(long)
        .chain([1, usize::MAX].map(|length| pcl_text { data: ptr::null(), length }))
}

fn not_utf8() -> pcl_text {
    pcl_text::of_bytes(b"\xff\xfe")
}

fn request(sources: &[pcl_source]) -> pcl_request {
    pcl_request {
        struct_size: size_of::<pcl_request>(),
        secret: pcl_text::of("s3cret"),
        api: pcl_text::of("maps"),
        connection: pcl_text::of("dw"),
        sources: sources.as_ptr(),
        source_count: sources.len(),
        referer: pcl_text::MISSING,
        operation: PCL_OPERATION_QUERY,
        at: ptr::null(),
    }
}

const SOURCE: [pcl_source; 1] = [pcl_source { kind: PCL_SOURCE_RESOURCE, text: pcl_text::of("a.b.c") }];

fn decision() -> pcl_decision {
    // What an earlier request left there must not allow.
    pcl_decision {
        struct_size: size_of::<pcl_decision>(),
        token_id: ptr::null_mut(),
        token_id_capacity: 0,
        grants: ptr::null_mut(),
        grants_capacity: 0,
        allowed: 1,
        status: 200,
        error: PCL_ERROR_NONE,
        reason: pcl_text::MISSING,
        generation: 7,
        token_id_length: 7,
        grant_count: 7,
    }
}

#[test]
fn invalid_requests_are_denied() {
    let policy = open();
    let valid = request(&SOURCE);
    let mut out = decision();
    assert_eq!(unsafe { pcl_decide(policy, &raw const valid, &raw mut out) }, 1);
    assert_eq!((out.allowed, out.token_id_length, out.grant_count, out.generation), (1, 1, 1, 1));

    let texts: [Change; 4] = [
        |request, text| request.secret = text,
        |request, text| request.api = text,
        |request, text| request.connection = text,
        |request, text| request.referer = text,
    ];
    let mut cases: Vec<(String, pcl_request)> = Vec::new();
    for (field, change) in texts.iter().enumerate() {
        for text in lengths().chain([not_utf8()]) {
            let mut request = valid;
            change(&mut request, text);
            cases.push((format!("text {field} of length {}", text.length), request));
        }
    }
    for size in [0, 1, size_of::<pcl_request>() - 1] {
        cases.push((format!("struct_size {size}"), pcl_request { struct_size: size, ..valid }));
    }
    for operation in [2, u32::MAX] {
        cases.push((format!("operation {operation}"), pcl_request { operation, ..valid }));
    }
    cases.push(("no api".to_owned(), pcl_request { api: pcl_text::MISSING, ..valid }));
    cases.push(("NULL sources".to_owned(), pcl_request { sources: ptr::null(), ..valid }));
    for source_count in [PCL_MAX_SOURCES + 1, 1 << 32, usize::MAX] {
        cases.push((format!("{source_count} sources"), pcl_request { source_count, ..valid }));
    }
    let unaligned = SOURCE.as_ptr().cast::<u8>().wrapping_add(1).cast();
    cases.push(("unaligned sources".to_owned(), pcl_request { sources: unaligned, ..valid }));
    let mut sources = vec![
        pcl_source { kind: 3, ..SOURCE[0] },
        pcl_source { kind: u32::MAX, ..SOURCE[0] },
        pcl_source { text: pcl_text::MISSING, ..SOURCE[0] },
        pcl_source { text: not_utf8(), ..SOURCE[0] },
    ];
    sources.extend(lengths().map(|text| pcl_source { text, ..SOURCE[0] }));
    for source in &sources {
        let request = pcl_request { sources: source, ..valid };
        cases.push((format!("source of kind {} and length {}", source.kind, source.text.length), request));
    }
    let late = pcl_time { seconds: 0, nanoseconds: 1_000_000_000 };
    cases.push(("nanoseconds".to_owned(), pcl_request { at: &raw const late, ..valid }));
    for (why, request) in &cases {
        let mut out = decision();
        assert_eq!(unsafe { pcl_decide(policy, request, &raw mut out) }, 0, "{why}");
        assert_eq!((out.allowed, out.status, out.error), (0, 403, PCL_ERROR_ARGUMENT), "{why}");
        assert_eq!((out.generation, out.token_id_length, out.grant_count), (0, 0, 0), "{why}");
        let mut error = ptr::null_mut();
        assert!(unsafe { pcl_explain(policy, request, &raw mut error) }.is_null(), "{why}");
        let error = taken(error).unwrap();
        assert!(error.starts_with('`') && !error.contains("s3cret"), "{why}: {error}");
    }
    let mut out = decision();
    assert_eq!(unsafe { pcl_decide(policy, ptr::null(), &raw mut out) }, 0);
    assert_eq!((out.allowed, out.error), (0, PCL_ERROR_ARGUMENT));
    out = decision();
    assert_eq!(unsafe { pcl_decide(ptr::null(), &raw const valid, &raw mut out) }, 0);
    assert_eq!((out.allowed, out.status, out.error), (0, 503, PCL_ERROR_NONE));
    assert_eq!(unsafe { pcl_decide(policy, &raw const valid, ptr::null_mut()) }, 0);
    let mut small = pcl_decision { struct_size: 8, ..decision() };
    assert_eq!(unsafe { pcl_decide(policy, &raw const valid, &raw mut small) }, 0);
    assert_eq!(small.status, 200, "a struct that is too small must not be written");
    for mut out in
        [pcl_decision { token_id_capacity: 1, ..decision() }, pcl_decision { grants_capacity: 1, ..decision() }]
    {
        assert_eq!(unsafe { pcl_decide(policy, &raw const valid, &raw mut out) }, 0);
        assert_eq!((out.allowed, out.error), (0, PCL_ERROR_ARGUMENT));
    }
    unsafe { pcl_policy_free(policy) };
}

/// A newer header may have more fields than the library knows.
#[test]
fn larger_structs_of_later_versions_are_accepted() {
    let policy = open();
    let request = pcl_request { struct_size: size_of::<pcl_request>(), ..request(&SOURCE) };
    let mut later = Later { decision: decision(), more: 5 };
    later.decision.struct_size = size_of::<Later>();
    assert_eq!(unsafe { pcl_decide(policy, &raw const request, (&raw mut later).cast()) }, 1);
    assert_eq!(later.more, 5);
    unsafe { pcl_policy_free(policy) };
}

#[test]
fn buffers_that_are_too_small_are_not_written() {
    let policy = open();
    let two = [SOURCE[0], SOURCE[0]];
    let request = request(&two);
    let (mut id, mut grants): ([c_char; 1], [u32; 2]) = ([0; 1], [9; 2]);
    let mut out = decision();
    (out.token_id, out.token_id_capacity) = (id.as_mut_ptr(), 1);
    (out.grants, out.grants_capacity) = (grants.as_mut_ptr(), 1);
    assert_eq!(unsafe { pcl_decide(policy, &raw const request, &raw mut out) }, 1);
    assert_eq!((out.token_id_length, out.grant_count), (1, 2));
    assert_eq!((id[0].cast_unsigned(), grants), (b'a', [9, 9]));
    unsafe { pcl_policy_free(policy) };
}

#[test]
fn invalid_http_requests_are_denied() {
    let policy = open();
    let headers = [pcl_header { name: pcl_text::of("authorization"), value: pcl_text::of("Bearer s3cret") }];
    let valid = pcl_http_request {
        struct_size: size_of::<pcl_http_request>(),
        method: pcl_text::of("GET"),
        target: pcl_text::of("/v3/maps/dw/table?name=a.b.c"),
        headers: headers.as_ptr(),
        header_count: 1,
        body: pcl_text::of(""),
        at: ptr::null(),
    };
    let answer = |policy: *const pcl_policy, request: *const pcl_http_request| {
        let answer = unsafe { pcl_decide_http(policy, request) };
        let copy = unsafe { *answer };
        unsafe { pcl_answer_free(answer) };
        (copy.allowed, copy.status)
    };
    assert_eq!(answer(policy, &raw const valid), (1, 200));
    assert_eq!(answer(policy, &pcl_http_request { body: pcl_text::MISSING, ..valid }), (1, 200));
    let post = pcl_http_request { method: pcl_text::of("POST"), ..valid };
    assert_eq!(answer(policy, &raw const post), (1, 200), "the host says that there is no body");
    let unread = pcl_http_request { body: pcl_text::MISSING, ..post };
    assert_eq!(answer(policy, &raw const unread), (0, 403), "the host did not read the body");

    let mut cases = vec![
        pcl_http_request { struct_size: size_of::<pcl_http_request>() - 1, ..valid },
        pcl_http_request { method: pcl_text::MISSING, ..valid },
        pcl_http_request { target: pcl_text::MISSING, ..valid },
        pcl_http_request { headers: ptr::null(), ..valid },
        pcl_http_request { header_count: PCL_MAX_HEADERS + 1, ..valid },
        pcl_http_request { header_count: usize::MAX, ..valid },
        pcl_http_request { method: not_utf8(), ..valid },
        pcl_http_request { target: not_utf8(), ..valid },
        pcl_http_request { body: pcl_text { data: ptr::null(), length: 1 }, ..post },
    ];
    cases.extend(lengths().map(|text| pcl_http_request { method: text, ..valid }));
    cases.extend(lengths().map(|text| pcl_http_request { target: text, ..valid }));
    let wrong: Vec<pcl_header> = lengths()
        .chain([not_utf8(), pcl_text::MISSING])
        .map(|name| pcl_header { name, ..headers[0] })
        .chain(lengths().map(|value| pcl_header { value, ..headers[0] }))
        .collect();
    cases.extend(wrong.iter().map(|header| pcl_http_request { headers: header, ..valid }));
    for (at, request) in cases.iter().enumerate() {
        assert_eq!(answer(policy, request), (0, 403), "case {at}");
    }
    assert_eq!(answer(policy, ptr::null()), (0, 403));
    assert_eq!(answer(ptr::null(), &raw const valid), (0, 503));
    for length in [(1 << 20) + 1, 1 << 32, usize::MAX] {
        let long = pcl_http_request { body: long(length), ..post };
        assert_eq!(answer(policy, &raw const long), (0, 413), "{length}: denied before the body is read");
    }
    unsafe { pcl_policy_free(policy) };
}

/// W4: several values, an empty one and none are three outcomes.
#[test]
fn missing_empty_and_repeated_headers_differ() {
    let document = r#"[{"id": "a", "token": "s3cret", "allowed_apis": ["maps"], "referers": ["https://a.test"],
        "grants": [{"connection_name": "dw", "source": "*"}]}]"#;
    let policy = unsafe { pcl_open_bytes(pcl_text::of(document), ptr::null(), ptr::null_mut()) };
    let header = |name, value| pcl_header { name: pcl_text::of(name), value: pcl_text::of(value) };
    let token = header("Authorization", "Bearer s3cret");
    let referer = header("Referer", "https://a.test/");
    for (headers, status, reason) in [
        (vec![token, referer], 200, ""),
        (vec![token], 403, "referer_missing"),
        (vec![token, header("referer", "")], 403, "referer_missing"),
        (vec![token, referer, referer], 403, "referer_not_allowed"),
        (vec![referer], 401, "token_missing"),
        (vec![header("authorization", ""), referer], 401, "token_missing"),
        (vec![token, token, referer], 403, "request_not_understood"),
    ] {
        let request = pcl_http_request {
            struct_size: size_of::<pcl_http_request>(),
            method: pcl_text::of("GET"),
            target: pcl_text::of("/v3/maps/dw/table?name=a.b.c"),
            headers: headers.as_ptr(),
            header_count: headers.len(),
            body: pcl_text::of(""),
            at: ptr::null(),
        };
        let answer = unsafe { pcl_decide_http(policy, &raw const request) };
        let found = unsafe { *answer };
        let code = read(found.reason).unwrap_or_default();
        assert_eq!((found.status, &*code), (status, reason), "{} headers", headers.len());
        unsafe { pcl_answer_free(answer) };
    }
    unsafe { pcl_policy_free(policy) };
}

#[test]
fn policies_that_cannot_be_opened_are_errors() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().to_str().unwrap();
    for open in [pcl_open_file, pcl_live_open] {
        let missing = format!("{path}/missing.json");
        for (text, part) in [
            (pcl_text::MISSING, "`path`: expected a value"),
            (pcl_text::of(""), "an empty text"),
            (pcl_text::of("a\0b"), "a zero byte"),
            (not_utf8(), "`path`: expected UTF-8"),
            (pcl_text::of(&missing), "missing.json"),
            (pcl_text::of(path), "it is a folder"),
            (pcl_text::of("/dev/zero"), "not a regular file"),
        ] {
            let mut error = ptr::null_mut();
            assert!(unsafe { open(text, ptr::null(), &raw mut error) }.is_null());
            let error = taken(error).unwrap();
            assert!(error.contains(part), "{error}");
            assert!(unsafe { open(text, ptr::null(), ptr::null_mut()) }.is_null());
        }
    }
    let options: pcl_options = unsafe { std::mem::zeroed() };
    let options = pcl_options { struct_size: size_of::<pcl_options>(), ..options };
    let one = [pcl_text::MISSING];
    for (options, part) in [
        (pcl_options { struct_size: 0, ..options }, "`options.struct_size`"),
        (pcl_options { flags: 1 << 31, ..options }, "`options.flags`"),
        (pcl_options { routes: pcl_text::of("{}"), ..options }, "`options.routes`"),
        (pcl_options { routes: not_utf8(), ..options }, "`options.routes`"),
        (pcl_options { cors_origin_count: 1, ..options }, "`options.cors_origins`"),
        (pcl_options { cors_origin_count: 1, cors_origins: one.as_ptr(), ..options }, "`options.cors_origins`"),
    ] {
        let mut error = ptr::null_mut();
        let policy = unsafe { pcl_open_bytes(pcl_text::of(POLICY), &raw const options, &raw mut error) };
        assert!(policy.is_null());
        let error = taken(error).unwrap();
        assert!(error.contains(part), "{error}");
    }
    let secret = r#"[{"id": "a", "token": "s3cret-of-a", "allowed_apis": ["x"]}]"#;
    for document in lengths().chain([pcl_text::MISSING, pcl_text::of(""), pcl_text::of(secret), not_utf8()]) {
        let mut error = ptr::null_mut();
        assert!(unsafe { pcl_open_bytes(document, ptr::null(), &raw mut error) }.is_null());
        let error = taken(error).unwrap();
        assert!(!error.is_empty() && !error.contains("s3cret"), "{error}");
    }
}

/// A gateway that does not read the body of such a request passes on a source that was not decided.
#[test]
fn body_is_needed_where_it_may_name_a_source_and_where_that_is_unknown() {
    let policy = open();
    let needs = |method, target| unsafe { pcl_needs_body(policy, method, target) };
    for (method, target, expected) in [
        ("POST", "/v3/sql/dw/query", 1),
        ("GET", "/v3/maps/dw/table?name=a.b", 1),
        ("OPTIONS", "/", 1),
        ("POST", "/healthz", 0),
        ("POST", "/v3/maps/public/x", 0),
        ("", "", 0),
    ] {
        assert_eq!(needs(pcl_text::of(method), pcl_text::of(target)), expected, "{method} {target}");
    }
    for text in lengths().chain([not_utf8(), pcl_text::MISSING]) {
        assert_eq!(needs(text, pcl_text::of("/healthz")), 1);
        assert_eq!(needs(pcl_text::of("POST"), text), 1);
    }
    unsafe { pcl_policy_free(policy) };
}

#[test]
fn null_is_accepted_everywhere() {
    unsafe {
        pcl_string_free(ptr::null_mut());
        pcl_answer_free(ptr::null());
        pcl_policy_free(ptr::null_mut());
        assert!(pcl_string_text(ptr::null()).data.is_null());
        assert_eq!(pcl_generation(ptr::null()), 0);
        assert!(pcl_metrics(ptr::null()).is_null());
        assert!(taken(pcl_last_error(ptr::null())).is_some());
        assert_eq!(pcl_reload(ptr::null(), ptr::null_mut()), 0);
        assert!(pcl_explain(ptr::null(), ptr::null(), ptr::null_mut()).is_null());
        assert_eq!(pcl_decide(ptr::null(), ptr::null(), ptr::null_mut()), 0);
        assert_eq!(pcl_needs_body(ptr::null(), pcl_text::MISSING, pcl_text::MISSING), 1);
    }
}

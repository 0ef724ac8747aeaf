//! The C API decides the cases of `tests/data` as the engine and the sidecar do.

use std::fs;
use std::path::{Path, PathBuf};
use std::ptr;

use portcullis::Authorizer;
use portcullis::authorizer::SystemClock;
use portcullis::model::Operation;
use portcullis_c::abi::*;
use portcullis_c::*;
use portcullis_http::answer::{Cors, HttpDecision, Responses, decide};
use portcullis_http::gateway::{Body, HttpRequest, Reader};
use serde_json::{Value, json};

fn data(part: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/data").join(part)
}

fn json_lines(path: &Path) -> Vec<Value> {
    fs::read_to_string(path).unwrap().lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

/// SAFETY of the calls in this file: all pointers lead to values that live during the call.
fn text(text: pcl_text) -> Option<String> {
    let bytes = unsafe { text.data.cast::<u8>().as_ref() }?;
    let bytes = unsafe { std::slice::from_raw_parts(ptr::from_ref(bytes), text.length) };
    Some(String::from_utf8(bytes.to_vec()).unwrap())
}

fn optional(value: &Value) -> pcl_text {
    value.as_str().map_or(pcl_text::MISSING, pcl_text::of)
}

fn open(document: &[u8], options: *const pcl_options) -> *mut pcl_policy {
    let mut error = ptr::null_mut();
    let policy = unsafe { pcl_open_bytes(pcl_text::of_bytes(document), options, &raw mut error) };
    assert!(!policy.is_null(), "{:?}", text(unsafe { pcl_string_text(error) }));
    policy
}

/// Decides a line of `requests.jsonl`, in the form of `decisions.jsonl`.
fn decided(policy: *const pcl_policy, line: &Value) -> (Value, Value) {
    let kinds = [("resource", 0), ("query", 1), ("named_source", 2)];
    let source = |object: &Value| kinds.iter().find_map(|(key, kind)| Some((*kind, object[*key].as_str()?.to_owned())));
    let many = line["sources"].as_array().map(|sources| sources.iter().filter_map(source).collect::<Vec<_>>());
    let owned = many.unwrap_or_else(|| source(line).into_iter().collect());
    let sources: Vec<pcl_source> =
        owned.iter().map(|(kind, text)| pcl_source { kind: *kind, text: pcl_text::of(text) }).collect();
    let instant: portcullis::Timestamp = line["now"].as_str().unwrap().parse().unwrap();
    let at = pcl_time { seconds: instant.seconds(), nanoseconds: instant.nanoseconds() };
    let is_model = line["operation"].as_str().and_then(Operation::from_name) == Some(Operation::Model);
    let request = pcl_request {
        struct_size: size_of::<pcl_request>(),
        secret: optional(&line["token"]),
        api: optional(&line["api"]),
        connection: optional(&line["connection"]),
        sources: sources.as_ptr(),
        source_count: sources.len(),
        referer: optional(&line["referer"]),
        operation: is_model.into(),
        at: &raw const at,
    };
    let (mut id, mut grants) = ([0_u8; 64], [0_u32; 64]);
    let mut decision: pcl_decision = unsafe { std::mem::zeroed() };
    decision.struct_size = size_of::<pcl_decision>();
    (decision.token_id, decision.token_id_capacity) = (id.as_mut_ptr().cast(), id.len());
    (decision.grants, decision.grants_capacity) = (grants.as_mut_ptr(), grants.len());
    let allowed = unsafe { pcl_decide(policy, &raw const request, &raw mut decision) };
    assert_eq!((allowed, decision.error), (decision.allowed, PCL_ERROR_NONE), "{line}");
    let found = if allowed == 1 {
        let id = std::str::from_utf8(&id[..decision.token_id_length]).unwrap();
        json!({"id": line["id"], "decision": "allow", "token": id, "grants": grants[..decision.grant_count]})
    } else {
        let (reason, status) = (text(decision.reason), decision.status);
        json!({"id": line["id"], "decision": "deny", "reason": reason, "status": status})
    };
    let explained = unsafe { pcl_explain(policy, &raw const request, ptr::null_mut()) };
    let explanation = text(unsafe { pcl_string_text(explained) }).unwrap();
    unsafe { pcl_string_free(explained) };
    (found, serde_json::from_str(&explanation).unwrap())
}

#[test]
fn decisions_and_explanations_are_those_of_the_cases() {
    let mut count = 0;
    for folder in fs::read_dir(data("decisions")).unwrap() {
        let folder = folder.unwrap().path();
        let policy = open(&fs::read(folder.join("policy.json")).unwrap(), ptr::null());
        let expected = json_lines(&folder.join("decisions.jsonl"));
        for (line, expected) in json_lines(&folder.join("requests.jsonl")).iter().zip(expected) {
            let (found, explained) = decided(policy, line);
            assert_eq!(found, expected, "{}: {line}", folder.display());
            for key in ["decision", "reason"] {
                assert_eq!(explained.get(key).filter(|it| !it.is_null()), expected.get(key), "{line}\n{explained}");
            }
            count += 1;
        }
        unsafe { pcl_policy_free(policy) };
    }
    assert!(count > 900, "{count}");
}

/// A request as a client sends it.
struct Sent {
    method: String,
    target: String,
    headers: Vec<(String, String)>,
    body: Option<String>,
}

fn sent() -> Vec<Sent> {
    let field = |line: &Value, key: &str| line[key].as_str().map(str::to_owned);
    let recorded = json_lines(&data("http/requests.jsonl")).into_iter().map(|line| {
        let headers = line["headers"].as_object().unwrap().iter();
        let headers = headers.map(|(name, value)| (name.clone(), value.as_str().unwrap().to_owned())).collect();
        let (method, target) = (field(&line, "method").unwrap(), field(&line, "url").unwrap());
        Sent { method, target, headers, body: field(&line, "body") }
    });
    let tables = ["http/understood.json", "http/not-understood.json"].into_iter().flat_map(|file| {
        let cases: Vec<Value> = serde_json::from_str(&fs::read_to_string(data(file)).unwrap()).unwrap();
        cases.into_iter().map(|case| {
            let body = field(&case, "body");
            let given: Option<Vec<(String, String)>> = serde_json::from_value(case["headers"].clone()).unwrap();
            let json = || body.iter().map(|_| ("content-type".to_owned(), "application/json".to_owned())).collect();
            let mut headers = given.unwrap_or_else(json);
            if !headers.iter().any(|(name, _)| name.eq_ignore_ascii_case("authorization")) {
                headers.push(("Authorization".to_owned(), "Bearer all".to_owned()));
            }
            let (method, target) = (field(&case, "method").unwrap_or("GET".to_owned()), field(&case, "url").unwrap());
            Sent { method, target, headers, body }
        })
    });
    recorded.chain(tables).collect()
}

/// A policy that gives half of the recorded tokens everything.
fn policy_of(sent: &[Sent]) -> String {
    let secrets = sent.iter().flat_map(|sent| &sent.headers).filter_map(|(_, value)| value.strip_prefix("Bearer "));
    let secrets: std::collections::BTreeSet<&str> = secrets.filter(|secret| !secret.contains([' ', ','])).collect();
    let tokens = secrets.iter().filter(|secret| !secret.is_empty()).enumerate().map(|(at, secret)| {
        let source = if at % 2 == 0 || *secret == "all" { "*" } else { "carto-demo-data.demo_tables.*" };
        // Ids that need escapes, and ids that are longer than most.
        let id = format!("{}{at}{}", ["t ", "t"][at % 2], "-long".repeat(at % 3 * 20));
        json!({"id": id, "token": secret, "allowed_apis": ["maps", "sql", "lds"], "grants": [
            {"connection_name": "carto_dw", "source": source}, {"connection_name": "dw", "source": source}]})
    });
    let tokens: Vec<Value> = tokens.collect();
    json!({"connections": [{"name": "carto_dw", "dialect": "bigquery"}], "tokens": tokens}).to_string()
}

#[test]
fn http_requests_are_answered_as_the_sidecar_answers_them() {
    let sent = sent();
    let document = policy_of(&sent);
    let origin = "http://localhost:5173";
    let origins = [pcl_text::of(origin)];
    let mut options: pcl_options = unsafe { std::mem::zeroed() };
    options.struct_size = size_of::<pcl_options>();
    (options.cors_origins, options.cors_origin_count) = (origins.as_ptr(), 1);
    let policy = open(document.as_bytes(), &raw const options);
    let snapshot = portcullis_document::read_policy(document.as_str()).unwrap();
    let snapshot = portcullis::Snapshot::compile(&snapshot, &portcullis::Options::default()).unwrap();
    let (authorizer, reader) = (Authorizer::new(snapshot), Reader::default());
    let responses = Responses { cors: Cors::Only(vec![origin.to_owned()]) };
    let (mut allowed, mut denied) = (0, 0);
    for Sent { method, target, headers, body } in &sent {
        let forged = [("X-Portcullis-Token-Id", "x"), ("x-portcullis-generation", "1")];
        let headers: Vec<(&str, &str)> =
            headers.iter().map(|(name, value)| (&**name, &**value)).chain(forged).collect();
        let borrowed = |&(name, value)| pcl_header { name: pcl_text::of(name), value: pcl_text::of(value) };
        let passed: Vec<pcl_header> = headers.iter().map(borrowed).collect();
        let request = pcl_http_request {
            struct_size: size_of::<pcl_http_request>(),
            method: pcl_text::of(method),
            target: pcl_text::of(target),
            headers: passed.as_ptr(),
            header_count: passed.len(),
            body: pcl_text::of(body.as_deref().unwrap_or_default()),
            at: ptr::null(),
        };
        let body = Body::Whole(body.as_deref().unwrap_or_default().as_bytes());
        let http = HttpRequest { method, target, headers: &headers, body };
        let expected: HttpDecision = decide(&authorizer.current(), &reader, &http, &responses.cors, &SystemClock);
        let from = headers.iter().find(|(name, _)| name.eq_ignore_ascii_case("origin"));
        let from = from.and_then(|(_, value)| value.parse().ok());
        let response = responses.response::<String>(&expected, from.as_ref());

        let answer = unsafe { pcl_decide_http(policy, &raw const request) };
        let found = unsafe { answer.as_ref() }.unwrap();
        let why = format!("{method} {target} {headers:?}");
        assert_eq!(found.allowed == 1, expected.is_allow(), "{why}");
        assert_eq!(found.status, u32::from(response.status().as_u16()), "{why}");
        assert_eq!(text(found.body).as_deref(), Some(&**response.body()), "{why}");
        assert_eq!(text(found.token_id), expected.token_id, "{why}");
        let list = unsafe { std::slice::from_raw_parts(found.headers, found.header_count) };
        let list: Vec<_> = list.iter().map(|it| (text(it.name).unwrap(), text(it.value).unwrap())).collect();
        let wanted = response.headers().iter().filter(|(_, value)| !value.is_empty());
        let wanted: Vec<_> =
            wanted.map(|(name, value)| (name.to_string(), value.to_str().unwrap().to_owned())).collect();
        assert_eq!(list, wanted, "{why}");
        let removed = unsafe { std::slice::from_raw_parts(found.removed, found.removed_count) };
        let removed: Vec<_> = removed.iter().map(|name| text(*name).unwrap()).collect();
        assert!(removed.ends_with(&forged.map(|(name, _)| name.to_owned())), "{why}\n{removed:?}");
        if expected.is_allow() {
            allowed += 1;
        } else {
            denied += 1;
        }
        unsafe { pcl_answer_free(answer) };
    }
    unsafe { pcl_policy_free(policy) };
    assert!(allowed > 50 && denied > 100, "{allowed} {denied}");
}

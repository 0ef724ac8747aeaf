//! The plain language of requests (W2). Tests tables of requests that are understood or not, and compares the reader
//! with a simple, slow oracle on mutated requests.

use std::collections::{BTreeMap, BTreeSet};

use portcullis_http::gateway::{Body, HttpRequest, Reader, Reading};
use proptest::prelude::*;
use serde::Deserialize;
use serde_json::Value;

use crate::choices::{Choices, bytes, config};
use crate::fuzzed::requests::Sent;

/// A request of a table and its sources.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Case {
    why: String,
    #[serde(default = "get")]
    method: String,
    url: String,
    headers: Option<Vec<(String, String)>>,
    #[serde(default)]
    body: String,
    #[serde(default)]
    sources: Vec<String>,
}

fn get() -> String {
    "GET".to_owned()
}

fn cases(file: &str) -> Vec<Case> {
    let path = crate::repository().join("tests/data/http").join(file);
    serde_json::from_str(&std::fs::read_to_string(path).unwrap()).unwrap()
}

impl Case {
    fn sent(&self) -> Sent {
        let json = || vec![("content-type".to_owned(), "application/json".to_owned())];
        let headers = self.headers.clone().unwrap_or_else(|| if self.body.is_empty() { Vec::new() } else { json() });
        Sent {
            method: self.method.clone(),
            target: self.url.clone(),
            headers: headers.into_iter().map(|(name, value)| (name, value.into_bytes())).collect(),
            body: self.body.clone().into_bytes(),
        }
    }
}

/// Reads a request with the reader. Returns its connection and sources.
fn read(sent: &Sent) -> Result<(String, Vec<String>), String> {
    let Sent { method, target, headers, body } = sent;
    match Reader::default().read(&HttpRequest { method, target, headers, body: Body::Whole(body) }) {
        Ok(Reading::Access(access)) => {
            let sources = access.sources.iter().map(|(_, text)| text.clone().into_owned());
            Ok((access.connection.clone().into_owned(), sources.collect()))
        }
        Ok(other) => panic!("{other:?}"),
        Err(why) => Err(why.to_string()),
    }
}

#[test]
fn requests_that_servers_read_differently_are_not_understood() {
    let cases = cases("not-understood.json");
    assert!(cases.len() > 100);
    let understood: Vec<_> =
        cases.iter().filter_map(|case| Some(format!("{}: {:?}", case.why, read(&case.sent()).ok()?))).collect();
    assert!(understood.is_empty(), "{}", understood.join("\n"));
}

#[test]
fn plain_requests_are_understood() {
    for case in cases("understood.json") {
        let found = read(&case.sent());
        assert_eq!(found.map(|(_, sources)| sources), Ok(case.sources.clone()), "{}", case.why);
    }
}

/// Each case occurs once and has an explanation.
#[test]
fn tables_contain_each_case_once() {
    let cases: Vec<_> = ["understood.json", "not-understood.json"].into_iter().flat_map(cases).collect();
    let sent: BTreeSet<_> = cases.iter().map(|case| format!("{:?}", case.sent())).collect();
    assert_eq!(sent.len(), cases.len());
    assert!(cases.iter().all(|case| case.why.ends_with('.')));
}

/// Returns the connection and sources of a request by the rules, or `None` if it is not understood.
///
/// Supports the routes `/v3/maps/{connection}/table/**`, `/v3/sql/{connection}/query` and
/// `/v3/sql/{connection}/model/{model}`.
fn oracle(sent: &Sent) -> Option<(String, Vec<String>)> {
    let mut headers = BTreeMap::<String, Vec<String>>::new();
    for (name, value) in &sent.headers {
        if name.is_empty() || !name.chars().all(|c| c.is_ascii_alphanumeric() || c == '-') {
            return None;
        }
        let value = String::from_utf8(value.clone()).unwrap().trim().to_ascii_lowercase();
        headers.entry(name.to_ascii_lowercase()).or_default().push(value);
    }
    let steering = [
        "x-http-method-override",
        "x-http-method",
        "x-method-override",
        "x-original-url",
        "x-rewrite-url",
        "http2-settings",
        "trailer",
    ];
    if steering.iter().any(|name| headers.contains_key(*name)) {
        return None;
    }
    if headers.get("upgrade").into_iter().flatten().any(|value| value != "websocket") {
        return None;
    }
    if !sent.target.chars().all(|c| ('!'..='~').contains(&c) && c != '#') {
        return None;
    }
    let (path, query) = sent.target.split_once('?').unwrap_or((&sent.target, ""));
    let segments: Vec<&str> = path.strip_prefix('/')?.split('/').collect();
    let base = segments.iter().position(|segment| *segment == "v3")?;
    let (before, based) = segments.split_at(base);
    let plain = |segment: &&str| {
        !matches!(*segment, "" | "." | "..")
            && !segment.eq_ignore_ascii_case("v3")
            && segment.chars().all(|c| c.is_ascii_alphanumeric() || "._~-".contains(c))
    };
    if !before.iter().all(plain) {
        return None;
    }
    let texts: Vec<String> = based.iter().map(|segment| decoded_segment(segment)).collect::<Option<_>>()?;
    let needed: &[&str] = match based {
        ["v3", "maps", _, "table", ..] => &["name"],
        ["v3", "sql", _, "query"] => &["q"],
        ["v3", "sql", _, "model", _] => &["type", "source"],
        _ => return None,
    };
    if based[1] == "maps" && texts[2] == "public" {
        return None;
    }
    let mut parameters = BTreeMap::<String, String>::new();
    if query.contains(';') {
        return None;
    }
    for pair in query.split('&').filter(|_| !query.is_empty()) {
        let (key, value) = pair.split_once('=').unwrap_or((pair, ""));
        let (key, value) = (decoded(&key.replace('+', " "))?, decoded(&value.replace('+', " "))?);
        if !is_plain_key(&key, needed) || parameters.insert(key, value).is_some() {
            return None;
        }
    }
    let mut body = BTreeMap::<String, Value>::new();
    if !sent.body.is_empty() {
        let types = headers.get("content-type").cloned().unwrap_or_default();
        let [content_type] = types.as_slice() else { return None };
        let parts: Vec<&str> = content_type.split(';').map(str::trim).collect();
        if !matches!(parts.as_slice(), ["application/json"] | ["application/json", "charset=utf-8"])
            || headers.get("content-encoding").into_iter().flatten().any(|value| value != "identity")
            || sent.body.windows(6).any(|window| window == br"\u0000")
        {
            return None;
        }
        let Members(members) = serde_json::from_slice(&sent.body).ok()?;
        for (key, value) in members {
            let in_query = parameters.get(&key);
            if !is_plain_key(&key, needed)
                || key == "access_token"
                || in_query.is_some_and(|text| value.as_str().map_or_else(|| value.to_string(), str::to_owned) != *text)
                || body.insert(key, value).is_some()
            {
                return None;
            }
        }
    }
    let text = |key: &str| match body.get(key) {
        Some(value) => value.as_str().map(str::to_owned),
        None => parameters.get(key).cloned(),
    };
    let source = if let [key] = needed {
        text(key)?
    } else {
        let kind = text("type")?;
        ["table", "tileset", "raster", "query"].contains(&&*kind).then(|| text("source"))??
    };
    Some((texts[2].clone(), vec![source]))
}

/// The members of an object in order, including repeated keys.
struct Members(Vec<(String, Value)>);

impl<'t> Deserialize<'t> for Members {
    fn deserialize<D: serde::Deserializer<'t>>(deserializer: D) -> Result<Self, D::Error> {
        struct Visitor;
        impl<'t> serde::de::Visitor<'t> for Visitor {
            type Value = Members;
            fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str("an object")
            }
            fn visit_map<A: serde::de::MapAccess<'t>>(self, mut map: A) -> Result<Members, A::Error> {
                let mut members = Vec::new();
                while let Some(member) = map.next_entry()? {
                    members.push(member);
                }
                Ok(Members(members))
            }
        }
        deserializer.deserialize_map(Visitor)
    }
}

fn is_plain_key(key: &str, needed: &[&str]) -> bool {
    if key.is_empty() || !key.chars().all(|c| c.is_ascii_alphanumeric() || "_.-".contains(c)) {
        return false;
    }
    if needed.contains(&key) || key == "access_token" {
        return true;
    }
    let letters = |text: &str| text.replace(['_', '.', '-'], "").to_ascii_lowercase();
    // The whole key, and the text before each dot.
    let readings: Vec<String> =
        key.match_indices('.').map(|(at, _)| letters(&key[..at])).chain([letters(key)]).collect();
    let forbidden = ["access_token", "x-http-method", "x-http-method-override", "x-method-override"];
    let forbidden = needed.iter().chain(&forbidden).map(|name| letters(name));
    let without = key.trim_start_matches(['_', '.', '-']);
    let is_override = without.eq_ignore_ascii_case("method") && without != key;
    !is_override && key != "__proto__" && !forbidden.into_iter().any(|name| readings.contains(&name))
}

/// Decodes the percent escapes of a text. `None` if an escape is invalid, or the result contains a NUL or is not UTF-8.
fn decoded(text: &str) -> Option<String> {
    let mut bytes = Vec::new();
    let mut rest = text.as_bytes();
    while let Some((first, more)) = rest.split_first() {
        rest = more;
        if *first == b'%' {
            let digits = std::str::from_utf8(rest.get(..2)?).ok()?;
            if !digits.chars().all(|c| c.is_ascii_hexdigit()) {
                return None;
            }
            bytes.push(u8::from_str_radix(digits, 16).unwrap());
            rest = &rest[2..];
        } else {
            bytes.push(*first);
        }
    }
    String::from_utf8(bytes).ok().filter(|text| !text.contains('\0'))
}

fn decoded_segment(segment: &str) -> Option<String> {
    let once = decoded(segment)?;
    let mut twice = once.clone();
    for byte in (0..=127_u8).filter(|byte| byte.is_ascii_control() || b"/\\;.".contains(byte)) {
        let escapes = [format!("%{byte:02x}"), format!("%{byte:02X}")];
        for escape in escapes {
            // Escapes with digits in both cases are not decoded here: they are rare, and the tables test them.
            twice = twice.replace(&escape, &char::from(byte).to_string());
        }
    }
    let is_refused =
        |text: &str| matches!(text, "" | "." | "..") || text.chars().any(|c| c.is_control() || "/\\;".contains(c));
    (!is_refused(&once) && !is_refused(&twice)).then_some(once)
}

/// Generates a request that is understood. Also returns the keys that its route reads.
fn plain(choices: &mut Choices<'_>) -> (Sent, &'static [&'static str]) {
    let json = vec![("content-type".to_owned(), b"application/json".to_vec())];
    let (method, target, body, keys): (_, _, _, &[&str]) = match choices.below(5) {
        0 => ("GET", "/v3/maps/dw/table/5/15/12?name=a.b.c&v=3.4&client=x", "", &["name"]),
        1 => ("GET", "/api/v3/maps/dw/table?v=3.4&name=a.b.c", "", &["name"]),
        2 => ("POST", "/v3/sql/dw/query", r#"{"q":"SELECT 1","v":"3.4"}"#, &["q"]),
        3 => (
            "POST",
            "/v3/sql/dw/model/pick?v=3.4",
            r#"{"type":"table","source":"a.b.c","params":{}}"#,
            &["type", "source"],
        ),
        _ => ("POST", "/v3/maps/dw/table?name=a.b.c&v=3.4", r#"{"v":"3.4","client":"x"}"#, &["name"]),
    };
    let headers = if body.is_empty() { Vec::new() } else { json };
    (Sent { method: method.into(), target: target.into(), headers, body: body.into() }, keys)
}

/// Returns a key that a server could confuse with `key`.
fn twisted(key: &str, choices: &mut Choices<'_>) -> String {
    let at = choices.below(key.len() + 1);
    let insert = |text: &str| format!("{}{text}{}", &key[..at], &key[at..]);
    match choices.below(12) {
        0 => key.to_owned(),
        1 => key.to_ascii_uppercase(),
        2 => insert("_"),
        3 => insert("."),
        4 => insert("-"),
        5 => format!("{key}]"),
        6 => format!("[{key}]"),
        7 => format!("{key}[]"),
        8 => key.replace('s', "ſ").replace('e', "%65"),
        9 => insert("x"),
        10 => format!("{key}.x"),
        _ => insert(choices.pick(&["%00", "+", "%20", "ñ", "%5B", ";", "%3b"])),
    }
}

const OTHERS: &[&str] =
    &["access_token", "_method", "x-http-method", "__proto__", "filters", "method", "name", "q", "Q"];

/// Changes a request in one of many ways.
fn mutate(sent: &mut Sent, keys: &[&str], choices: &mut Choices<'_>) {
    let key = if choices.one_in(3) { choices.pick(OTHERS) } else { choices.pick(keys) };
    match choices.below(8) {
        0 | 1 => {
            let mark = if sent.target.contains('?') { '&' } else { '?' };
            let value = choices.pick(&["s", "", "3.4", "a.b.c", "%FF", "%00", "%C3%B1", "+"]);
            let key = twisted(key, choices).replace('ñ', "%C3%B1").replace('ſ', "%C5%BF");
            sent.target = format!("{}{mark}{key}={value}", sent.target);
        }
        2 => {
            let key = twisted(key, choices).replace('%', "\\u00").replace("\\u005B", "\\u005b");
            let value = choices.pick(&[
                r#""s""#,
                r#""a.b.c""#,
                "1",
                "null",
                "[]",
                r#"{"name":"s"}"#,
                r#""\u0000""#,
                r#""3.4""#,
            ]);
            let body = String::from_utf8(sent.body.clone()).unwrap();
            let body = if body.is_empty() { "{}" } else { body.trim_end() };
            let body = body.trim_end_matches('}');
            let comma = if body.ends_with('{') { "" } else { "," };
            sent.body = format!("{body}{comma}\"{key}\":{value}}}").into_bytes();
            "POST".clone_into(&mut sent.method);
            if !sent.headers.iter().any(|(name, _)| name == "content-type") && !choices.one_in(4) {
                sent.headers.push(("content-type".to_owned(), b"application/json".to_vec()));
            }
        }
        3 => {
            let (path, query) = sent.target.split_once('?').unwrap_or((&sent.target, ""));
            let mut segments: Vec<String> = path.split('/').map(str::to_owned).collect();
            let at = choices.below(segments.len());
            let text = choices.pick(&[
                "v3", "V3", "%763", "x", "", ".", "..", "%2e%2e", "a;b", "x%3By", "x%253By", "a%2Fb", "a%20b",
                "a%2520b", "~x", "a@b", "%5c",
            ]);
            if choices.one_in(2) {
                segments.insert(at, text.to_owned());
            } else {
                segments[at].push_str(text);
            }
            sent.target = format!("{}{}{query}", segments.join("/"), if query.is_empty() { "" } else { "?" });
        }
        4 => {
            let at = choices.below(sent.target.len() + 1);
            let text = choices
                .pick(&["&", "=", ";", "%", "%00", "?", "#", "/", "//", "%2f", "+", "[", "]", "\\", "x", "&&", "%zz"]);
            sent.target.insert_str(at, text);
        }
        5 | 6 => {
            let (name, value) = choices.pick(&[
                ("X-HTTP-Method-Override", "GET"),
                ("x_http_method", "GET"),
                ("X-Portcullis-Token-Id", "root"),
                ("X_Portcullis_Token_Id", "root"),
                ("X.Portcullis.Token.Id", "root"),
                ("Content_Type", "text/plain"),
                ("Upgrade", "h2c"),
                ("upgrade", "WebSocket"),
                ("HTTP2-Settings", "AA"),
                ("Trailer", "x"),
                ("Trailer", "x"),
                ("X-Original-URL", "/v3/maps/dw/table?name=s"),
                ("x-rewrite-url", "/"),
                ("content-encoding", "gzip"),
                ("Content-Encoding", "identity"),
                ("accept", "*/*"),
                ("content-type", "application/json"),
            ]);
            sent.headers.push((name.to_owned(), value.as_bytes().to_vec()));
        }
        _ => {
            let content_type = choices.pick(&[
                "application/json; charset=utf-8",
                "APPLICATION/JSON;CHARSET=UTF-8",
                "application/json;charset=utf-16",
                "application/json, text/plain",
                "application/x-www-form-urlencoded",
                "application/x-www-form-urlencoded,x+json",
                "application/ld+json",
                "",
            ]);
            sent.headers.retain(|(name, _)| name != "content-type");
            sent.headers.push(("content-type".to_owned(), content_type.as_bytes().to_vec()));
        }
    }
}

/// Mutates a request up to three times, and compares the reader with the oracle. Returns whether it is understood.
fn agrees(choices: &mut Choices<'_>) -> bool {
    let (mut sent, keys) = plain(choices);
    for _ in 0..=choices.below(3) {
        mutate(&mut sent, keys, choices);
    }
    let (found, expected) = (read(&sent), oracle(&sent));
    assert_eq!(found.clone().ok(), expected, "{found:?}\n{sent:?}\n{}", String::from_utf8_lossy(&sent.body));
    expected.is_some()
}

proptest! {
    #![proptest_config(config(4000))]

    #[test]
    fn mutated_requests_are_read_as_the_oracle_reads_them(bytes in bytes(24)) {
        agrees(&mut Choices::of(&bytes));
    }
}

#[test]
fn some_mutated_requests_are_understood_and_some_are_not() {
    let spend = |seed: u32| (0..24).map(move |at| (seed * 24 + at).wrapping_mul(0x9e37_79b9).to_be_bytes()[1]);
    let understood = (0..2000).filter(|seed| agrees(&mut Choices::of(&spend(*seed).collect::<Vec<_>>()))).count();
    assert!(
        (200..1600).contains(&understood),
        "{understood} of 2000 are understood: expected 200 to 1600 for a meaningful test"
    );
}

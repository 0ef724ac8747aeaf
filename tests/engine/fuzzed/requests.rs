//! HTTP requests.

use std::borrow::Cow;
use std::fmt::Write as _;

use portcullis::model::Operation;
use portcullis_http::gateway::{Body, HttpRequest, Reader, Reading};
use serde_json::Value;
use serde_json::value::RawValue;
use url::form_urlencoded;

use super::pairs::Pairs;
use super::{Parts, SECRET, lines};
use crate::choices::Choices;

/// An HTTP request as a gateway passes it to the reader.
#[derive(Debug, Clone, Default)]
pub(crate) struct Sent {
    pub(crate) method: String,
    pub(crate) target: String,
    pub(crate) headers: Vec<(String, Vec<u8>)>,
    pub(crate) body: Vec<u8>,
}

/// The request that an HTTP request stands for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Meaning {
    token: Option<String>,
    api: String,
    operation: Operation,
    connection: String,
    sources: Vec<(&'static str, String)>,
    referer: Option<String>,
}

/// Reads an input: method, target, headers with one in each line, body, and choices for another spelling. If the method
/// is empty, the choices generate the HTTP request too.
pub(crate) fn property(input: &[u8]) {
    let mut parts = Parts::of(input);
    let method = parts.text().into_owned();
    if method.is_empty() {
        made_up(&mut Choices::of(parts.bytes()));
        return;
    }
    let target = parts.text().into_owned();
    let headers = lines(parts.bytes(), 40);
    let headers = headers.iter().filter_map(|line| {
        let at = line.iter().position(|byte| *byte == b':')?;
        Some((String::from_utf8_lossy(&line[..at]).into_owned(), line[at + 1..].to_vec()))
    });
    let sent = Sent { method, target, headers: headers.collect(), body: parts.bytes().to_vec() };
    check(&sent, &mut Choices::of(parts.bytes()));
}

/// A generated HTTP request is read as its meaning. Returns the result of [`check`].
pub(crate) fn made_up(choices: &mut Choices<'_>) -> bool {
    let (sent, meaning) = written(choices);
    assert_eq!(read(&sent), Ok(Some(meaning)), "{sent:?}");
    check(&sent, choices)
}

/// Checks the reader on one HTTP request:
///
/// - An error has one line and does not repeat the values that were sent.
/// - The body has no effect unless the reader reports that it needs the body.
/// - Another spelling of an understood request is read as the same request, or is not understood.
///
/// Returns whether the other spelling was understood.
pub(crate) fn check(sent: &Sent, choices: &mut Choices<'_>) -> bool {
    let meaning = read(sent);
    if let Err(why) = &meaning {
        assert!(!why.is_empty() && !why.contains('\n'), "{why}\n{sent:?}");
        let secret = Sent { target: sent.target.replace('=', &format!("={SECRET}")), ..sent.clone() };
        assert!(!read(&secret).is_err_and(|why| why.contains(SECRET)), "{secret:?}");
    }
    if !Reader::default().needs_body(&sent.method, &sent.target) {
        let other = Sent { body: b"{\"name\": \"another\"}".to_vec(), ..sent.clone() };
        assert_eq!(read(&other), meaning, "{sent:?}");
    }
    if let Ok(Some(meaning)) = meaning
        && let Some(respelled) = respelled(sent, choices)
        && let Ok(found) = read(&respelled)
    {
        assert_eq!(found, Some(meaning), "{sent:?}\n{respelled:?}");
        return true;
    }
    false
}

/// Reads an HTTP request with the reader of the sidecar. `None` if it passes without a decision.
fn read(sent: &Sent) -> Result<Option<Meaning>, String> {
    let Sent { method, target, headers, body } = sent;
    let reader = Reader::default();
    match reader.read(&HttpRequest { method, target, headers, body: Body::Whole(body) }) {
        Err(why) => Err(why.to_string()),
        Ok(Reading::Preflight(_) | Reading::PassedThrough) => Ok(None),
        Ok(Reading::Access(access)) => Ok(Some(Meaning {
            token: access.token.clone().map(Cow::into_owned),
            api: access.api.clone().into_owned(),
            operation: access.operation,
            connection: access.connection.clone().into_owned(),
            sources: access.sources.iter().map(|(kind, text)| (kind.as_str(), text.clone().into_owned())).collect(),
            referer: access.referer.clone().map(Cow::into_owned),
        })),
    }
}

/// Returns another spelling of the request that HTTP, URLs and JSON allow. `None` if its body is not a JSON object.
fn respelled(sent: &Sent, choices: &mut Choices<'_>) -> Option<Sent> {
    let (path, query) = sent.target.split_once('?').unwrap_or((&sent.target, ""));
    let path: Vec<String> = path.split('/').map(|segment| respelled_segment(segment, choices)).collect();
    let mut query: Vec<(String, String)> = form_urlencoded::parse(query.as_bytes()).into_owned().collect();
    let mut body: Vec<(String, Box<RawValue>)> = match &*sent.body {
        [] => Vec::new(),
        body => {
            let Pairs(pairs) = serde_json::from_slice(body).ok()?;
            pairs
        }
    };
    let mut method = sent.method.clone();
    if choices.one_in(3) && method == "GET" {
        "POST".clone_into(&mut method);
        // A token must stay in the query.
        for (key, value) in query.extract_if(.., |(key, _)| key != "access_token") {
            body.push((key, serde_json::value::to_raw_value(&value).ok()?));
        }
    }
    for _ in 0..choices.below(4) {
        let (a, b) = (choices.below(query.len()), choices.below(query.len()));
        let (c, d) = (choices.below(body.len()), choices.below(body.len()));
        if !query.is_empty() {
            query.swap(a, b);
        }
        if !body.is_empty() {
            body.swap(c, d);
        }
    }
    let query: Vec<String> = query.iter().map(|(key, value)| pair(key, value, choices)).collect();
    let mark = if query.is_empty() { "" } else { "?" };
    let target = format!("{}{mark}{}", path.join("/"), query.join("&"));
    let headers = sent.headers.iter().map(|(name, value)| (recased(name, choices), value.clone()));
    let mut headers: Vec<_> = headers.collect();
    if !body.is_empty() && !headers.iter().any(|(name, _)| name.eq_ignore_ascii_case("content-type")) {
        headers.push((recased("content-type", choices), recased("application/json", choices).into_bytes()));
    }
    let body = if body.is_empty() { sent.body.clone() } else { object(&body, choices).into_bytes() };
    Some(Sent { method, target, headers, body })
}

/// Changes some letters to upper case.
fn recased(name: &str, choices: &mut Choices<'_>) -> String {
    name.chars().map(|c| if choices.one_in(3) { c.to_ascii_uppercase() } else { c }).collect()
}

fn escape(byte: u8, choices: &mut Choices<'_>, out: &mut String) {
    let _ = if choices.one_in(2) { write!(out, "%{byte:02x}") } else { write!(out, "%{byte:02X}") };
}

/// Encodes some characters of a segment, and writes escapes with digits in either case.
fn respelled_segment(segment: &str, choices: &mut Choices<'_>) -> String {
    // The reader rejects encoded words of the route. Encoding them often would leave few understood requests.
    let is_word = segment.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit());
    if !choices.one_in(if is_word { 24 } else { 2 }) {
        return segment.to_owned();
    }
    let mut out = String::new();
    let mut rest = segment.as_bytes();
    while let [byte, after @ ..] = rest {
        rest = after;
        if let (b'%', [high, low, after @ ..]) = (byte, after)
            && let Ok(value) = u8::from_str_radix(&String::from_utf8_lossy(&[*high, *low]), 16)
        {
            escape(value, choices, &mut out);
            rest = after;
        } else if choices.one_in(3) {
            escape(*byte, choices, &mut out);
        } else {
            out.push(char::from(*byte));
        }
    }
    out
}

/// Writes a parameter of a query.
fn pair(key: &str, value: &str, choices: &mut Choices<'_>) -> String {
    let mut out = encoded(key, "=", choices);
    if !value.is_empty() || choices.one_in(2) {
        out.push('=');
    }
    out.push_str(&encoded(value, "", choices));
    out
}

/// Form-encodes a text, including some characters that need no encoding.
fn encoded(text: &str, also: &str, choices: &mut Choices<'_>) -> String {
    let mut out = String::new();
    for byte in text.bytes() {
        let must = !byte.is_ascii_graphic() || b"&%+#;".contains(&byte) || also.as_bytes().contains(&byte);
        match byte {
            b' ' if choices.one_in(2) => out.push('+'),
            _ if must || choices.one_in(4) => escape(byte, choices, &mut out),
            _ => out.push(char::from(byte)),
        }
    }
    out
}

/// Writes a JSON object with various white space and escapes.
fn object(pairs: &[(String, Box<RawValue>)], choices: &mut Choices<'_>) -> String {
    let mut out = String::from("{");
    for (at, (key, value)) in pairs.iter().enumerate() {
        out.push_str(if at > 0 { "," } else { "" });
        out.push_str(choices.pick(&["", " ", "\r\n\t"]));
        string(key, choices, &mut out);
        out.push_str(choices.pick(&[":", " : "]));
        match serde_json::from_str(value.get()) {
            Ok(Value::String(text)) => string(&text, choices, &mut out),
            _ => out.push_str(value.get()),
        }
    }
    out.push_str(choices.pick(&["}", "\n}\n"]));
    out
}

/// Writes a JSON string, escaping some characters that need no escape.
fn string(text: &str, choices: &mut Choices<'_>, out: &mut String) {
    out.push('"');
    for c in text.chars() {
        match c {
            '"' | '\\' => out.extend(['\\', c]),
            '/' if choices.one_in(2) => out.push_str("\\/"),
            '\n' if choices.one_in(2) => out.push_str("\\n"),
            _ if c < ' ' || choices.one_in(5) => {
                for unit in c.encode_utf16(&mut [0; 2]) {
                    let _ = if choices.one_in(2) { write!(out, "\\u{unit:04X}") } else { write!(out, "\\u{unit:04x}") };
                }
            }
            _ => out.push(c),
        }
    }
    out.push('"');
}

const TEXTS: &[&str] = &[
    "carto.shared.demo",
    "a.b+c",
    "`my-project.sales.orders`",
    "SELECT * FROM t WHERE a = 'x+y&z=%20;#' -- 🗾\n",
    "daily-roads",
    "Daily",
    "ab",
    "x-",
    "public.\"he said \"\"hi\"\"\"",
    "esquema.tabla&más=1+1",
    "https://x.test/?name=other&q=SELECT 1",
    "back\\slash \\u0041",
    " padded ",
    "",
];

/// Generates an HTTP request of any route (W1) as a client of the platform writes it, and its meaning.
fn written(choices: &mut Choices<'_>) -> (Sent, Meaning) {
    let route = choices.below(13);
    let connection =
        choices.pick(&["dw", "Oracle Conn", "conexión-ñ", "a+b", "100%25", "v3", "publicity", "c,d", "{connection}"]);
    let mut text = || choices.pick(TEXTS).to_owned();
    let (one, two) = (text(), text());
    let kind = |text: &str| if names_a_source(text) { "named_source" } else { "query" };
    let (mut api, mut operation, mut expected_connection) = ("maps", Operation::Query, connection.to_owned());
    let mut path = vec!["v3", "maps", connection];
    let mut parameters: Vec<(&str, String)> = Vec::new();
    let mut sources = vec![("resource", one.clone())];
    // A table name in a path must not contain characters that servers read differently in paths.
    let segment = if one.contains(['/', '\\', '\n', ';']) || one.is_empty() { "a.b".to_owned() } else { one.clone() };
    match route {
        0..3 => {
            path.push(["table", "tileset", "raster"][route]);
            parameters.push(("name", one));
        }
        3 => {
            path.push("query");
            sources = vec![(kind(&one), one.clone())];
            parameters.push(("q", one));
        }
        4 | 5 => {
            path.push("boundary");
            let (key, kind) = [("propertiesTableName", "resource"), ("propertiesSqlQuery", "query")][route - 4];
            sources.push((kind, two.clone()));
            parameters.extend([(key, two), ("tilesetTableName", one)]);
        }
        6 | 7 => {
            (api, path) = ("sql", vec!["v3", "sql", connection, ["query", "job"][route - 6]]);
            sources = vec![(kind(&one), one.clone())];
            parameters.push(("q", one));
        }
        8 => {
            (api, operation) = ("sql", Operation::Model);
            path = vec!["v3", "sql", connection, "model", "formula"];
            let of = choices.pick(&["table", "tileset", "raster", "query"]);
            sources = vec![(if of == "query" { kind(&one) } else { "resource" }, one.clone())];
            parameters.extend([("type", of.to_owned()), ("source", one)]);
        }
        9 => {
            path = vec!["v3", "stats", connection, &segment, "population"];
            sources = vec![("resource", segment.clone())];
        }
        10 => {
            path = vec!["v3", "stats", connection, "population"];
            sources = vec![(kind(&one), one.clone())];
            parameters.push(("q", one));
        }
        11 => {
            (api, path) = ("imports", vec!["v3", "imports", connection]);
            parameters.push(("destination", one));
        }
        _ => {
            (api, path) = ("lds", vec!["v3", "lds", "geocoding", "geocode"]);
            (sources, expected_connection) = (Vec::new(), String::new());
        }
    }
    if route < 6 {
        path.extend(choices.pick(&[&[][..], &["5", "15", "12"], &["7"], &["tiles"]]));
    }
    let mut target = String::from(choices.pick(&["", "/api", "/a/v2"]));
    for segment in path {
        target.push('/');
        for byte in segment.bytes() {
            let plain = byte.is_ascii_alphanumeric() || b"-_.+&='\"`".contains(&byte);
            let _ = if plain { write!(target, "{}", char::from(byte)) } else { write!(target, "%{byte:02X}") };
        }
    }
    let noise =
        [("v", "3.4"), ("client", "deck-gl"), ("cache", "1"), ("filters", r#"{"a": ["\u0041", null]}"#), ("tag-x", "")];
    let mut noise: Vec<_> =
        noise.into_iter().filter(|_| choices.one_in(2)).map(|(key, value)| (key, value.to_owned())).collect();
    let (mut headers, mut token) = (vec![("accept".to_owned(), b"*/*".to_vec())], None);
    let mut query = form_urlencoded::Serializer::new(String::new());
    if choices.one_in(3) {
        query.append_pair("access_token", "se/cr+et &");
        token = Some("se/cr+et &".to_owned());
    } else if choices.one_in(2) {
        headers
            .push(("authorization".to_owned(), format!("{} s3cret", choices.pick(&["Bearer", "bearer"])).into_bytes()));
        token = Some("s3cret".to_owned());
    }
    let referer = choices.pick(&[None, Some("https://app.example.com/a?b#c")]).map(str::to_owned);
    headers.extend(referer.iter().map(|referer| ("referer".to_owned(), referer.clone().into_bytes())));
    // 0: all parameters in the query. 1: all in the body. 2: the sources in the query, and the rest in the body.
    let distribution = choices.below(3);
    let mut body = Vec::new();
    if distribution == 0 {
        parameters.append(&mut noise);
    } else if distribution == 1 {
        noise.append(&mut parameters);
    }
    query.extend_pairs(&parameters);
    if distribution > 0 {
        let object: serde_json::Map<String, Value> =
            noise.into_iter().map(|(key, value)| (key.to_owned(), value.into())).collect();
        body = serde_json::to_vec(&object).unwrap();
        headers.push(("content-type".to_owned(), b"application/json".to_vec()));
    }
    let query = query.finish();
    if !query.is_empty() {
        target = format!("{target}?{query}");
    }
    let method = if distribution > 0 { "POST" } else { "GET" }.to_owned();
    let meaning = Meaning { token, api: api.to_owned(), operation, connection: expected_connection, sources, referer };
    (Sent { method, target, headers, body }, meaning)
}

/// Whether a text is the name of a named source (N5).
fn names_a_source(text: &str) -> bool {
    let is_end = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit();
    (3..=51).contains(&text.len())
        && text.chars().all(|c| is_end(c) || c == '-' || c == '_')
        && text.starts_with(is_end)
        && text.ends_with(is_end)
}

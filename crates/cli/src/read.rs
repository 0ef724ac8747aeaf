//! Reads recorded HTTP requests as the sidecar does.

use std::io::{self, Write};
use std::num::NonZero;
use std::path::PathBuf;

use portcullis::authorizer::{Clock, SystemClock};
use portcullis::base::{Timestamp, nearest, quoted};
use portcullis::decision::{Decision, decide};
use portcullis::model::SecretDigest;
use portcullis::snapshot::Snapshot;
use portcullis_document::definition::{Element, Lenient, Name, Text, json_message};
use portcullis_http::gateway::{Access, Body, HttpRequest, Reader, Reading};
use portcullis_http::wire::{ErrorLine, WireDecision};
use serde::de::{Error, MapAccess, SeqAccess};
use serde::{Serialize, Serializer};
use serde_json::value::RawValue;

use super::Exit;
use super::bounds::{MAX_BYTES, byte_count, threads};
use super::output::{Color, counted, grouped};
use super::policy::PolicyArgs;
use super::pump::{Answerer, Pump, write_line};
use super::reading::ReadingArgs;

const EXAMPLES: &str = "\
Examples:
  portcullis read --requests recorded.jsonl
  portcullis read --requests recorded.jsonl --policy policy.json
  portcullis read --requests - --routes routes.json < recorded.jsonl

An HTTP request; a repeated header has a list of values:
  {\"id\": 1, \"method\": \"GET\", \"url\": \"/v3/maps/dw/table?name=a.b.c\",
   \"headers\": {\"authorization\": \"Bearer …\"}, \"body\": null}
The request that was read from it, with the start of the token's digest:
  {\"id\": 1, \"token\": \"sha256:1f2e3d4c…\", \"api\": \"maps\", \"operation\": \"query\",
   \"connection\": \"dw\", \"sources\": [{\"resource\": \"a.b.c\"}], \"referer\": null}
  {\"id\": 2, \"not_understood\": \"a parameter is given twice in the query\"}
  {\"id\": 3, \"preflight\": true}
  {\"id\": 4, \"passed_through\": true}
With a policy, `answer` is added: the JSON of `portcullis check`.

Exit codes: 0 all lines are HTTP requests, understood or not; 2 some lines are
not, or another error.";

/// Show how the sidecar reads recorded HTTP requests
#[derive(clap::Args)]
#[command(after_long_help = EXAMPLES)]
pub(super) struct Args {
    /// Read HTTP requests as JSON Lines; `-` is standard input
    ///
    /// The file may be compressed with gzip or zstd.
    #[arg(long, value_name = "FILE")]
    requests: PathBuf,
    /// Show tokens instead of their digests
    #[arg(long)]
    show_tokens: bool,
    /// Decide at this instant [default: now]
    ///
    /// A date or an RFC 3339 instant. Example: `--now 2026-11-24`
    #[arg(long, value_name = "INSTANT", value_parser = crate::bounds::instant)]
    now: Option<Timestamp>,
    /// Read on this many threads [default: number of cores]
    #[arg(long, value_name = "N", value_parser = threads)]
    threads: Option<NonZero<usize>>,
    /// Limit the length of a line
    ///
    /// A longer line is answered with an error.
    #[arg(long, value_name = "BYTES", default_value_t = 8 << 20, hide_short_help = true, value_parser = byte_count::<1, MAX_BYTES>)]
    max_line: usize,
    /// Hide the progress bar and the summary
    #[arg(short, long)]
    quiet: bool,
    #[command(flatten)]
    reading: ReadingArgs,
    #[command(flatten)]
    policy: PolicyArgs,
}

pub(super) fn run(args: &Args, color: Color) -> anyhow::Result<Exit> {
    if args.requests.as_os_str() == "-" && args.policy.reads_stdin() {
        anyhow::bail!("`--policy -` and `--requests -` both read standard input: name a file for one of them");
    }
    let snapshot = if args.policy.is_named() {
        let Some(snapshot) = args.policy.snapshot(color)? else { return Ok(Exit::Failure) };
        Some(snapshot)
    } else {
        None
    };
    let recorded = Recorded { reader: args.reading.reader()?, snapshot, now: args.now, show_tokens: args.show_tokens };
    let threads = args.threads.or_else(|| std::thread::available_parallelism().ok()).map_or(1, NonZero::get);
    let pump = Pump { threads, max_line: args.max_line, quiet: args.quiet };
    let counts = pump.run(&args.requests, &recorded)?;
    if !args.quiet {
        let ReadCounts { understood, not_understood, passed, errors } = counts;
        let total = counted(understood + not_understood + passed + errors, "request");
        let [understood, not_understood, passed] = [understood, not_understood, passed].map(grouped);
        let mut stderr = io::stderr().lock();
        writeln!(
            stderr,
            "{total}: {understood} understood, {not_understood} not, {passed} passed through, {} invalid",
            grouped(errors)
        )?;
    }
    Ok(if counts.errors > 0 { Exit::Failure } else { Exit::Success })
}

/// A recorded HTTP request.
#[derive(Default)]
struct Line<'l> {
    id: Option<&'l RawValue>,
    method: Option<Text<'l>>,
    url: Option<Text<'l>>,
    headers: Option<Pairs<'l>>,
    /// `None` if the body is missing or null.
    body: Option<Text<'l>>,
    has_body: bool,
}

/// The keys of a recorded HTTP request.
const KEYS: [&str; 5] = ["id", "method", "url", "headers", "body"];

impl<'l> Line<'l> {
    fn read(text: &'l [u8]) -> Result<Self, String> {
        match serde_json::from_slice(text) {
            Ok(Element::Found(line)) => Ok(line),
            Ok(Element::Wrong(found)) => Err(format!("expected {}, found {found}", Self::EXPECTED)),
            Ok(Element::Unread(error)) => Err(error.message().to_owned()),
            Ok(Element::Rest(_)) => Err(format!("expected {}", Self::EXPECTED)),
            Err(error) => Err(format!("{} (column {})", json_message(&error), error.column())),
        }
    }
}

impl<'l> Lenient<'l> for Line<'l> {
    const EXPECTED: &'static str = "an object with `method` and `url`";

    fn from_object<A: MapAccess<'l>>(mut map: A) -> Result<Option<Self>, A::Error> {
        let mut line = Self::default();
        while let Some(Name(key)) = map.next_key()? {
            let is_repeated = match &*key {
                "id" => line.id.replace(map.next_value()?).is_some(),
                "method" => line.method.replace(value(&key, &mut map)?).is_some(),
                "url" => line.url.replace(value(&key, &mut map)?).is_some(),
                "headers" => line.headers.replace(value(&key, &mut map)?).is_some(),
                "body" => {
                    line.body = value(&key, &mut map)?;
                    std::mem::replace(&mut line.has_body, true)
                }
                _ => return Err(unknown(&key)),
            };
            if is_repeated {
                return Err(A::Error::custom(format_args!("`{key}` is given more than once")));
            }
        }
        for (key, is_given) in [("method", line.method.is_some()), ("url", line.url.is_some())] {
            if !is_given {
                return Err(A::Error::custom(format_args!("`{key}` is missing")));
            }
        }
        Ok(Some(line))
    }
}

/// Reads the value of `key`. The error does not repeat it, because it may be a secret.
fn value<'l, T: Lenient<'l>, A: MapAccess<'l>>(key: &str, map: &mut A) -> Result<T, A::Error> {
    match map.next_value()? {
        Element::Found(value) => Ok(value),
        Element::Wrong(found) => {
            Err(A::Error::custom(format_args!("{}: expected {}, found {found}", quoted(key), T::EXPECTED)))
        }
        Element::Unread(error) => Err(A::Error::custom(error)),
        Element::Rest(_) => Err(A::Error::custom(format_args!("{}: expected {}", quoted(key), T::EXPECTED))),
    }
}

fn unknown<E: Error>(key: &str) -> E {
    let shown = quoted(key);
    match nearest(key, KEYS) {
        Some(nearest) => E::custom(format_args!("unknown key {shown}, did you mean `{nearest}`?")),
        None => E::custom(format_args!("unknown key {shown}, expected one of `{}`", KEYS.join("`, `"))),
    }
}

/// Headers in the order that they were sent, each with one value.
#[derive(Default)]
struct Pairs<'l>(Vec<(Text<'l>, String)>);

impl<'l> Lenient<'l> for Pairs<'l> {
    const EXPECTED: &'static str = "an object of headers";

    fn from_object<A: MapAccess<'l>>(mut map: A) -> Result<Option<Self>, A::Error> {
        let mut pairs = Vec::new();
        while let Some(Name(name)) = map.next_key()? {
            let Values(values) = value(&name, &mut map)?;
            pairs.extend(values.into_iter().map(|value| (name.clone(), value.into_owned())));
        }
        Ok(Some(Self(pairs)))
    }
}

/// The values of one header.
struct Values<'l>(Vec<Text<'l>>);

impl<'l> Lenient<'l> for Values<'l> {
    const EXPECTED: &'static str = "a string, or a list of strings";

    fn from_text(text: Text<'l>) -> Option<Self> {
        Some(Self(vec![text]))
    }

    fn from_list<A: SeqAccess<'l>>(mut list: A) -> Result<Option<Self>, A::Error> {
        let (mut values, mut is_text) = (Vec::new(), true);
        while let Some(element) = list.next_element::<Element<Text<'l>>>()? {
            match element {
                Element::Found(text) => values.push(text),
                Element::Wrong(_) | Element::Unread(_) | Element::Rest(_) => is_text = false,
            }
        }
        Ok(is_text.then_some(Self(values)))
    }
}

/// Path and query of a URL, which is the part that a client sends.
fn target(url: &str) -> &str {
    let host = url.strip_prefix("https://").or_else(|| url.strip_prefix("http://"));
    host.map_or(url, |host| host.find(['/', '?']).and_then(|start| host.get(start..)).unwrap_or("/"))
}

/// Reads recorded HTTP requests, and decides them if there is a policy.
struct Recorded {
    reader: Reader,
    snapshot: Option<Snapshot>,
    now: Option<Timestamp>,
    show_tokens: bool,
}

#[derive(Default)]
struct ReadCounts {
    understood: u64,
    not_understood: u64,
    passed: u64,
    errors: u64,
}

impl Answerer for Recorded {
    type Counts = ReadCounts;

    fn answer(&self, number: u64, line: &[u8], out: &mut Vec<u8>, counts: &mut ReadCounts) {
        let Line { id, method, url, headers, body, .. } = match Line::read(line) {
            Ok(line) => line,
            Err(error) => return self.error(number, &error, out, counts),
        };
        // The sidecar takes an empty body for one that the gateway did not pass on.
        let body = body.filter(|body| !body.is_empty());
        let body = body.as_deref().map_or(Body::NotPassedOn, |body| Body::Whole(body.as_bytes()));
        let (method, url, headers) =
            (method.unwrap_or_default(), url.unwrap_or_default(), headers.unwrap_or_default().0);
        let request = HttpRequest { method: &method, target: target(&url), headers: &headers, body };
        match self.reader.read(&request) {
            Ok(Reading::Access(access)) => {
                counts.understood += 1;
                self.write_access(id, &access, out);
            }
            Ok(Reading::Preflight(preflight)) => {
                *(if preflight.passes { &mut counts.passed } else { &mut counts.not_understood }) += 1;
                write_line(&Passed { id, preflight: Some(true), through: None }, out);
            }
            Ok(Reading::PassedThrough) => {
                counts.passed += 1;
                write_line(&Passed { id, preflight: None, through: Some(true) }, out);
            }
            Err(error) => {
                counts.not_understood += 1;
                let decision = Decision::Deny(error.reason());
                let answer = self.snapshot.as_ref().map(|_| WireDecision::new(None, &decision));
                write_line(&NotUnderstood { id, why: error.to_string(), answer }, out);
            }
        }
    }

    fn error(&self, line: u64, error: &str, out: &mut Vec<u8>, counts: &mut ReadCounts) {
        counts.errors += 1;
        write_line(&ErrorLine { line, error }, out);
    }

    fn add(total: &mut ReadCounts, more: &ReadCounts) {
        total.understood += more.understood;
        total.not_understood += more.not_understood;
        total.passed += more.passed;
        total.errors += more.errors;
    }
}

impl Recorded {
    fn write_access(&self, id: Option<&RawValue>, access: &Access<'_>, out: &mut Vec<u8>) {
        let token = access
            .token
            .as_deref()
            .map(|token| if self.show_tokens { token.to_owned() } else { format!("{:?}", SecretDigest::of(token)) });
        let sources = access.sources();
        let now = self.now.unwrap_or_else(|| SystemClock.now());
        let decision = self.snapshot.as_ref().map(|snapshot| decide(snapshot, &access.request(&sources), now));
        let json = AccessJson {
            id,
            token,
            api: &access.api,
            operation: access.operation.as_str(),
            connection: &access.connection,
            sources: access.sources.iter().map(|(kind, text)| SourceJson { kind: kind.as_str(), text }).collect(),
            referer: access.referer.as_deref(),
            answer: decision.as_ref().map(|decision| WireDecision::new(None, decision)),
        };
        write_line(&json, out);
    }
}

/// The request that was read, with its decision if there is a policy.
#[derive(Serialize)]
struct AccessJson<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    id: Option<&'a RawValue>,
    token: Option<String>,
    api: &'a str,
    operation: &'static str,
    connection: &'a str,
    sources: Vec<SourceJson<'a>>,
    referer: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    answer: Option<WireDecision<'a>>,
}

/// A source under the name of its kind: `{"resource": "a.b.c"}`.
struct SourceJson<'a> {
    kind: &'static str,
    text: &'a str,
}

impl Serialize for SourceJson<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_map([(self.kind, self.text)])
    }
}

/// An HTTP request that cannot be read unambiguously.
#[derive(Serialize)]
struct NotUnderstood<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    id: Option<&'a RawValue>,
    #[serde(rename = "not_understood")]
    why: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    answer: Option<WireDecision<'a>>,
}

/// An HTTP request that needs no token.
#[derive(Serialize)]
struct Passed<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    id: Option<&'a RawValue>,
    #[serde(skip_serializing_if = "Option::is_none")]
    preflight: Option<bool>,
    #[serde(rename = "passed_through", skip_serializing_if = "Option::is_none")]
    through: Option<bool>,
}

//! The configuration of the filter, and of a route.

use std::sync::OnceLock;
use std::time::Duration;

use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::value::RawValue;
use url::Url;

use portcullis_document::definition::{json_message, present};
use portcullis_http::answer::{Cors, Responses};
use portcullis_http::gateway::{Preflights, Reader, ReaderOptions, Routes};

/// The default limit of a body, in bytes: that of the sidecar.
const MAX_BODY: u32 = 1 << 20;

/// The default interval between checks of the policy file.
const POLL: u32 = 1000;

/// The default namespace of the metadata: access logs show the same fields as with `ext_authz`.
const NAMESPACE: &str = "envoy.filters.http.ext_authz";

/// The configuration of a route that each version of Envoy passes as it is written.
const STRING: &str = r#"{"@type": "type.googleapis.com/google.protobuf.StringValue", "value": "{\"disabled\": true}"}"#;

/// The options of a filter.
#[derive(Debug)]
pub(crate) struct FilterOptions {
    pub(crate) policy: String,
    pub(crate) poll: Duration,
    pub(crate) reader: Reader,
    pub(crate) reader_options: ReaderOptions,
    pub(crate) responses: Responses,
    pub(crate) max_body: usize,
    pub(crate) shadow: bool,
    pub(crate) metadata: Metadata,
}

/// Where the dynamic metadata is written, and for which decisions.
#[derive(Debug)]
pub(crate) struct Metadata {
    pub(crate) namespace: String,
    pub(crate) decisions: Decisions,
}

/// The decisions that have metadata. Envoy needs a third of the time of a check to store that of one request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Decisions {
    All,
    Denials,
    None,
}

/// The options of a route.
#[derive(Debug)]
pub(crate) struct RouteOptions {
    /// Whether requests of the route are not decided.
    pub(crate) disabled: bool,
    /// Whether denials of the route have no effect; `None` for the filter's option.
    pub(crate) shadow: Option<bool>,
    routes: Option<Routes>,
    /// The readers of the table, for each combination of options that filters have.
    readers: [OnceLock<Reader>; 8],
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields, expecting = "an object with the key `policy`")]
#[expect(clippy::struct_excessive_bools, reason = "each is a key of the configuration")]
struct FilterJson {
    policy: String,
    #[serde(default, deserialize_with = "present")]
    poll_milliseconds: Option<u32>,
    #[serde(default, deserialize_with = "present")]
    routes: Option<Box<RawValue>>,
    #[serde(default)]
    cors_origins: Vec<String>,
    #[serde(default)]
    origin_as_referer: bool,
    #[serde(default)]
    refuse_query_tokens: bool,
    #[serde(default)]
    pass_preflights: bool,
    #[serde(default, deserialize_with = "present")]
    max_body: Option<u32>,
    #[serde(default)]
    shadow: bool,
    #[serde(default, deserialize_with = "present")]
    metadata: Option<String>,
    #[serde(default, deserialize_with = "present")]
    metadata_namespace: Option<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields, expecting = "an object with `disabled`, `shadow` or `routes`")]
struct RouteJson {
    #[serde(default)]
    disabled: bool,
    #[serde(default, deserialize_with = "present")]
    shadow: Option<bool>,
    #[serde(default, deserialize_with = "present")]
    routes: Option<Box<RawValue>>,
}

impl FilterOptions {
    /// Reads the text of `filter_config`: JSON, which Envoy also writes for a `google.protobuf.Struct`.
    pub(crate) fn read(text: &[u8]) -> Result<Self, String> {
        let json: FilterJson = read(text, r#"{"policy": "/etc/portcullis/policy.json"}"#)?;
        if json.policy.is_empty() || json.policy.contains('\0') {
            return Err(format!(
                "`policy`: expected the path of a file, found `{}`; help: write `/etc/portcullis/policy.json`",
                json.policy.escape_default()
            ));
        }
        let reader_options = ReaderOptions {
            origin_as_referer: json.origin_as_referer,
            refuse_query_tokens: json.refuse_query_tokens,
            preflights: if json.pass_preflights { Preflights::Pass } else { Preflights::Hold },
        };
        let max_body = at_least_one("max_body", json.max_body, MAX_BODY)?;
        Ok(Self {
            policy: json.policy,
            poll: Duration::from_millis(at_least_one("poll_milliseconds", json.poll_milliseconds, POLL)?.into()),
            reader: Reader::new(routes(json.routes.as_deref())?.unwrap_or_default(), reader_options),
            reader_options,
            responses: Responses { cors: cors(json.cors_origins)? },
            max_body: usize::try_from(max_body).unwrap_or(usize::MAX),
            shadow: json.shadow,
            metadata: Metadata {
                namespace: json.metadata_namespace.unwrap_or_else(|| NAMESPACE.to_owned()),
                decisions: decisions(json.metadata.as_deref(), json.shadow)?,
            },
        })
    }
}

impl RouteOptions {
    /// Reads the text of a route's `filter_config`.
    pub(crate) fn read(text: &[u8]) -> Result<Self, String> {
        if is_protocol_buffers(text) {
            return Err(format!(
                "expected JSON, found Protocol Buffers, as Envoy 1.38 passes a `Struct`; help: write `{STRING}`"
            ));
        }
        let json: RouteJson = read(text, r#"{"disabled": true}"#)?;
        if json.disabled && (json.shadow.is_some() || json.routes.is_some()) {
            return Err("`shadow` and `routes` have no effect beside `disabled`; help: remove them".to_owned());
        }
        let routes = routes(json.routes.as_deref())?;
        Ok(Self { disabled: json.disabled, shadow: json.shadow, routes, readers: Default::default() })
    }

    /// Returns the reader of the route's own table, with the options of the filter; `None` if it has no table.
    pub(crate) fn reader(&self, options: ReaderOptions) -> Option<&Reader> {
        let routes = self.routes.as_ref()?;
        let bits = [options.origin_as_referer, options.refuse_query_tokens, options.preflights == Preflights::Pass];
        let index = bits.into_iter().fold(0, |index, bit| index * 2 + usize::from(bit));
        Some(self.readers.get(index)?.get_or_init(|| Reader::new(routes.clone(), options)))
    }
}

/// Whether `text` is a serialized `Struct`: the tag of its first field is a line feed, and the length of the field follows.
fn is_protocol_buffers(text: &[u8]) -> bool {
    text.starts_with(b"\n") && text.trim_ascii().first().is_some_and(|byte| *byte != b'{')
}

fn read<T: DeserializeOwned>(text: &[u8], example: &str) -> Result<T, String> {
    if text.trim_ascii().is_empty() {
        return Err(format!("expected a JSON object, found no text; help: write `{example}`"));
    }
    serde_json::from_slice(text).map_err(|error| {
        format!("{} at line {} column {}; help: write `{example}`", json_message(&error), error.line(), error.column())
    })
}

fn at_least_one(name: &str, value: Option<u32>, default: u32) -> Result<u32, String> {
    match value {
        Some(0) => {
            Err(format!("`{name}`: expected a number from 1 to {}, found `0`; help: write `{default}`", u32::MAX))
        }
        value => Ok(value.unwrap_or(default)),
    }
}

/// Reads `metadata`. Only the metadata shows which requests a shadow would have denied.
fn decisions(name: Option<&str>, shadow: bool) -> Result<Decisions, String> {
    match name {
        None | Some("all") => Ok(Decisions::All),
        Some("denials") => Ok(Decisions::Denials),
        Some("none") if shadow => {
            Err("`metadata`: `none` hides each denial of `shadow`; help: write `denials`".to_owned())
        }
        Some("none") => Ok(Decisions::None),
        Some(other) => Err(format!(
            "`metadata`: expected `all`, `denials` or `none`, found `{}`; help: write `denials`",
            other.escape_default()
        )),
    }
}

fn routes(json: Option<&RawValue>) -> Result<Option<Routes>, String> {
    json.map(|json| Routes::from_json(json.get()).map_err(|error| format!("`routes`: {error}"))).transpose()
}

fn cors(origins: Vec<String>) -> Result<Cors, String> {
    match &*origins {
        [] => return Ok(Cors::None),
        [all] if all == "*" => return Ok(Cors::Any),
        _ => {}
    }
    for origin in &origins {
        let canonical = Url::parse(origin).ok().filter(|url| matches!(url.scheme(), "http" | "https"));
        let canonical = canonical.map(|url| url.origin().ascii_serialization());
        if canonical.as_ref() != Some(origin) {
            let fix = canonical.unwrap_or_else(|| "https://app.example.com".to_owned());
            return Err(format!(
                "`cors_origins`: expected origins as browsers send them, or `*` alone, found `{origin}`; help: write `{fix}`"
            ));
        }
    }
    Ok(Cors::Only(origins))
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a helper of tests fails as a test does")]
mod tests {
    use super::{Decisions, FilterOptions, RouteOptions};
    use portcullis_http::answer::Cors;
    use portcullis_http::gateway::{Preflights, ReaderOptions};
    use std::time::Duration;

    const ALL: &str = r#"{"policy": "p.json", "poll_milliseconds": 50, "cors_origins": ["https://a.example"],
        "origin_as_referer": true, "refuse_query_tokens": true, "pass_preflights": true, "max_body": 10, "shadow": true,
        "metadata": "denials", "metadata_namespace": "portcullis", "routes": {"routes": [{"path": "/x/{connection}/{source}", "api": "maps"}]}}"#;

    #[test]
    fn options_have_the_defaults_of_the_sidecar() {
        let options = FilterOptions::read(br#"{"policy": "p.json"}"#).unwrap();
        assert_eq!((options.poll, options.max_body), (Duration::from_secs(1), 1 << 20));
        assert_eq!((options.responses.cors, options.shadow), (Cors::None, false));
        assert_eq!(options.reader_options, ReaderOptions::default());
        assert_eq!(options.metadata.namespace, "envoy.filters.http.ext_authz");
        assert_eq!(options.metadata.decisions, Decisions::All);
    }

    #[test]
    fn each_option_has_an_effect() {
        let options = FilterOptions::read(ALL.as_bytes()).unwrap();
        assert_eq!((options.poll, options.max_body), (Duration::from_millis(50), 10));
        assert_eq!(options.responses.cors, Cors::Only(vec!["https://a.example".to_owned()]));
        assert!(
            options.shadow && options.reader_options.origin_as_referer && options.reader_options.refuse_query_tokens
        );
        assert_eq!(options.reader_options.preflights, Preflights::Pass);
        assert_eq!((&*options.metadata.namespace, options.metadata.decisions), ("portcullis", Decisions::Denials));
        assert!(
            options.reader.needs_body("POST", "/x/dw/a.b") && !options.reader.needs_body("POST", "/v3/sql/dw/query")
        );
        let any = FilterOptions::read(br#"{"policy": "p", "cors_origins": ["*"]}"#).unwrap();
        assert_eq!(any.responses.cors, Cors::Any);
    }

    #[test]
    fn route_reads_its_own_table_with_the_options_of_each_filter() {
        let route =
            RouteOptions::read(br#"{"routes": {"routes": [{"path": "/x/{connection}/{source}", "api": "maps"}]}}"#);
        let route = route.unwrap();
        let hold = ReaderOptions::default();
        let pass = ReaderOptions { preflights: Preflights::Pass, ..hold };
        let headers = [("origin", "https://a.example"), ("access-control-request-method", "GET")];
        for (options, passes) in [(hold, false), (pass, true), (hold, false)] {
            let request = portcullis_http::gateway::HttpRequest {
                method: "OPTIONS",
                target: "/x/dw/a.b",
                headers: &headers,
                body: portcullis_http::gateway::Body::Whole(b""),
            };
            let reading = route.reader(options).unwrap().read(&request).unwrap();
            let portcullis_http::gateway::Reading::Preflight(preflight) = reading else { panic!("{reading:?}") };
            assert_eq!(preflight.passes, passes);
        }
        assert!(RouteOptions::read(b"{}").unwrap().reader(hold).is_none());
    }

    #[test]
    fn invalid_options_are_refused_with_a_fix() {
        for (text, expected) in [
            ("", "found no text"),
            ("  ", "found no text"),
            ("[]", "an object with the key `policy`"),
            ("{}", "`policy` is missing"),
            ("{\"policy\": 5}", "expected a string"),
            ("{\"policy\": \"\"}", "expected the path of a file"),
            ("{\"policy\": \"a\\u0000b\"}", "expected the path of a file"),
            ("{\"policy\": \"p\", \"polcy\": 1}", "unknown key `polcy`"),
            ("{\"policy\": \"p\", \"policy\": \"q\"}", "`policy` is given more than once"),
            ("{\"policy\": \"p\", \"poll_milliseconds\": 0}", "found `0`; help: write `1000`"),
            ("{\"policy\": \"p\", \"poll_milliseconds\": -1}", "expected a whole number from 0"),
            ("{\"policy\": \"p\", \"poll_milliseconds\": null}", "null"),
            ("{\"policy\": \"p\", \"metadata\": \"denied\"}", "`all`, `denials` or `none`, found `denied`; help"),
            ("{\"policy\": \"p\", \"metadata\": \"\"}", "`all`, `denials` or `none`, found ``; help"),
            (
                "{\"policy\": \"p\", \"metadata\": \"none\", \"shadow\": true}",
                "hides each denial of `shadow`; help: write `denials`",
            ),
            ("{\"policy\": \"p\", \"metadata\": false}", "expected a string, found a boolean"),
            ("{\"policy\": \"p\", \"metadata\": null}", "null"),
            ("{\"policy\": \"p\", \"max_body\": 0}", "found `0`; help: write `1048576`"),
            ("{\"policy\": \"p\", \"routes\": {}}", "`routes`: "),
            ("{\"policy\": \"p\", \"routes\": null}", "null"),
            ("{\"policy\": \"p\", \"cors_origins\": [\"https://a.example/\"]}", "help: write `https://a.example`"),
            ("{\"policy\": \"p\", \"cors_origins\": [\"https://A.example\"]}", "help: write `https://a.example`"),
            ("{\"policy\": \"p\", \"cors_origins\": [\"*\", \"https://a.example\"]}", "`*` alone"),
            ("{\"policy\": \"p\", \"cors_origins\": [\"a.example\"]}", "help: write `https://app.example.com`"),
            ("{\"policy\": \"p\"", "the JSON is cut off"),
            ("\u{0}\u{ff}", "expected a JSON value"),
        ] {
            let error = FilterOptions::read(text.as_bytes()).unwrap_err();
            assert!(error.contains(expected) && error.contains("help") | error.contains("routes"), "{text}: {error}");
        }
        for (text, expected) in [
            ("", "found no text"),
            (
                "\n\u{e}\n\u{8}disabled\u{12}\u{2} \u{1}",
                "found Protocol Buffers, as Envoy 1.38 passes a `Struct`; help: write `",
            ),
            ("\n {\"disable\": true}", "unknown key `disable`"),
            ("{\"disable\": true}", "unknown key `disable`"),
            ("{\"disabled\": \"true\"}", "expected a boolean"),
            ("{\"disabled\": true, \"shadow\": true}", "no effect beside `disabled`"),
            ("{\"routes\": {\"routes\": [{}]}}", "`routes`: "),
        ] {
            let error = RouteOptions::read(text.as_bytes()).unwrap_err();
            assert!(error.contains(expected), "{text}: {error}");
        }
    }
}

//! The table of routes (W1).

use serde::Deserialize;

use super::keys::{Keys, is_plain};
use portcullis::base::quoted;
use portcullis::model::Operation;
use portcullis_document::definition::{FromObject, Object, json_message, present};

/// The routes of a platform.
///
/// [`Routes::default`] are those of W1. Custom routes have the same form, as JSON:
///
/// ```
/// use portcullis_http::gateway::Routes;
///
/// let routes = Routes::from_json(r#"{
///     "base_segment": "v3",
///     "routes": [
///         {"path": "/v3/maps/{connection}/table/**", "api": "maps", "sources": [{"resource": "name"}]},
///         {"path": "/v3/sql/{connection}/query", "api": "sql", "sources": [{"query_or_named_source": "q"}]},
///         {"path": "/v3/stats/{connection}/{source}/{column}", "api": "maps"}
///     ],
///     "passed_through": ["/healthz"]
/// }"#)?;
/// # Ok::<(), portcullis_http::gateway::RoutesError>(())
/// ```
///
/// - `base_segment`: a path is read from the first segment that equals this one. Without it, from the start.
/// - `path`: literal segments, `{connection}`, `{source}` (a resource), any other `{name}` for any one segment, and at
///   the end `**` for anything below. The first route that fits a path applies.
/// - `api`, and `operation`: `query` (the default) or `model`.
/// - `sources`: one object for each source, which names its parameter: `resource`, `query` or `query_or_named_source`
///   (W3). Of several, exactly one must be given. `{"typed": "source", "type": "type"}`: parameter `source` is a
///   resource if parameter `type` is `table`, `tileset` or `raster`, and a query or named source if it is `query`.
/// - `without`: parameters that may not be given.
/// - `undecided` instead of `api` and the rest: no token decides about the path. It is not understood unless it passes
///   through.
/// - `passed_through`: prefixes of paths that fit no other route and pass without a decision.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Routes {
    // INVARIANT: validated.
    pub(super) base_segment: Option<Box<str>>,
    pub(super) list: Vec<Route>,
    pub(super) passed_through: Vec<Vec<Box<str>>>,
}

/// The position and the reason of an invalid route.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct RoutesError(Box<str>);

#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Route {
    pub(super) path: Vec<Part>,
    /// The number of parts that the route before it has, too, from the start.
    pub(super) shared: usize,
    /// Whether further segments may follow.
    pub(super) below: bool,
    /// `None` if no token decides about the path.
    pub(super) template: Option<RequestTemplate>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Part {
    Literal(Box<str>),
    Connection,
    Source,
    Any,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct RequestTemplate {
    pub(super) api: Box<str>,
    pub(super) operation: Operation,
    pub(super) sources: Vec<SourceRule>,
    pub(super) without: Vec<Box<str>>,
    /// The keys of all parameters of the route.
    pub(super) keys: Keys,
}

/// The parameters that may hold a source: exactly one must be given.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(
    untagged,
    expecting = "expected an object with `typed` and `type`, or with `resource`, `query` or `query_or_named_source`"
)]
pub(super) enum SourceRule {
    Typed(Typed),
    OneOf(OneOf),
}

#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, expecting = "an object with `typed` and `type`")]
pub(super) struct Typed {
    pub(super) typed: Box<str>,
    #[serde(rename = "type")]
    pub(super) kind: Box<str>,
}

#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, expecting = "an object with `resource`, `query` or `query_or_named_source`")]
pub(super) struct OneOf {
    #[serde(default, deserialize_with = "present")]
    pub(super) resource: Option<Box<str>>,
    #[serde(default, deserialize_with = "present")]
    pub(super) query: Option<Box<str>>,
    #[serde(default, deserialize_with = "present")]
    pub(super) query_or_named_source: Option<Box<str>>,
}

/// The table as JSON.
#[derive(Deserialize)]
#[serde(deny_unknown_fields, expecting = "an object with the key `routes`")]
struct RoutesJson {
    #[serde(default, deserialize_with = "present")]
    base_segment: Option<Box<str>>,
    routes: Vec<Object<RouteJson>>,
    #[serde(default)]
    passed_through: Vec<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields, expecting = "an object with the key `path`")]
struct RouteJson {
    path: String,
    #[serde(default, deserialize_with = "present")]
    api: Option<Box<str>>,
    #[serde(default, deserialize_with = "present")]
    operation: Option<String>,
    #[serde(default)]
    sources: Vec<Object<SourceRule>>,
    #[serde(default)]
    without: Vec<Box<str>>,
    #[serde(default)]
    undecided: bool,
}

impl FromObject for RouteJson {
    const EXPECTED: &'static str = "an object with the key `path`";
}

impl FromObject for SourceRule {
    const EXPECTED: &'static str =
        "an object with `typed` and `type`, or with `resource`, `query` or `query_or_named_source`";
}

impl Default for Routes {
    fn default() -> Self {
        // A test reads the built-in table. An unreadable table would understand nothing.
        Self::from_json(include_str!("routes.json")).unwrap_or(Self {
            base_segment: None,
            list: Vec::new(),
            passed_through: Vec::new(),
        })
    }
}

impl Routes {
    /// Reads a table.
    ///
    /// # Errors
    ///
    /// If `text` is not JSON, is not a table of routes, or has an invalid route.
    pub fn from_json(text: &str) -> Result<Self, RoutesError> {
        if text.trim_start().starts_with('[') {
            return Err(RoutesError("expected an object with the key `routes`, found a list".into()));
        }
        let written: RoutesJson = serde_json::from_str(text).map_err(|error| {
            RoutesError(format!("line {} column {}: {}", error.line(), error.column(), json_message(&error)).into())
        })?;
        if let Some(base) = &written.base_segment {
            literal(base).map_err(|why| RoutesError::at("base_segment", &why))?;
        }
        let base = written.base_segment.as_deref();
        let mut routes = Vec::with_capacity(written.routes.len());
        for (at, Object(route)) in written.routes.into_iter().enumerate() {
            let mut read = route.read(base).map_err(|why| RoutesError::at(&format!("routes[{at}]"), &why))?;
            if routes.iter().any(|other: &Route| other.path == read.path && other.below == read.below) {
                return Err(RoutesError::at(&format!("routes[{at}]"), "an earlier route has the same path"));
            }
            let before = routes.last().map_or(&[][..], |before| &before.path);
            read.shared = before.iter().zip(&read.path).take_while(|(before, part)| before == part).count();
            routes.push(read);
        }
        let mut passed_through = Vec::with_capacity(written.passed_through.len());
        for (at, prefix) in written.passed_through.iter().enumerate() {
            let prefix = prefix_of(prefix).map_err(|why| RoutesError::at(&format!("passed_through[{at}]"), &why))?;
            passed_through.push(prefix);
        }
        Ok(Self { base_segment: written.base_segment, list: routes, passed_through })
    }

    /// Lets paths below `prefix` pass without a decision, if no other route fits.
    ///
    /// # Errors
    ///
    /// If `prefix` is not a path of literal segments.
    pub fn pass_through(&mut self, prefix: &str) -> Result<(), RoutesError> {
        self.passed_through.push(prefix_of(prefix).map_err(|why| RoutesError(why.into()))?);
        Ok(())
    }
}

fn prefix_of(prefix: &str) -> Result<Vec<Box<str>>, String> {
    let segment = |text: &str| match text {
        "**" => Err("a prefix covers every path below it: leave out `**`".to_owned()),
        text => literal(text),
    };
    if prefix.starts_with('/') && prefix.trim_matches('/').is_empty() {
        return Err("it would pass every path without a route: expected a path with a segment".to_owned());
    }
    segments(prefix)?.map(segment).collect()
}

impl RoutesError {
    fn at(path: &str, why: &str) -> Self {
        Self(format!("{path}: {why}").into())
    }
}

impl RouteJson {
    fn read(self, base: Option<&str>) -> Result<Route, String> {
        let (path, below) = match self.path.strip_suffix("/**") {
            Some(path) => (path, true),
            None => (self.path.as_str(), false),
        };
        let path = segments(path)?.map(part).collect::<Result<Vec<_>, _>>()?;
        if let Some(base) = base
            && path.first() != Some(&Part::Literal(base.into()))
        {
            return Err(format!("`path`: expected to begin with the base segment, `/{base}/`"));
        }
        for once in [Part::Connection, Part::Source] {
            if path.iter().filter(|part| **part == once).count() > 1 {
                return Err("`path`: `{connection}` and `{source}` may occur only once".to_owned());
            }
        }
        if self.undecided {
            if self.api.is_some() || self.operation.is_some() || !self.sources.is_empty() || !self.without.is_empty() {
                return Err("`undecided`: expected no other key of the route".to_owned());
            }
            return Ok(Route { path, shared: 0, below, template: None });
        }
        let sources: Vec<SourceRule> = self.sources.into_iter().map(|Object(rule)| rule).collect();
        let api = self.api.filter(|api| !api.is_empty()).ok_or("`api` is missing")?;
        let operation = match self.operation.as_deref() {
            None => Operation::Query,
            Some(name) => Operation::from_name(name).ok_or("`operation`: expected `query` or `model`")?,
        };
        if sources.iter().any(|rule| rule.names().next().is_none()) {
            return Err("`sources`: expected the name of a parameter for each".to_owned());
        }
        let names = || sources.iter().flat_map(SourceRule::names).chain(self.without.iter().map(|name| &**name));
        if let Some(name) = names().find(|name| !is_plain(name.as_bytes())) {
            return Err(format!(
                "{} is not the name of a parameter: expected ASCII letters, digits, `_`, `.` and `-`",
                quoted(name)
            ));
        }
        let keys = Keys::new(names());
        let has_source = !sources.is_empty() || path.contains(&Part::Source);
        if has_source && !path.contains(&Part::Connection) {
            return Err("`path`: a route with sources needs `{connection}`".to_owned());
        }
        let template = RequestTemplate { api, operation, sources, without: self.without, keys };
        Ok(Route { path, shared: 0, below, template: Some(template) })
    }
}

impl SourceRule {
    /// Returns the names of all parameters of the rule.
    fn names(&self) -> impl Iterator<Item = &str> {
        let (typed, one_of) = match self {
            Self::Typed(rule) => (Some([&*rule.typed, &*rule.kind]), None),
            Self::OneOf(rule) => (None, Some(rule.parameters().map(|(name, _)| name))),
        };
        typed.into_iter().flatten().chain(one_of.into_iter().flatten())
    }
}

impl OneOf {
    /// Returns the parameters that may hold the source, each with how it names it.
    pub(super) fn parameters(&self) -> impl Iterator<Item = (&str, Named)> {
        [
            (&self.resource, Named::Resource),
            (&self.query, Named::Query),
            (&self.query_or_named_source, Named::QueryOrNamedSource),
        ]
        .into_iter()
        .filter_map(|(name, kind)| name.as_deref().map(|name| (name, kind)))
    }
}

/// The kinds of sources that a parameter may hold.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Named {
    Resource,
    Query,
    QueryOrNamedSource,
}

fn segments(path: &str) -> Result<std::str::Split<'_, char>, String> {
    path.strip_prefix('/').map(|path| path.split('/')).ok_or_else(|| "expected a path that begins with `/`".to_owned())
}

fn part(text: &str) -> Result<Part, String> {
    match text.strip_prefix('{').and_then(|text| text.strip_suffix('}')) {
        Some("connection") => Ok(Part::Connection),
        Some("source") => Ok(Part::Source),
        Some(name) if !name.is_empty() && !name.contains(['{', '}']) => Ok(Part::Any),
        _ if text == "**" => Err("`path`: `**` may only be the last segment of several".to_owned()),
        _ => literal(text).map(Part::Literal).map_err(|why| format!("{why}, or a name in braces such as `{{id}}`")),
    }
}

fn literal(text: &str) -> Result<Box<str>, String> {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.~".contains(&byte);
    if !text.is_empty() && text != "." && text != ".." && text.bytes().all(plain) {
        return Ok(text.into());
    }
    Err(format!("{} is not a segment: expected ASCII letters, digits, `-`, `_`, `.` and `~`", quoted(text)))
}

#[cfg(test)]
mod tests {
    use super::Routes;

    #[test]
    fn lists_are_not_read_as_objects() {
        for (table, want) in [
            (
                "{\"routes\": [\n[\"/v3/x\", \"maps\"]]}",
                "line 2 column 0: expected an object with the key `path`, found a list",
            ),
            (
                "{\"routes\": [{\"path\": \"/v3/{connection}\", \"api\": \"maps\", \"sources\": [\n [\"name\"]]}]}",
                "line 2 column 1: expected an object with `typed` and `type`, or with `resource`, `query` or `query_or_named_source`, found a list",
            ),
            (
                "{\"routes\": [{\"path\": \"/v3/{connection}\", \"api\": \"maps\", \"sources\": [[\"source\", \"type\"]]}]}",
                "line 1 column 68: expected an object with `typed` and `type`, or with `resource`, `query` or `query_or_named_source`, found a list",
            ),
            ("{\"routes\": [\"/v3/x\"]}", "line 1 column 19: expected an object with the key `path`, found a string"),
            ("[[], []]", "expected an object with the key `routes`, found a list"),
        ] {
            let error = Routes::from_json(table).unwrap_err().to_string();
            assert_eq!(error, want, "{table}");
        }
    }

    #[test]
    fn errors_of_paths_name_what_is_valid_there() {
        for (prefix, want) in [
            ("/", "it would pass every path without a route: expected a path with a segment"),
            ("//", "it would pass every path without a route: expected a path with a segment"),
            ("/assets/**", "a prefix covers every path below it: leave out `**`"),
            ("/assets/*.js", "`*.js` is not a segment: expected ASCII letters, digits, `-`, `_`, `.` and `~`"),
            ("/a\u{202e}", "`a\\u{202e}` is not a segment: expected ASCII letters, digits, `-`, `_`, `.` and `~`"),
        ] {
            let error = Routes::default().pass_through(prefix).unwrap_err().to_string();
            assert!(error.ends_with(want), "{prefix}: {error}");
        }
        for (path, want) in [
            ("/v3/**/x", "`**` may only be the last segment of several"),
            ("/v3/*", ", or a name in braces such as `{id}`"),
        ] {
            let table = format!(r#"{{"routes": [{{"path": "{path}", "undecided": true}}]}}"#);
            let error = Routes::from_json(&table).unwrap_err().to_string();
            assert!(error.ends_with(want), "{path}: {error}");
        }
        for path in ["/v3/{id}", "/v3/x/**"] {
            let table = format!(r#"{{"routes": [{{"path": "{path}", "undecided": true}}]}}"#);
            assert!(Routes::from_json(&table).is_ok(), "{path}");
        }
        Routes::default().pass_through("/assets").unwrap();
    }
}

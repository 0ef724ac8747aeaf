//! The request reader.

use std::borrow::Cow;

use smallvec::SmallVec;

use super::headers::{Body, HttpRequest, Relevant};
use super::keys::TOKEN;
use super::parameters::Parameters;
use super::path::{Path, Segment};
use super::reading::{NotUnderstood, Preflight, Reading};
use super::routes::{Named, Part, Route, Routes, SourceRule};
use crate::access::{Access, AccessSource, SourceKind};
use portcullis::base::bytes::all;
use portcullis::query::NamedSource;

/// The handling of browsers' preflights (W4). They carry no token, so they are not decided.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Preflights {
    /// No preflight reaches the upstream: the caller answers or denies it.
    #[default]
    Hold,
    /// The upstream answers preflights: those of known paths with plain parameters pass.
    Pass,
}

/// Options of a [`Reader`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct ReaderOptions {
    /// Whether the `Origin` header replaces a missing `Referer` (W4). Off by default.
    pub origin_as_referer: bool,
    /// Whether a token in the query is not understood (W4): URLs end up in access logs. Off by default.
    pub refuse_query_tokens: bool,
    /// The handling of preflights.
    pub preflights: Preflights,
}

/// Reads HTTP requests by a table of routes. See the [module](super).
#[derive(Debug, Clone, Default)]
pub struct Reader {
    routes: Routes,
    options: ReaderOptions,
}

impl Reader {
    /// Creates a reader with these routes.
    pub fn new(routes: Routes, options: ReaderOptions) -> Self {
        Self { routes, options }
    }

    /// Reads a request (W1 to W4).
    ///
    /// Cost: linear in target, headers and, where tokens decide about the path, body; allocates only to decode.
    ///
    /// # Errors
    ///
    /// If something required is missing, or could be read in two ways (W6).
    pub fn read<'r>(&'r self, request: &HttpRequest<'r>) -> Result<Reading<'r>, NotUnderstood> {
        let headers = Relevant::of(request.headers)?;
        let no_body = matches!(request.body, Body::NotPassedOn | Body::Whole(b""));
        let preflight = if request.method == "OPTIONS" && no_body { headers.preflight() } else { None };
        let passes = self.options.preflights == Preflights::Pass;
        let preflight = preflight.map(|origin| Preflight { origin, passes });
        if let Some(held) = preflight.filter(|_| !passes) {
            return Ok(Reading::Preflight(held));
        }
        let mut path = Path::default();
        let query = self.read_path(request.target, &mut path)?;
        let route = self.route(&path)?;
        let Some((route, template)) = route.and_then(|route| Some((route, route.template.as_ref()?))) else {
            return match route {
                _ if self.passes(&path) => Ok(preflight.map_or(Reading::PassedThrough, Reading::Preflight)),
                Some(_) => Err(NotUnderstood::new("a path that tokens do not decide about")),
                None => Err(NotUnderstood::new("a path that no route fits")),
            };
        };
        headers.check_cookies(&template.keys)?;
        let mut parameters = Parameters::new(&template.keys);
        parameters.read_query(query)?;
        if let Some(passing) = preflight {
            return Ok(Reading::Preflight(passing));
        }
        // Routes without parameters too: a body may hold a second token, or override the method.
        read_body(&mut parameters, request, &headers)?;
        let token = self.token(&headers, &parameters)?;
        for name in &template.without {
            if parameters.get(name)?.is_some() {
                return Err(NotUnderstood::new(format!("`{name}` beside a source in the path")));
            }
        }
        let mut access = Access {
            token,
            api: Cow::Borrowed(&template.api),
            operation: template.operation,
            connection: Cow::Borrowed(""),
            sources: SmallVec::new(),
            referer: headers.referer(self.options.origin_as_referer),
        };
        for (part, segment) in route.path.iter().zip(path.based_mut()) {
            match part {
                Part::Connection => access.connection = std::mem::take(&mut segment.text),
                Part::Source => access.sources.push((SourceKind::Resource, std::mem::take(&mut segment.text))),
                Part::Literal(_) | Part::Any => {}
            }
        }
        for rule in &template.sources {
            access.sources.push(source(rule, &parameters)?);
        }
        Ok(Reading::Access(access))
    }

    /// Whether the body may matter for a request with this method and target. If not, [`Reader::read`] returns the same
    /// result whatever the body, so that the caller need not wait for it.
    ///
    /// Cost: linear in the path; allocates only to decode.
    ///
    /// ```
    /// let reader = portcullis_http::gateway::Reader::default();
    /// assert!(reader.needs_body("POST", "/v3/sql/dw/query"));
    /// assert!(!reader.needs_body("POST", "/healthz"));
    /// ```
    pub fn needs_body(&self, method: &str, target: &str) -> bool {
        let is_decided = || {
            let mut path = Path::default();
            self.read_path(target, &mut path)?;
            Ok::<_, NotUnderstood>(self.route(&path)?.is_some_and(|route| route.template.is_some()))
        };
        // A request with a body is not a preflight.
        method == "OPTIONS" || is_decided().unwrap_or(false)
    }

    fn token<'r>(
        &self,
        headers: &Relevant<'r>,
        parameters: &Parameters<'r>,
    ) -> Result<Option<Cow<'r, str>>, NotUnderstood> {
        let token = match (headers.bearer()?, parameters.get_of_query(TOKEN)?) {
            (Some(_), Some(_)) => {
                return Err(NotUnderstood::new("a token both in the `Authorization` header and in `access_token`"));
            }
            (None, Some(_)) if self.options.refuse_query_tokens => {
                return Err(NotUnderstood::new("a token in `access_token`: send it in the `Authorization` header"));
            }
            (Some(header), None) => Some(Cow::Borrowed(header)),
            (None, query) => query,
        };
        Ok(token.filter(|token| !token.is_empty()))
    }

    /// Reads the path of a target that all servers split at the same byte into path and query. Returns the query.
    fn read_path<'r>(&self, target: &'r str, path: &mut Path<'r>) -> Result<&'r str, NotUnderstood> {
        if !all(target.as_bytes(), |lanes| lanes.within(b'!', b'~') & !lanes.equal(b'#')) {
            return Err(NotUnderstood::new(if all(target.as_bytes(), |lanes| lanes.within(b'!', b'~')) {
                "a fragment in the target"
            } else {
                "a space, a control character or one beyond ASCII in the target"
            }));
        }
        path.read(target, self.routes.base_segment.as_deref())
    }

    /// Returns the first route that fits.
    fn route(&self, path: &Path<'_>) -> Result<Option<&Route>, NotUnderstood> {
        let segments = path.based();
        // The number of parts that the last compared route shares with the path.
        let mut known = 0;
        for route in &self.routes.list {
            known = route.shared.min(known);
            let rest = route.path.iter().zip(segments).skip(known);
            if segments.len() < route.path.len() || (segments.len() > route.path.len() && !route.below) {
                continue;
            }
            let mut fits = true;
            for (part, segment) in rest {
                if !part.fits(segment)? {
                    fits = false;
                    break;
                }
                known += 1;
            }
            if fits {
                return Ok(Some(route));
            }
        }
        Ok(None)
    }

    /// Whether the operator lets the path pass. A prefix that starts with the base segment is compared from there, any
    /// other prefix from the start of the path. A path with a base segment passes only by a prefix that contains it: a
    /// prefix such as `/api` does not open paths that resemble a route.
    fn passes(&self, path: &Path<'_>) -> bool {
        let base = self.routes.base_segment.as_deref();
        self.routes.passed_through.iter().any(|prefix| {
            let is_based = prefix.first().map(|first| &**first) == base;
            let segments = if is_based { path.based() } else { &path.segments };
            let holds_base =
                base.is_none() || !path.has_base() || prefix.iter().any(|segment| Some(&**segment) == base);
            holds_base
                && segments.len() >= prefix.len()
                && prefix.iter().zip(segments).all(|(want, found)| **want == *found.raw)
        })
    }
}

impl Part {
    /// Whether a segment has the text of this part, if it has any.
    fn fits(&self, segment: &Segment<'_>) -> Result<bool, NotUnderstood> {
        match self {
            Self::Literal(literal) if **literal == *segment.raw => Ok(true),
            Self::Literal(literal) if matches!(&segment.text, Cow::Owned(text) if **literal == **text) => {
                Err(NotUnderstood::new("a segment of the path that is needlessly encoded"))
            }
            Self::Literal(_) => Ok(false),
            Self::Connection | Self::Source | Self::Any => Ok(true),
        }
    }
}

fn read_body<'r>(
    parameters: &mut Parameters<'r>,
    request: &HttpRequest<'r>,
    headers: &Relevant<'r>,
) -> Result<(), NotUnderstood> {
    match request.body {
        Body::Whole(b"") => Ok(()),
        Body::Whole(body) => {
            headers.check_json()?;
            parameters.read_body(body)
        }
        // These methods have no body, unless a header announces one.
        Body::NotPassedOn if matches!(request.method, "GET" | "HEAD" | "OPTIONS") && !headers.announces_body() => {
            Ok(())
        }
        Body::NotPassedOn => {
            Err(NotUnderstood::new("an empty body, or one that the gateway did not pass on: both look the same"))
        }
    }
}

fn source<'r>(rule: &SourceRule, parameters: &Parameters<'r>) -> Result<AccessSource<'r>, NotUnderstood> {
    let needed = |name: &str| parameters.get(name)?.ok_or_else(|| NotUnderstood::new(format!("`{name}` is missing")));
    match rule {
        SourceRule::Typed(rule) => {
            let kind = match &*needed(&rule.kind)? {
                "table" | "tileset" | "raster" => Named::Resource,
                "query" => Named::QueryOrNamedSource,
                _ => {
                    let why = format!("`{}` is none of `table`, `tileset`, `raster` and `query`", rule.kind);
                    return Err(NotUnderstood::new(why));
                }
            };
            Ok(named(kind, needed(&rule.typed)?))
        }
        SourceRule::OneOf(rule) => {
            let mut found = None;
            for (name, kind) in rule.parameters() {
                if let Some(text) = parameters.get(name)?
                    && let Some((before, _, _)) = found.replace((name, kind, text))
                {
                    return Err(NotUnderstood::new(format!("`{before}` and `{name}` are both given")));
                }
            }
            found.map(|(_, kind, text)| named(kind, text)).ok_or_else(|| {
                let names: Vec<_> = rule.parameters().map(|(name, _)| format!("`{name}`")).collect();
                NotUnderstood::new(format!("{} is missing", names.join(" or ")))
            })
        }
    }
}

/// Returns the source that a parameter of this kind names (W3).
fn named(kind: Named, text: Cow<'_, str>) -> AccessSource<'_> {
    let kind = match kind {
        Named::Resource => SourceKind::Resource,
        Named::QueryOrNamedSource if NamedSource::is_named_source(&text) => SourceKind::NamedSource,
        Named::Query | Named::QueryOrNamedSource => SourceKind::Query,
    };
    (kind, text)
}

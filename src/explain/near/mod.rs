//! Near misses of a denied request.

mod connection;
mod malformed;
mod referer;
mod resource;
mod text;
mod token;

use std::fmt;

use super::case::Case;
use super::edit::Speller;
use crate::decision::{CanonicalSource, Reason, Source};
use crate::name::NameBuffer;

/// The maximum number of near misses in an explanation.
const MAX_NEAR_MISSES: usize = 5;

/// A small difference between the request and one that the failed check would accept.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct NearMiss {
    /// The kind of near miss.
    pub kind: NearMissKind,
    /// The index of the source in the request, if the near miss concerns one source.
    pub source: Option<usize>,
    /// The index of the grant in the token's list, if the near miss concerns one grant.
    pub grant: Option<u32>,
    /// One sentence that states the difference.
    pub message: String,
    /// A way to fix the difference.
    pub help: Option<String>,
}

macro_rules! kinds {
    ($($(#[doc = $doc:literal])* $kind:ident = $code:literal,)*) => {
        /// The kind of a near miss. The codes are stable.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
        #[non_exhaustive]
        pub enum NearMissKind { $($(#[doc = $doc])* $kind,)* }

        impl NearMissKind {
            /// Every kind.
            pub const ALL: &[Self] = &[$(Self::$kind,)*];

            /// Returns the stable code.
            pub const fn code(self) -> &'static str {
                match self { $(Self::$kind => $code,)* }
            }
        }
    };
}

kinds! {
    /// The token has expired.
    Expired = "expired",
    /// The policy has an API with a similar name.
    SimilarApi = "similar_api",
    /// The API exists, but the token does not list it.
    ApiNotListed = "api_not_listed",
    /// The token has referers, and the request has none.
    RefererAbsent = "referer_absent",
    /// The Referer is not an absolute URL.
    RefererUnreadable = "referer_unreadable",
    /// The Referer's URL is neither `http` nor `https`.
    RefererNotHttp = "referer_not_http",
    /// The Referer has user info.
    RefererUserInfo = "referer_user_info",
    /// The scheme of the Referer differs from that of an entry.
    RefererScheme = "referer_scheme",
    /// The host of the Referer is a subdomain or a parent domain of an entry's host, or both share a domain.
    RefererSubdomain = "referer_subdomain",
    /// The host of the Referer is spelled similarly to that of an entry.
    RefererHost = "referer_host",
    /// The port of the Referer differs from that of an entry.
    RefererPort = "referer_port",
    /// The path or query of the Referer does not match an entry.
    RefererPath = "referer_path",
    /// The request names no source.
    NoSource = "no_source",
    /// A name is malformed.
    MalformedName = "malformed_name",
    /// A query is malformed.
    MalformedQuery = "malformed_query",
    /// A named source is malformed.
    MalformedNamedSource = "malformed_named_source",
    /// The token has grants on a connection with a similar name.
    SimilarConnection = "similar_connection",
    /// The token has grants on a connection whose name differs only in letter case or white space.
    ConnectionLetterCase = "connection_letter_case",
    /// The same sources are granted on another connection.
    OtherConnection = "other_connection",
    /// The connection refuses queries.
    NamedSourcesOnly = "named_sources_only",
    /// The source is granted, but by a kind of grant that the API does not consider.
    KindNotConsidered = "kind_not_considered",
    /// The text is granted as another kind of source.
    OtherKind = "other_kind",
    /// A name matches a grant except for letter case.
    LetterCase = "letter_case",
    /// A granted name has a similar spelling.
    SimilarName = "similar_name",
    /// A name has dots within quotes, which do not separate segments.
    QuotedDots = "quoted_dots",
    /// A name has more or fewer leading segments than a granted one.
    LeadingSegments = "leading_segments",
    /// A pattern would match if its star spanned dots.
    StarSpansNoDot = "star_spans_no_dot",
    /// All segments of a pattern match except one.
    OneSegment = "one_segment",
    /// A query differs from a granted one only in letter case.
    QueryLetterCase = "query_letter_case",
    /// A query differs from a granted one in white space.
    QueryWhiteSpace = "query_white_space",
    /// A query starts with a granted one, or a granted one starts with the query.
    QueryTrailingText = "query_trailing_text",
    /// A granted query has a similar spelling.
    SimilarQuery = "similar_query",
    /// A granted named source has a similar spelling.
    SimilarNamedSource = "similar_named_source",
}

impl fmt::Display for NearMissKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.code())
    }
}

impl NearMiss {
    fn new(kind: NearMissKind, message: String) -> Self {
        Self { kind, source: None, grant: None, message, help: None }
    }

    fn source(self, source: usize) -> Self {
        Self { source: Some(source), ..self }
    }

    fn help(self, help: impl Into<String>) -> Self {
        Self { help: Some(help.into()), ..self }
    }
}

impl fmt::Display for NearMiss {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} [{}]", self.message, self.kind)?;
        self.help.iter().try_for_each(|help| write!(f, "\n    help: {help}"))
    }
}

/// Returns the near misses of a denied request, the nearest first.
pub(super) fn misses(case: &Case<'_, '_>) -> Vec<NearMiss> {
    let mut nearest = Nearest::default();
    match case.reason() {
        None
        | Some(
            // A similar secret is never disclosed.
            Reason::TokenMissing | Reason::TokenUnknown | Reason::PolicyUnavailable | Reason::RequestNotUnderstood,
        ) => {}
        Some(Reason::TokenExpired) => token::expired(case, &mut nearest),
        Some(Reason::ApiNotAllowed) => token::api(case, &mut nearest),
        Some(Reason::RefererMissing | Reason::RefererNotAllowed) => referer::misses(case, &mut nearest),
        Some(Reason::SourceMalformed) => malformed::misses(case, &mut nearest),
        Some(Reason::ConnectionNotGranted) => connection::not_granted(case, &mut nearest),
        Some(Reason::QueryNotAccepted) => connection::named_sources_only(case, &mut nearest),
        Some(Reason::GrantKindNotAccepted) => text::kind_not_considered(case, &mut nearest),
        Some(Reason::SourceNotGranted) => not_granted(case, &mut nearest),
    }
    nearest.into_misses()
}

fn not_granted(case: &Case<'_, '_>, nearest: &mut Nearest) {
    let (Some((index, source)), Some(block)) = (case.failing(), case.block()) else { return };
    let mut buffer = NameBuffer::new();
    let Ok(canonical) = case.target().read(source, &mut buffer) else { return };
    match &canonical {
        CanonicalSource::Resource(name) => resource::misses(case, block, (index, source.text(), *name), nearest),
        CanonicalSource::Query(query) => text::queries(case, block, index, *query, nearest),
        CanonicalSource::NamedSource(name) => text::named_sources(case, block, (index, name), nearest),
    }
    connection::elsewhere(case, Some((index, source)), nearest);
    text::other_kind(case, block, (index, source), nearest);
    text::kind_never_considered(case, (index, source), nearest);
}

/// Returns the text of `source` as each of the other kinds of source.
fn as_other_kinds(source: Source<'_>) -> impl Iterator<Item = Source<'_>> {
    let text = source.text();
    let all = [Source::Resource(text), Source::NamedSource(text), Source::Query(text)];
    all.into_iter().filter(move |other| *other != source)
}

/// Collects the nearest of the offered near misses. Only formats the ones that it keeps.
#[derive(Default)]
struct Nearest {
    // INVARIANT: ascending by the key, at most `MAX_NEAR_MISSES`.
    kept: Vec<((u8, u32), NearMiss)>,
    speller: Speller,
}

impl Nearest {
    /// Offers a near miss. A lower `rank` is nearer; equal ranks are ordered by `grant`.
    fn offer(&mut self, rank: u8, grant: Option<u32>, miss: impl FnOnce() -> NearMiss) {
        let key = (rank, grant.unwrap_or(u32::MAX));
        let at = self.kept.partition_point(|(kept, _)| *kept <= key);
        if at < MAX_NEAR_MISSES {
            self.kept.truncate(MAX_NEAR_MISSES - 1);
            let miss = miss();
            self.kept.insert(at, (key, NearMiss { grant: grant.or(miss.grant), ..miss }));
        }
    }

    fn into_misses(self) -> Vec<NearMiss> {
        self.kept.into_iter().map(|(_, miss)| miss).collect()
    }
}

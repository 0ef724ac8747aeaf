//! What was nearly right.

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

/// How many are told.
const TOLD: usize = 5;

/// Something that would have been allowed, or at least would have passed the check, but for a little.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct NearMiss {
    /// What kind of near miss.
    pub kind: NearMissKind,
    /// The place of the source in the request, where it is about one.
    pub source: Option<usize>,
    /// The place of the grant in the token's list, where it is about one.
    pub grant: Option<u32>,
    /// One sentence: what differs.
    pub message: String,
    /// What to do about it.
    pub help: Option<String>,
}

macro_rules! kinds {
    ($($(#[doc = $doc:literal])* $kind:ident = $code:literal,)*) => {
        /// What kind of near miss. The codes are stable.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
        #[non_exhaustive]
        pub enum NearMissKind { $($(#[doc = $doc])* $kind,)* }

        impl NearMissKind {
            /// Every kind.
            pub const ALL: &[Self] = &[$(Self::$kind,)*];

            /// The stable code.
            pub const fn code(self) -> &'static str {
                match self { $(Self::$kind => $code,)* }
            }
        }
    };
}

kinds! {
    /// The token expired at an instant.
    Expired = "expired",
    /// An API of a similar name.
    SimilarApi = "similar_api",
    /// The API exists, but the token does not list it.
    ApiNotListed = "api_not_listed",
    /// The token has referers, the request none.
    RefererAbsent = "referer_absent",
    /// The Referer is not an absolute URL.
    RefererUnreadable = "referer_unreadable",
    /// The Referer's URL is neither `http` nor `https`.
    RefererNotHttp = "referer_not_http",
    /// The Referer has user info.
    RefererUserInfo = "referer_user_info",
    /// The Referer's scheme is not that of an entry.
    RefererScheme = "referer_scheme",
    /// The Referer's host stands below or above that of an entry.
    RefererSubdomain = "referer_subdomain",
    /// The Referer's host is spelled nearly as that of an entry.
    RefererHost = "referer_host",
    /// The Referer's port is not that of an entry.
    RefererPort = "referer_port",
    /// The Referer's path or query is not what an entry asks.
    RefererPath = "referer_path",
    /// The request names no source.
    NoSource = "no_source",
    /// Why a name is malformed.
    MalformedName = "malformed_name",
    /// Why a query is malformed.
    MalformedQuery = "malformed_query",
    /// Why a named source is malformed.
    MalformedNamedSource = "malformed_named_source",
    /// A connection of a similar name is granted.
    SimilarConnection = "similar_connection",
    /// A connection whose name differs in letter case only is granted.
    ConnectionLetterCase = "connection_letter_case",
    /// The same sources are granted on another connection.
    OtherConnection = "other_connection",
    /// The connection refuses queries.
    NamedSourcesOnly = "named_sources_only",
    /// It is granted, but by a kind of grant that the API does not consider.
    KindNotConsidered = "kind_not_considered",
    /// The text is granted as another kind of source.
    OtherKind = "other_kind",
    /// A name matches a grant but for letter case.
    LetterCase = "letter_case",
    /// A granted name is spelled nearly so.
    SimilarName = "similar_name",
    /// Dots within quotes belong to the segment.
    QuotedDots = "quoted_dots",
    /// A name has more or fewer leading segments than a granted one.
    LeadingSegments = "leading_segments",
    /// A pattern would match if its star spanned dots.
    StarSpansNoDot = "star_spans_no_dot",
    /// All segments of a pattern match but one.
    OneSegment = "one_segment",
    /// A query differs in letter case only.
    QueryLetterCase = "query_letter_case",
    /// A query differs in white space only.
    QueryWhiteSpace = "query_white_space",
    /// A query goes on after a granted one, or ends before it does.
    QueryTrailingText = "query_trailing_text",
    /// A granted query is spelled nearly so.
    SimilarQuery = "similar_query",
    /// A granted named source is spelled nearly so.
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

/// The near misses of a denied request, the nearest first.
pub(super) fn misses(case: &Case<'_, '_>) -> Vec<NearMiss> {
    let mut nearest = Nearest::default();
    match case.reason() {
        None
        | Some(
            // A secret that was nearly right is nobody's business.
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
    nearest.told()
}

fn not_granted(case: &Case<'_, '_>, nearest: &mut Nearest) {
    let (Some((index, source)), Some(block)) = (case.failing(), case.block()) else { return };
    let mut buffer = NameBuffer::new();
    let Ok(asked) = case.target().read(source, &mut buffer) else { return };
    match &asked {
        CanonicalSource::Resource(name) => resource::misses(case, block, (index, source.text(), *name), nearest),
        CanonicalSource::Query(query) => text::queries(case, block, index, query, nearest),
        CanonicalSource::NamedSource(name) => text::named_sources(case, block, (index, name), nearest),
    }
    connection::elsewhere(case, Some((index, source)), nearest);
    text::other_kind(case, block, (index, source), nearest);
    text::kind_never_considered(case, (index, source), nearest);
}

/// The kinds of source that a text may be asked as.
fn as_other_kinds(source: Source<'_>) -> impl Iterator<Item = Source<'_>> {
    let text = source.text();
    let all = [Source::Resource(text), Source::NamedSource(text), Source::Query(text)];
    all.into_iter().filter(move |other| *other != source)
}

/// Keeps the nearest of the near misses offered, and writes out no others.
#[derive(Default)]
struct Nearest {
    // INVARIANT: ascending by the key, at most `TOLD`.
    kept: Vec<((u8, u32), NearMiss)>,
    speller: Speller,
}

impl Nearest {
    /// Offers a near miss; the lower `rank`, then `grant`, the nearer.
    fn offer(&mut self, rank: u8, grant: Option<u32>, miss: impl FnOnce() -> NearMiss) {
        let key = (rank, grant.unwrap_or(u32::MAX));
        let at = self.kept.partition_point(|(kept, _)| *kept <= key);
        if at < TOLD {
            self.kept.truncate(TOLD - 1);
            let miss = miss();
            self.kept.insert(at, (key, NearMiss { grant: grant.or(miss.grant), ..miss }));
        }
    }

    fn told(self) -> Vec<NearMiss> {
        self.kept.into_iter().map(|(_, miss)| miss).collect()
    }
}

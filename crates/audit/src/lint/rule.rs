//! The rules of the lint.

use std::fmt;
use std::str::FromStr;

use serde::Serialize;

/// The severity of a finding, ordered; an error is the greatest.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Severity {
    /// Worth knowing.
    Note,
    /// Surely unintended.
    Warning,
    /// A hole.
    Error,
}

impl Severity {
    /// Every severity, in ascending order.
    pub const ALL: [Self; 3] = [Self::Note, Self::Warning, Self::Error];

    /// Returns `note`, `warning` or `error`, as in SARIF.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Note => "note",
            Self::Warning => "warning",
            Self::Error => "error",
        }
    }
}

impl fmt::Display for Severity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl FromStr for Severity {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let found = Self::ALL.into_iter().find(|severity| severity.as_str() == text);
        found.ok_or_else(|| "expected `note`, `warning` or `error`\nhelp: write `warning`".to_owned())
    }
}

/// A rule. Its code and severity never change.
#[derive(Debug, PartialEq, Eq, Hash)]
pub struct Rule {
    /// The stable code.
    pub code: &'static str,
    /// The severity of its findings.
    pub severity: Severity,
    /// A short description.
    pub title: &'static str,
    /// Why it matters, and how to fix it.
    pub help: &'static str,
}

impl Rule {
    /// Finds the rule with that code; hyphens count as underscores.
    pub fn find(code: &str) -> Option<&'static Self> {
        let code = code.replace('-', "_");
        RULES.iter().copied().find(|rule| rule.code == code)
    }
}

macro_rules! rules {
    ($($name:ident $severity:ident $code:literal $title:literal $help:literal)*) => {
        $(pub(super) static $name: Rule =
            Rule { code: $code, severity: Severity::$severity, title: $title, help: $help };)*

        /// Every rule, by code.
        pub static RULES: &[&Rule] = &[$(&$name),*];
    };
}

rules! {
    ALL_SOURCES_NEVER_EXPIRE Warning "all_sources_never_expire"
        "all sources for a token that never expires"
        "If such a token leaks, everything on the connection stays readable indefinitely. Grant the sources that the token needs, or set an expiry."
    ALL_SOURCES_WITH_REFERERS Warning "all_sources_with_referers"
        "all sources for a token that web pages show to everyone"
        "A token with referers is in the pages of web sites, where anybody can read it, and referers do not authenticate. Grant the sources that the pages need."
    BIDI_CHARACTER Error "bidi_character"
        "a character that changes the direction of text"
        "Such a character makes a name look like another one in a review. Remove it; a name with it cannot be distinguished from an imitation."
    BLANKS_AROUND Warning "blanks_around"
        "an id or a connection with blanks around it"
        "The blanks are part of it: a request for the connection without them does not match. Write it without blanks."
    CASE_READING Warning "case_reading"
        "a pattern that would cover other names if letter case were read differently"
        "Dialects fold the letters of bare identifiers, or keep them; a name is covered only when its letters are those of the pattern, folded. Write the name as the warehouse does, quoted where it must be."
    CONNECTION_NOT_IN_URLS Warning "connection_not_in_urls"
        "a connection whose name no HTTP request can carry"
        "Requests name the connection in a segment of their path. Servers read some characters of a segment in different ways, so a request with one is not understood. Rename the connection."
    CONNECTION_STAR Warning "connection_star"
        "a connection whose name has a star"
        "A star is a wildcard only in a source: the grant covers only a connection that has the star in its name. Write a grant for each connection."
    CONNECTION_UNDECLARED Warning "connection_undeclared"
        "a grant on a connection that is not declared, although others are"
        "Its name may be misspelt. The names on it are read in the dialect `generic`, which may not be that of the warehouse. Declare the connection, or correct its name."
    DUPLICATE_GRANT Warning "duplicate_grant"
        "a grant that its token lists twice"
        "Remove one of them: if the access is removed later, the other one may be overlooked."
    DUPLICATE_REFERER Note "duplicate_referer"
        "a referer that means the same as another one of its token"
        "Remove one of them."
    EXPIRED Warning "expired"
        "a token that is expired"
        "It is denied with `token_expired`. Remove it."
    EXPIRES_SOON Warning "expires_soon"
        "a token that expires soon"
        "Create another token, and replace this one before it expires."
    GRANT_NEVER_USED Note "grant_never_used"
        "a grant that no logged request needed"
        "Remove it if the log covers enough time. `portcullis audit suggest` writes the narrowest grants that the log needs."
    GRANT_UNUSED_BY_APIS Warning "grant_unused_by_apis"
        "a grant that no API of its token considers"
        "Each API considers only some kinds of grant (N8.3): this one allows nothing. Remove it, or let the token use an API that considers it."
    INVISIBLE_CHARACTER Warning "invisible_character"
        "a character that cannot be seen"
        "Two names that look the same are not: the grant covers nothing that anybody would write. Remove the character."
    LOOK_ALIKE_NAMES Warning "look_alike_names"
        "names that look alike"
        "Characters of other scripts, and `1` and `l`, look alike: one of the names may be an imitation or a mistake. Check that both are intended."
    MIXED_SCRIPTS Warning "mixed_scripts"
        "a name with letters from several scripts"
        "A Cyrillic `а` in a Latin name cannot be seen, and makes it another name. Write it in one script."
    NAME_UNLIKELY Warning "name_unlikely"
        "a name that probably names nothing"
        "Quotes make a list, a blank, a `%` or other quotes part of one name, which hardly any table has. Write each source without them."
    NAMES_DIFFER_BY_CASE Note "names_differ_by_case"
        "names that differ only by letter case"
        "Names are compared byte for byte after the dialect's folding: one of them may be a mistake. Check that both are intended."
    NO_TOKENS Warning "no_tokens"
        "a policy without tokens"
        "It denies every request. Add a token."
    PATTERN_MATCHES_NOTHING Warning "pattern_matches_nothing"
        "a pattern that matches nothing in the catalog"
        "It exposes nothing now, but will expose every future table with such a name. Remove it, or correct it."
    PATTERN_TOO_DEEP Warning "pattern_too_deep"
        "a pattern or resource with more segments than any name of its dialect has"
        "A pattern covers only names with as many segments as it has (N3.2): this one covers nothing. Write the path as the warehouse does."
    PATTERN_TOO_SHALLOW Warning "pattern_too_shallow"
        "a pattern or resource with fewer segments than a table of its dialect has"
        "A pattern covers only names with as many segments as it has (N3.2). Write the full path."
    PLAIN_SECRET Warning "plain_secret"
        "a secret in the policy file"
        "Everyone who can read the document can use the token. Write its SHA-256 as `token_sha256`."
    PUBLIC_TOKEN_NEVER_EXPIRES Warning "public_token_never_expires"
        "a token for web pages that never expires"
        "Web pages show it to everyone. Set an expiry, and replace the token before it expires."
    QUERY_NEVER_ACCEPTED Warning "query_never_accepted"
        "a granted query on a connection that accepts no queries"
        "On a connection that is `named_sources_only` queries are denied whatever the grants (N8.7). Grant a named source, or remove the grant."
    QUERY_NOT_SQL Warning "query_not_sql"
        "a granted query that is not SQL"
        "No statement starts with its first word, so no client runs it. Write the whole query, or leave out `type` if the source is a name."
    REDUNDANT_GRANT Warning "redundant_grant"
        "a grant that another one of its token covers"
        "It changes no decision: every request that it allows is allowed without it. Remove it, or, if it was meant to narrow the token, the one that covers it."
    REFERER_ENCODED_STAR Warning "referer_encoded_star"
        "a referer whose wildcard is not written as `*`"
        "Percent-encodings and full-width letters of a host are decoded, so `%2A.example.com` accepts every subdomain, as `*.example.com` does. Write `*.` if this is intended, or else the host."
    REFERER_FULL_PATH Warning "referer_full_path"
        "a referer with a path"
        "Browsers send only the origin to other origins, so the entry never matches there. Write the site."
    REFERER_HTTP Warning "referer_http"
        "a referer with plain `http`"
        "Anyone on the network path can change that page. Use https."
    REFERER_NEVER_SENT Warning "referer_never_sent"
        "a referer whose host or port no browser sends"
        "Such as a variable of a template, `{tenant}`, that nothing replaced, or a port that browsers block. The entry matches no request. Write the host and port of the page."
    REFERER_PUBLIC_SUFFIX Error "referer_public_suffix"
        "a referer for every site under a public suffix"
        "Anybody can register a site below a public suffix such as `com` or `github.io` and pass. Name the sites."
    RESOURCE_NOT_IN_CATALOG Warning "resource_not_in_catalog"
        "a granted resource that the catalog does not contain"
        "It allows nothing now, but will allow a future table with its name. Remove it, or correct it."
    SECRET_NOT_IN_HEADERS Warning "secret_not_in_headers"
        "a secret that no `Authorization` header can carry"
        "The header has visible ASCII characters without a comma after `Bearer`: a request with another secret is not understood. Write a secret of such characters."
    SHADOWED_PATTERN Warning "shadowed_pattern"
        "a pattern that a wider one of its token covers"
        "It changes no decision: the wider grant allows all that it covers. Remove it, or the wider one."
    STAR_READING Warning "star_reading"
        "a pattern that would cover more if its star spanned dots"
        "A star matches characters of one segment, never a dot (N3.1). Write one pattern for each intended number of segments."
    TOKEN_NEVER_EXPIRES Note "token_never_expires"
        "a token that never expires"
        "A token that leaks stays valid indefinitely. Set an expiry, and replace the token before it expires."
    TOKEN_NEVER_USED Warning "token_never_used"
        "a token that was never used"
        "Nobody would miss it, and it can still leak. Revoke it."
    TYPOGRAPHIC_QUOTES Warning "typographic_quotes"
        "a name with typographic quotes"
        "Text programs write them instead of the quotes of SQL. They are part of the name, so the grant covers another name than the one that is meant. Write the quotes of the dialect, or none."
    VERY_WIDE_PATTERN Warning "very_wide_pattern"
        "a pattern that covers most of its connection"
        "It grows with the warehouse. Name the database and the schema, with a pattern for each."
    WILDCARD_BEFORE_SECOND_DOT Warning "wildcard_before_second_dot"
        "a pattern that covers several databases or schemas"
        "It covers every database or schema of that form, those to come included. Write them out."
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rules_are_sorted_and_found_by_code() {
        assert!(RULES.is_sorted_by(|a, b| a.code < b.code));
        assert_eq!(Rule::find("redundant-grant"), Some(&REDUNDANT_GRANT));
        assert_eq!(Rule::find("no_such"), None);
    }

    #[test]
    fn guide_lists_every_rule_with_its_title() {
        let guide = include_str!("../../../../docs/audit.md");
        for rule in RULES {
            let row = format!("| `{}` | {} | {} |", rule.code, rule.severity, rule.title);
            assert!(guide.contains(&row), "docs/audit.md lacks `{row}`");
        }
        let is_row = |line: &&str| Severity::ALL.iter().any(|severity| line.contains(&format!("` | {severity} | ")));
        assert_eq!(guide.lines().filter(is_row).count(), RULES.len());
    }
}

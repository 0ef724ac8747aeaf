//! Brings the names of a catalog to the number of segments that grants have.
//!
//! A pattern covers only names with its number of segments (N3.2). A name with another number than every grant of its
//! connection would always count as not exposed, even if a grant covers the table in the database of the connection. Such
//! a row is broken, unless `--catalog-database` decides it.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write;

use portcullis::base::{is_control, quoted};
use portcullis::model::{Connection, GrantSource, Policy, Token};
use portcullis::name::{CanonicalName, Dialect, Name, NameBuffer, STAR};
use portcullis_audit::catalog::{Broken, Row, WrittenName};

/// The database of a connection.
#[derive(Debug, Clone, clap::Args)]
#[command(next_help_heading = "Catalog")]
pub(super) struct DatabaseArgs {
    /// Use this database for rows without one
    ///
    /// The database of the connection. Names get it if grants have a database, and lose it if grants have none.
    /// Example: `--catalog-database main`
    #[arg(long, value_name = "NAME", value_parser = database)]
    catalog_database: Option<String>,
}

/// Reads the name of a database: one segment, without quotes. Any other text would be in no name of a catalog.
fn database(text: &str) -> Result<String, String> {
    let decorations = |character: char| {
        character.is_whitespace() || is_control(character) || "\"'`[]()*/\\;,“”‘’«»".contains(character)
    };
    // Projects of BigQuery may have a domain with dots: `example.com:project`.
    let has_segments = text.contains('.') && !text.contains(':');
    if !text.is_empty() && !text.contains(decorations) && !has_segments {
        return Ok(text.to_owned());
    }
    let bare = text.trim_matches(|character: char| decorations(character) || character == '.');
    let bare = bare.split('.').next().unwrap_or_default();
    let example = if bare.is_empty() || bare.contains(decorations) { "main" } else { bare };
    Err(format!("expected one name without quotes, found {}\nhelp: write `--catalog-database {example}`", quoted(text)))
}

/// The segments of a schema and a table.
const WITHOUT_DATABASE: usize = 2;

/// Completes the names of a catalog, or removes their database.
pub(super) struct Databases<'p> {
    given: Option<&'p str>,
    connections: BTreeMap<&'p str, Segments>,
}

/// The numbers of segments that grants on a connection have.
struct Segments {
    dialect: Dialect,
    /// Ascending, without duplicates. Empty if no grant is a resource or a pattern.
    counts: Vec<usize>,
    /// The first segments of the grants.
    firsts: BTreeSet<Vec<u8>>,
    /// The canonical form of the given database, with the dot that ends it.
    database: Option<Vec<u8>>,
}

impl<'p> Databases<'p> {
    /// Connections that several `policies` have are those of the first.
    pub(super) fn new(args: &'p DatabaseArgs, policies: &[&'p Policy]) -> Self {
        let given = args.catalog_database.as_deref();
        let mut connections: BTreeMap<&str, Segments> = BTreeMap::new();
        for &policy in policies {
            for connection in policy.connections() {
                connections.entry(connection.name()).or_insert_with(|| Segments::new(connection.dialect(), given));
            }
            for grant in policy.tokens().iter().flat_map(Token::grants) {
                let canonical = match grant.source() {
                    GrantSource::Resource(name) => name.as_bytes(),
                    GrantSource::Pattern(pattern) => pattern.as_bytes(),
                    GrantSource::Query(_) | GrantSource::NamedSource(_) | GrantSource::All => continue,
                };
                let name = policy.connection(grant.connection()).map(Connection::name);
                if let Some(segments) = name.and_then(|name| connections.get_mut(name)) {
                    segments.add(canonical);
                }
            }
        }
        Self { given, connections }
    }

    /// Returns the row with a name that grants on its connection can cover. `text` stores a name that changes.
    pub(super) fn complete<'r>(&self, row: Row<'r>, connection: &str, text: &'r mut String) -> Result<Row<'r>, Broken>
    where
        'p: 'r,
    {
        let Some(segments) = self.connections.get(connection) else { return Ok(row) };
        if let WrittenName::Parts { catalog: None, schema, table, unquoted } = row.name {
            match self.given {
                Some(_) if segments.counts.is_empty() || segments.have_database() => {
                    return Ok(Row {
                        name: WrittenName::Parts { catalog: self.given, schema, table, unquoted },
                        ..row
                    });
                }
                None if segments.have_database() => {
                    let name = quoted(&format!("{schema}.{table}"));
                    let why = format!(
                        "no database: {name} lacks the database that grants on `{connection}` have; name it with \
                         `--catalog-database`"
                    );
                    return Err(Broken { line: row.line, why });
                }
                _ => {}
            }
        }
        if segments.counts.is_empty() || count(row.name).is_some_and(|count| segments.have(count)) {
            return Ok(row);
        }
        row.name.write(segments.dialect, text);
        let mut buffer = NameBuffer::new();
        // A malformed name is reported where it is counted.
        let Ok(name) = CanonicalName::read(text, segments.dialect, &mut buffer) else { return Ok(row) };
        if segments.have(name.segment_count()) {
            return Ok(row);
        }
        let Some(changed) = segments.changed(name) else {
            let has_more = segments.counts.last().is_some_and(|&most| name.segment_count() > most);
            if has_more && !segments.may_cover_rest(name) {
                return Ok(row);
            }
            return Err(Broken { line: row.line, why: self.undecided(segments, connection, text, name) });
        };
        let changed = changed.display(segments.dialect).to_string();
        text.clear();
        text.push_str(&changed);
        Ok(Row { name: WrittenName::Whole(text), ..row })
    }

    /// Explains why nobody can tell whether grants cover `name`, which is written as `text`.
    fn undecided(&self, segments: &Segments, connection: &str, text: &str, name: CanonicalName<'_>) -> String {
        let count = name.segment_count();
        let granted: Vec<String> = segments.counts.iter().map(ToString::to_string).collect();
        let noun = if count == 1 { "segment" } else { "segments" };
        let mut why = format!(
            "cannot tell whether {} is exposed: it has {count} {noun}, and grants on {} have {}; ",
            quoted(text),
            quoted(connection),
            granted.join(" or ")
        );
        let first = String::from_utf8_lossy(name.segment(0));
        // Writing to a string cannot fail.
        let _ = match self.given {
            _ if count > WITHOUT_DATABASE && segments.have(count - 1) => match self.given {
                Some(given) => write!(why, "its database is not {} of `--catalog-database`", quoted(given)),
                None => write!(
                    why,
                    "if {} is the database of the connection, name it with `--catalog-database`",
                    quoted(&first)
                ),
            },
            None if count == WITHOUT_DATABASE && segments.have_database() => {
                write!(why, "name its database with `--catalog-database`")
            }
            _ => write!(why, "write the name with the segments that grants have"),
        };
        why
    }
}

impl Segments {
    fn new(dialect: Dialect, given: Option<&str>) -> Self {
        // The name of a table in the database, up to the dot before the table.
        let canonical = |database| {
            let mut text = String::new();
            WrittenName::Parts { catalog: None, schema: database, table: "0", unquoted: false }
                .write(dialect, &mut text);
            Some(Name::parse(&text, dialect).ok()?.as_bytes().strip_suffix(b"0")?.to_vec())
        };
        Self { dialect, counts: Vec::new(), firsts: BTreeSet::new(), database: given.and_then(canonical) }
    }

    /// Adds the canonical form of a grant.
    fn add(&mut self, canonical: &[u8]) {
        let count = dots(canonical) + 1;
        if let Err(index) = self.counts.binary_search(&count) {
            self.counts.insert(index, count);
        }
        let first = canonical.split(|&byte| byte == b'.').next().unwrap_or_default();
        if !self.firsts.contains(first) {
            self.firsts.insert(first.to_vec());
        }
    }

    fn have(&self, count: usize) -> bool {
        self.counts.binary_search(&count).is_ok()
    }

    /// Whether a grant has more than a schema and a table.
    fn have_database(&self) -> bool {
        self.counts.last().is_some_and(|&count| count > WITHOUT_DATABASE)
    }

    /// Whether a grant may cover `name` without its first segments. Compares only the first segment of the grant.
    fn may_cover_rest(&self, name: CanonicalName<'_>) -> bool {
        let has_star = || self.firsts.iter().any(|first| first.contains(&STAR));
        (1..name.segment_count()).any(|number| self.firsts.contains(name.segment(number))) || has_star()
    }

    /// Returns `name` with the given database added or removed; `None` if that does not lead to a number of segments
    /// that grants have.
    fn changed(&self, name: CanonicalName<'_>) -> Option<Name> {
        let (database, count) = (self.database.as_deref()?, name.segment_count());
        let canonical = match name.as_bytes().strip_prefix(database) {
            Some(rest) if count > WITHOUT_DATABASE && self.have(count - 1) => rest.to_vec(),
            _ if count == WITHOUT_DATABASE && self.have(count + 1) => [database, name.as_bytes()].concat(),
            _ => return None,
        };
        Some(Name::of_canonical(&canonical))
    }
}

/// Returns the number of segments of a name; `None` if the name must be parsed to count them.
fn count(name: WrittenName<'_>) -> Option<usize> {
    match name {
        WrittenName::Parts { catalog, .. } => Some(WITHOUT_DATABASE + usize::from(catalog.is_some())),
        WrittenName::Whole(text) => {
            let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-' | b'$' | b'.');
            text.bytes().all(is_plain).then(|| dots(text.as_bytes()) + 1)
        }
    }
}

/// The dots that separate segments. In a canonical name, a dot inside a segment is another byte.
fn dots(name: &[u8]) -> usize {
    memchr::memchr_iter(b'.', name).count()
}

#[cfg(test)]
mod tests {
    use super::database;

    #[test]
    fn database_is_one_name_without_quotes() {
        for text in ["acme", "my-project", "example.com:project", "MY_DB", "a$b", "näme"] {
            assert_eq!(database(text).as_deref(), Ok(text));
        }
        for (text, fix) in [
            ("\"acme\"", "acme"),
            ("`acme`", "acme"),
            (" acme", "acme"),
            ("acme ", "acme"),
            ("acme.", "acme"),
            ("acme.public", "acme"),
            ("[acme]", "acme"),
            ("*", "main"),
            ("ac/me", "main"),
            ("", "main"),
            ("a\u{2028}b", "main"),
        ] {
            let error = database(text).unwrap_err();
            assert!(error.ends_with(&format!("write `--catalog-database {fix}`")), "{text}: {error}");
            assert!(database(fix).is_ok(), "{fix}");
        }
    }
}

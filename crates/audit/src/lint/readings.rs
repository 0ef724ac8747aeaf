//! Finds patterns that are easily misread, or match nothing or nearly everything, and resources that do not exist.

use super::Collector;
use super::finding::{Fix, Raw, Witness};
use super::grants::example;
use super::names::Names;
use super::replay::Claim;
use super::rule::{
    CASE_READING, PATTERN_MATCHES_NOTHING, RESOURCE_NOT_IN_CATALOG, Rule, STAR_READING, VERY_WIDE_PATTERN,
};
use super::subject::Subject;
use super::words::{counted, json};
use portcullis::base::quoted;
use portcullis::model::{Connection, Grant, GrantSource};
use portcullis::name::{Fold, Name, STAR};
use portcullis::pattern::Pattern;

/// The min names of a catalog; a share of fewer names means little.
const FEW: u64 = 20;

pub(super) fn look(subject: &Subject<'_>, names: &Names, found: &mut Collector<'_>) {
    for (index, grant) in subject.token.grants().iter().enumerate() {
        let Some(connection) = subject.connection(grant) else { continue };
        let mut look = Look { subject, names, found, index, grant, connection };
        match grant.source() {
            GrantSource::Pattern(pattern) => look.pattern(pattern),
            GrantSource::Resource(name) => look.resource(name),
            GrantSource::Query(_) | GrantSource::NamedSource(_) | GrantSource::All => {}
        }
    }
}

struct Look<'l, 'a, 'f> {
    subject: &'l Subject<'a>,
    names: &'l Names,
    found: &'l mut Collector<'f>,
    index: usize,
    grant: &'a Grant,
    connection: &'a Connection,
}

impl Look<'_, '_, '_> {
    fn pattern(&mut self, pattern: &Pattern) {
        let Some(evidence) = self.names.pattern(self.grant.connection(), pattern.as_bytes()) else { return };
        let (dialect, count) = (self.connection.dialect(), evidence.count);
        // A name that another grant of the token covers is not missing.
        let across_dots = evidence.across_dots.iter().find(|name| !self.is_granted(name));
        let across_dots = across_dots.map(|name| name.display(dialect).to_string());
        let other_case = evidence.other_case.iter().find(|name| !self.is_granted(name));
        let other_case = other_case.map(|name| name.display(dialect).to_string());
        if let Some(name) = across_dots.or_else(|| self.deeper(pattern)) {
            self.star(pattern, name);
        }
        if let Some(name) = other_case.or_else(|| if count == 0 { self.as_it_is_spelt() } else { None }) {
            self.case(&name);
        }
        self.width(pattern, count);
    }

    fn resource(&mut self, name: &Name) {
        let Some(evidence) = self.names.resource(self.grant.connection(), name.as_bytes()) else { return };
        let names = self.names.count(self.grant.connection());
        if names == 0 || evidence.exists {
            return;
        }
        let text = quoted(&name.display(self.connection.dialect()).to_string());
        let message = format!("{text} is not among the {} of the catalog", counted(names, "name"));
        let (message, fix) = match &evidence.like {
            Some(like) => (
                format!("{message}, which has {}", quoted(like)),
                Fix::replace(format!("write {}", quoted(like)), self.subject.source_path(self.index), like),
            ),
            None => (message, Fix::remove("remove it, or correct its name", self.subject.grant_path(self.index))),
        };
        self.report(&RESOURCE_NOT_IN_CATALOG, message, fix, None);
    }

    /// Whether a grant of the token covers the name.
    fn is_granted(&self, name: &Name) -> bool {
        let here = self.subject.token.grants().iter().filter(|grant| grant.connection() == self.grant.connection());
        here.map(Grant::source).any(|source| match source {
            GrantSource::Resource(granted) => granted == name,
            GrantSource::Pattern(pattern) => pattern.covers(name),
            GrantSource::All => true,
            GrantSource::Query(_) | GrantSource::NamedSource(_) => false,
        })
    }

    /// Returns a possible table name of the dialect, if the pattern has too few segments to cover any table.
    fn deeper(&self, pattern: &Pattern) -> Option<String> {
        let depth = self.connection.dialect().depth().map(usize::from)?;
        let missing = depth.checked_sub(pattern.segment_count()).filter(|&missing| missing > 0)?;
        if !pattern.as_bytes().ends_with(&[STAR]) {
            return None;
        }
        let mut deeper = pattern.as_bytes().to_vec();
        deeper.extend(std::iter::repeat_n([b'.', STAR], missing).flatten());
        let name = example(&deeper, self.connection.dialect());
        Name::parse(&name, self.connection.dialect()).is_ok_and(|name| !self.is_granted(&name)).then_some(name)
    }

    fn star(&mut self, pattern: &Pattern, name: String) {
        let dialect = self.connection.dialect();
        let Ok(read) = Name::parse(&name, dialect) else { return };
        let missing = read.segments().len().saturating_sub(pattern.segment_count());
        let wider = format!("{}{}", pattern.display(dialect), ".*".repeat(missing));
        let wider = Pattern::parse(&wider, dialect).ok().filter(|wider| wider.covers(&read));
        let also = wider.clone().map_or_else(|| GrantSource::Resource(read.clone()), GrantSource::Pattern);
        let text = also.display(dialect);
        let message = format!(
            "{} does not cover {}, since a star never spans a dot",
            quoted(&pattern.display(dialect).to_string()),
            quoted(&name)
        );
        let say = format!("if it is meant to, grant {}", quoted(&text));
        let too_shallow = dialect.depth().is_some_and(|depth| pattern.segment_count() < usize::from(depth));
        let fix = if too_shallow && wider.is_some() {
            Fix::replace(say, self.subject.source_path(self.index), &text)
        } else {
            self.beside(format!("{say} as well"), &text)
        };
        let witness = self.not_covered(name);
        if self.found.is_enabled(&STAR_READING) {
            let grant = Grant::new(self.grant.connection(), also);
            self.found.claims.push(Claim { grant, witness: Witness { covered: true, ..witness.clone() } });
        }
        self.report(&STAR_READING, message, fix, Some(witness));
    }

    fn case(&mut self, name: &str) {
        let dialect = self.connection.dialect();
        let why = match dialect.bare_fold().is_upper() {
            None => format!("`{dialect}` keeps the case of letters"),
            Some(true) => format!("`{dialect}` reads bare letters as upper case"),
            Some(false) => format!("`{dialect}` reads bare letters as lower case"),
        };
        let message = format!("{} does not cover {}: {why}", quoted(&self.subject.display(self.grant)), quoted(name));
        let fix = self.beside(format!("if it is meant to, grant {} as well", quoted(name)), name);
        let witness = self.not_covered(name.to_owned());
        self.report(&CASE_READING, message, fix, Some(witness));
    }

    /// Returns the quoted name with the pattern's spelling, if the dialect folds it and a segment mixes both cases. The
    /// author of `Sales_*` may mean the capital `S`.
    fn as_it_is_spelt(&self) -> Option<String> {
        let dialect = self.connection.dialect();
        let folds = dialect.bare_fold() != Fold::AsWritten && dialect.quoted_fold() == Fold::AsWritten;
        if !folds {
            return None;
        }
        let written = self.subject.written_source(self.index).filter(|text| !text.contains('"'))?;
        let mixed = |segment: &str| {
            segment.bytes().any(|byte| byte.is_ascii_lowercase())
                && segment.bytes().any(|byte| byte.is_ascii_uppercase())
        };
        if !written.split('.').any(mixed) {
            return None;
        }
        let quoted: Vec<String> = written.split('.').map(|part| format!("\"{}\"", part.replace('*', "x"))).collect();
        let name = quoted.join(".");
        Name::parse(&name, dialect).is_ok_and(|name| !self.is_granted(&name)).then_some(name)
    }

    fn width(&mut self, pattern: &Pattern, count: u64) {
        let names = self.names.count(self.grant.connection());
        let text = quoted(&self.subject.display(self.grant));
        let name_them = || Fix::say("name the database and the schema, with a pattern for each");
        let everything = pattern.as_bytes().split(|&byte| byte == b'.').all(|segment| segment == [STAR]);
        if names > 0 && count == 0 {
            let message = format!("{text} matches none of the {} of the catalog", counted(names, "name"));
            let fix = Fix::remove("remove it, or correct it", self.subject.grant_path(self.index));
            self.report(&PATTERN_MATCHES_NOTHING, message, fix, None);
        } else if names >= FEW && share(count, names) >= self.found.options.wide_share {
            let percent = share(count, names) * 100.0;
            let message = format!("{text} covers {count} of the {names} names of the catalog, {percent:.0} %");
            self.report(&VERY_WIDE_PATTERN, message, name_them(), None);
        } else if names == 0 && everything {
            let message = format!("{text} covers every table whose path has {} segments", pattern.segment_count());
            self.report(&VERY_WIDE_PATTERN, message, name_them(), None);
        }
    }

    /// Returns a fix that inserts a grant after this one.
    fn beside(&self, say: String, source: &str) -> Fix {
        let grant = format!("{{\"connection_name\": {}, \"source\": {}}}", json(self.connection.name()), json(source));
        Fix::insert(say, self.subject.grant_path(self.index), grant)
    }

    fn not_covered(&self, resource: String) -> Witness {
        Witness { connection: self.connection.name().to_owned(), resource, covered: false }
    }

    fn report(&mut self, rule: &'static Rule, message: String, fix: Fix, witness: Option<Witness>) {
        if let Some(witness) = witness.clone().filter(|_| self.found.is_enabled(rule)) {
            self.found.claims.push(Claim { grant: self.grant.clone(), witness });
        }
        let (document, token) = (self.subject.origin.document, Some(self.subject.index));
        let path = self.subject.source_path(self.index);
        self.found.add(Raw { rule, document, token, path, message, fix, witness });
    }
}

#[expect(clippy::cast_precision_loss, reason = "a share")]
fn share(count: u64, of: u64) -> f64 {
    count as f64 / of as f64
}

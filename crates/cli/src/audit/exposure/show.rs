//! Prints an exposure: tables show the largest counts, JSON and CSV show everything.

use std::cmp::Reverse;
use std::collections::HashSet;
use std::io::Write;

use portcullis::model::{Connection, ConnectionId, Grant, GrantKind, GrantSource, Token};
use portcullis_audit::coverage::Coverage;
use portcullis_audit::exposure::{ConnectionExposure, Exposure, SourceExposure, TokenExposure};
use portcullis_audit::reads::{Followed, Reads};
use serde::{Serialize, Serializer};
use serde_json::{Value, json};

use super::{Args, Format};
use crate::audit::reads::{self, CallRow, UnfollowedRow, shortened};
use crate::output::{Color, Csv, Stdout, counted, grouped, printable, write_json_lines};
use crate::table::Table;

pub(super) fn show(
    args: &Args,
    coverage: &Coverage<'_>,
    exposure: &Exposure,
    followed: &Followed<'_>,
    color: Color,
) -> anyhow::Result<()> {
    let mut out = Stdout::lock();
    let view = View { args, coverage, exposure, followed };
    match args.format {
        Format::Table => view.table(color.on(&std::io::stdout()), &mut out)?,
        Format::Json => view.json(&mut out)?,
        Format::Csv => view.csv(&mut out)?,
    }
    out.flush()?;
    Ok(())
}

/// The exposure as JSON.
#[derive(Serialize)]
struct ExposureJson<'v, T: Serialize, S: Serialize> {
    names: u64,
    exposed: u64,
    share: f64,
    through_queries: u64,
    query_share: f64,
    connections: Vec<Value>,
    tokens: T,
    sources: S,
    not_followed: Vec<UnfollowedRow<'v>>,
    not_in_catalog: Vec<Value>,
    calls: Vec<CallRow<'v>>,
    unknown_connections: Value,
    broken: Value,
}

#[derive(Serialize)]
struct TokenRow<'v, G: Serialize> {
    id: &'v str,
    names: u64,
    share: f64,
    expired: bool,
    examples: &'v [String],
    through_queries: u64,
    query_share: f64,
    query_examples: &'v [String],
    grants: G,
}

#[derive(Serialize)]
struct GrantRow {
    connection: String,
    kind: &'static str,
    source: String,
    names: Option<u64>,
    share: Option<f64>,
    reads: Option<Vec<String>>,
    /// The calls of a query or named source that may read more.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    calls: Vec<String>,
}

#[derive(Serialize)]
struct SourceRow<'v> {
    connection: String,
    kind: &'static str,
    source: String,
    names: u64,
    share: f64,
    tokens: u64,
    examples: &'v [String],
}

/// A list that is serialized item by item, without collecting it.
struct Each<F>(F);

impl<F: Fn() -> I, I: Iterator<Item: Serialize>> Serialize for Each<F> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_seq((self.0)())
    }
}

struct View<'v> {
    args: &'v Args,
    coverage: &'v Coverage<'v>,
    exposure: &'v Exposure,
    followed: &'v Followed<'v>,
}

impl<'v> View<'v> {
    fn tokens(&self) -> impl Iterator<Item = (&'v Token, &'v TokenExposure)> {
        let (only, all) =
            (self.args.token.as_deref(), self.coverage.policy().tokens().iter().zip(&self.exposure.tokens));
        all.filter(move |(token, _)| only.is_none_or(|only| token.id() == only))
    }

    /// Whether `--connection` includes this connection.
    fn includes(&self, connection: ConnectionId) -> bool {
        let known = self.coverage.policy().connection(connection);
        self.args.connection.as_deref().is_none_or(|only| known.is_some_and(|known| known.name() == only))
    }

    /// The granted sources of the included connections; none with `--token`.
    fn sources(&self) -> Vec<&'v SourceExposure> {
        let all = self.exposure.sources.iter().filter(|source| self.includes(source.connection));
        if self.args.token.is_some() { Vec::new() } else { all.collect() }
    }

    fn connections(&self) -> impl Iterator<Item = (&'v Connection, &'v ConnectionExposure)> {
        let only = self.args.connection.as_deref();
        let all = self.coverage.policy().connections().iter().zip(&self.exposure.connections);
        all.filter(move |(known, _)| only.is_none_or(|only| known.name() == only))
    }

    /// The queries and named sources of the included connections and tokens that were not followed.
    fn unfollowed(&self) -> Vec<UnfollowedRow<'v>> {
        let policy = self.coverage.policy();
        let token = self.args.token.as_deref();
        reads::unfollowed(self.followed, policy, |unfollowed| {
            let has_token = |only| {
                unfollowed.granted_by.iter().any(|index| policy.tokens().get(index.token).map(Token::id) == Some(only))
            };
            self.includes(unfollowed.connection) && token.is_none_or(has_token)
        })
    }

    /// Whether the query or named source is on an included connection and, with `--token`, of that token.
    fn includes_query(&self, connection: ConnectionId, source: &GrantSource) -> bool {
        let has = |grant: &Grant| grant.connection() == connection && grant.source() == source;
        let of_token = || self.tokens().any(|(token, _)| token.grants().iter().any(has));
        self.includes(connection) && (self.args.token.is_none() || of_token())
    }

    /// The reads of each query of the included connections and tokens.
    fn queries(&self) -> impl Iterator<Item = (ConnectionId, &'v Reads)> {
        let all = self.followed.all().filter(|(connection, source, _)| self.includes_query(*connection, source));
        all.map(|(connection, _, reads)| (connection, reads))
    }

    /// The calls of queries that may read more than the named tables.
    fn calls(&self) -> Vec<CallRow<'v>> {
        let calls = self.followed.calls(|connection, source| self.includes_query(connection, source));
        reads::calls(&calls, self.coverage.policy())
    }

    fn grants(&self) -> impl Iterator<Item = (&'v Token, &'v Grant, Option<u64>)> {
        self.tokens().flat_map(|(token, exposed)| {
            let all = token.grants().iter().zip(&exposed.grants).map(move |(grant, names)| (token, grant, *names));
            all.filter(|(_, grant, _)| self.includes(grant.connection()))
        })
    }

    fn source(&self, grant: &Grant) -> (String, String) {
        let connection = self.coverage.policy().connection(grant.connection());
        connection
            .map_or_else(Default::default, |known| (known.name().to_owned(), grant.source().display(known.dialect())))
    }

    /// Returns the connection and the text of a source.
    fn written(&self, source: &SourceExposure) -> (String, String) {
        let connection = self.coverage.policy().connection(source.connection);
        connection
            .map_or_else(Default::default, |known| (known.name().to_owned(), source.source.display(known.dialect())))
    }

    fn share(&self, names: u64) -> f64 {
        share(names, self.exposure.names)
    }

    fn percent(&self, names: u64) -> String {
        format!("{:.2} %", 100.0 * self.share(names))
    }

    fn table(&self, paint: bool, out: &mut Stdout) -> std::io::Result<()> {
        let queries = self.followed.all().next().is_some();
        let mut tokens: Vec<_> = self.tokens().collect();
        tokens.sort_by_key(|(_, exposed)| (exposed.expired, Reverse(exposed.names + exposed.through_queries)));
        let mut heading = vec!["TOKEN ID", "NAMES", "SHARE", "EXAMPLES"];
        if queries {
            heading.insert(3, "THROUGH QUERIES");
        }
        let mut table = Table::new(&heading);
        for (token, exposed) in tokens.iter().take(self.args.limit) {
            let share = if exposed.expired { "expired".to_owned() } else { self.percent(exposed.names) };
            let mut cells = vec![token.id().to_owned(), grouped(exposed.names), share];
            if queries {
                cells.push(self.more(exposed.through_queries));
            }
            cells.push(examples(exposed));
            table.row(cells);
        }
        table.print(paint, out)?;
        more(tokens.len(), self.args.limit, "tokens", out)?;
        if self.args.token.is_some() {
            let mut table = Table::new(&["GRANT", "KIND", "NAMES", "SHARE"]);
            for (_, grant, names) in self.grants() {
                let (connection, source) = self.source(grant);
                let followed = self.followed.outcome(grant.connection(), grant.source()).is_none_or(Result::is_ok);
                let why = if followed { "no API considers it" } else { "not followed" };
                let (names, share) = names
                    .map_or_else(|| ("-".to_owned(), why.to_owned()), |names| (grouped(names), self.percent(names)));
                table.row([format!("{connection}: {}", shortened(&source)), kind(grant.source().kind()), names, share]);
            }
            writeln!(out)?;
            table.print(paint, out)?;
        } else {
            self.by_source(paint, out)?;
            self.by_connection(paint, out)?;
        }
        reads::table(&self.unfollowed(), self.args.limit, paint, out)?;
        self.notes(out)
    }

    fn by_source(&self, paint: bool, out: &mut Stdout) -> std::io::Result<()> {
        let mut sources = self.sources();
        sources.sort_by_key(|source| Reverse(source.names));
        let mut table = Table::new(&["SOURCE", "KIND", "NAMES", "SHARE", "TOKENS", "EXAMPLES"]);
        for source in sources.iter().take(self.args.limit) {
            let (connection, text) = self.written(source);
            table.row([
                format!("{connection}: {}", shortened(&text)),
                kind(source.source.kind()),
                grouped(source.names),
                self.percent(source.names),
                grouped(source.tokens),
                source.examples.join(", "),
            ]);
        }
        writeln!(out)?;
        table.print(paint, out)?;
        more(sources.len(), self.args.limit, "sources", out)
    }

    fn by_connection(&self, paint: bool, out: &mut Stdout) -> std::io::Result<()> {
        let heading = ["CONNECTION", "NAMES", "EXPOSED", "ONLY BY ALL", "THROUGH QUERIES", "NOT EXPOSED", "EXAMPLES"];
        let mut table = Table::new(&heading);
        for (known, found) in self.connections() {
            let hidden = found.names - found.exposed - found.through_queries;
            let counts = [found.names, found.exposed, found.by_all_only].map(grouped);
            let rest = [self.more(found.through_queries), grouped(hidden), found.unexposed_examples.join(", ")];
            table.row([known.name().to_owned()].into_iter().chain(counts).chain(rest));
        }
        writeln!(out)?;
        table.print(paint, out)
    }

    /// A cell with names that are added to the exposed ones: `+3 (1.50 %)`.
    fn more(&self, names: u64) -> String {
        if names == 0 { "-".to_owned() } else { format!("+{} ({})", grouped(names), self.percent(names)) }
    }

    fn notes(&self, out: &mut Stdout) -> std::io::Result<()> {
        let missing: Vec<_> = self.missing().collect();
        if !missing.is_empty() {
            let some = missing
                .iter()
                .take(self.args.limit)
                .map(|(connection, table, queries)| format!("{connection}: {table} ({})", reads::queries(*queries)));
            let some = printable(&some.collect::<Vec<_>>().join(", "));
            let count = counted(missing.len() as u64, "table");
            writeln!(out, "\n{count} that queries read but the catalog does not have: {some}")?;
            more(missing.len(), self.args.limit, "tables", out)?;
        }
        let calls = self.calls();
        if !calls.is_empty() {
            let some: Vec<String> = calls.iter().take(self.args.limit).map(ToString::to_string).collect();
            writeln!(out, "\nCalls in queries that may read more: {}", printable(&some.join(", ")))?;
            more(calls.len(), self.args.limit, "calls", out)?;
        }
        let Exposure { names, exposed, through_queries, unknown, .. } = *self.exposure;
        write!(out, "\n{} of {} names exposed ({})", grouped(exposed), grouped(names), self.percent(exposed))?;
        if through_queries > 0 {
            write!(out, ", and {} more through queries ({})", grouped(through_queries), self.percent(through_queries))?;
        }
        writeln!(out)?;
        if unknown > 0 {
            let examples = printable(&self.exposure.unknown_examples.join(", "));
            writeln!(out, "{} names on connections that the policy does not have: {examples}", grouped(unknown))?;
        }
        Ok(())
    }

    /// The tables that queries read but the catalog does not have.
    fn missing(&self) -> impl Iterator<Item = (&'v str, &'v str, u64)> {
        let tables = self.queries().flat_map(|(connection, reads)| {
            let dialect = self.coverage.policy().connection(connection).map(Connection::dialect).unwrap_or_default();
            reads.tables.iter().map(move |table| (connection, table.display(dialect)))
        });
        let tables: HashSet<(ConnectionId, String)> = tables.collect();
        let all = self.exposure.missing.iter();
        all.filter(move |missing| tables.contains(&(missing.connection, missing.table.clone()))).filter_map(|missing| {
            let connection = self.coverage.policy().connection(missing.connection)?;
            Some((connection.name(), missing.table.as_str(), missing.queries))
        })
    }

    /// Writes the JSON while it is produced: with many tokens it is far larger than the policy.
    fn json(&self, out: &mut Stdout) -> anyhow::Result<()> {
        let share = |names: u64| self.share(names);
        let grants = |token: &'v Token, exposed: &'v TokenExposure| {
            let grants =
                token.grants().iter().zip(&exposed.grants).filter(|(grant, _)| self.includes(grant.connection()));
            grants.map(move |(grant, names)| {
                let (connection, source) = self.source(grant);
                GrantRow {
                    connection,
                    kind: grant.source().kind().as_str(),
                    source,
                    names: *names,
                    share: names.map(share),
                    reads: reads::tables(self.followed, self.coverage.policy(), grant),
                    calls: self.followed.calls_of(grant).to_vec(),
                }
            })
        };
        let tokens = || {
            self.tokens().map(|(token, exposed)| TokenRow {
                id: token.id(),
                names: exposed.names,
                share: share(exposed.names),
                expired: exposed.expired,
                examples: &exposed.examples,
                through_queries: exposed.through_queries,
                query_share: share(exposed.through_queries),
                query_examples: &exposed.query_examples,
                grants: Each(move || grants(token, exposed)),
            })
        };
        let sources = || {
            self.sources().into_iter().map(|source| {
                let (connection, text) = self.written(source);
                SourceRow {
                    connection,
                    kind: source.source.kind().as_str(),
                    source: text,
                    names: source.names,
                    share: share(source.names),
                    tokens: source.tokens,
                    examples: &source.examples,
                }
            })
        };
        let connections = self.connections().map(|(known, found)| {
            json!({
                "connection": known.name(), "names": found.names, "exposed": found.exposed,
                "share": self::share(found.exposed, found.names), "only_by_all": found.by_all_only,
                "through_queries": found.through_queries,
                "not_exposed": found.names - found.exposed - found.through_queries,
                "not_exposed_examples": found.unexposed_examples,
            })
        });
        let missing = self
            .missing()
            .map(|(connection, table, queries)| json!({"connection": connection, "table": table, "queries": queries}));
        let Exposure { names, exposed, through_queries, unknown, unknown_examples, broken, first_broken, .. } =
            self.exposure;
        let first_broken: Vec<Value> =
            first_broken.iter().map(|broken| json!({"line": broken.line, "why": broken.why})).collect();
        let exposure = ExposureJson {
            names: *names,
            exposed: *exposed,
            share: share(*exposed),
            through_queries: *through_queries,
            query_share: share(*through_queries),
            connections: connections.collect(),
            tokens: Each(tokens),
            sources: Each(sources),
            not_followed: self.unfollowed(),
            not_in_catalog: missing.collect(),
            calls: self.calls(),
            unknown_connections: json!({"names": unknown, "examples": unknown_examples}),
            broken: json!({"rows": broken, "first": first_broken}),
        };
        Ok(write_json_lines(out, &exposure)?)
    }

    fn csv(&self, out: &mut Stdout) -> anyhow::Result<()> {
        let heading =
            ["of", "token", "connection", "kind", "source", "names", "share", "through_queries", "tokens", "examples"];
        let mut csv = Csv::new(out, heading)?;
        let share = |names: u64| format!("{:.6}", self.share(names));
        for (token, exposed) in self.tokens() {
            let of = if exposed.expired { "expired_token" } else { "token" };
            let (names, through) = (exposed.names.to_string(), exposed.through_queries.to_string());
            let record = [of, token.id(), "", "", "", &names, &share(exposed.names), &through, "", &examples(exposed)];
            csv.row(record)?;
        }
        for (token, grant, names) in self.grants() {
            let (connection, source) = self.source(grant);
            let (count, part) = names.map_or_else(Default::default, |names| (names.to_string(), share(names)));
            let kind = grant.source().kind().as_str();
            csv.row(["grant", token.id(), &connection, kind, &source, &count, &part, "", "", ""])?;
        }
        for source in self.sources() {
            let (connection, text) = self.written(source);
            let (names, tokens) = (source.names.to_string(), source.tokens.to_string());
            let (kind, examples) = (source.source.kind().as_str(), source.examples.join(", "));
            let part = share(source.names);
            csv.row(["source", "", &connection, kind, &text, &names, &part, "", &tokens, &examples])?;
        }
        for (known, found) in self.connections() {
            let hidden = found.names - found.exposed - found.through_queries;
            let unexposed = found.unexposed_examples.join(", ");
            for (of, names, examples) in [
                ("connection", found.names, ""),
                ("exposed", found.exposed, ""),
                ("through_queries", found.through_queries, ""),
                ("not_exposed", hidden, unexposed.as_str()),
            ] {
                let (count, part) = (names.to_string(), share(names));
                csv.row([of, "", known.name(), "", "", &count, &part, "", "", examples])?;
            }
        }
        for row in self.unfollowed() {
            let (tokens, why) = (row.granted_by(), row.reason());
            csv.row(["not_followed", &tokens, row.connection, row.kind, &row.source, "", "", "", "", &why])?;
        }
        for (connection, table, queries) in self.missing() {
            let queries = queries.to_string();
            csv.row(["not_in_catalog", "", connection, "", table, "0", "", &queries, "", ""])?;
        }
        for call in self.calls() {
            csv.row(["call", "", call.connection, "", call.text, "", "", &call.queries.to_string(), "", ""])?;
        }
        Ok(csv.finish()?)
    }
}

fn kind(kind: GrantKind) -> String {
    kind.as_str().replace('_', " ")
}

fn examples(exposed: &TokenExposure) -> String {
    match (exposed.examples.join(", "), exposed.query_examples.join(", ")) {
        (own, through) if through.is_empty() => own,
        (own, through) if own.is_empty() => format!("through queries: {through}"),
        (own, through) => format!("{own}; through queries: {through}"),
    }
}

fn more(count: usize, limit: usize, what: &str, out: &mut Stdout) -> std::io::Result<()> {
    let left = count.saturating_sub(limit) as u64;
    if left > 0 { writeln!(out, "and {} more {what}: raise `--limit`", grouped(left)) } else { Ok(()) }
}

#[expect(clippy::cast_precision_loss, reason = "a share is rounded anyway")]
fn share(names: u64, of: u64) -> f64 {
    if of == 0 { 0.0 } else { names as f64 / of as f64 }
}

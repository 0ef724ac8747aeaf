//! The answer: for people the most exposing, for programs all.

use std::cmp::Reverse;
use std::io::Write;

use portcullis::audit::exposure::{Exposure, SourceExposure, Surface, TokenExposure};
use portcullis::model::{Grant, Token};
use serde_json::{Value, json};

use super::{Args, Format};
use crate::cli::output::{Color, Stdout, grouped, printable};
use crate::cli::table::Table;

pub(super) fn show(args: &Args, surface: &Surface<'_>, exposure: &Exposure, color: Color) -> anyhow::Result<()> {
    let mut out = Stdout::lock();
    let view = View { args, surface, exposure };
    match args.format {
        Format::Table => view.table(color.on(&std::io::stdout()), &mut out)?,
        Format::Json => view.json(&mut out)?,
        Format::Csv => view.csv(&mut out)?,
    }
    out.flush()?;
    Ok(())
}

struct View<'v> {
    args: &'v Args,
    surface: &'v Surface<'v>,
    exposure: &'v Exposure,
}

impl<'v> View<'v> {
    fn tokens(&self) -> impl Iterator<Item = (&'v Token, &'v TokenExposure)> {
        let (only, all) =
            (self.args.token.as_deref(), self.surface.policy().tokens().iter().zip(&self.exposure.tokens));
        all.filter(move |(token, _)| only.is_none_or(|only| token.id() == only))
    }

    /// The sources that are granted to somebody who is asked about.
    fn sources(&self) -> Vec<&'v SourceExposure> {
        if self.args.token.is_some() { Vec::new() } else { self.exposure.sources.iter().collect() }
    }

    fn grants(&self) -> impl Iterator<Item = (&'v Token, &'v Grant, Option<u64>)> {
        self.tokens().flat_map(|(token, exposed)| {
            token.grants().iter().zip(&exposed.grants).map(move |(grant, names)| (token, grant, *names))
        })
    }

    fn source(&self, grant: &Grant) -> (String, String) {
        let connection = self.surface.policy().connection(grant.connection());
        connection
            .map_or_else(Default::default, |known| (known.name().to_owned(), grant.source().display(known.dialect())))
    }

    /// The connection and the text of a source.
    fn written(&self, source: &SourceExposure) -> (String, String) {
        let connection = self.surface.policy().connection(source.connection);
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
        let mut tokens: Vec<_> = self.tokens().collect();
        tokens.sort_by_key(|(_, exposed)| (exposed.expired, Reverse(exposed.names)));
        let mut table = Table::new(&["TOKEN ID", "NAMES", "SHARE", "EXAMPLES"]);
        for (token, exposed) in tokens.iter().take(self.args.limit) {
            let share = if exposed.expired { "expired".to_owned() } else { self.percent(exposed.names) };
            table.row([token.id().to_owned(), grouped(exposed.names), share, exposed.examples.join(", ")]);
        }
        table.print(paint, out)?;
        more(tokens.len(), self.args.limit, "tokens", out)?;
        if self.args.token.is_some() {
            let mut table = Table::new(&["GRANT", "NAMES", "SHARE"]);
            for (_, grant, names) in self.grants() {
                let (connection, source) = self.source(grant);
                let (names, share) = names.map_or_else(
                    || ("-".to_owned(), format!("{}: not followed", grant.source().kind())),
                    |names| (grouped(names), self.percent(names)),
                );
                table.row([format!("{connection}: {source}"), names, share]);
            }
            writeln!(out)?;
            return table.print(paint, out);
        }
        let mut sources = self.sources();
        sources.sort_by_key(|source| Reverse(source.names));
        let mut table = Table::new(&["SOURCE", "NAMES", "SHARE", "TOKENS", "EXAMPLES"]);
        for source in sources.iter().take(self.args.limit) {
            let (connection, text) = self.written(source);
            let shown = [grouped(source.names), self.percent(source.names), grouped(source.tokens)];
            table.row([format!("{connection}: {text}")].into_iter().chain(shown).chain([source.examples.join(", ")]));
        }
        writeln!(out)?;
        table.print(paint, out)?;
        more(sources.len(), self.args.limit, "sources", out)?;
        let mut table = Table::new(&["CONNECTION", "NAMES", "EXPOSED", "ONLY BY ALL", "NOT EXPOSED"]);
        for (known, found) in self.surface.policy().connections().iter().zip(&self.exposure.connections) {
            let counts = [found.names, found.exposed, found.by_all_only].map(grouped);
            let unexposed = format!("{} {}", grouped(found.names - found.exposed), found.unexposed_examples.join(", "));
            table.row([known.name().to_owned()].into_iter().chain(counts).chain([unexposed]));
        }
        writeln!(out)?;
        table.print(paint, out)?;
        let Exposure { names, exposed, unknown, .. } = *self.exposure;
        writeln!(out, "\n{} of {} names exposed ({})", grouped(exposed), grouped(names), self.percent(exposed))?;
        if unknown > 0 {
            let examples = printable(&self.exposure.unknown_examples.join(", "));
            writeln!(out, "{} names on connections that the policy does not know: {examples}", grouped(unknown))?;
        }
        Ok(())
    }

    fn json(&self, out: &mut Stdout) -> anyhow::Result<()> {
        let tokens = self.tokens().map(|(token, exposed)| {
            let grants = token.grants().iter().zip(&exposed.grants).map(|(grant, names)| {
                let (connection, source) = self.source(grant);
                json!({"connection": connection, "kind": grant.source().kind().as_str(), "source": source, "names": names})
            });
            json!({
                "id": token.id(), "names": exposed.names, "share": self.share(exposed.names), "expired": exposed.expired,
                "examples": exposed.examples, "grants": grants.collect::<Vec<Value>>(),
            })
        });
        let sources = self.sources().into_iter().map(|source| {
            let (connection, text) = self.written(source);
            json!({
                "connection": connection, "kind": source.source.kind().as_str(), "source": text, "names": source.names,
                "share": self.share(source.names), "tokens": source.tokens, "examples": source.examples,
            })
        });
        let known = self.surface.policy().connections().iter().zip(&self.exposure.connections);
        let connections = known.map(|(known, found)| {
            json!({
                "connection": known.name(), "names": found.names, "exposed": found.exposed,
                "only_by_all": found.by_all_only, "not_exposed_examples": found.unexposed_examples,
            })
        });
        let Exposure { names, exposed, unknown, unknown_examples, broken, first_broken, .. } = self.exposure;
        let first_broken: Vec<Value> =
            first_broken.iter().map(|broken| json!({"line": broken.line, "why": broken.why})).collect();
        let answer = json!({
            "names": names, "exposed": exposed, "connections": connections.collect::<Vec<Value>>(),
            "tokens": tokens.collect::<Vec<Value>>(), "sources": sources.collect::<Vec<Value>>(),
            "unknown_connections": {"names": unknown, "examples": unknown_examples},
            "broken": {"rows": broken, "first": first_broken},
        });
        serde_json::to_writer_pretty(&mut *out, &answer)?;
        Ok(writeln!(out)?)
    }

    fn csv(&self, out: &mut Stdout) -> anyhow::Result<()> {
        let mut csv = csv::Writer::from_writer(out);
        csv.write_record(["of", "token", "connection", "source", "names", "share", "tokens", "examples"])?;
        let share = |names: u64| format!("{:.6}", self.share(names));
        for (token, exposed) in self.tokens() {
            let of = if exposed.expired { "expired_token" } else { "token" };
            let (names, examples) = (exposed.names.to_string(), exposed.examples.join(", "));
            csv.write_record([of, token.id(), "", "", &names, &share(exposed.names), "", &examples])?;
        }
        for (token, grant, names) in self.grants() {
            let (connection, source) = self.source(grant);
            let (count, part) = names.map_or_else(Default::default, |names| (names.to_string(), share(names)));
            csv.write_record(["grant", token.id(), &connection, &source, &count, &part, "", ""])?;
        }
        for source in self.sources() {
            let (connection, text) = self.written(source);
            let (names, tokens) = (source.names.to_string(), source.tokens.to_string());
            let examples = source.examples.join(", ");
            csv.write_record(["source", "", &connection, &text, &names, &share(source.names), &tokens, &examples])?;
        }
        for (known, found) in self.surface.policy().connections().iter().zip(&self.exposure.connections) {
            for (of, names) in [("connection", found.names), ("exposed", found.exposed)] {
                csv.write_record([of, "", known.name(), "", &names.to_string(), &share(names), "", ""])?;
            }
        }
        Ok(csv.flush()?)
    }
}

fn more(count: usize, limit: usize, what: &str, out: &mut Stdout) -> std::io::Result<()> {
    let left = count.saturating_sub(limit) as u64;
    if left > 0 { writeln!(out, "and {} more {what}: `--limit`", grouped(left)) } else { Ok(()) }
}

#[expect(clippy::cast_precision_loss, reason = "a share is rounded anyway")]
fn share(names: u64, of: u64) -> f64 {
    if of == 0 { 0.0 } else { names as f64 / of as f64 }
}

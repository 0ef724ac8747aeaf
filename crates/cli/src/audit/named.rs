//! Finds what an option names in the policy, and reports what is near a name that the policy does not have.

use std::io::{self, Write};

use anyhow::bail;
use portcullis::base::{nearest, quoted};
use portcullis::model::{Connection, GrantKind, Policy, SecretDigest, Token};
use portcullis_audit::near_names::{Differs, Hint};

use crate::output::{Color, Painted, printable};

/// Max connections that an error lists.
const LISTED: usize = 8;

/// Returns the connection with this name. Fails if the policy neither declares nor grants it.
pub(super) fn connection<'p>(policy: &'p Policy, name: &str) -> anyhow::Result<&'p Connection> {
    if let Some(connection) = policy.connections().iter().find(|connection| connection.name() == name) {
        return Ok(connection);
    }
    let known = || policy.connections().iter().map(Connection::name);
    let has = match known().count() {
        0 => "it has none".to_owned(),
        count => {
            let listed: Vec<String> = known().take(LISTED).map(quoted).collect();
            let more = count - listed.len();
            let more = if more > 0 { format!(" and {more} more") } else { String::new() };
            format!("it has {}{more}", listed.join(", "))
        }
    };
    bail!("the policy has no connection {}: {has}{}", quoted(name), did_you_mean(nearest(name, known())));
}

/// Returns the index of the token with this id, and the token.
pub(super) fn token<'p>(policy: &'p Policy, id: &str) -> anyhow::Result<(usize, &'p Token)> {
    let mut tokens = policy.tokens().iter().enumerate();
    if let Some(found) = tokens.find(|(_, token)| token.id() == id) {
        return Ok(found);
    }
    let digest = SecretDigest::of(id);
    if let Some(token) = policy.tokens().iter().find(|token| *token.digest() == digest) {
        bail!("expected the id of a token, found its secret\nhelp: write {}", quoted(token.id()));
    }
    if portcullis_secret::contains_secret(id) {
        bail!("expected the id of a token, found a secret\nhelp: write the id, as `portcullis inspect` lists it");
    }
    let near = nearest(id, policy.tokens().iter().map(Token::id));
    bail!("the policy has no token {}{}", quoted(id), did_you_mean(near));
}

/// Why queries that differ in white space are not equal.
const SPACE: &str = "a run of white space equals one space, but not none; inside quotes and comments it is exact";

/// The noun of a kind of source.
fn noun(kind: GrantKind) -> &'static str {
    match kind {
        GrantKind::Query => "query",
        GrantKind::NamedSource => "named source",
        GrantKind::Pattern => "pattern",
        GrantKind::Resource | GrantKind::All => "resource",
    }
}

fn did_you_mean(near: Option<&str>) -> String {
    near.map(|near| format!("\nhelp: did you mean {}?", quoted(near))).unwrap_or_default()
}

/// Prints the reasons why no grant names the source `name` of `connection`, on standard error.
pub(super) fn note(hints: &[Hint], name: &str, connection: &str, color: Color) -> io::Result<()> {
    let mut stderr = io::stderr().lock();
    let paint = color.on(&stderr);
    let (note, help) = (Painted::bold(paint, "note:"), Painted::bold(paint, "help:"));
    let name = quoted(name);
    for hint in hints {
        match hint {
            Hint::NoGrants => writeln!(stderr, "{note} no token has a grant on {}", quoted(connection))?,
            Hint::LiteralStar(example) => {
                writeln!(stderr, "{note} `*` in {name} is a character of the name, not a wildcard")?;
                let one = example.as_deref().map(|example| format!(", such as {}", quoted(example)));
                let one = one.unwrap_or_default();
                writeln!(
                    stderr,
                    "{help} give one name that the pattern covers{one}; `portcullis audit exposure --catalog FILE` \
                     lists what tokens can read"
                )?;
            }
            Hint::OneSegment => {
                writeln!(stderr, "{note} {name} has one segment: no pattern covers it, only all sources (`*`) do")?;
            }
            Hint::NoneOfKind(kind) => {
                writeln!(stderr, "{note} no token has a grant of a {} on {}", noun(*kind), quoted(connection))?;
            }
            Hint::OtherKind(kind) => {
                let option = kind.as_str().replace('_', "-");
                writeln!(stderr, "{note} {name} is granted as a {}", noun(*kind))?;
                writeln!(stderr, "{help} give it with `--{option}`")?;
            }
            Hint::NearQuery { granted, differs } => {
                let (how, reason) = match differs {
                    Differs::LetterCase => (" in letter case only", "queries are compared letter by letter"),
                    Differs::WhiteSpace => (" in white space only", SPACE),
                    Differs::WhiteSpaceAndLetterCase => (" in white space and letter case only", SPACE),
                    Differs::Text => (" in a few characters", "queries are compared letter by letter"),
                };
                writeln!(stderr, "{note} the query differs{how} from granted {}", quoted(granted))?;
                writeln!(stderr, "{help} {reason}")?;
            }
            Hint::Ungranted => {
                writeln!(stderr, "{note} named source {name} exists, but no token has a grant of it")?;
            }
            Hint::OnOtherConnection(other) => {
                writeln!(stderr, "{note} named source {name} is on connection {} only", quoted(other))?;
            }
            Hint::Near(names) => {
                let names: Vec<String> = names.iter().map(|name| quoted(name)).collect();
                writeln!(stderr, "{help} did you mean {}?", printable(&names.join(" or ")))?;
            }
        }
    }
    Ok(())
}

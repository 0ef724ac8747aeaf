//! Deletes the live credentials that were found.

use std::collections::BTreeMap;
use std::io::{self, Write};

use portcullis::base::{Escaped, quoted};
use portcullis_registry::{Actor, Leaked, Location, Registry, RegistryError};

use super::standing::{Judged, Severity};
use super::text::description;
use crate::output::{Color, Painted, counted};
use crate::registry::{confirm, now, report};

/// Deletes every credential that was found live, after confirmation. Returns whether all were deleted.
pub(super) fn all(judged: &[Judged<'_>], url: &str, yes: bool, force: bool, color: Color) -> anyhow::Result<bool> {
    let live = judged.iter().filter(|judged| matches!(judged.standing.severity, Severity::High | Severity::Public));
    let live: BTreeMap<_, _> = live.map(|judged| (judged.finding.digest, &judged.standing)).collect();
    if live.is_empty() {
        writeln!(io::stderr(), "{} no live credential was found", Painted::bold(color.on(&io::stderr()), "note:"))?;
        return Ok(true);
    }
    let why = format!("{} will be denied from now on", counted(live.len() as u64, "live credential"));
    confirm(yes, &why, "`--yes` revokes them without a question")?;
    let user = whoami::username().unwrap_or_else(|_| "scan".to_owned());
    let actor = Actor::new(user, now())?.for_all_users();
    let mut registry = Registry::open(&url.parse::<Location>()?, false)?;
    let mut all = true;
    for (digest, standing) in live {
        match registry.delete_leaked(&actor, &digest, force) {
            Ok(Leaked::Token(token)) => {
                writeln!(io::stderr(), "revoked token {} of {}", quoted(&token.id), quoted(&token.owner))?;
            }
            Ok(Leaked::Client(client)) => {
                writeln!(io::stderr(), "revoked m2m client {} of {}", quoted(&client.id), quoted(&client.owner))?;
            }
            Err(error @ RegistryError::Refused(_)) => {
                writeln!(io::stderr(), "not revoked: {}", Escaped::whole(&description(standing)))?;
                report(&error, color);
                all = false;
            }
            Err(error) => return Err(error.into()),
        }
    }
    Ok(all)
}

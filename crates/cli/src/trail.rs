//! Shows the change history of the registry.

use portcullis::base::{nearest, quoted};
use portcullis_registry::RegistryError;
use portcullis_registry::record::TrailEntry;
use portcullis_secret::contains_secret;

use super::Exit;
use super::bounds::{MAX_COUNT, count};
use super::output::{Color, Format};
use super::registry::{RegistryArgs, invalid, json, lines, note_of_others, print_table};
use super::table::Table;

const EXAMPLES: &str = "\
Examples:
  portcullis trail --last 20
  portcullis trail tk_5h3f9w2mzq
  portcullis trail --all-users --format json |
      jq '.[] | select(.action == \"delete\")'";

/// Show the change history of the registry
#[derive(Debug, clap::Args)]
#[command(after_long_help = EXAMPLES)]
pub(super) struct Args {
    /// Show only changes of this id, or of this connection or source
    id: Option<String>,
    /// Show only the last N entries
    #[arg(long, value_name = "N", value_parser = count::<1, MAX_COUNT>)]
    last: Option<usize>,
    /// Print `text` or `json`
    ///
    /// `json` has the values before and after each change.
    #[arg(long, value_name = "FORMAT", default_value = "text", hide_possible_values = true)]
    format: Format,
    #[command(flatten)]
    registry: RegistryArgs,
}

pub(super) fn run(args: &Args, color: Color) -> anyhow::Result<Exit> {
    let (mut registry, actor) = args.registry.open()?;
    let visible = registry.trail(&actor)?;
    let is_meant = |entry: &TrailEntry| args.id.as_ref().is_none_or(|id| entry.id == *id);
    let mut entries: Vec<_> = visible.iter().filter(|entry| is_meant(entry)).collect();
    let all = registry.trail(&actor.clone().for_all_users())?;
    let others = all.iter().filter(|entry| is_meant(entry)).count().saturating_sub(entries.len());
    if let Some(id) = &args.id
        && entries.is_empty()
        && others == 0
    {
        let token = registry.token(&actor, id).ok();
        return Err(unknown(id, token.map(|token| token.id), &visible).into());
    }
    note_of_others(others as u64, "change", color)?;
    if let Some(last) = args.last {
        entries.drain(..entries.len().saturating_sub(last));
    }
    if args.format == Format::Json {
        return json(&entries);
    }
    if entries.is_empty() {
        return lines(["no changes"]);
    }
    let mut table = Table::new(&["NUMBER", "REVISION", "AT", "USER", "ACTION", "KIND", "ID", "CHANGED"]);
    for entry in &entries {
        table.row([
            entry.number.to_string(),
            entry.revision.to_string(),
            entry.at.to_string(),
            entry.user.clone(),
            entry.action.clone(),
            entry.kind.clone(),
            entry.id.clone(),
            changed(entry),
        ]);
    }
    print_table(&table, color)
}

/// The error for an id without changes; `token` is the id of the token with this name.
fn unknown(id: &str, token: Option<String>, visible: &[TrailEntry]) -> RegistryError {
    if contains_secret(id) {
        return invalid("that is a secret", "name the token by its id: do not put secrets in commands");
    }
    let near = token.or_else(|| nearest(id, visible.iter().map(|entry| &*entry.id)).map(ToOwned::to_owned));
    let help = near.map_or_else(
        || "`portcullis trail` shows the ids of all changes that you may see".to_owned(),
        |near| format!("did you mean {}?", quoted(&near)),
    );
    invalid(format!("no change of {} is in the trail", quoted(id)), help)
}

/// The names of the fields that changed.
fn changed(entry: &TrailEntry) -> String {
    let fields = |value: &Option<serde_json::Value>| value.as_ref().and_then(|value| value.as_object().cloned());
    let (Some(before), Some(after)) = (fields(&entry.before), fields(&entry.after)) else { return String::new() };
    let keys = before.keys().chain(after.keys().filter(|key| !before.contains_key(*key)));
    keys.filter(|key| before.get(*key) != after.get(*key)).cloned().collect::<Vec<_>>().join(", ")
}

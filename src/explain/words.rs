//! Formats texts, lists and durations for messages.

use crate::base::Timestamp;
use crate::model::{GrantKind, GrantKinds};
use crate::name::{Dialect, Fold};

/// The maximum number of items of a list in a message.
const LISTED: usize = 8;

/// Joins `items` with commas and a final `and`. Lists the first few of many items, and the number of the rest.
pub(super) fn list(items: impl IntoIterator<Item = String>) -> String {
    let mut items = items.into_iter();
    let mut shown: Vec<String> = items.by_ref().take(LISTED).collect();
    let more = items.count();
    if more > 0 {
        shown.push(format!("{more} more"));
    }
    match (shown.pop(), shown.is_empty()) {
        (None, _) => "nothing".to_owned(),
        (Some(only), true) => only,
        (Some(last), false) => format!("{} and {last}", shown.join(", ")),
    }
}

/// Returns the name of several grants of this kind.
pub(super) const fn plural(kind: GrantKind) -> &'static str {
    match kind {
        GrantKind::Resource => "resources",
        GrantKind::Pattern => "patterns",
        GrantKind::Query => "queries",
        GrantKind::NamedSource => "named sources",
        GrantKind::All => "all sources",
    }
}

pub(super) fn kinds(kinds: GrantKinds) -> String {
    list(kinds.iter().map(|kind| plural(kind).to_owned()))
}

/// Describes how this dialect folds letter case.
pub(super) const fn folding(dialect: Dialect) -> &'static str {
    match (dialect.bare_fold(), dialect.quoted_fold()) {
        (Fold::AsWritten, _) => "folds nothing",
        (Fold::AsciiUpper | Fold::Upper, _) => "folds bare names to upper case and leaves quoted ones as written",
        (Fold::AsciiLower | Fold::Lower, Fold::AsciiLower | Fold::Lower) => "folds all names to lower case",
        (Fold::AsciiLower | Fold::Lower, _) => "folds bare names to lower case and leaves quoted ones as written",
    }
}

/// Formats the duration from `start` to `end`, in the largest unit that fits at least once.
pub(super) fn span(start: Timestamp, end: Timestamp) -> String {
    let seconds = end.seconds().saturating_sub(start.seconds()).max(0);
    let (count, unit) = match seconds {
        86_400.. => (seconds / 86_400, "day"),
        3_600.. => (seconds / 3_600, "hour"),
        60.. => (seconds / 60, "minute"),
        _ => (seconds, "second"),
    };
    format!("{count} {unit}{}", if count == 1 { "" } else { "s" })
}

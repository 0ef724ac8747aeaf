//! Words for people: texts of users, grants, and times.

use maud::{Markup, html};
use portcullis::base::{Escaped, Timestamp};
use portcullis::model::GrantKind;
use portcullis_registry::record::Grant;

/// The number of characters of a text that a list shows.
const SHOWN: usize = 160;

const DAY: i64 = 86_400;

/// A list marks a token that expires within so many seconds. A token of a month is not marked on its first day.
pub(super) const SOON: i64 = 7 * DAY;

/// Shows a text of a user as it is, except for characters that readers cannot see.
pub(super) fn safe(text: &str) -> Escaped<'_> {
    Escaped::whole(text)
}

/// Shows the start of a text of a user.
pub(super) fn short(text: &str) -> Escaped<'_> {
    Escaped::up_to(text, SHOWN)
}

/// Returns a message as a sentence: messages are lower case, without a full stop.
pub(super) fn sentence(message: &str) -> String {
    let mut characters = message.chars();
    let Some(first) = characters.next() else { return String::new() };
    let end = if message.ends_with(['.', '?', '!', '…']) { "" } else { "." };
    format!("{}{}{end}", first.to_uppercase(), characters.as_str())
}

/// Shows a message as a sentence: see [`marked`].
pub(super) fn prose(message: &str) -> Markup {
    marked(&sentence(message))
}

/// Shows a text in which texts in backticks are code. Characters that readers cannot see are escaped.
pub(super) fn marked(text: &str) -> Markup {
    // Without its partner, a backtick is only a character.
    let is_paired = text.matches('`').count().is_multiple_of(2);
    let parts: Vec<&str> = if is_paired { text.split('`').collect() } else { vec![text] };
    html! {
        @for (at, part) in parts.into_iter().enumerate() {
            @if at % 2 == 1 { code { (safe(part)) } } @else { (safe(part)) }
        }
    }
}

/// Counts `count` things.
pub(super) fn counted(count: u64, noun: &str) -> String {
    let end = if count == 1 { "" } else { "s" };
    format!("{} {noun}{end}", grouped(count))
}

/// Returns the number with commas.
pub(super) fn grouped(number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::new();
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// Describes a grant.
pub(super) fn grant(grant: &Grant) -> Markup {
    let source = short(&grant.source);
    // SQL has several lines, and a list has one for each grant.
    let query = grant.source.split_whitespace().collect::<Vec<_>>().join(" ");
    html! {
        @match grant.kind {
            GrantKind::All => { b { "every source" } }
            GrantKind::Resource => { code { (source) } }
            GrantKind::Pattern => { "names like " code { (source) } }
            GrantKind::Query => { "the query " code { (short(&query)) } }
            GrantKind::NamedSource => { "named source " code { (source) } }
        }
        span.soft { " on " (safe(&grant.connection)) }
    }
}

/// Shows an instant: how far it is from `now`, and which it is.
pub(super) fn time(instant: Timestamp, now: Timestamp) -> Markup {
    let absolute = instant.to_string();
    html! { time datetime=(absolute) title=(absolute) { (relative(instant, now)) } }
}

/// Shows an instant, with both forms visible.
pub(super) fn both_times(instant: Timestamp, now: Timestamp) -> Markup {
    html! { (time(instant, now)) " " span.soft.absolute { (minutes(instant)) } }
}

/// Returns the instant to the minute.
fn minutes(instant: Timestamp) -> String {
    let text = instant.to_string();
    match text.get(..16) {
        Some(start) if text.ends_with('Z') => format!("{} UTC", start.replace('T', " ")),
        _ => text,
    }
}

/// Describes how far `instant` is from `now`.
pub(super) fn relative(instant: Timestamp, now: Timestamp) -> String {
    let distance = instant.seconds().saturating_sub(now.seconds());
    let seconds = distance.unsigned_abs();
    let (count, unit) = match seconds {
        0..60 => return if distance <= 0 { "now".to_owned() } else { "in less than a minute".to_owned() },
        60..3_600 => (seconds / 60, "minute"),
        3_600..86_400 => (seconds / 3_600, "hour"),
        86_400..5_184_000 => (seconds / 86_400, "day"),
        5_184_000..63_072_000 => (seconds / 2_629_746, "month"),
        _ => (seconds / 31_556_952, "year"),
    };
    let span = counted(count, unit);
    if distance > 0 { format!("in {span}") } else { format!("{span} ago") }
}

#[cfg(test)]
mod tests {
    use super::{grouped, prose, relative, sentence};
    use portcullis::base::Timestamp;

    #[test]
    fn distances_are_in_the_largest_unit_that_fits() {
        for (seconds, want) in [
            (0, "now"),
            (-59, "now"),
            (59, "in less than a minute"),
            (60, "in 1 minute"),
            (-7_200, "2 hours ago"),
            (86_400, "in 1 day"),
            (7 * 86_400, "in 7 days"),
            (365 * 86_400, "in 11 months"),
            (-800 * 86_400, "2 years ago"),
            (2_000 * 31_556_952, "in 2,000 years"),
        ] {
            let now = Timestamp::from_unix(0, 0);
            assert_eq!(relative(Timestamp::from_unix(seconds, 0), now), want, "{seconds}");
        }
    }

    #[test]
    fn backticks_become_code() {
        for (message, want) in [
            ("write `a`, or `<b>`", "Write <code>a</code>, or <code>&lt;b&gt;</code>."),
            ("`a` is taken", "<code>a</code> is taken."),
            ("a ` alone", "A ` alone."),
            ("no code", "No code."),
        ] {
            assert_eq!(prose(message).into_string(), want, "{message}");
        }
    }

    #[test]
    fn numbers_and_messages_are_readable() {
        assert_eq!([0, 999, 1_000, 1_234_567].map(grouped), ["0", "999", "1,000", "1,234,567"]);
        assert_eq!(sentence("the name is taken"), "The name is taken.");
        assert_eq!(sentence("did you mean `a`?"), "Did you mean `a`?");
    }
}

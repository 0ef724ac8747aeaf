//! Expiries and spans, as users write them.

use portcullis::base::Timestamp;
use portcullis::model::Expiry;

use crate::error::{Result, invalid};
use crate::spans::{expiry_meant, span_meant};
use crate::words::quoted;

/// The text of an expiry that never comes.
pub const NEVER: &str = "never";

/// Returns the expiry of a token that is created now (N9.2, N9.3).
pub(super) fn expiry(text: Option<&str>, now: Timestamp) -> Result<Option<Timestamp>> {
    let Some(text) = text.filter(|text| *text != NEVER) else { return Ok(None) };
    match Expiry::at_creation(text, now) {
        Ok(Expiry::At(end)) => Ok(Some(end)),
        Ok(Expiry::Never) => Ok(None),
        Err(error) => {
            const FORMS: &str = "a span such as `7d`, `2w`, `6m`, `1y`, a date such as `2030-01-01` or an RFC 3339 instant, \
                                 in the future, or `never`";
            let meant = expiry_meant(text, now).map_or_else(String::new, |fix| format!("`{fix}`: "));
            Err(invalid(error.to_string(), format!("write {meant}{FORMS}")).because("invalid_expiry"))
        }
    }
}

/// Returns the instant that is the span `text`, such as `7d`, after `start`.
pub(crate) fn span(text: &str, start: Timestamp, what: &str) -> Result<Timestamp> {
    match Expiry::at_creation(text, start) {
        Ok(Expiry::At(end)) if text.parse::<Timestamp>().is_err() => Ok(end),
        _ => {
            let meant = span_meant(text, start).map_or_else(String::new, |fix| format!("`{fix}`: "));
            let help = format!("write {meant}a span such as `7d`, `2w`, `6m` or `1y`");
            Err(invalid(format!("{} is not an {what}", quoted(text)), help).because("invalid_span"))
        }
    }
}

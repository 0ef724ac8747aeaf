//! Whether a token of a listing may be used. The field for that has one of many names.

use anyhow::bail;
use portcullis::base::quoted;
use portcullis_document::definition::Kind;
use serde_json::Value;

use super::fields::Fields;

/// States in which a token may not be used. A field is named by the state, `is_` and the state, or the state and `_at`.
const INACTIVE: &[&str] = &[
    "archived",
    "banned",
    "blocked",
    "canceled",
    "cancelled",
    "deactivated",
    "deleted",
    "disabled",
    "expired",
    "inactive",
    "invalid",
    "locked",
    "paused",
    "removed",
    "revoked",
    "suspended",
];

/// States in which a token may be used.
const ACTIVE: &[&str] = &["active", "enabled", "valid"];

/// Takes the fields for the state of a token, and returns whether it may be used. Every one of them must allow that; a
/// value of the wrong type is an error.
pub(super) fn is_active(fields: &mut Fields<'_>) -> anyhow::Result<bool> {
    let mut is_active = true;
    for (name, value) in fields.take_if(|name| INACTIVE.contains(&without_is(name))) {
        is_active &= !boolean(name, value)?;
    }
    for (name, value) in fields.take_if(|name| ACTIVE.contains(&without_is(name))) {
        is_active &= boolean(name, value)?;
    }
    for (name, value) in fields.take_if(is_instant) {
        match value {
            Value::Null => {}
            Value::String(_) | Value::Number(_) => is_active = false,
            other => return wrong(name, "a time or null", other),
        }
    }
    for (name, value) in fields.take_if(|name| ["status", "state"].contains(&name)) {
        match value {
            // An unknown state is not known to be active.
            Value::String(state) => is_active &= ACTIVE.contains(&&*state.to_lowercase()),
            other => return wrong(name, "a string such as `active`", other),
        }
    }
    Ok(is_active)
}

fn without_is(name: &str) -> &str {
    name.strip_prefix("is").unwrap_or(name)
}

/// Whether the field has the instant of a change to an inactive state. `expired_at` may be in the future: the rules of
/// documents reject it in favour of `expiration_date`.
fn is_instant(name: &str) -> bool {
    let state = ["at", "on", "date"].iter().find_map(|suffix| name.strip_suffix(suffix));
    state.is_some_and(|state| state != "expired" && INACTIVE.contains(&state))
}

fn boolean(name: &str, value: &Value) -> anyhow::Result<bool> {
    match value {
        Value::Bool(value) => Ok(*value),
        other => wrong(name, "`true` or `false`", other),
    }
}

fn wrong<T>(name: &str, expected: &str, found: &Value) -> anyhow::Result<T> {
    let found = match found {
        Value::Null => Kind::Null,
        Value::Bool(_) => Kind::Boolean,
        Value::Number(_) => Kind::Number,
        Value::String(_) => Kind::String,
        Value::Array(_) => Kind::List,
        Value::Object(_) => Kind::Object,
    };
    let name = quoted(name);
    bail!(
        "field {name}: expected {expected}, found {found}: whether the token is active is not known\n\
         help: write {expected}, or remove the token"
    );
}

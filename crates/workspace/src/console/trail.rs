//! The trail: who changed what, and how.

use std::collections::BTreeSet;
use std::sync::Arc;

use axum::Router;
use maud::{Markup, html};
use portcullis_registry::record::TrailEntry;
use portcullis_registry::{Actor, Registry, TrailQuery};
use serde_json::Value;

use super::layout::Tab;
use super::visit::{Console, Shown, Visit, show};
use super::words::{both_times, safe, short};
use crate::cursor;
use crate::service::Workspace;

/// The number of changes on a page.
const PAGE: usize = 30;

pub(super) fn router(console: &Arc<Console>) -> Router {
    Router::new().route("/trail", show(console, page))
}

/// Shows a page of the changes, newest first.
async fn page(visit: Visit) -> Shown {
    let id = visit.query.filled("id").map(ToOwned::to_owned);
    let list = format!("console trail {id:?}");
    let before = match visit.query.filled("cursor") {
        None => None,
        Some(text) => {
            let [number] = cursor::read(&list, text)?;
            Some(number.parse().unwrap_or(0))
        }
    };
    let wanted = id.clone();
    let read = move |registry: &mut Registry, actor: &Actor| {
        let query = TrailQuery { id: wanted.as_deref(), before, limit: PAGE + 1, ..TrailQuery::default() };
        registry.trail_page(actor, &query)
    };
    let mut entries = visit.workspace().read(&visit.identity, read).await?;
    let has_more = entries.len() > PAGE;
    entries.truncate(PAGE);
    let next = entries.last().filter(|_| has_more).map(|last| {
        let cursor = cursor::write(&list, &[&last.number.to_string()]);
        let query = visit.query.query_without(&["cursor"]);
        format!("?{query}{}cursor={cursor}", if query.is_empty() { "" } else { "&" })
    });
    let content = html! {
        div.heading { h1 { "Trail" } }
        @match &id {
            Some(id) => { p.lead { "Changes of " code { (short(id)) } ", newest first. " a href=(visit.to("/trail")) { "All changes" } } }
            None => { p.lead { "Who changed what, and how, newest first. Nobody can change the trail." } }
        }
        @if entries.is_empty() { div.empty { h2 { "No changes" } } }
        ol.trail { @for entry in &entries { li { (change(entry)) } } }
        nav.pages aria-label="Pages" {
            @if before.is_some() { a.button.small href={ "?" (visit.query.query_without(&["cursor"])) } { "Newest" } }
            @if let Some(next) = next { a.button.small href=(next) rel="next" { "Earlier" } }
        }
    };
    Ok(visit.page(Tab::Trail, "Trail", &content))
}

fn change(entry: &TrailEntry) -> Markup {
    let label = |value: &Option<Value>| {
        let object = value.as_ref()?.as_object()?;
        object.get("name").or_else(|| object.get("title"))?.as_str().map(ToOwned::to_owned)
    };
    let name = label(&entry.after).or_else(|| label(&entry.before)).filter(|name| *name != entry.id);
    let changes = changes(entry);
    html! {
        div {
            b { (safe(&entry.user)) } " " (verb(&entry.action)) " " (kind(&entry.kind)) " "
            @if let Some(name) = &name { b { (short(name)) } " " }
            code.soft { (short(&entry.id)) }
        }
        div.soft { (both_times(entry.at, Workspace::now())) " · " (safe(entry.how.as_deref().unwrap_or("command line"))) " · " "change " (entry.number) }
        @if !changes.is_empty() {
            dl.changes { @for change in &changes {
                dt { (safe(&change.field)) }
                dd {
                    @if let Some(before) = &change.before { del { span.hidden { "before: " } (short(before)) } " " }
                    @if let Some(after) = &change.after { ins { span.hidden { "after: " } (short(after)) } }
                }
            } }
        }
    }
}

/// Returns what the user did, in words.
fn verb(action: &str) -> String {
    match action {
        "create" => "created".to_owned(),
        "update" => "changed".to_owned(),
        "delete" => "deleted".to_owned(),
        "rotate" => "rotated the secret of".to_owned(),
        "overlap" => "kept the old secret as".to_owned(),
        "prune" => "removed the expired".to_owned(),
        "revoke" => "revoked".to_owned(),
        "give" => "gave".to_owned(),
        "end" => "ended".to_owned(),
        "issue" => "received".to_owned(),
        "set role" => "set the role of".to_owned(),
        other => other.to_owned(),
    }
}

/// Returns the kind of a record, in words.
fn kind(kind: &str) -> String {
    match kind {
        "spa" => "SPA client".to_owned(),
        "m2m" => "M2M client".to_owned(),
        other => other.replace('_', " "),
    }
}

/// A field that differs.
#[derive(Debug, PartialEq, Eq)]
struct FieldChange {
    field: String,
    before: Option<String>,
    after: Option<String>,
}

/// Returns the fields that a change changed. A record that was created or deleted is not listed field by field.
fn changes(entry: &TrailEntry) -> Vec<FieldChange> {
    let (Some(Value::Object(before)), Some(Value::Object(after))) = (&entry.before, &entry.after) else {
        return Vec::new();
    };
    let fields: BTreeSet<&String> = before.keys().chain(after.keys()).collect();
    let differ = fields.into_iter().filter(|field| before.get(*field) != after.get(*field));
    let change = |field: &String| {
        let (old, new) = (before.get(field), after.get(field));
        // Of lists, only the items that differ.
        let (old_items, new_items) = (items(old), items(new));
        let only = |items: &[String], others: &[String]| {
            let kept: Vec<_> = items.iter().filter(|item| !others.contains(item)).cloned().collect();
            Some(kept.join(", ")).filter(|text| !text.is_empty())
        };
        FieldChange {
            field: field.replace('_', " "),
            before: only(&old_items, &new_items),
            after: only(&new_items, &old_items),
        }
    };
    differ.map(change).collect()
}

fn items(value: Option<&Value>) -> Vec<String> {
    match value {
        None | Some(Value::Null) => Vec::new(),
        Some(Value::Array(items)) => items.iter().map(text).collect(),
        Some(value) => vec![text(value)],
    }
}

/// Returns a value as people write it: a grant as its source and connection.
fn text(value: &Value) -> String {
    let part = |name: &str| value.get(name).and_then(Value::as_str);
    match (value, part("source"), part("connection_name")) {
        (Value::String(text), ..) => text.clone(),
        (_, Some(source), Some(connection)) => format!("{source} on {connection}"),
        _ => value.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn changes_list_only_what_differs() {
        let entry = |before: Value, after: Value| TrailEntry {
            number: 1,
            revision: 1,
            at: portcullis::base::Timestamp::from_unix(0, 0),
            user: "ana".to_owned(),
            how: None,
            action: "update".to_owned(),
            kind: "token".to_owned(),
            id: "tk_a".to_owned(),
            owner: None,
            before: Some(before).filter(|value| !value.is_null()),
            after: Some(after).filter(|value| !value.is_null()),
        };
        let grant = |source: &str| json!({"connection_name": "dw", "type": "pattern", "source": source});
        let found = changes(&entry(
            json!({"name": "a", "grants": [grant("x.*"), grant("y.*")], "same": 1, "expiration_date": null}),
            json!({"name": "b", "grants": [grant("x.*"), grant("z.*")], "same": 1, "expiration_date": "2027"}),
        ));
        let change = |field: &str, before: Option<&str>, after: Option<&str>| FieldChange {
            field: field.to_owned(),
            before: before.map(ToOwned::to_owned),
            after: after.map(ToOwned::to_owned),
        };
        assert_eq!(
            found,
            [
                change("expiration date", None, Some("2027")),
                change("grants", Some("y.* on dw"), Some("z.* on dw")),
                change("name", Some("a"), Some("b")),
            ]
        );
        assert_eq!(changes(&entry(Value::Null, json!({"name": "b"}))), []);
    }
}

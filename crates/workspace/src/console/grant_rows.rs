//! The rows of a form for grants: a connection, a kind and a source each.

use maud::{Markup, html};
use portcullis::model::GrantKind;
use portcullis_registry::TypedGrant;
use portcullis_registry::record::{Connection, Grant, NamedSource};
use serde::{Deserialize, Serialize};

use super::field_errors::Errors;
use super::form::Form;
use super::words::safe;
use crate::api::resource_kind;

/// A row, as the user filled it in.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Row {
    pub(super) connection: String,
    pub(super) kind: String,
    pub(super) source: String,
}

/// The kinds of a row, with their labels.
const KINDS: [(&str, &str); 4] =
    [(NAME, "Table or pattern"), ("query", "SQL query"), ("named_source", "Named source"), ("all", "Every source")];

/// A table, tileset or raster, or a pattern of such names.
const NAME: &str = "name";

impl From<&Grant> for Row {
    fn from(grant: &Grant) -> Self {
        let kind = match grant.kind {
            GrantKind::Resource | GrantKind::Pattern => NAME,
            kind => kind.as_str(),
        };
        Self { connection: grant.connection.clone(), kind: kind.to_owned(), source: grant.source.clone() }
    }
}

impl Row {
    /// Whether the user has filled in nothing.
    pub(super) fn is_blank(&self) -> bool {
        self.kind != "all" && self.source.trim().is_empty()
    }

    /// Returns the grant that the row describes. The registry checks it.
    pub(super) fn typed(&self) -> TypedGrant {
        let (source, kind) = match &*self.kind {
            "all" => ("*", "all"),
            NAME => (self.source.trim(), resource_kind(self.source.trim())),
            kind => (self.source.trim(), kind),
        };
        TypedGrant { connection: self.connection.clone(), source: source.to_owned(), kind: Some(kind.to_owned()) }
    }
}

/// Reads the rows of a form.
fn read(form: &Form) -> Vec<Row> {
    let fields = form.all("grant_connection").zip(form.all("grant_kind")).zip(form.all("grant_source"));
    fields
        .map(|((connection, kind), source)| Row {
            connection: connection.to_owned(),
            kind: kind.to_owned(),
            source: source.to_owned(),
        })
        .collect()
}

/// Whether the form was sent by a button that adds or removes a row.
pub(super) fn is_only_edited(form: &Form) -> bool {
    form.filled("remove").is_some() || form.get("action") == "add"
}

/// Reads the rows of a form, as the button that sent it changes them.
pub(super) fn read_edited(form: &Form) -> Vec<Row> {
    let mut rows = read(form);
    if let Some(at) = form.filled("remove").and_then(|at| at.parse::<usize>().ok()).filter(|at| *at < rows.len()) {
        rows.remove(at);
    }
    if form.get("action") == "add" {
        let last = rows.last().cloned().unwrap_or_default();
        rows.push(Row { kind: NAME.to_owned(), source: String::new(), connection: last.connection });
    }
    rows
}

/// What the rows offer.
pub(super) struct Choices<'a> {
    pub(super) connections: &'a [Connection],
    pub(super) named_sources: &'a [NamedSource],
    /// The URL of the source picker, if there is a catalog.
    pub(super) picker: Option<&'a str>,
}

/// Returns the rows as fields.
pub(super) fn fields(rows: &[Row], choices: &Choices<'_>, errors: &Errors) -> Markup {
    let blank = Row { kind: NAME.to_owned(), ..Row::default() };
    html! {
        fieldset.grants #grants aria-describedby="grants-help grants-error" data-rows {
            legend { "Grants" }
            p.hint #grants-help { "What the token may read or write. In a pattern, " code { "*" } " stands for any text within one part of a name." }
            (errors.slot("grants"))
            div data-list {
                @for (index, row) in rows.iter().enumerate() { (field(row, &index.to_string(), choices, errors)) }
            }
            button.small name="action" value="add" formnovalidate data-add { "Add a grant" }
            template { (field(&blank, "__index__", choices, errors)) }
            datalist #named-sources { @for source in choices.named_sources { option value=(source.name) {} } }
        }
    }
}

fn field(row: &Row, index: &str, choices: &Choices<'_>, errors: &Errors) -> Markup {
    let (slot, id) = (format!("grants/{index}"), format!("grant-{index}"));
    let number = index.parse::<usize>().map_or_else(|_| "__number__".to_owned(), |index| (index + 1).to_string());
    let is_known = choices.connections.iter().any(|connection| connection.name == row.connection);
    html! {
        div.grant role="group" aria-label={ "Grant " (number) } data-row {
            div.field {
                label for={ (id) "-connection" } { "Connection" }
                select id={ (id) "-connection" } name="grant_connection" {
                    // A select without an option is not sent, and the rows would not fit together.
                    @if choices.connections.is_empty() && row.connection.is_empty() { option value="" { "No connections yet" } }
                    @if !is_known && !row.connection.is_empty() { option value=(row.connection) selected { (safe(&row.connection)) } }
                    @for connection in choices.connections {
                        option value=(connection.name) selected[connection.name == row.connection] { (safe(&connection.name)) }
                    }
                }
            }
            div.field {
                label for={ (id) "-kind" } { "Kind" }
                select id={ (id) "-kind" } name="grant_kind" data-kind {
                    @for (kind, label) in KINDS { option value=(kind) selected[kind == row.kind] { (label) } }
                }
            }
            div.field.source {
                label for={ (id) "-source" } { "Source" }
                div.with-button {
                    textarea id={ (id) "-source" } name="grant_source" rows=(row.source.lines().count().clamp(1, 8)) spellcheck="false"
                        autocapitalize="off" autocomplete="off" placeholder="carto.shared.roads or carto.shared.*"
                        aria-describedby={ (id) "-error" } aria-invalid=[errors.has(&slot).then_some("true")] { "\n" (row.source) }
                    @if let Some(picker) = choices.picker {
                        a.button.small.pick href=(picker) target="_blank" rel="noopener" data-pick { "Browse" }
                    }
                }
                (errors.slot_with_id(&slot, &format!("{id}-error")))
            }
            button.small.quiet.remove name="remove" value=(index) formnovalidate data-remove aria-label={ "Remove grant " (number) } { "Remove" }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{Row, read};
    use crate::console::form::Form;

    #[test]
    fn rows_become_grants_of_the_kind_that_the_user_chose() {
        let body = "grant_connection=dw&grant_kind=name&grant_source=+a.b.c+&grant_connection=dw&grant_kind=name&\
            grant_source=a.b.*&grant_connection=dw&grant_kind=query&grant_source=SELECT+*%0D%0AFROM+a.b&\
            grant_connection=dw&grant_kind=all&grant_source=&grant_connection=dw&grant_kind=name&grant_source=+";
        let rows = read(&Form::read(body.as_bytes()));
        let kinds: Vec<_> = rows.iter().filter(|row| !row.is_blank()).map(Row::typed).collect();
        let want = [("a.b.c", "resource"), ("a.b.*", "pattern"), ("SELECT *\nFROM a.b", "query"), ("*", "all")];
        assert_eq!(kinds.len(), want.len());
        for (grant, (source, kind)) in kinds.iter().zip(want) {
            assert_eq!((&*grant.source, grant.kind.as_deref()), (source, Some(kind)));
        }
    }
}

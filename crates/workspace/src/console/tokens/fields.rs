//! The form of a token: name, expiration, APIs, grants and referers.

use maud::{Markup, html};
use portcullis::base::Timestamp;
use portcullis_registry::record::Token;
use portcullis_registry::{NewToken, TokenEdit};
use serde::{Deserialize, Serialize};

use crate::console::field_errors::Errors;
use crate::console::form::Form;
use crate::console::grant_rows::{self, Choices, Row};
use crate::console::offered::Offered;
use crate::console::visit::Visit;
use crate::console::words::{both_times, safe};
use crate::problem::{Detail, Problem};
use crate::service::Workspace;

/// What the user has filled in.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Draft {
    pub(super) name: String,
    pub(super) apis: Vec<String>,
    pub(super) grants: Vec<Row>,
    pub(super) referers: Vec<String>,
    /// The chosen expiration, such as `1w`, `custom` or `never`.
    pub(super) expiration: String,
    /// The text of a custom expiration.
    pub(super) custom: String,
}

/// The expirations of the form, with their labels.
const EXPIRATIONS: [(&str, &str); 6] = [
    ("1d", "1 day"),
    ("1w", "1 week"),
    ("1m", "1 month"),
    ("1y", "1 year"),
    ("custom", "Custom"),
    ("never", "No expiration"),
];

/// The expiration that a new form proposes.
const PROPOSED: &str = "1m";

impl Draft {
    /// Returns the fields of a new form.
    pub(super) fn proposed(offered: &Offered) -> Self {
        let row = Row {
            connection: offered.connections.first().map(|connection| connection.name.clone()).unwrap_or_default(),
            kind: "name".to_owned(),
            source: String::new(),
        };
        Self { grants: vec![row], expiration: PROPOSED.to_owned(), ..Self::default() }
    }

    /// Reads a form that was sent. The buttons that add and remove rows change the rows.
    pub(super) fn read(form: &Form) -> Self {
        Self {
            name: form.get("name").trim().to_owned(),
            apis: form.all("api").map(ToOwned::to_owned).collect(),
            grants: grant_rows::read_edited(form),
            referers: form.lines("referers"),
            expiration: form.get("expiration").to_owned(),
            custom: form.get("custom").trim().to_owned(),
        }
    }

    /// Returns the rows that are not blank, with their positions.
    fn filled(&self) -> impl Iterator<Item = (usize, &Row)> {
        self.grants.iter().enumerate().filter(|(_, row)| !row.is_blank())
    }

    /// Returns the row of each grant that the registry gets.
    pub(super) fn rows(&self) -> Vec<usize> {
        self.filled().map(|(at, _)| at).collect()
    }

    /// Returns the token to create.
    pub(super) fn new_token(&self) -> NewToken {
        let expiration = match &*self.expiration {
            "custom" => self.custom.clone(),
            preset => preset.to_owned(),
        };
        NewToken {
            name: Some(self.name.clone()),
            apis: self.apis.clone(),
            grants: Vec::new(),
            typed_grants: self.filled().map(|(_, row)| row.typed()).collect(),
            referers: self.referers.clone(),
            expiration: Some(expiration),
        }
    }

    /// Returns the edit that makes a token as filled in. Only with `any_referer` may it remove the last referer.
    pub(super) fn edit(&self, any_referer: bool) -> TokenEdit {
        TokenEdit {
            name: Some(self.name.clone()),
            apis: Some(self.apis.clone()),
            grants: Some(self.filled().map(|(_, row)| row.typed()).collect()),
            referers: Some(self.referers.clone()),
            any_referer,
            ..TokenEdit::default()
        }
    }

    /// Sorts the problems of the registry by field.
    pub(super) fn errors(&self, problem: &Problem) -> Errors {
        // What the registry advises for the API and the command line, in the words of the form.
        let details = problem.details().iter().map(|detail| {
            let help = match &*detail.reason {
                "grants_empty" => "add a grant; only the API `lds` needs none",
                "apis_empty" => "choose one or more APIs",
                "unknown_connection" => "choose one of the connections",
                "unknown_named_source" => "the page `Named sources` lists them",
                "referers_removed" => "keep a referer, or allow every page below",
                "name_taken" => "choose another name",
                _ => return detail.clone(),
            };
            Detail { help: help.to_owned(), ..detail.clone() }
        });
        Errors::of(&details.collect::<Vec<_>>(), &self.rows())
    }
}

impl From<&Token> for Draft {
    fn from(token: &Token) -> Self {
        Self {
            name: token.name.clone(),
            apis: token.allowed_apis.clone(),
            grants: token.grants.iter().map(Row::from).collect(),
            referers: token.referers.clone(),
            expiration: String::new(),
            custom: String::new(),
        }
    }
}

/// How the expiration is shown.
pub(super) enum ExpirationField {
    /// The user chooses it.
    Choice,
    /// It is fixed: the expiry of the token.
    Fixed(Option<Timestamp>),
}

/// Whether a catalog was given, also if it cannot be read.
fn has_catalog(workspace: &Workspace) -> bool {
    !workspace.catalog().is_empty() || workspace.catalog_failing_since().is_some()
}

/// Returns the fields.
pub(super) fn fields(
    visit: &Visit,
    draft: &Draft,
    offered: &Offered,
    errors: &Errors,
    expiration: &ExpirationField,
    now: Timestamp,
) -> Markup {
    let picker = has_catalog(visit.workspace()).then(|| visit.to("/catalog"));
    let choices =
        Choices { connections: &offered.connections, named_sources: &offered.named_sources, picker: picker.as_deref() };
    html! {
        div.form-error { (errors.slot("form")) }
        div.field {
            label for="name" { "Name" }
            input #name name="name" type="text" value=(draft.name) required maxlength="255" autocomplete="off" spellcheck="false"
                aria-describedby="name-error" aria-invalid=[errors.has("name").then_some("true")];
            (errors.slot("name"))
        }
        @match expiration {
            ExpirationField::Choice => { (choice(draft, errors)) }
            ExpirationField::Fixed(end) => {
                div.field {
                    span.label { "Expiration" }
                    p { @match end { Some(end) => { (both_times(*end, now)) } None => { "Never" } } }
                    p.hint { "The expiration of a token is fixed. Rotate the token for a secret with another one." }
                }
            }
        }
        fieldset.choices aria-describedby="apis-hint apis-error" {
            legend { "APIs" }
            p.hint #apis-hint { code { "imports" } " writes, so a token with it has no other API." }
            div.chips data-apis {
                @for api in &offered.apis {
                    label.chip { input type="checkbox" name="api" value=(api) checked[draft.apis.contains(api)]; span { (safe(api)) } }
                }
                @for api in draft.apis.iter().filter(|api| !offered.apis.contains(api)) {
                    label.chip { input type="checkbox" name="api" value=(api) checked; span { (safe(api)) } }
                }
            }
            (errors.slot("apis"))
        }
        (grant_rows::fields(&draft.grants, &choices, errors))
        div.field {
            label for="referers" { "Allowed referers " span.soft { "(optional)" } }
            textarea #referers name="referers" rows=(draft.referers.len().clamp(2, 8)) spellcheck="false" autocapitalize="off"
                placeholder="https://*.example.com" aria-describedby="referers-hint referers-error"
                aria-invalid=[errors.has("referers").then_some("true")] { "\n" (draft.referers.join("\n")) }
            p.hint #referers-hint { "The web pages that may use the token, one a line. Without one, every page may." }
            (errors.slot("referers"))
        }
    }
}

fn choice(draft: &Draft, errors: &Errors) -> Markup {
    html! {
        fieldset.choices aria-describedby="expiration-error" {
            legend { "Expiration" }
            div.chips {
                @for (value, label) in EXPIRATIONS {
                    label.chip { input type="radio" name="expiration" value=(value) checked[draft.expiration == value]; span { (label) } }
                }
            }
            div.field.custom {
                label for="custom" { "Custom expiration" }
                input #custom name="custom" type="text" value=(draft.custom) autocomplete="off" placeholder="90d, 2027-01-31 or 2027-01-31T08:00:00Z"
                    aria-describedby="custom-hint expiration-error" aria-invalid=[errors.has("expiration").then_some("true")];
                p.hint #custom-hint { "A span such as " code { "90d" } ", a date or an instant. Applies if " b { "Custom" } " is chosen." }
            }
            (errors.slot("expiration"))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use portcullis::base::Timestamp;
    use portcullis_document::load::{Input, LoadOptions, load};
    use portcullis_registry::{Actor, Registry};
    use proptest::prelude::*;
    use proptest::strategy::ValueTree;
    use proptest::test_runner::TestRunner;

    /// Names, patterns and texts that are nearly one, with quotes, stars, dots and letters that dialects fold.
    fn sources() -> impl Strategy<Value = String> {
        let part = prop_oneof![
            "[a-z]{1,4}",
            "[A-Z_][a-z0-9_]{0,3}\\*?",
            "\\*[a-z]?",
            "`[a-z*. ]{0,4}`",
            "\"[A-Z*.\"]{0,4}\"",
            "\\[[a-z*]{0,3}\\]",
            "[\\\\:$ é\u{202e}'%-]{1,2}",
            "",
        ];
        prop::collection::vec(part, 1..6).prop_map(|parts| parts.join("."))
    }

    #[test]
    fn verdict_of_the_page_is_that_of_validate() {
        let now = Timestamp::from_unix(1_800_000_000, 0);
        let mut registry = Registry::in_memory().unwrap();
        let ana = Actor::new("ana", now).unwrap();
        for dialect in ["bigquery", "postgres", "snowflake"] {
            registry.add_connection(&ana, dialect, dialect, None, false).unwrap();
        }
        let connections = registry.document_of(&[]).unwrap();
        let declared: serde_json::Value = serde_json::from_str(&connections).unwrap();
        let (mut valid, mut invalid) = (0, 0);
        let case = (sources(), 0..3_usize, 0..4_usize);
        let mut runner = TestRunner::deterministic();
        for _ in 0..10_000 {
            let (source, dialect, kind) = case.new_tree(&mut runner).unwrap().current();
            let connection = ["bigquery", "postgres", "snowflake"][dialect];
            let kind = ["name", "name", "name", "query"][kind];
            let row = Row { connection: connection.to_owned(), kind: kind.to_owned(), source };
            let draft = Draft {
                name: "a".to_owned(),
                apis: vec!["sql".to_owned()],
                grants: vec![row.clone()],
                expiration: "1d".to_owned(),
                ..Draft::default()
            };
            let page = registry.validate_token(&ana, &draft.new_token());
            let grants = if row.is_blank() { Vec::new() } else { vec![row.typed()] };
            let grants: Vec<_> = grants
                    .iter()
                    .map(|grant| {
                        serde_json::json!({"connection_name": grant.connection, "source": grant.source, "type": grant.kind})
                    })
                    .collect();
            let mut document = declared.clone();
            document["tokens"] = serde_json::json!([{
                "id": "a", "token": "s3cret-of-the-test", "allowed_apis": ["sql"], "grants": grants,
            }]);
            let loaded = load(&[Input::new("policy.json", document.to_string())], &LoadOptions::default());
            assert_eq!(page.is_ok(), loaded.policy.is_some(), "{row:?}: {:?}", page.err());
            *(if loaded.policy.is_some() { &mut valid } else { &mut invalid }) += 1;
        }
        assert!(valid > 1_000 && invalid > 1_000, "{valid} valid, {invalid} invalid");
    }
}

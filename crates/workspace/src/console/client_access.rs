//! The fields of a client's form for what its access tokens may use: APIs and grants.

use maud::{Markup, html};
use portcullis_registry::ClientAccess;
use portcullis_registry::record::Client;

use super::field_errors::Errors;
use super::form::Form;
use super::grant_rows::{self, Choices, Row};
use super::offered::Offered;
use super::visit::Visit;
use super::words::safe;
use crate::problem::Detail;

/// What the user has filled in.
#[derive(Debug, Clone, Default)]
pub(super) struct Access {
    apis: Vec<String>,
    rows: Vec<Row>,
}

impl Access {
    /// Reads a form that was sent. The buttons that add and remove rows change the rows.
    pub(super) fn read(form: &Form) -> Self {
        let apis = form.all("api").map(ToOwned::to_owned).collect();
        Self { apis, rows: grant_rows::read_edited(form) }
    }

    /// Returns what the access tokens of `client` may use.
    pub(super) fn of(client: &Client) -> Self {
        Self { apis: client.allowed_apis.clone(), rows: client.grants.iter().map(Row::from).collect() }
    }

    /// Returns what the registry gets. Blank rows are left out.
    pub(super) fn chosen(&self) -> ClientAccess {
        let grants = self.rows.iter().filter(|row| !row.is_blank()).map(Row::typed).collect();
        ClientAccess { apis: self.apis.clone(), grants }
    }

    /// Returns the fields, with what is wrong with the rows.
    pub(super) fn fields(&self, visit: &Visit, offered: &Offered, problems: &[Detail]) -> Markup {
        let filled: Vec<_> = (0..).zip(&self.rows).filter(|(_, row)| !row.is_blank()).map(|(at, _)| at).collect();
        let errors = Errors::of(problems, &filled);
        let picker = (!visit.workspace().catalog().is_empty()).then(|| visit.to("/catalog"));
        let choices = Choices {
            connections: &offered.connections,
            named_sources: &offered.named_sources,
            picker: picker.as_deref(),
        };
        html! {
            fieldset.choices aria-describedby="apis-hint" {
                legend { "APIs" }
                p.hint #apis-hint { "Without APIs and grants, access tokens only manage credentials." }
                div.chips data-apis {
                    @for api in &offered.apis {
                        label.chip { input type="checkbox" name="api" value=(api) checked[self.apis.contains(api)]; span { (safe(api)) } }
                    }
                    @for api in self.apis.iter().filter(|api| !offered.apis.contains(api)) {
                        label.chip { input type="checkbox" name="api" value=(api) checked; span { (safe(api)) } }
                    }
                }
            }
            (grant_rows::fields(&self.rows, &choices, &errors))
        }
    }
}

/// Returns what the registry advises for the API and the command line, in the words of the form.
pub(super) fn in_form(detail: &Detail) -> Detail {
    let help = match &*detail.reason {
        "grants_empty" => "add a grant, or remove the APIs; only the API `lds` needs none",
        "apis_empty" => "choose one or more APIs, or remove the grants",
        "unknown_connection" => "choose one of the connections",
        "unknown_named_source" => "the page `Named sources` lists them",
        _ => return detail.clone(),
    };
    Detail { help: help.to_owned(), ..detail.clone() }
}

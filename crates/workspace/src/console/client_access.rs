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

    /// Returns the fields.
    pub(super) fn fields(&self, visit: &Visit, offered: &Offered) -> Markup {
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
            (grant_rows::fields(&self.rows, &choices, &Errors::default()))
        }
    }
}

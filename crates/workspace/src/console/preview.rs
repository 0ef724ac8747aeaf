//! What the script of a form shows after each change.

use std::collections::BTreeMap;

use serde::Serialize;

use super::field_errors::Errors;
use super::insight::Insight;

/// The state of a form that is not sent yet.
#[derive(Debug, Serialize)]
pub(super) struct Preview {
    valid: bool,
    /// The problem of each slot.
    errors: BTreeMap<String, String>,
    /// The cards beside the form; `None` leaves them as they are.
    aside: Option<String>,
    /// The decision of the tried request.
    decision: Option<String>,
}

impl Preview {
    /// The form is valid.
    pub(super) fn valid(insight: &Insight) -> Self {
        let (aside, decision) = (insight.markup().into_string(), insight.decision().into_string());
        Self { valid: true, errors: BTreeMap::new(), aside: Some(aside), decision: Some(decision) }
    }

    /// The form has problems.
    pub(super) fn invalid(errors: &Errors) -> Self {
        let texts = errors.texts().into_iter().map(|(slot, text)| (slot.to_owned(), text));
        Self { valid: false, errors: texts.collect(), aside: None, decision: None }
    }

    /// Only the next page shows the state.
    pub(super) fn unknown() -> Self {
        Self { valid: true, errors: BTreeMap::new(), aside: None, decision: None }
    }

    /// Adds problems that the registry does not check.
    pub(super) fn with(mut self, slot: &str, text: &str) -> Self {
        self.valid = false;
        self.errors.insert(slot.to_owned(), text.to_owned());
        self
    }
}

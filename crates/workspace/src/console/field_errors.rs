//! Problems of a form, each beside its field.

use std::collections::BTreeMap;

use maud::{Markup, html};

use super::words::{prose, safe, sentence};
use crate::problem::Detail;

/// The problems of a form by the slot that shows them: `name`, `apis`, `grants`, `grants/0`, `referers`, `expiration`, or
/// `form` for the whole form.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Errors(BTreeMap<String, Vec<String>>);

/// The slots of a token's form that are not of one grant.
const SLOTS: [(&str, &str); 6] = [
    ("name", "name"),
    ("allowed_apis", "apis"),
    ("grants", "grants"),
    ("add_grants", "grants"),
    ("referers", "referers"),
    ("expiration_date", "expiration"),
];

impl Errors {
    /// Sorts problems by field. `rows` has the row of each grant, because blank rows are not sent to the registry.
    pub(super) fn of(details: &[Detail], rows: &[usize]) -> Self {
        let mut errors = Self::default();
        for detail in details {
            let mut steps = detail.pointer.split('/').skip(1);
            let (field, index) = (steps.next().unwrap_or_default(), steps.next().and_then(|step| step.parse().ok()));
            let slot = SLOTS.iter().find(|(name, _)| *name == field).map_or("form", |(_, slot)| slot);
            let slot = match index.and_then(|index: usize| rows.get(index)) {
                Some(row) if slot == "grants" => format!("grants/{row}"),
                _ => slot.to_owned(),
            };
            let help = if detail.help.is_empty() { String::new() } else { format!(" {}", sentence(&detail.help)) };
            errors.add(slot, format!("{}{help}", sentence(&detail.message)));
        }
        errors
    }

    pub(super) fn add(&mut self, slot: impl Into<String>, text: impl Into<String>) {
        self.0.entry(slot.into()).or_default().push(text.into());
    }

    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub(super) fn has(&self, slot: &str) -> bool {
        self.0.contains_key(slot)
    }

    /// Returns each slot with its text, in which code is between backticks.
    pub(super) fn texts(&self) -> BTreeMap<&str, String> {
        let text = |texts: &Vec<String>| texts.iter().map(|text| safe(text).to_string()).collect::<Vec<_>>().join(" ");
        self.0.iter().map(|(slot, texts)| (slot.as_str(), text(texts))).collect()
    }

    /// Returns the place of a slot, whose id is the slot with `-error`.
    pub(super) fn slot(&self, slot: &str) -> Markup {
        self.slot_with_id(slot, &format!("{slot}-error"))
    }

    /// Returns the place of a slot.
    pub(super) fn slot_with_id(&self, slot: &str, id: &str) -> Markup {
        let texts = self.0.get(slot).map_or(&[][..], Vec::as_slice);
        html! {
            p.field-error id=(id) data-error=(slot) hidden[texts.is_empty()] {
                @for (at, text) in texts.iter().enumerate() { @if at > 0 { " " } (prose(text)) }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::Errors;
    use crate::problem::Detail;

    #[test]
    fn each_problem_is_beside_its_field() {
        for (pointer, slot) in [
            ("/name", "name"),
            ("/allowed_apis/1", "apis"),
            ("/allowed_apis", "apis"),
            ("/grants/1/source", "grants/4"),
            ("/grants/1", "grants/4"),
            ("/grants/9/source", "grants"),
            ("/grants", "grants"),
            ("/add_grants", "grants"),
            ("/referers/0", "referers"),
            ("/expiration_date", "expiration"),
            ("", "form"),
            ("/unknown", "form"),
        ] {
            let errors = Errors::of(&[Detail::new(pointer, "r", "is wrong", "write `a\u{202e}`")], &[0, 4]);
            assert!(errors.has(slot), "{pointer}: {errors:?}");
            assert_eq!(errors.texts()[slot], r"Is wrong. Write `a\u{202e}`.", "{pointer}");
            let shown = errors.slot(slot).into_string();
            assert!(shown.ends_with(r">Is wrong. Write <code>a\u{202e}</code>.</p>"), "{pointer}: {shown}");
        }
    }
}

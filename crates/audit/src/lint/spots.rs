//! Resolves JSON paths to lines, columns and edits of the text.

use std::ops::Range;

use super::finding::{Change, Edit, Finding, Raw};
use portcullis::base::{JsonPath, quoted};
use portcullis::model::{Policy, Token};
use portcullis_document::definition::{LineIndex, Position};
use portcullis_document::load::{Input, Spot, spots};

/// Adds positions to the findings. Reads each text once for all of them.
pub(super) fn locate(inputs: &[Input], policy: &Policy, raws: Vec<Raw>) -> Vec<Finding> {
    let root = JsonPath::root();
    let shown = raws.iter().map(|raw| (raw.document, &raw.path));
    let changed = raws.iter().map(|raw| match &raw.fix.change {
        Change::Remove(path) | Change::Insert(path, _) | Change::Replace(path, _) => (raw.document, path),
        // The root of the document is found at no cost.
        Change::None => (raw.document, &root),
    });
    let paths: Vec<(usize, &JsonPath)> = shown.chain(changed).collect();
    let mut shown = spots(inputs, &paths);
    let changed = shown.split_off(raws.len());
    let lines: Vec<LineIndex<'_>> = inputs.iter().map(|input| LineIndex::new(input.text())).collect();
    let located = raws.into_iter().zip(shown.into_iter().zip(changed));
    let finding = |(raw, (shown, changed)): (Raw, (Option<Spot>, Option<Spot>))| {
        let input = inputs.get(raw.document)?;
        let lines = lines.get(raw.document)?;
        let token = raw.token.and_then(|token| policy.tokens().get(token)).map(Token::id);
        let change = raw.fix.change.clone();
        let (paste, edit) = match raw.fix.change {
            Change::None => (None, None),
            Change::Remove(_) => (None, changed.and_then(|spot| removal(input.text(), lines, spot.span))),
            Change::Replace(_, json) => (Some(json.clone()), changed.map(|spot| replacement(spot, json))),
            Change::Insert(_, text) => (Some(text.clone()), changed.map(|spot| insertion(&spot, &text))),
        };
        let start = shown.as_ref().map_or(Position { line: 1, column: 1 }, |spot| spot.start);
        let located = Finding {
            rule: raw.rule,
            file: input.name().to_owned(),
            path: raw.path.to_string(),
            line: start.line,
            column: start.column,
            span: shown.as_ref().map(|spot| spot.span.clone()),
            end: shown.map(|spot| spot.end),
            token: token.map(str::to_owned),
            message: raw.message,
            fix: raw.fix.say,
            paste,
            edit,
            change,
            witness: raw.witness,
        };
        Some(if input.is_generated() { without_position(located) } else { located })
    };
    located.filter_map(finding).collect()
}

/// Removes the position in a text that no user has. The message names the token instead.
fn without_position(finding: Finding) -> Finding {
    let message = match &finding.token {
        Some(token) => format!("token {}: {}", quoted(token), finding.message),
        None => finding.message,
    };
    Finding { line: 0, column: 0, span: None, end: None, edit: None, message, ..finding }
}

fn replacement(Spot { span, start, end }: Spot, insert: String) -> Edit {
    Edit { span, start, end, insert }
}

fn insertion(Spot { span, end, .. }: &Spot, text: &str) -> Edit {
    Edit { span: span.end..span.end, start: *end, end: *end, insert: format!(", {text}") }
}

/// Removes an element from its list, with the comma after it, or before it if it is the last. `None` if nothing would be
/// left of a document that is one token.
fn removal(text: &str, lines: &LineIndex<'_>, element: Range<usize>) -> Option<Edit> {
    let after = text.get(element.end..).unwrap_or_default();
    let before = text.get(..element.start).unwrap_or_default();
    let is_blank = |text: &str| text.trim_start_matches('\u{feff}').trim_ascii().is_empty();
    if is_blank(before) && is_blank(after) {
        return None;
    }
    let span = match after.trim_ascii_start().strip_prefix(',') {
        Some(rest) => element.start..text.len() - rest.trim_ascii_start().len(),
        None => match before.trim_ascii_end().strip_suffix(',') {
            Some(rest) => rest.len()..element.end,
            None => element,
        },
    };
    let (start, end) = (lines.position(span.start), lines.position(span.end));
    Some(Edit { span, start, end, insert: String::new() })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn removal_includes_the_comma() {
        for (text, element, left) in [
            ("[1, 2, 3]", "1", "[2, 3]"),
            ("[1, 2, 3]", "2", "[1, 3]"),
            ("[1, 2, 3]", "3", "[1, 2]"),
            ("[1]", "1", "[]"),
            ("[1\n, 2]", "1", "[2]"),
        ] {
            let at = text.find(element).unwrap();
            let edit = removal(text, &LineIndex::new(text), at..at + 1).unwrap();
            let mut edited = text.to_owned();
            edited.replace_range(edit.span, &edit.insert);
            assert_eq!(edited, left);
        }
    }

    #[test]
    fn only_token_of_a_document_is_not_removed() {
        for text in ["{}", " {}\n", "\u{feff}{}"] {
            let at = text.find('{').unwrap();
            assert_eq!(removal(text, &LineIndex::new(text), at..at + 2), None);
        }
    }
}

//! Texts with something that their author did not mean to write: valid, but probably names of nothing.

use portcullis::base::{hidden, is_bidi, quoted};
use portcullis::model::{Connection, GrantSource};
use portcullis::name::{Dialect, INNER_DOT, STAR};

use crate::lower::write_meant;

/// A message and a fix.
type Words = (String, String);

/// Explains that a granted name holds a list, a blank, a quote or a wildcard of `LIKE`, which quotes made part of it.
pub(super) fn of_name(source: &GrantSource, canonical: &[u8], connection: &Connection) -> Option<Words> {
    let dialect = connection.dialect();
    let name = std::str::from_utf8(canonical).ok()?;
    let found = name.chars().find(|found| is_unlikely(*found, dialect));
    let is_wildcard = |segment: &str| segment == "%";
    let has_blank = |segment: &str| segment.trim() != segment;
    let what = match found {
        Some(found) => format!("the `{found}` in"),
        None if name.split('.').any(is_wildcard) => "the `%` in".to_owned(),
        None if name.split('.').any(has_blank) => "the blank at the end of".to_owned(),
        None => return None,
    };
    // A dot or a star in quotes belongs to a name that its author wrote with care.
    if name.contains([char::from(INNER_DOT), '*']) {
        return None;
    }
    let help = write_meant(&name.replace(char::from(STAR), "*"), dialect, None)?;
    let what = what.replace("the ``` in", "the backquote in");
    Some((format!("{what} {} is part of the name", quoted(&source.display(dialect))), help))
}

/// Whether names of tables hold the character only by mistake. BigQuery allows none of these.
fn is_unlikely(found: char, dialect: Dialect) -> bool {
    matches!(found, ',' | ';' | '{' | '}' | '"' | '`' | '[' | ']') || (found == '%' && dialect == Dialect::BigQuery)
}

/// Explains that a named source is probably meant to be all sources.
pub(super) fn of_named_source(name: &str) -> Option<Words> {
    (name == "all").then(|| {
        let message = "`all` is the named source of that name, not all sources".to_owned();
        (message, "all sources are written `*`".to_owned())
    })
}

/// Explains that `text` has blanks around it. `what` names the text in the message.
pub(super) fn blanks(what: &str, text: &str) -> Option<Words> {
    let bare = text.trim();
    if bare == text {
        return None;
    }
    let help = if bare.is_empty() || hidden(bare).is_some() {
        "write it without blanks around it".to_owned()
    } else {
        format!("write {}", quoted(bare))
    };
    Some((format!("{what} {} has blanks around it, which are part of it", quoted(text)), help))
}

/// Explains that `text` has a character that no reader sees, with the code of the warning. `what` names the text in the message.
pub(super) fn invisible(what: &str, text: &str) -> Option<(&'static str, Words)> {
    let first = hidden(text)?;
    let (code, found) = match text.chars().find(|&found| is_bidi(found)) {
        Some(found) => ("bidi_character", found),
        None => ("invisible_character", first),
    };
    let mut without = text.to_owned();
    while let Some(found) = hidden(&without) {
        without = without.replace(found, "");
    }
    let without = without.trim();
    let help =
        if without.is_empty() { "write a visible text".to_owned() } else { format!("write {}", quoted(without)) };
    let message = format!("{what} {} has the invisible character U+{:04X}", quoted(text), u32::from(found));
    Some((code, (message, help)))
}

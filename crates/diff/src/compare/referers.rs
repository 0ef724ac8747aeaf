//! Compares the referers that tokens accept (N7).
//!
//! An entry accepts the Referers of its hosts and paths. Its *general* Referer has a label and a path suffix that no
//! entry writes. Only an entry that accepts any label and any suffix at that position accepts this Referer. So if
//! another set of entries accepts the general Referer of an entry, one entry of that set accepts every Referer of the
//! entry.

use portcullis::model::Referers;
use portcullis::referer::{Entry, Rule};

/// Returns the entries of `new` that `old` does not accept, each with a Referer that proves it. An entry of `None`
/// means any Referer, including none.
pub(super) fn gained(old: &Referers, new: &Referers) -> Vec<(Option<Entry>, Option<String>)> {
    match (old, new) {
        (Referers::Any, _) => Vec::new(),
        (Referers::Only(_), Referers::Any) => vec![(None, None)],
        (Referers::Only(old), Referers::Only(new)) => {
            let written: Vec<Entry> = old.entries().collect();
            let opened = new.entries().filter_map(|entry| {
                let referer = general(&entry, &written);
                (!old.accepts(&referer)).then_some((Some(entry), Some(referer)))
            });
            opened.collect()
        }
    }
}

/// Returns a Referer that `referers` accept; `None` if they accept requests without one.
pub fn any(referers: &Referers) -> Option<String> {
    match referers {
        Referers::Any => None,
        Referers::Only(set) => set.entries().next().map(|entry| general(&entry, &[])),
    }
}

/// Returns the general Referer of `entry`, with text that no entry of `written` contains.
fn general(entry: &Entry, written: &[Entry]) -> String {
    let is_unwritten = |text: &String| !written.iter().chain([entry]).any(|entry| entry.as_str().contains(text));
    let unwritten = texts().find(is_unwritten).unwrap_or_default();
    let text = entry.as_str().replacen("://*.", &format!("://{unwritten}."), 1);
    match entry.rule() {
        Rule::Site => format!("{text}{unwritten}"),
        Rule::Prefix(_) => format!("{}{unwritten}", text.strip_suffix('*').unwrap_or(&text)),
        Rule::Exact(_) => text,
    }
}

/// Yields `any`, then `a` to `z`, `aa` and so on.
fn texts() -> impl Iterator<Item = String> {
    let letters = |mut number: u32| {
        let mut text = String::new();
        loop {
            text.insert(0, char::from(b'a' + u8::try_from(number % 26).unwrap_or(0)));
            match (number / 26).checked_sub(1) {
                Some(rest) => number = rest,
                None => return text,
            }
        }
    };
    std::iter::once("any".to_owned()).chain((0..).map(letters))
}

#[cfg(test)]
mod tests {
    use super::{gained, texts};
    use portcullis::model::Referers;
    use portcullis::referer::{Entry, RefererSet};

    fn referers(entries: &[&str]) -> Referers {
        if entries.is_empty() {
            return Referers::Any;
        }
        Referers::Only(RefererSet::new(entries.iter().map(|entry| Entry::parse(entry).unwrap())))
    }

    #[test]
    fn gained_entries_have_a_referer_that_only_the_new_set_accepts() {
        type Case = (&'static [&'static str], &'static [&'static str], &'static [Option<&'static str>]);
        let cases: &[Case] = &[
            (&[], &["https://a.test/"], &[]),
            (&["https://a.test/"], &[], &[None]),
            (&["https://a.test/"], &["https://a.test/"], &[]),
            (&["https://a.test/"], &["https://a.test/x/*", "https://a.test/y"], &[]),
            (&["https://a.test/x/*"], &["https://a.test/"], &[Some("https://a.test/any")]),
            (&["https://a.test/x/*"], &["https://a.test/x/y/*", "https://a.test/x/"], &[]),
            (&["https://a.test/x/y/*"], &["https://a.test/x/*"], &[Some("https://a.test/x/any")]),
            (&["https://*.a.test/"], &["https://b.a.test/", "https://*.b.a.test/z/*"], &[]),
            (&["https://b.a.test/"], &["https://*.a.test/"], &[Some("https://any.a.test/any")]),
            (&["https://any.a.test/"], &["https://*.a.test/"], &[Some("https://b.a.test/b")]),
            (&["https://*.a.test/x/*"], &["https://*.a.test/x"], &[Some("https://any.a.test/x")]),
            (
                &["https://a.test/"],
                &["http://a.test/", "https://a.test:8443/"],
                &[Some("http://a.test/any"), Some("https://a.test:8443/any")],
            ),
        ];
        for (old, new, expected) in cases {
            let (old, new) = (referers(old), referers(new));
            let found = gained(&old, &new);
            let shown: Vec<Option<&str>> = found.iter().map(|(_, referer)| referer.as_deref()).collect();
            assert_eq!(shown, *expected, "{old:?} {new:?}");
            for referer in shown.into_iter().flatten() {
                let accepts = |referers: &Referers| matches!(referers, Referers::Only(set) if set.accepts(referer));
                assert!(accepts(&new) && !accepts(&old), "{referer}");
            }
        }
    }

    #[test]
    fn texts_are_distinct() {
        let some: Vec<String> = texts().take(800).collect();
        assert_eq!(
            (some[0].as_str(), some[1].as_str(), some[27].as_str(), some[28].as_str()),
            ("any", "a", "aa", "ab")
        );
        let distinct: std::collections::HashSet<&String> = some.iter().collect();
        assert_eq!(distinct.len(), 800);
    }
}

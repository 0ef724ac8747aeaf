//! From where tokens may be used (N7).
//!
//! An entry stands for the Referers of its hosts and paths. Its *general* Referer has a label, and an end of the path, that
//! no entry writes: only an entry that takes any label there takes that one, and any end of the path. So if another set of
//! entries accepts the general Referer of an entry, one of them accepts all of the entry's.

use portcullis::model::Referers;
use portcullis::referer::{Entry, Rule};

/// What `new` accepts and `old` does not: an entry, or nothing for any Referer and none; and a Referer that shows it.
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

/// A Referer that `referers` accept; none where they accept that.
pub fn any(referers: &Referers) -> Option<String> {
    match referers {
        Referers::Any => None,
        Referers::Only(set) => set.entries().next().map(|entry| general(&entry, &[])),
    }
}

/// The general Referer of `entry` beside the entries that `written` holds.
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

/// `any`, then `a` to `z`, `aa` and so on.
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
    fn what_is_newly_accepted_is_shown() {
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
    fn texts_never_end_and_never_repeat() {
        let some: Vec<String> = texts().take(800).collect();
        assert_eq!(
            (some[0].as_str(), some[1].as_str(), some[27].as_str(), some[28].as_str()),
            ("any", "a", "aa", "ab")
        );
        let distinct: std::collections::HashSet<&String> = some.iter().collect();
        assert_eq!(distinct.len(), 800);
    }
}

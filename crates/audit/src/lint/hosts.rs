//! Finds referers that accept sites of other owners.

use std::collections::HashMap;

use super::Collector;
use super::finding::{Fix, Raw};
use super::rule::{DUPLICATE_REFERER, REFERER_ENCODED_STAR, REFERER_PUBLIC_SUFFIX, Rule};
use super::subject::Subject;
use portcullis::base::quoted;
use portcullis::referer::Entry;

pub(super) fn look(subject: &Subject<'_>, found: &mut Collector<'_>) {
    let mut first_index: HashMap<String, usize> = HashMap::new();
    // The policy has the entries in another order.
    for (index, text) in subject.written_referers().enumerate() {
        let Ok(entry) = Entry::parse(text) else { continue };
        let mut report = |rule: &'static Rule, message: String, fix: Fix| {
            let path = subject.path().key("referers").index(index);
            let (document, token) = (subject.origin.document, Some(subject.index));
            found.add(Raw { rule, document, token, path, message, fix, witness: None });
        };
        if let Some(whose) = entry.is_wildcard_host().then(|| public_suffix(entry.host())).flatten() {
            let message = format!(
                "{} accepts every site below `{}`, {whose}: anybody can register one",
                quoted(entry.as_str()),
                entry.host()
            );
            report(
                &REFERER_PUBLIC_SUFFIX,
                message,
                Fix::say("name the sites that are meant, such as `https://www.example.com/`"),
            );
        }
        if entry.is_wildcard_host() && !starts_with_star(text) {
            let message =
                format!("{} is read as {}, which accepts every subdomain", quoted(text), quoted(entry.as_str()));
            let fix = if covers_public_suffix(&entry) {
                Fix::say("name the sites that are meant, such as `https://www.example.com/`")
            } else {
                let path = subject.path().key("referers").index(index);
                Fix::replace(format!("write {}", quoted(entry.as_str())), path, entry.as_str())
            };
            report(&REFERER_ENCODED_STAR, message, fix);
        }
        if let Some(first) = first_index.get(entry.as_str()) {
            let message = format!("the referer means the same as `referers[{first}]`: {}", quoted(entry.as_str()));
            let fix = Fix::remove("remove it", subject.path().key("referers").index(index));
            report(&DUPLICATE_REFERER, message, fix);
        } else {
            first_index.insert(entry.as_str().to_owned(), index);
        }
    }
}

/// Whether the host of a URL starts with `*` as it is written. URLs ignore control characters, and may have any slashes.
fn starts_with_star(url: &str) -> bool {
    let host = url.split_once(':').map_or(url, |(_, rest)| rest);
    host.trim_start_matches(['/', '\\', '\t', '\n', '\r']).starts_with('*')
}

/// Whether the entry accepts every site below a public suffix. No fix may propose it.
pub(super) fn covers_public_suffix(entry: &Entry) -> bool {
    entry.is_wildcard_host() && public_suffix(entry.host()).is_some()
}

/// Describes the public suffix that `host` is, if it is one: a domain below which anybody can register.
fn public_suffix(host: &str) -> Option<&'static str> {
    let suffix =
        psl::suffix(host.as_bytes()).filter(|suffix| suffix.is_known() && suffix.as_bytes() == host.as_bytes())?;
    Some(match suffix.typ() {
        Some(psl::Type::Icann) => "a public suffix",
        _ => "where a company gives names away",
    })
}

#[cfg(test)]
mod tests {
    use super::{public_suffix, starts_with_star};

    #[test]
    fn public_suffix_follows_the_public_suffix_list() {
        for (host, is_suffix) in [
            ("com", true),
            ("co.uk", true),
            ("github.io", true),
            ("xn--p1ai", true),
            ("example.com", false),
            ("www.github.io", false),
            ("internal", false),
            ("127.0.0.1", false),
        ] {
            assert_eq!(public_suffix(host).is_some(), is_suffix, "{host}");
        }
    }

    #[test]
    fn stars_of_hosts_are_those_that_are_written() {
        for (url, is_written) in [
            ("https://*.example.com/", true),
            ("https:*.example.com", true),
            ("https:\\\\*.example.com", true),
            ("https:/\t/\n*.example.com", true),
            ("https://%2A.example.com/", false),
            ("https://%2a.example.com/*", false),
            ("https://\u{ff0a}.example.com/", false),
        ] {
            assert_eq!(starts_with_star(url), is_written, "{url}");
        }
    }
}

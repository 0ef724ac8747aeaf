//! Near misses of referers.

use super::{NearMiss, NearMissKind, Nearest};
use crate::explain::case::Case;
use crate::explain::check::page;
use crate::referer::{Entry, Referer, Rule, Scheme};

/// The maximum number of entries that are compared.
const ENTRIES: usize = 10_000;

pub(super) fn misses(case: &Case<'_, '_>, nearest: &mut Nearest) {
    let Some(set) = case.row.and_then(|row| case.compiled.referers(row)) else { return };
    let Some(header) = case.request.referer.filter(|header| !header.is_empty()) else {
        nearest.offer(0, None, || {
            let count = if set.len() == 1 { "a referer".to_owned() } else { format!("{} referers", set.len()) };
            let message = format!("the token lists {count}, and the request has no Referer");
            NearMiss::new(NearMissKind::RefererAbsent, message).help(
                "clients other than browsers send none; a page sends none if its `Referrer-Policy` is `no-referrer` or \
                 `same-origin`, or if it is loaded by https and requests by http",
            )
        });
        return;
    };
    match Referer::parse(header) {
        None => nearest.offer(0, None, || unreadable(case, header)),
        Some(referer) => set.entries().take(ENTRIES).for_each(|entry| compare(case, &entry, &referer, nearest)),
    }
}

/// Reports why a header is not a Referer that can match (N7.6). Never repeats the text before an `@`: it may be a
/// password.
fn unreadable(case: &Case<'_, '_>, header: &str) -> NearMiss {
    let header = header.trim();
    let shown = || if header.contains('@') { "it".to_owned() } else { case.quoted(before_query(header)) };
    match url::Url::parse(header) {
        Ok(url) if !matches!(url.scheme(), "http" | "https") => {
            let scheme = case.quoted(url.scheme());
            let message = format!("the Referer has the scheme {scheme}: expected `http` or `https`");
            NearMiss::new(NearMissKind::RefererNotHttp, message)
        }
        Ok(_) => NearMiss::new(NearMissKind::RefererUserInfo, "the Referer has user info before its host".to_owned())
            .help("no browser sends it: remove the part before the `@`"),
        Err(url::ParseError::RelativeUrlWithoutBase) => {
            let message = format!("the Referer is not an absolute URL: {} has no scheme", shown());
            NearMiss::new(NearMissKind::RefererUnreadable, message).help("write it as in `https://carto.com/`")
        }
        Err(error) => {
            let message = format!("the Referer is not a URL: {error}");
            NearMiss::new(NearMissKind::RefererUnreadable, message)
        }
    }
}

/// Removes the query, which may contain confidential data.
fn before_query(header: &str) -> &str {
    header.split(['?', '#']).next().unwrap_or_default()
}

fn compare(case: &Case<'_, '_>, entry: &Entry, referer: &Referer<'_>, nearest: &mut Nearest) {
    let Some(host) = host(case, entry, referer.host(), nearest) else { return };
    let mut differs: Vec<(NearMissKind, String)> = Vec::new();
    let mut help = None;
    if referer.scheme() != entry.scheme() {
        let differ = format!("its scheme is `{}`, not `{}`", referer.scheme(), entry.scheme());
        differs.push((NearMissKind::RefererScheme, differ));
    }
    if let Host::Other(kind, differ) = host {
        differs.push((kind, differ));
        if kind == NearMissKind::RefererSubdomain && !entry.is_wildcard_host() {
            help = Some("an entry matches one host; `https://*.carto.com/` matches all subdomains of `carto.com`");
        }
    }
    if port(referer.port(), referer.scheme()) != port(entry.port(), entry.scheme())
        && (referer.port(), entry.port()) != (None, None)
    {
        let (found, wanted) = (port(referer.port(), referer.scheme()), port(entry.port(), entry.scheme()));
        differs.push((NearMissKind::RefererPort, format!("its port is {found}, not {wanted}")));
    }
    if let Some(differ) = path(case, entry.rule(), referer.path_and_query()) {
        differs.push((NearMissKind::RefererPath, differ));
        help = help.or(Some(
            "across origins browsers send no path unless the page's `Referrer-Policy` says so: an entry without a path \
             accepts the whole site",
        ));
    }
    let Some(&(kind, _)) = differs.first() else { return };
    let count = u8::try_from(differs.len()).unwrap_or(u8::MAX);
    let worth = count * 2 + u8::from(kind == NearMissKind::RefererHost);
    nearest.offer(worth, None, || {
        let differs: Vec<String> = differs.into_iter().map(|(_, differ)| differ).collect();
        let (page, entry) = (page(case, referer), case.quoted(entry.as_str()));
        let message = format!("{page} is not entry {entry}: {}", differs.join(", and "));
        let miss = NearMiss::new(kind, message);
        NearMiss { help: help.map(str::to_owned), ..miss }
    });
}

enum Host {
    Same,
    Other(NearMissKind, String),
}

/// Compares the host with that of the entry; returns `None` if they are unrelated.
fn host(case: &Case<'_, '_>, entry: &Entry, host: &str, nearest: &mut Nearest) -> Option<Host> {
    let other = |kind, differ: String| Some(Host::Other(kind, differ));
    let (wanted, shown) = (entry.host(), case.quoted(host));
    let wanted_shown = case.quoted(wanted);
    let below = is_below(host, wanted);
    if entry.is_wildcard_host() {
        if below {
            return Some(Host::Same);
        }
        if host == wanted {
            return other(
                NearMissKind::RefererSubdomain,
                format!("the `*.` matches at least one label, and its host is {shown} itself"),
            );
        }
    } else if host == wanted {
        return Some(Host::Same);
    } else if below {
        return other(NearMissKind::RefererSubdomain, format!("its host {shown} is a subdomain of {wanted_shown}"));
    } else if is_below(wanted, host) {
        return other(NearMissKind::RefererSubdomain, format!("its host {shown} is a parent domain of {wanted_shown}"));
    } else if sibling(host, wanted) {
        return other(NearMissKind::RefererSubdomain, format!("its host is {shown}, not {wanted_shown}"));
    }
    let edit = nearest.speller.edit(host, wanted)?;
    other(NearMissKind::RefererHost, format!("its host {shown} differs by {} from {wanted_shown}", edit.as_str()))
}

/// Returns whether `host` is a subdomain of `domain`: one or more labels, then `domain`.
fn is_below(host: &str, domain: &str) -> bool {
    let labels = host.strip_suffix(domain).and_then(|labels| labels.strip_suffix('.'));
    labels.is_some_and(|labels| labels.split('.').all(|label| !label.is_empty()))
}

/// Returns whether both hosts share a domain of two labels or more, such as `app.carto.com` and `www.carto.com`.
fn sibling(host: &str, wanted: &str) -> bool {
    let domain = |host: &str| host.split_once('.').map(|(_, domain)| domain.to_owned());
    let is_address = host.bytes().all(|byte| byte.is_ascii_digit() || byte == b'.');
    !is_address && domain(host) == domain(wanted) && domain(host).is_some_and(|domain| domain.contains('.'))
}

const fn port(port: Option<u16>, scheme: Scheme) -> u16 {
    match (port, scheme) {
        (Some(port), _) => port,
        (None, Scheme::Http) => 80,
        (None, Scheme::Https) => 443,
    }
}

/// Describes how the path and query differ from `rule`; returns `None` if they match.
fn path(case: &Case<'_, '_>, rule: Rule<'_>, path_and_query: &str) -> Option<String> {
    let (path, _) = path_and_query.split_once('?').unwrap_or((path_and_query, ""));
    match rule {
        Rule::Site => None,
        Rule::Prefix(prefix) if path_and_query.starts_with(prefix) => None,
        Rule::Prefix(prefix) => Some(format!("its path does not start with {}", case.quoted(prefix))),
        Rule::Exact(exact) if path_and_query == exact => None,
        Rule::Exact(exact) if exact.split('?').next() == Some(path) => {
            Some("its query differs, and an entry without a star requires its exact query".to_owned())
        }
        Rule::Exact(exact) => Some(format!("its path and query are not {}", case.quoted(exact))),
    }
}

//! Near misses of referers.

use super::*;
use crate::explain::NearMissKind;

#[test]
fn rejected_referers_report_their_near_misses() {
    use NearMissKind::*;
    let entries = &[
        "https://carto.com",
        "https://www.acme.org/maps/*",
        "https://*.example.net",
        "http://localhost:3000",
        "https://exact.org/a?b=1",
    ];
    let grants = &["plain all *"];
    let snapshot = snapshot(&TokenPlan { apis: &["maps"], grants, referers: entries, expiry: None });
    for (header, kind, want) in [
        (None, RefererAbsent, "the token lists 5 referers, and the request has no Referer"),
        (Some(""), RefererAbsent, "the token lists 5 referers, and the request has no Referer"),
        (Some("carto.com"), RefererUnreadable, "the Referer is not an absolute URL: `carto.com` has no scheme"),
        (Some("https://"), RefererUnreadable, "the Referer is not a URL: empty host"),
        (Some("app://carto.com"), RefererNotHttp, "the Referer has the scheme `app`: expected `http` or `https`"),
        (Some("https://me:pass@carto.com"), RefererUserInfo, "the Referer has user info before its host"),
        (
            Some("http://carto.com/"),
            RefererScheme,
            "`http://carto.com/` is not entry `https://carto.com/`: its scheme is `http`, not `https`",
        ),
        (
            Some("https://app.carto.com/x"),
            RefererSubdomain,
            "`https://app.carto.com/x` is not entry `https://carto.com/`: its host `app.carto.com` is a subdomain of `carto.com`",
        ),
        (
            Some("https://acme.org/maps/1"),
            RefererSubdomain,
            "`https://acme.org/maps/1` is not entry `https://www.acme.org/maps/*`: its host `acme.org` is a parent domain of \
             `www.acme.org`",
        ),
        (
            Some("https://example.net/"),
            RefererSubdomain,
            "`https://example.net/` is not entry `https://*.example.net/`: the `*.` matches at least one label, and its host is \
             `example.net` itself",
        ),
        (
            Some("https://app.acme.org/maps/1"),
            RefererSubdomain,
            "`https://app.acme.org/maps/1` is not entry `https://www.acme.org/maps/*`: its host is `app.acme.org`, not \
             `www.acme.org`",
        ),
        (
            Some("https://crato.com"),
            RefererHost,
            "`https://crato.com/` is not entry `https://carto.com/`: its host `crato.com` differs by a transposition from \
             `carto.com`",
        ),
        (
            Some("http://localhost:5173/"),
            RefererPort,
            "`http://localhost:5173/` is not entry `http://localhost:3000/`: its port is 5173, not 3000",
        ),
        (
            Some("https://localhost/"),
            RefererScheme,
            "`https://localhost/` is not entry `http://localhost:3000/`: its scheme is `https`, not `http`, and its port is \
             443, not 3000",
        ),
        (
            Some("https://www.acme.org/"),
            RefererPath,
            "`https://www.acme.org/` is not entry `https://www.acme.org/maps/*`: its path does not start with `/maps/`",
        ),
        (
            Some("https://exact.org/a?b=2"),
            RefererPath,
            "`https://exact.org/a?…` is not entry `https://exact.org/a?b=1`: its query differs, and an entry without a star \
             requires its exact query",
        ),
        (
            Some("https://exact.org/b"),
            RefererPath,
            "`https://exact.org/b` is not entry `https://exact.org/a?b=1`: its path and query are not `/a?b=1`",
        ),
    ] {
        let request = Request::new("maps", "plain").secret(SECRET).source(Source::Resource("a.b"));
        let explanation = explained(&snapshot, &Request { referer: header, ..request });
        let first = explanation.near_misses().first().unwrap_or_else(|| panic!("{header:?}"));
        assert_eq!((first.kind, first.message.as_str()), (kind, want), "{header:?}");
    }
    let request = Request::new("maps", "plain").secret(SECRET).referer("https://elsewhere.example/");
    assert_eq!(explained(&snapshot, &request).near_misses(), [], "nothing near");
    let password = explained(&snapshot, &request.referer("https://me:hunter2@carto.com/"));
    assert!(!password.to_string().contains("hunter2"), "{password}");
}

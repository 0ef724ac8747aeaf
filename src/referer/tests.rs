//! Tests of entries and sets of them.

use proptest::prelude::*;
use url::ParseError;

use super::naive::{self, Acceptance};
use super::{Entry, EntryError, Referer, RefererSet, Rule};

fn entry(text: &str) -> Entry {
    Entry::parse(text).unwrap_or_else(|error| panic!("{text:?}: {error}"))
}

#[test]
fn entries_have_a_canonical_form() {
    for (text, want, rule, why) in [
        ("https://carto.com", "https://carto.com/", Rule::Site, "a site"),
        ("https://carto.com/", "https://carto.com/", Rule::Site, "a site"),
        ("https://carto.com/*", "https://carto.com/", Rule::Site, "a site"),
        ("HTTPS://CARTO.com:443/.", "https://carto.com/", Rule::Site, "the WHATWG reading decides"),
        (" https:carto.com\n", "https://carto.com/", Rule::Site, "the WHATWG reading decides"),
        ("https://b\u{fc}cher.example/", "https://xn--bcher-kva.example/", Rule::Site, "punycode"),
        ("http://carto.com:443", "http://carto.com:443/", Rule::Site, "not the default port"),
        ("http://[0::1]:80/*", "http://[::1]/", Rule::Site, "an address"),
        ("https://*.carto.com", "https://*.carto.com/", Rule::Site, "a wildcard"),
        ("https://%2A.carto.com", "https://*.carto.com/", Rule::Site, "a wildcard by the WHATWG reading"),
        ("https://*.com/", "https://*.com/", Rule::Site, "a wide wildcard"),
        ("https://carto.com./", "https://carto.com./", Rule::Site, "another host"),
        ("https://carto.com/a/*", "https://carto.com/a/*", Rule::Prefix("/a/"), "a prefix"),
        ("https://carto.com/a/../b/*", "https://carto.com/b/*", Rule::Prefix("/b/"), "a prefix"),
        ("https://carto.com/*/*", "https://carto.com/*/*", Rule::Prefix("/*/"), "a star in the middle"),
        ("https://carto.com//*", "https://carto.com//*", Rule::Prefix("//"), "an empty segment"),
        ("https://carto.com/a*", "https://carto.com/a*", Rule::Exact("/a*"), "a star that follows no slash"),
        ("https://carto.com/**", "https://carto.com/**", Rule::Exact("/**"), "a star that follows no slash"),
        ("https://carto.com/%2a", "https://carto.com/%2a", Rule::Exact("/%2a"), "no star"),
        ("https://carto.com/a/*?b", "https://carto.com/a/*?b", Rule::Exact("/a/*?b"), "a query"),
        ("https://carto.com?", "https://carto.com/?", Rule::Exact("/?"), "an empty query"),
        ("https://carto.com/*?", "https://carto.com/*?", Rule::Exact("/*?"), "an empty query"),
        ("https://carto.com/a b", "https://carto.com/a%20b", Rule::Exact("/a%20b"), "an exact page"),
    ] {
        let entry = entry(text);
        assert_eq!((entry.as_str(), entry.rule()), (want, rule), "{text:?}: {why}");
        assert_eq!(entry, want.parse().unwrap(), "{text:?}: the canonical form reads back");
    }
    let entry = entry("http://*.carto.com:8080/a/*");
    assert_eq!((entry.scheme().as_str(), entry.host(), entry.port()), ("http", "carto.com", Some(8080)));
    assert!(entry.is_wildcard_host());
}

#[test]
fn invalid_entries_are_rejected() {
    let not_absolute = |text: &str| EntryError::NotAbsolute { found: text.into() };
    let scheme = |text: &str, scheme: &str| EntryError::Scheme { found: text.into(), scheme: scheme.into() };
    let user_info = || EntryError::UserInfo { instead: "https://carto.com/".into() };
    let fragment = |text: &str| EntryError::Fragment { found: text.into(), instead: "https://carto.com/".into() };
    let host_star = |text: &str| EntryError::HostStar { found: text.into() };
    let empty = |text: &str| EntryError::EmptyWildcard { found: text.into() };
    let empty_label = |text: &str| EntryError::EmptyLabel { found: text.into() };
    let list = |text: &str, urls: &[&str]| EntryError::List {
        found: text.into(),
        urls: urls.iter().map(|url| Box::from(*url)).collect(),
    };
    let invalid = |text: &str, source| EntryError::Invalid { found: text.into(), source };
    for (text, want) in [
        ("", not_absolute("")),
        ("*", not_absolute("*")),
        ("carto.com", not_absolute("carto.com")),
        ("//carto.com/", not_absolute("//carto.com/")),
        ("localhost:5173", scheme("localhost:5173", "localhost")),
        ("ftp://carto.com/", scheme("ftp://carto.com/", "ftp")),
        ("file:///a", scheme("file:///a", "file")),
        ("https://user:pass@carto.com/", user_info()),
        ("https://@carto.com/", user_info()),
        ("https://:@carto.com/", user_info()),
        ("https:/\\@carto.com", user_info()),
        ("https://carto.com/#x", fragment("https://carto.com/#x")),
        ("https://carto.com#", fragment("https://carto.com#")),
        ("https://*carto.com/", host_star("https://*carto.com/")),
        ("https://car*.com/", host_star("https://car*.com/")),
        ("https://a.*.com/", host_star("https://a.*.com/")),
        ("https://*.*.com/", host_star("https://*.*.com/")),
        ("https://**.com/", host_star("https://**.com/")),
        ("https://carto.*", host_star("https://carto.*")),
        ("https://*", empty("https://*")),
        ("https://*./", empty("https://*./")),
        ("https://*../", empty("https://*../")),
        ("https://*..com/", empty("https://*..com/")),
        ("https://.carto.com/", empty_label("https://.carto.com/")),
        ("https://carto..com/", empty_label("https://carto..com/")),
        ("https://carto.com../", empty_label("https://carto.com../")),
        ("https://*.carto..com/", empty_label("https://*.carto..com/")),
        ("https://./", empty_label("https://./")),
        ("https://a.com,https://b.com", list("https://a.com,https://b.com", &["https://a.com", "https://b.com"])),
        ("https://a.com https://b.com", list("https://a.com https://b.com", &["https://a.com", "https://b.com"])),
        ("https://a.com/x,ht\ttps:b.com", list("https://a.com/x,ht\ttps:b.com", &["https://a.com/x", "https:b.com"])),
        ("https://a.com/./,b.com", list("https://a.com/./,b.com", &["https://a.com/", "b.com"])),
        ("https://u@a.com,https://b.com", EntryError::UserInfo { instead: "https://a.com,https//b.com".into() }),
        ("https://", invalid("https://", ParseError::EmptyHost)),
        ("https://carto.com:x/", invalid("https://carto.com:x/", ParseError::InvalidPort)),
        ("https://*.0.0.1/", invalid("https://*.0.0.1/", ParseError::InvalidIpv4Address)),
    ] {
        assert_eq!(Entry::parse(text), Err(want), "{text:?}");
    }
}

#[test]
fn messages_show_no_password_and_no_hidden_character() {
    for text in ["user:pass@carto.com", "https://a.com,https://user:pass@b.com", "https://a.com/#user:pass@b.com"] {
        let message = Entry::parse(text).unwrap_err().to_string();
        assert!(message.starts_with("the referer ") && !message.contains("pass"), "{message}");
    }
    for text in ["carto\u{202e}.com", "ftp://carto\u{7}.com", "https://carto.com/\u{200b}#\n"] {
        let message = Entry::parse(text).unwrap_err().to_string();
        assert!(!message.chars().any(crate::base::is_unsafe) && message.contains("\\u{"), "{message:?}");
    }
}

#[test]
fn entries_match_by_the_rules_of_n7() {
    for (text, header, want, why) in [
        ("https://carto.com", "https://carto.com", true, "N7.2, a site"),
        ("https://carto.com", "https://carto.com/a?b#c", true, "N7.2, any page of it"),
        ("https://carto.com", "http://carto.com/", false, "N7.2, another scheme"),
        ("https://carto.com", "https://carto.com:8443/", false, "N7.2, another port"),
        ("https://carto.com", "https://carto.com:443/", true, "N7.1, the default port"),
        ("https://carto.com", "https://carto.com./", false, "another host"),
        ("https://carto.com", "https://a.carto.com/", false, "N7.2, another host"),
        ("https://carto.com", "https://carto.com.evil.com/", false, "N7.2, another host"),
        ("https://carto.com", "https://carto.com\\@evil.com/", true, "N7.1, a backslash starts the path"),
        ("https://carto.com/a/*", "https://carto.com/a/", true, "N7.3, the prefix itself"),
        ("https://carto.com/a/*", "https://carto.com/a/b?c", true, "N7.3, more"),
        ("https://carto.com/a/*", "https://carto.com/a", false, "N7.3, less"),
        ("https://carto.com/a/*", "https://carto.com/ab", false, "N7.3, another segment"),
        ("https://carto.com/a/*", "https://carto.com/a/../b", false, "N7.1, out of it"),
        ("https://carto.com/a/*", "https://carto.com/a/%2e%2E/b", false, "N7.1, out of it"),
        ("https://carto.com/a", "https://carto.com/a#b", true, "N7.4, equal"),
        ("https://carto.com/a", "https://carto.com/a/", false, "N7.4, more"),
        ("https://carto.com/a", "https://carto.com/a?", false, "an empty query is one"),
        ("https://carto.com/?a", "https://carto.com/?a", true, "N7.4, with its query"),
        ("https://carto.com/?a", "https://carto.com/", false, "N7.4, without it"),
        ("https://carto.com/A", "https://carto.com/a", false, "N7.4, the path has case"),
        ("https://*.carto.com", "https://a.carto.com/", true, "N7.5, a label"),
        ("https://*.carto.com", "https://a.b.carto.com/", true, "N7.5, two labels"),
        ("https://*.carto.com", "https://carto.com/", false, "N7.5, no label"),
        ("https://*.carto.com", "https://evilcarto.com/", false, "N7.5, part of a label"),
        ("https://*.carto.com", "https://.carto.com/", false, "N7.5, an empty label"),
        ("https://*.carto.com", "https://..carto.com/", false, "N7.5, empty labels"),
        ("https://*.carto.com", "https://a..carto.com/", false, "N7.5, an empty label"),
        ("https://*.carto.com", "https://.a.carto.com/", false, "N7.5, an empty label"),
        ("https://*.carto.com", "https://a.carto.com./", false, "another host"),
        ("https://*.carto.com:8080/a/*", "https://x.carto.com:8080/a/b", true, "N7.5, with a port and a prefix"),
        ("https://*.carto.com:8080/a/*", "https://x.carto.com/a/b", false, "N7.5, the port counts"),
        ("https://carto.com/*/b", "https://carto.com/a/b", false, "N7.5, a star is an ordinary character"),
        ("https://carto.com/*/b", "https://carto.com/*/b", true, "N7.5, a star is an ordinary character"),
    ] {
        let referer = Referer::parse(header).unwrap();
        assert_eq!(entry(text).matches(&referer), want, "{text} {header}: {why}");
        let set = RefererSet::new([entry(text)]);
        assert_eq!(set.matches(&referer), want, "{text} {header}: {why}");
        assert_eq!(set.accepts(header), want, "{text} {header}: {why}");
    }
}

#[test]
fn sets_are_canonical_and_match() {
    let set = RefererSet::new(["https://b.com/x", "https://a.com/*", "https://*.a.com", "https://a.com"].map(entry));
    assert_eq!(
        set.entries().map(|entry| entry.to_string()).collect::<Vec<_>>(),
        ["https://a.com/", "https://b.com/x", "https://*.a.com/"]
    );
    assert_eq!((set.len(), set.is_empty()), (3, false));
    let again = RefererSet::new(["https://*.a.com/*", "https://A.com/", "https://b.com/x"].map(entry));
    assert_eq!(set, again, "the order and the way of writing do not count");

    let none = RefererSet::new([]);
    assert!(
        none.is_empty() && !none.matches(&Referer::parse("https://a.com").unwrap()),
        "an empty set matches nothing"
    );

    let many = (0..5000).flat_map(|at| [format!("https://h{at}.com/"), format!("https://*.w{at}.com/p{at}/*")]);
    let many = RefererSet::new(many.map(|text| entry(&text)));
    for (header, want) in [
        ("https://h4321.com/x", true),
        ("https://h5000.com/x", false),
        ("https://a.b.w77.com/p77/", true),
        ("https://a.b.w77.com/p7/", false),
        ("https://w77.com/p77/", false),
    ] {
        assert_eq!(many.matches(&Referer::parse(header).unwrap()), want, "{header}");
    }
}

#[test]
fn pages_of_an_origin_are_found_in_large_and_long_sets() {
    for (pages, length) in [(3, 1), (300, 1), (3000, 30)] {
        let text = |at: usize| format!("https://a.test/{}{at:05}/", "p".repeat(length));
        let set = RefererSet::new(
            (0..pages)
                .flat_map(|at| [format!("{}*", text(at)), format!("{}x?{at}", text(at))])
                .map(|text| entry(&text)),
        );
        assert_eq!(set.len(), 2 * pages);
        for at in [0, 1, pages / 2, pages - 1] {
            assert!(set.accepts(&text(at)) && set.accepts(&format!("{}y", text(at))), "{at} of {pages}");
        }
        assert!(!set.accepts(&text(pages)) && !set.accepts("https://a.test/") && !set.accepts("https://b.test/"));
    }
}

/// Returns whether a set of these entries accepts `header`. Agrees with the naive matcher, which parses everything. So
/// does a set with many other entries, which is searched in another way.
fn accepts(entries: &[String], header: &str) -> bool {
    let texts: Vec<&str> = entries.iter().map(String::as_str).collect();
    let want = naive::accepts(&texts, Some(header)) == Acceptance::Accepted;
    let set = RefererSet::new(texts.iter().map(|text| entry(text)));
    assert_eq!(set.accepts(header), want, "{header:?} and {texts:?}");
    let others = (0..70).flat_map(|at| [format!("https://o{at}.test/a/*"), format!("https://*.w{at}.test")]);
    let many = RefererSet::new(others.map(|text| entry(&text)).chain(texts.iter().map(|text| entry(text))));
    assert_eq!(many.accepts(header), want, "{header:?} and {texts:?} among many");
    want
}

#[test]
fn headers_are_denied_early_only_if_the_full_parse_denies_them() {
    for (text, header, want, why) in [
        ("https://carto.com", "https://carto.com:443/a", true, "the default port, written"),
        ("http://carto.com:443", "http://carto.com:443/a", true, "the default port of another scheme"),
        ("https://carto.com", "https://carto.com:0443/a", true, "a port with a zero before it"),
        ("https://carto.com", "https://carto.com:/a", true, "an empty port"),
        ("https://carto.com:65535/a/*", "https://carto.com:65535/a/b", true, "the last port"),
        ("https://carto.com", "https://carto.com:65536/", false, "not a port"),
        ("https://carto.com", "https://carto.com:80a/", false, "not a port"),
        ("https://carto.com", "https://evil.com@carto.com/", false, "user info"),
        ("https://carto.com", "https://evil.com:80@carto.com/", false, "user info that looks like a port"),
        ("https://carto.com", "https://carto.com@evil.com/", false, "user info that looks like the host"),
        ("https://evil.com", "https://carto.com@evil.com/", false, "user info is rejected"),
        ("https://carto.com", "https://carto.com\\evil.com/", true, "a backslash ends the host"),
        ("https://evil.com", "https://carto.com\\evil.com/", false, "a backslash ends the host"),
        ("https://carto.com", "https:\\\\carto.com/", true, "backslashes are slashes"),
        ("https://carto.com", "https:///carto.com/", true, "a slash too many is skipped"),
        ("https://carto.com", "https:carto.com/", true, "slashes may be missing"),
        ("https://carto.com", "ht\ttps://ca\nrto.com/", true, "tabs and line ends are dropped"),
        ("https://carto.com", "https://carto.com:4\t43/", true, "a tab in the port is dropped"),
        ("https://carto.com", " https://carto.com/", true, "spaces around the header are dropped"),
        ("https://carto.com", "https://carto.com ", true, "spaces around the header are dropped"),
        ("https://carto.com", "https://evil.com carto.com/", false, "a space in the host is rejected"),
        ("https://carto.com", "HTTPS://Carto.COM/", true, "letters of another case"),
        ("https://carto.com", "https://c%61rto.com/", true, "percent-encoding in the host"),
        ("https://carto.com", "https://carto%2ecom/", true, "an encoded dot in the host"),
        ("https://carto.com", "https://carto.com%2eevil.com/", false, "an encoded dot in the host"),
        ("https://carto.com", "https://carto.com./", false, "a final dot is another host"),
        ("https://carto.com./a/*", "https://carto.com./a/b", true, "a final dot in both"),
        ("https://*.carto.com", "https://..carto.com/", false, "empty labels below a wildcard"),
        ("https://*.carto.com", "https://a..carto.com/", false, "an empty label below a wildcard"),
        ("http://127.0.0.1", "http://127.1/", true, "a short IPv4 address"),
        ("http://127.0.0.1", "http://2130706433/", true, "an IPv4 address in one number"),
        ("http://127.0.0.1", "http://0x7f.0.0.1/", true, "an IPv4 address in hexadecimal"),
        ("http://127.0.0.1", "http://0177.0.0.1/", true, "an IPv4 address in octal"),
        ("http://127.0.0.1", "http://127.0.0.1./", true, "an IPv4 address with a final dot"),
        ("http://127.0.0.1", "http://127.0.0.0x1/", true, "an IPv4 address whose last number is hexadecimal"),
        ("http://127.0.0.1/a/*", "http://127.0.0.1/a/b", true, "an IPv4 address"),
        ("http://127.0.0.1", "http://\u{ff11}27.0.0.1/", true, "a digit that is not ASCII"),
        ("https://*.example.com", "https://1.2.3.4.example.com/", true, "numbers below a name"),
        ("http://[::1]:3000", "http://[0:0::1]:3000/", true, "an IPv6 address"),
        ("https://b\u{fc}cher.example", "https://b\u{fc}cher.example/x", true, "a host that is not ASCII"),
        ("https://b\u{fc}cher.example/a/*", "https://xn--bcher-kva.example/a/b", true, "its punycode"),
        ("https://*.b\u{fc}cher.example", "https://x.B\u{dc}CHER.example/", true, "another case beyond ASCII"),
        ("https://*.example", "https://b\u{fc}cher.example/", true, "a label that is not ASCII below a wildcard"),
        ("https://*.a.example", "https://b\u{fc}.x.a.example/", true, "the wildcard is in the ASCII part"),
        ("https://*.x.a.example", "https://b\u{fc}.x.a.example/", true, "the wildcard is the ASCII part"),
        ("https://*.y.x.a.example", "https://\u{fc}.y.x.a.example/", true, "the wildcard is longer than a label"),
        (
            "https://xn--y-eha.x.a.example",
            "https://y\u{fc}.x.a.example/",
            true,
            "punycode of a label that starts with ASCII",
        ),
        ("https://xn--y-eha.x.a.example", "https://z\u{fc}.x.a.example/", false, "another label before the ASCII part"),
        ("https://carto.com", "https://\u{ff43}arto.com/", true, "a wide letter is mapped to ASCII"),
        ("https://carto.com", "https://carto\u{3002}com/", true, "an ideographic full stop is a dot"),
        ("https://carto.com", "https://carto\u{ff0e}com/", true, "a wide full stop is a dot"),
        ("https://carto.com", "https://ca\u{ad}rto.com/", true, "a soft hyphen is dropped"),
        ("https://carto.com", "https://\u{ad}carto.com/", true, "a soft hyphen is dropped"),
        ("https://*.carto.com", "https://\u{ad}.carto.com/", false, "a label that becomes empty"),
        ("https://*.carto.com", "https://xn--a.carto.com/", false, "punycode that is not valid"),
        ("https://*.carto.com", "https://xn--bcher-kva.carto.com/", true, "punycode that is valid"),
        ("https://carto.com", "https://carto.com\u{2100}.evil.com/", false, "a character that maps to a slash"),
        ("https://carto.com", "https://carto.com", true, "nothing after the host"),
        ("https://carto.com", "https://carto.com?x", true, "a query directly after the host"),
        ("https://carto.com", "https://carto.com#x", true, "a fragment directly after the host"),
        ("https://carto.com/a/*", "https://carto.com/a/../b", false, "a way out of the prefix"),
        ("https://carto.com/a/*", "https://carto.com/b/../a/c", true, "a way into the prefix"),
        ("https://carto.com/a/*", "https://carto.com\\a\\b", true, "backslashes in the path"),
        ("https://carto.com", "https://", false, "no host"),
        ("https://carto.com", "https://:443/", false, "no host"),
        ("https://carto.com", "ftp://carto.com/", false, "another scheme"),
    ] {
        assert_eq!(accepts(&[text.to_owned()], header), want, "{text} {header:?}: {why}");
    }
}

fn hosts() -> impl Strategy<Value = String> {
    let parts = vec![
        "a",
        "b",
        "com",
        ".",
        ".",
        ".",
        "a.com",
        "b.a.com",
        "xn--",
        "xn--bcher-kva",
        "1",
        "127.0.0.1",
        "0x1",
        "-",
        "_",
        "A",
        "\u{fc}",
        "\u{ff41}",
        "\u{3002}",
        "\u{ad}",
        "\u{301}",
        "\u{5d0}",
        "%41",
        "@",
        ":",
        ":80",
        ":443",
        ":81",
        "\\",
        "\t",
        " ",
        "|",
        "^",
        "*",
        "[::1]",
    ];
    prop::collection::vec(prop::sample::select(parts), 1..7).prop_map(|parts| parts.concat())
}

fn origins() -> impl Strategy<Value = String> {
    let host = prop::sample::select(vec!["a.com", "b.a.com", "c.b.a.com", "com", "xa.com", "a.com.", "d..a.com"]);
    let scheme = prop::sample::select(vec!["http://", "https://"]);
    (scheme, host, prop::sample::select(vec!["", ":81"]))
        .prop_map(|(scheme, host, port)| format!("{scheme}{host}{port}"))
}

fn paths() -> impl Strategy<Value = String> {
    prop::collection::vec(prop::sample::select(vec!["/", "/a", "/b", "/ab", "?", "?a", "/*", "+"]), 0..5)
        .prop_map(|parts| format!("/{}", parts.concat()))
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1024))]

    #[test]
    fn set_agrees_with_its_entries(
        entries in prop::collection::vec((origins(), prop::bool::ANY, paths()), 0..24),
        headers in prop::collection::vec((origins(), paths()), 1..16),
    ) {
        let entries: Vec<Entry> = entries
            .into_iter()
            // No entry has an empty label.
            .map(|(origin, wildcard, path)| (origin.replace("..", "."), wildcard, path))
            .map(|(origin, wildcard, path)| entry(&format!("{}{path}", if wildcard { origin.replace("://", "://*.") } else { origin })))
            .collect();
        let set = RefererSet::new(entries.iter().cloned());
        let mut sorted = entries.clone();
        sorted.sort_unstable();
        sorted.dedup();
        prop_assert_eq!(set.entries().collect::<Vec<_>>(), sorted);
        for (origin, path) in headers {
            let header = format!("{origin}{path}");
            let referer = Referer::parse(&header).unwrap();
            let want = entries.iter().any(|entry| entry.matches(&referer));
            prop_assert_eq!(set.matches(&referer), want, "{}", header);
            prop_assert_eq!(set.accepts(&header), want, "{}", header);
        }
    }

    #[test]
    fn early_denials_agree_with_the_full_parse(
        scheme in prop::sample::select(vec!["https://", "https://", "http://", "https:/", "HTTPS://", " http://"]),
        host in hosts(),
        rest in prop::sample::select(vec!["", "/", "/a/b", "?a", "#a", "/a/../b", "\\a", "/a/|^", "/C:/"]),
        own in prop::bool::ANY,
        wildcard in prop::bool::ANY,
        others in prop::collection::vec(hosts(), 0..12),
        reach in prop::sample::select(vec!["", "/", "/a/*", "/a/b"]),
    ) {
        // Entries that the header may match: its own host, or hosts of the same parts.
        let wild = if wildcard { "*." } else { "" };
        let own = own.then(|| host.replace(['@', '\\', '\t'], ""));
        let entries = own.into_iter().chain(others).map(|host| format!("https://{wild}{host}{reach}"));
        let entries: Vec<String> = entries.filter(|text| naive::is_entry(text) && Entry::parse(text).is_ok()).collect();
        if !entries.is_empty() {
            accepts(&entries, &format!("{scheme}{host}{rest}"));
        }
    }

    #[test]
    fn canonical_form_parses_to_an_equal_entry(origin in origins(), path in "[/.*?%a-c &'#]{0,8}") {
        if let Ok(entry) = Entry::parse(&format!("{origin}/{path}")) {
            prop_assert_eq!(Entry::parse(entry.as_str()), Ok(entry));
        }
    }
}

//! Value parsers of the options of the sign-in, which are compared with what the provider sends: a value that no provider
//! sends is refused.

use portcullis::base::{is_unsafe, unwrapped};

use crate::bounds::expected;
use crate::credentials::word;

/// Parses the client id that a provider has registered.
pub(super) fn client_id(text: &str) -> Result<String, String> {
    let what = "the client id as the provider shows it, in visible ASCII characters";
    let is_id =
        |text: &str| !text.is_empty() && text.trim() == text && text.bytes().all(|byte| matches!(byte, b' '..=b'~'));
    given(text, is_id(text), what, Some(text.trim()).filter(|text| is_id(text)).unwrap_or("portcullis"))
}

/// Parses one scope (RFC 6749).
pub(super) fn scope(text: &str) -> Result<String, String> {
    one_of("--oidc-scope", text, "email", |text| {
        let is_scope = |byte: u8| matches!(byte, b'!' | b'#'..=b'[' | b']'..=b'~') && byte != b'*';
        (!text.is_empty() && text.bytes().all(is_scope)).then(|| text.to_owned())
    })
}

/// Parses the domain of e-mail addresses. Subdomains are other domains. No provider verifies addresses of a host without a
/// dot, or of an IP address.
pub(super) fn domain(text: &str) -> Result<String, String> {
    one_of("--oidc-allow-domain", text, "example.com", |text| {
        let host = text.rsplit(['@', '/']).find(|part| !part.is_empty()).unwrap_or_default();
        let name = unwrapped(host).trim_start_matches("*.").trim_matches('.');
        let is_label = |label: &str| {
            !label.is_empty()
                && !label.starts_with('-')
                && !label.ends_with('-')
                && label.chars().all(|character| character.is_alphanumeric() || matches!(character, '-' | '_'))
        };
        let has_labels = name.contains('.') && name.split('.').all(is_label);
        let is_address = name.rsplit('.').next().is_some_and(|last| last.bytes().all(|byte| byte.is_ascii_digit()));
        (has_labels && !is_address).then(|| name.to_owned())
    })
}

/// Parses the name of a group, which may have blanks and commas: `Sales, Europe`, `CN=Data Team,OU=Groups`.
///
/// A comma or semicolon without a blank after it separates a list, unless the text is a name of a directory, with `=`.
pub(super) fn group(option: &str, text: &str) -> Result<String, String> {
    const EXAMPLE: &str = "data-team";
    let is_group = |text: &str| {
        !text.is_empty()
            && text.trim() == text
            && !text.contains('*')
            && !text.starts_with(['"', '\'', '`', '[', ','])
            && !text.ends_with(['"', '\'', '`', ']', ','])
            && !text.chars().any(is_unsafe)
    };
    let items: Vec<&str> = text.split([',', ';']).collect();
    let is_list = items.len() > 1 && !text.contains('=') && items.iter().all(|item| is_group(item));
    if is_list {
        let words: Vec<String> = items.iter().map(|item| word(item)).collect();
        return Err(expected("one group in each argument, found a list", format_args!("{option} {}", words.join(" "))));
    }
    let what = "the whole name of one group, without blanks or quotes around it and without `*`";
    let around = |character: char| character.is_whitespace() || "\"'`[],".contains(character);
    let meant = Some(text.trim_matches(around)).filter(|text| is_group(text));
    given(text, is_group(text), what, meant.unwrap_or(EXAMPLE))
}

/// Parses the name of a claim, or a JSON Pointer to it.
///
/// A name with dots is refused, unless it is a URL: other programs read `a.b` as the claim `b` in the claim `a`. A JSON
/// Pointer has one meaning: `/a/b` is that claim, and `/a.b` is a claim whose name has a dot.
pub(super) fn claim(text: &str) -> Result<String, String> {
    let is_claim = |text: &str| {
        let is_name = !text.is_empty() && text.trim() == text && !text.chars().any(is_unsafe);
        // In a JSON Pointer, only `~0` and `~1` are escapes.
        let is_pointer = !text.starts_with('/')
            || text
                .split('/')
                .skip(1)
                .all(|step| !step.is_empty() && step.split('~').skip(1).all(|after| after.starts_with(['0', '1'])));
        let is_decorated =
            text.starts_with(['"', '\'', '`', '[']) || text.contains([',', ';']) || text.starts_with("$.");
        let is_path = !text.contains(':') && text.ends_with('/');
        is_name && is_pointer && !is_decorated && !is_path && !is_dotted(text)
    };
    let around = |character: char| character.is_whitespace() || "\"'`[],;".contains(character);
    let bare = text.trim_matches(around).trim_end_matches(['/', '.']);
    let path = bare.strip_prefix("$.").unwrap_or(bare);
    let is_path = path != bare || is_dotted(path);
    let meant = if is_path { format!("/{}", path.replace('.', "/")) } else { path.to_owned() };
    let instead = if is_claim(&meant) { &*meant } else { "groups" };
    let what = "the name of a claim, or a JSON Pointer such as `/realm_access/roles`";
    if path == text && is_dotted(text) && is_claim(&format!("/{text}")) {
        let literal = format!("{instead}`, or for a claim whose name has the dot, `/{text}");
        return Err(expected(format_args!("{what}, found a name with a dot, which may mean two things"), literal));
    }
    given(text, is_claim(text), what, instead)
}

/// Whether `text` has dots, and is neither a JSON Pointer nor a URL.
fn is_dotted(text: &str) -> bool {
    text.contains('.') && !text.starts_with('/') && !text.contains(':')
}

fn given(text: &str, is_valid: bool, what: &str, instead: &str) -> Result<String, String> {
    if is_valid { Ok(text.to_owned()) } else { Err(expected(what, instead)) }
}

/// Parses a value of `option`, which `read` returns if it is the same. The error of a list has each of its values.
fn one_of(option: &str, text: &str, example: &str, read: impl Fn(&str) -> Option<String>) -> Result<String, String> {
    let is_separator = |character: char| matches!(character, ',' | ';') || character.is_whitespace();
    let items: Vec<&str> = unwrapped(text).split(is_separator).filter(|item| !item.is_empty()).collect();
    let what = match option {
        "--oidc-scope" => "one scope",
        _ => "the part of e-mail addresses after the `@`, without subdomains",
    };
    let read_all: Option<Vec<String>> = items.iter().map(|item| read(item)).collect();
    match read_all.as_deref() {
        Some([one]) if one == text => Ok(one.clone()),
        Some([one]) => Err(expected(what, one)),
        Some(all @ [_, ..]) => {
            Err(expected("one value in each argument, found a list", format_args!("{option} {}", all.join(" "))))
        }
        _ => Err(expected(what, example)),
    }
}

#[cfg(test)]
mod tests {
    use super::{claim, client_id, domain, group, scope};

    struct Case {
        parse: fn(&str) -> Result<String, String>,
        valid: &'static [&'static str],
        /// Each value, and what the error proposes.
        refused: &'static [(&'static str, &'static str)],
    }

    const CASES: [Case; 5] = [
        Case {
            parse: domain,
            valid: &[
                "example.com",
                "Example.com",
                "mail.example.com",
                "intra.corp",
                "b\u{fc}cher.example",
                "xn--bcher-kva.example",
            ],
            refused: &[
                ("", "example.com"),
                (" ", "example.com"),
                ("*", "example.com"),
                (".", "example.com"),
                ("com", "example.com"),
                ("localhost", "example.com"),
                (".com", "example.com"),
                ("10.0.0.1", "example.com"),
                ("[10.0.0.1]", "example.com"),
                ("1.2.3", "example.com"),
                ("::1", "example.com"),
                ("[::1]", "example.com"),
                ("\"acme.com\"", "acme.com"),
                ("(acme.com)", "acme.com"),
                ("<ana@acme.com>", "acme.com"),
                ("[\"a.com\", \"b.com\"]", "--oidc-allow-domain a.com b.com"),
                ("acme.com:443", "example.com"),
                ("acme.com,corp", "example.com"),
                ("x..y", "example.com"),
                ("-x.com", "example.com"),
                ("{domain}", "example.com"),
                (".acme.com", "acme.com"),
                ("*.acme.com", "acme.com"),
                ("acme.com.", "acme.com"),
                ("@acme.com", "acme.com"),
                ("ana@acme.com", "acme.com"),
                ("*@acme.com", "acme.com"),
                (" acme.com", "acme.com"),
                ("acme.com,", "acme.com"),
                ("https://acme.com", "acme.com"),
                ("https://acme.com/", "acme.com"),
                ("a.com,b.com", "--oidc-allow-domain a.com b.com"),
                ("a.com b.com", "--oidc-allow-domain a.com b.com"),
                ("@a.com; @b.com", "--oidc-allow-domain a.com b.com"),
            ],
        },
        Case {
            parse: scope,
            valid: &["email", "openid", "https://graph.example.com/.default", "api:read"],
            refused: &[
                ("", "email"),
                ("*", "email"),
                ("caf\u{e9}", "email"),
                (" groups", "groups"),
                ("[groups]", "groups"),
                ("groups profile", "--oidc-scope groups profile"),
                ("groups,profile", "--oidc-scope groups profile"),
            ],
        },
        Case {
            parse: client_id,
            valid: &["portcullis", "my app", "0oa1b2c3", "https://app.example.com"],
            refused: &[
                ("", "portcullis"),
                (" ", "portcullis"),
                ("caf\u{e9}", "portcullis"),
                (" a1", "a1"),
                ("a1\n", "a1"),
            ],
        },
        Case {
            parse: |text| group("--oidc-allow-group", text),
            valid: &[
                "data-team",
                "Data Team",
                "CN=Data Team,OU=Groups",
                "Sales, Europe",
                "/realm/data-team",
                "ACME\\data",
                "\u{e9}quipe",
            ],
            refused: &[
                ("a,b", "--oidc-allow-group a b"),
                ("a;b", "--oidc-allow-group a b"),
                ("a,", "a"),
                (",a", "a"),
                ("\"a\"", "a"),
                ("[\"a\"]", "a"),
                ("a,*", "data-team"),
                ("a\u{202e}b", "data-team"),
                ("", "data-team"),
                (" ", "data-team"),
                ("*", "data-team"),
                ("data-*", "data-team"),
                (" a ", "a"),
            ],
        },
        Case {
            parse: claim,
            valid: &[
                "groups",
                "https://example.com/groups",
                "urn:example.com:groups",
                "cognito:groups",
                "/realm_access/roles",
                "/realm_access.roles",
                "/a~1b",
            ],
            refused: &[
                ("", "groups"),
                ("/", "groups"),
                ("//a", "groups"),
                ("/a~2", "groups"),
                ("/a/", "/a"),
                ("groups,roles", "groups"),
                ("\"groups\"", "groups"),
                ("groups.", "groups"),
                (" roles", "roles"),
                ("$.realm_access.roles", "/realm_access/roles"),
            ],
        },
    ];

    #[test]
    fn values_that_no_provider_sends_are_refused_with_one_that_it_may_send() {
        for Case { parse, valid, refused } in CASES {
            for text in valid {
                assert_eq!(parse(text).as_deref(), Ok(*text));
            }
            for (text, instead) in refused {
                let error = parse(text).expect_err(text);
                assert!(error.ends_with(&format!("help: write `{instead}`")), "{text}: {error}");
                for value in instead.split(' ').filter(|value| !value.starts_with("--")) {
                    assert!(parse(value).is_ok(), "{value}");
                }
            }
        }
    }

    #[test]
    fn a_claim_with_a_dot_is_a_pointer_of_one_of_two_meanings() {
        for (text, path, literal) in
            [("realm_access.roles", "/realm_access/roles", "/realm_access.roles"), ("a.b.c", "/a/b/c", "/a.b.c")]
        {
            let error = claim(text).expect_err(text);
            let help = format!("help: write `{path}`, or for a claim whose name has the dot, `{literal}`");
            assert!(error.ends_with(&help), "{error}");
            assert!(claim(path).is_ok() && claim(literal).is_ok());
        }
    }

    #[test]
    fn groups_of_a_list_are_quoted_for_the_shell() {
        let error = group("--oidc-admin-group", "Data Team,b").unwrap_err();
        assert!(error.ends_with("help: write `--oidc-admin-group 'Data Team' b`"), "{error}");
    }
}

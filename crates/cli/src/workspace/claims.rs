//! Value parsers of the options of the sign-in, which are compared with what the provider sends: a value that no provider
//! sends is refused.

use portcullis::base::is_unsafe;

use crate::bounds::expected;

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

/// Parses the domain of e-mail addresses. Subdomains are other domains.
pub(super) fn domain(text: &str) -> Result<String, String> {
    one_of("--oidc-allow-domain", text, "example.com", |text| {
        let host = text.rsplit(['@', '/']).find(|part| !part.is_empty()).unwrap_or_default();
        let name = host.trim_start_matches("*.").trim_matches('.');
        let is_label = |label: &str| {
            !label.is_empty()
                && !label.starts_with('-')
                && !label.ends_with('-')
                && label.chars().all(|character| character.is_alphanumeric() || matches!(character, '-' | '_'))
        };
        name.split('.').all(is_label).then(|| name.to_owned())
    })
}

/// Parses the name of a group, which may have spaces and commas: `CN=Data Team,OU=Groups`.
pub(super) fn group(text: &str) -> Result<String, String> {
    let is_group =
        |text: &str| !text.is_empty() && text.trim() == text && !text.contains('*') && !text.chars().any(is_unsafe);
    let what = "the whole name of one group, without blanks around it and without `*`";
    given(text, is_group(text), what, Some(text.trim()).filter(|text| is_group(text)).unwrap_or("data-team"))
}

/// Parses the name of a claim, or a JSON Pointer to it.
pub(super) fn claim(text: &str) -> Result<String, String> {
    let is_claim = |text: &str| {
        let is_name = !text.is_empty() && text.trim() == text && !text.chars().any(is_unsafe);
        // In a JSON Pointer, only `~0` and `~1` are escapes.
        let is_pointer = !text.starts_with('/')
            || text
                .split('/')
                .skip(1)
                .all(|step| !step.is_empty() && step.split('~').skip(1).all(|after| after.starts_with(['0', '1'])));
        is_name && is_pointer && !text.starts_with("$.")
    };
    let pointer = text.strip_prefix("$.").map(|path| format!("/{}", path.replace('.', "/")));
    let meant = pointer.unwrap_or_else(|| text.trim().trim_end_matches('/').to_owned());
    let instead = if is_claim(&meant) { &*meant } else { "groups" };
    given(text, is_claim(text), "the name of a claim, or a JSON Pointer such as `/realm_access/roles`", instead)
}

fn given(text: &str, is_valid: bool, what: &str, instead: &str) -> Result<String, String> {
    if is_valid { Ok(text.to_owned()) } else { Err(expected(what, instead)) }
}

/// Parses a value of `option`, which `read` returns if it is the same. The error of a list has each of its values.
fn one_of(option: &str, text: &str, example: &str, read: impl Fn(&str) -> Option<String>) -> Result<String, String> {
    let is_separator = |character: char| matches!(character, ',' | ';') || character.is_whitespace();
    let items: Vec<&str> = text.split(is_separator).filter(|item| !item.is_empty()).collect();
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

    #[test]
    fn values_that_no_provider_sends_are_refused_with_one_that_it_may_send() {
        let cases = [
            Case {
                parse: domain,
                valid: &[
                    "example.com",
                    "Example.com",
                    "mail.example.com",
                    "corp",
                    "b\u{fc}cher.example",
                    "xn--bcher-kva.example",
                ],
                refused: &[
                    ("", "example.com"),
                    (" ", "example.com"),
                    ("*", "example.com"),
                    (".", "example.com"),
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
                parse: group,
                valid: &["data-team", "Data Team", "CN=Data Team,OU=Groups", "\u{e9}quipe"],
                refused: &[
                    ("", "data-team"),
                    (" ", "data-team"),
                    ("*", "data-team"),
                    ("data-*", "data-team"),
                    (" a ", "a"),
                ],
            },
            Case {
                parse: claim,
                valid: &["groups", "https://example.com/groups", "/realm_access/roles", "/a~1b", "realm_access.roles"],
                refused: &[
                    ("", "groups"),
                    ("/", "groups"),
                    ("//a", "groups"),
                    ("/a~2", "groups"),
                    ("/a/", "/a"),
                    (" roles", "roles"),
                    ("$.realm_access.roles", "/realm_access/roles"),
                ],
            },
        ];
        for Case { parse, valid, refused } in cases {
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
}

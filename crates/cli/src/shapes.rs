//! Tests that every option with text refuses the texts that people write by mistake: with blanks or quotes around the value,
//! as a list, with a slash, or as a URL. An option that accepts one of them is in the table, with the reason.

use std::any::TypeId;
use std::path::PathBuf;

use clap::error::ErrorKind;
use clap::{Arg, Command};

use crate::arguments::each;

/// A mistake in a value.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Shape {
    Empty,
    Blanks,
    Quotes,
    List,
    Capitals,
    Slash,
    Dot,
    Url,
    Control,
}

use Shape::{Blanks, Capitals, Control, Dot, Empty, List, Quotes, Slash, Url};

const ALL: [Shape; 9] = [Empty, Blanks, Quotes, List, Capitals, Slash, Dot, Url, Control];

impl Shape {
    /// Returns `value` with the mistake.
    fn of(self, value: &str) -> String {
        match self {
            Self::Empty => String::new(),
            Self::Blanks => format!(" {value} "),
            Self::Quotes => format!("\"{value}\""),
            Self::List => format!("{value},{value}"),
            Self::Capitals => value.to_uppercase(),
            Self::Slash => format!("{value}/"),
            Self::Dot => format!("{value}."),
            Self::Url => format!("https://a.example/{value}"),
            Self::Control => format!("{value}\u{1b}x"),
        }
    }
}

/// Options of one kind of text.
struct Row {
    /// A command and an option, or an option of any command.
    options: &'static [&'static str],
    /// A valid value.
    valid: &'static str,
    accepted: &'static [Shape],
    reason: &'static str,
}

/// Texts that a later check reads, and not the parser of the command line.
const LATER: &[Shape] = &ALL;

const ROWS: &[Row] = &[
    Row {
        options: &["db", "old", "new"],
        valid: "sqlite:registry.db",
        accepted: LATER,
        reason: "the registry reads its URL, also that of the environment",
    },
    Row {
        options: &["user"],
        valid: "ana",
        accepted: &[Quotes, List, Capitals, Slash, Dot, Url],
        reason: "the names of users are those of the provider and of the system, which differ in the case of letters",
    },
    Row {
        options: &["check api"],
        valid: "maps",
        accepted: &[Quotes, List, Capitals, Slash, Dot, Url],
        reason: "a policy may declare APIs with such names; another API is denied, as in a request",
    },
    Row {
        options: &["check connection", "check token_id"],
        valid: "carto_dw",
        accepted: &[Quotes, List, Capitals, Slash, Dot, Url],
        reason: "a policy may have such names; an unknown connection is denied, and an unknown id is an error",
    },
    Row {
        options: &["check resource", "check query", "check named-source"],
        valid: "carto.shared.roads",
        accepted: &[Blanks, Quotes, List, Capitals, Slash, Dot, Url, Control],
        reason: "a request may have any source: it is decided as the source is written",
    },
    Row {
        options: &["check token"],
        valid: "secret",
        accepted: LATER,
        reason: "a request may have no token, or any text in its place: it is denied",
    },
    Row {
        options: &["check token_env"],
        valid: "TOKEN",
        accepted: &[Quotes, List, Capitals, Slash, Dot, Url, Control],
        reason: "the system allows such variables; a variable that is not set is an error",
    },
    Row {
        options: &["check referer"],
        valid: "https://app.example.com/",
        accepted: LATER,
        reason: "a request may have any `Referer` header, also an empty one: it is decided as it is",
    },
    Row { options: &["now", "since"], valid: "2026-11-22", accepted: &[Capitals], reason: "digits have no case" },
    Row { options: &["operation"], valid: "query", accepted: &[], reason: "" },
    Row { options: &["serve log_when_full"], valid: "drop", accepted: &[], reason: "" },
    Row {
        options: &["listen", "admin", "spoe"],
        valid: "127.0.0.1:8181",
        accepted: &[Capitals],
        reason: "digits have no case",
    },
    Row {
        options: &["cors_origin"],
        valid: "https://app.example.com",
        accepted: &[Dot],
        reason: "browsers keep the dot that ends the whole name of a host",
    },
    Row {
        options: &["public_url"],
        valid: "https://authz.example.com",
        accepted: &[Slash, Dot],
        reason: "the slash at the end is removed; a dot ends the whole name of a host",
    },
    Row {
        options: &["allow_host"],
        valid: "decide.internal",
        accepted: &[Capitals],
        reason: "the case of the letters of a host has no meaning: the parser returns lower case",
    },
    Row {
        options: &["message_level"],
        valid: "info",
        accepted: &[Blanks, Capitals],
        reason: "blanks and case have no meaning in a list of levels",
    },
    Row {
        options: &["oidc_issuer"],
        valid: "https://login.example.com",
        accepted: &[Slash, Dot, Url],
        reason: "some issuers end with a slash, and have a path; a dot ends the whole name of a host",
    },
    Row {
        options: &["oidc_client_id"],
        valid: "portcullis",
        accepted: &[Quotes, List, Capitals, Slash, Dot, Url],
        reason: "providers choose client ids, which some write as URLs",
    },
    Row {
        options: &["oidc_scope"],
        valid: "email",
        accepted: &[Capitals, Slash, Dot, Url],
        reason: "scopes are case-sensitive, and some providers write them as URLs",
    },
    Row {
        options: &["oidc_allow_domain"],
        valid: "example.com",
        accepted: &[Capitals],
        reason: "domains are compared without case",
    },
    Row {
        options: &["oidc_allow_group", "oidc_admin_group", "oidc_auditor_group"],
        valid: "data-team",
        accepted: &[Capitals, Slash, Dot, Url],
        reason: "providers send the names of groups as they are: with paths, in any case",
    },
    Row {
        options: &["oidc_groups_claim"],
        valid: "groups",
        accepted: &[Capitals, Url],
        reason: "claims are case-sensitive, and some are named by URLs",
    },
    Row {
        options: &["pass_through"],
        valid: "/healthz",
        accepted: LATER,
        reason: "the request reader checks it, as the prefixes of a table of routes",
    },
    Row {
        options: &[
            "title",
            "name",
            "token name",
            "id",
            "token id",
            "search",
            "token connection",
            "source",
            "text",
            "dialect",
        ],
        valid: "dw",
        accepted: LATER,
        reason: "the registry checks texts, also those of the HTTP API",
    },
    Row {
        options: &[
            "login_uri",
            "callback",
            "logout_url",
            "web_origin",
            "allowed_origin",
            "remove_login_uri",
            "remove_callback",
            "remove_logout_url",
            "remove_web_origin",
            "remove_allowed_origin",
            "remove_referer",
        ],
        valid: "https://app.example.com",
        accepted: LATER,
        reason: "the registry checks URLs, also those of the HTTP API, and refuses to remove one that it does not have",
    },
    Row {
        options: &["expiration_date"],
        valid: "2026-11-22",
        accepted: LATER,
        reason: "the registry reads spans and instants, also those of the HTTP API",
    },
    Row {
        options: &["create connection", "update connection", "init connection", "init source", "init referer"],
        valid: "carto_dw",
        accepted: LATER,
        reason: "the policy or registry that the command writes is checked first",
    },
    Row {
        options: &["token referer"],
        valid: "https://app.example.com/",
        accepted: &[Blanks, Quotes, List, Capitals, Slash, Dot, Url, Control],
        reason: "the registry checks referers, also those of the HTTP API",
    },
    Row {
        options: &["apis", "scopes", "referers"],
        valid: "maps",
        accepted: &[Blanks, Quotes, List, Capitals, Slash, Dot, Url, Control],
        reason: "lists are separated at commas, and the registry checks each value",
    },
    Row {
        options: &["grant", "add_grant", "remove_grant"],
        valid: "carto_dw,carto.shared.roads",
        accepted: &[Blanks, Quotes, List, Capitals, Slash, Dot, Url, Control],
        reason: "the registry knows the connections, and reads the sources",
    },
    Row {
        options: &["catalog_database"],
        valid: "main",
        accepted: &[Capitals],
        reason: "some databases have names in upper case",
    },
    Row {
        options: &["workspace catalog_connection"],
        valid: "carto_dw",
        accepted: &[Quotes, Capitals, Slash, Dot, Url],
        reason: "the registry may have connections with such names; an unknown one is an error",
    },
    Row {
        options: &[
            "exposure token",
            "exposure connection",
            "who-can connection",
            "who-can resource",
            "who-can query",
            "who-can named_source",
            "who-can token_leaked",
            "forecast token",
            "forecast connection",
            "catalog_connection",
        ],
        valid: "carto_dw",
        accepted: LATER,
        reason: "the audits look names up in the policy: an unknown one is an error",
    },
    Row { options: &["allow"], valid: "plain_secret", accepted: &[], reason: "" },
    Row { options: &["fail_on"], valid: "warning", accepted: &[], reason: "" },
    Row { options: &["report title"], valid: "Access", accepted: LATER, reason: "the title is shown only" },
    Row {
        options: &["include", "exclude"],
        valid: "*.json",
        accepted: LATER,
        reason: "names of files may have these characters",
    },
];

fn row(command: &Command, arg: &Arg) -> Option<&'static Row> {
    let name = arg.get_id().as_str();
    let full = format!("{} {name}", command.get_name());
    let has = |row: &&Row, name: &str| row.options.contains(&name);
    ROWS.iter().find(|row| has(row, &full)).or_else(|| ROWS.iter().find(|row| has(row, name)))
}

#[test]
fn every_text_refuses_mistakes_or_has_a_reason() {
    let mut wrong = Vec::new();
    each(&crate::command(), &mut |command: &Command, words: &[String], arg: &Arg| {
        let is_path = arg.get_value_parser().type_id() == TypeId::of::<PathBuf>();
        // Paths and numbers have tests of their own. Of other options, the error shows all possible values.
        if is_path || !arg.get_possible_values().is_empty() {
            return;
        }
        let name = format!("{} {} <{:?}>", command.get_name(), arg.get_id(), arg.get_value_names());
        let accepts = |value: &str| {
            let line = words.iter().map(|word| word.replace("{}", value));
            let error = crate::command().try_get_matches_from(line).err();
            let error = error.filter(|error| error.kind() == ErrorKind::ValueValidation);
            error.map(|error| error.to_string())
        };
        let Some(row) = row(command, arg) else {
            if crate::bounds::tests::is_number(arg) {
                return;
            }
            wrong.push(format!("{name}: not in the table"));
            return;
        };
        assert!(row.accepted.is_empty() || !row.reason.is_empty(), "{name}: no reason");
        if let Some(error) = accepts(row.valid) {
            wrong.push(format!("{name}: {}: {error}", row.valid));
        }
        for shape in ALL {
            let value = shape.of(row.valid);
            match accepts(&value) {
                None if row.accepted.contains(&shape) => {}
                None => wrong.push(format!("{name}: accepts {value:?}, {shape:?}")),
                Some(error) if error.contains("\nhelp: ") => {}
                Some(error) => wrong.push(format!("{name}: no help: {error}")),
            }
        }
    });
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

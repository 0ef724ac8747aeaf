//! Lists credentials and shows single ones.

use std::fmt;
use std::io::{self, Write};

use portcullis::base::Timestamp;
use portcullis_registry::record::{Client, ClientKind, Grant, Token, Urls, Usage};
use portcullis_registry::{Actor, Registry};
use serde::Serialize;

use super::Kind;
use crate::Exit;
use crate::output::{Color, Format, Painted, Stdout};
use crate::registry::{Common, json, lines, note_of_others, now};
use crate::table::{Table, relative};

const LIST_EXAMPLES: &str = "\
Examples:
  portcullis credentials list
  portcullis credentials list tokens --format json |
      jq '.[] | select(.expired) | .id'
  portcullis credentials list tokens --all-users";

const GET_EXAMPLES: &str = "\
Examples:
  portcullis credentials get token tk_5h3f9w2mzq
  portcullis credentials get spa Atlas --format json";

/// List your credentials
#[derive(Debug, clap::Args)]
#[command(after_long_help = LIST_EXAMPLES)]
pub(super) struct ListArgs {
    /// List only this kind: `tokens`, `spa` or `m2m`
    #[arg(value_name = "KIND", hide_possible_values = true)]
    kind: Option<Kind>,
    #[command(flatten)]
    common: Common,
}

/// Show a credential
#[derive(Debug, clap::Args)]
#[command(after_long_help = GET_EXAMPLES)]
pub(super) struct GetArgs {
    /// Kind of credential: `token`, `spa` or `m2m`
    #[arg(value_name = "KIND", hide_possible_values = true)]
    kind: Kind,
    /// Id, name or title
    #[arg(value_name = "ID")]
    id: String,
    #[command(flatten)]
    common: Common,
}

/// A token with its usage, as JSON.
#[derive(Serialize)]
pub(super) struct TokenJson<'t> {
    #[serde(flatten)]
    token: &'t Token,
    expired: bool,
    allowed_requests: u64,
    last_used: Option<String>,
}

impl<'t> TokenJson<'t> {
    pub(super) fn new(token: &'t Token, usage: Option<&Usage>) -> Self {
        Self {
            token,
            expired: token.is_expired(now()),
            allowed_requests: usage.map_or(0, |usage| usage.allowed),
            last_used: usage.map(|usage| usage.last_used.to_string()),
        }
    }
}

/// The expiry of a token, relative to now: `expires in 7 days`.
pub(super) struct Life(pub(super) Option<Timestamp>, pub(super) Timestamp);

impl fmt::Display for Life {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self(end, now) = *self;
        match end {
            None => f.write_str("never expires"),
            Some(end) if end <= now => write!(f, "expired {}", relative(end, now)),
            Some(end) => write!(f, "expires {}", relative(end, now)),
        }
    }
}

/// The credentials of all kinds, as JSON.
#[derive(Serialize)]
struct All<'c> {
    tokens: &'c [TokenJson<'c>],
    spa: &'c [Client],
    m2m: &'c [Client],
}

pub(super) fn list(args: &ListArgs, color: Color) -> anyhow::Result<Exit> {
    let (mut registry, actor) = args.common.registry.open()?;
    let wants = |kind| args.kind.is_none_or(|only| only == kind);
    let tokens = if wants(Kind::Token) { registry.tokens(&actor)? } else { Vec::new() };
    let usage = if tokens.is_empty() { std::collections::HashMap::new() } else { registry.usage()? };
    let mut clients = |kind: Kind| match kind.client().filter(|_| wants(kind)) {
        Some(kind) => registry.clients(&actor, kind),
        None => Ok(Vec::new()),
    };
    let (spa, m2m) = (clients(Kind::Spa)?, clients(Kind::M2m)?);
    if tokens.is_empty() && spa.is_empty() && m2m.is_empty() {
        note_others(&mut registry, &actor, wants, color)?;
    }
    if args.common.format == Format::Json {
        let tokens: Vec<_> = tokens.iter().map(|token| TokenJson::new(token, usage.get(&token.id))).collect();
        return match args.kind {
            None => json(&All { tokens: &tokens, spa: &spa, m2m: &m2m }),
            Some(Kind::Token) => json(&tokens),
            Some(Kind::Spa) => json(&spa),
            Some(Kind::M2m) => json(&m2m),
        };
    }
    let owners = args.common.registry.shows_all_users();
    let paint = color.on(&io::stdout());
    let mut out = Stdout::lock();
    let mut is_first = true;
    let mut section = |title: &str, table: Table, count: usize, out: &mut Stdout| -> io::Result<()> {
        if args.kind.is_none() {
            let gap = if is_first { "" } else { "\n" };
            is_first = false;
            writeln!(out, "{gap}{}", Painted::bold(paint, title))?;
        }
        if count == 0 { writeln!(out, "none") } else { table.print(paint, out) }
    };
    if wants(Kind::Token) {
        let table = token_table(&tokens, |token| usage.get(&token.id), owners);
        section("Tokens", table, tokens.len(), &mut out)?;
    }
    for (kind, title, list) in [(Kind::Spa, "Single-page applications", &spa), (Kind::M2m, "Machines", &m2m)] {
        if wants(kind) {
            section(title, client_table(list, owners), list.len(), &mut out)?;
        }
    }
    out.flush()?;
    Ok(Exit::Success)
}

/// Notes how many credentials other users have, of the kinds that `wants` accepts: an empty list may be that of a
/// misspelt user.
fn note_others(
    registry: &mut Registry,
    actor: &Actor,
    wants: impl Fn(Kind) -> bool,
    color: Color,
) -> anyhow::Result<()> {
    if wants(Kind::Token) {
        note_of_others(registry.left_out(actor)?.tokens, "token", color)?;
    }
    for kind in [Kind::Spa, Kind::M2m].into_iter().filter(|kind| wants(*kind)) {
        let Some(kind) = kind.client() else { continue };
        let all = registry.clients(&actor.clone().for_all_users(), kind)?.len();
        // The actor has none.
        note_of_others(all as u64, &format!("{} client", kind.as_str()), color)?;
    }
    Ok(())
}

fn token_table<'u>(tokens: &[Token], usage: impl Fn(&Token) -> Option<&'u Usage>, owners: bool) -> Table {
    let mut heading = vec!["ID", "NAME", "OWNER", "APIS", "GRANTS", "REFERERS", "EXPIRES", "LAST USED"];
    if !owners {
        heading.retain(|column| *column != "OWNER");
    }
    let mut table = Table::new(&heading);
    let now = now();
    let abbreviate = |list: &[String]| match list {
        [] => "any".to_owned(),
        [one] => one.clone(),
        [one, others @ ..] => format!("{one} +{}", others.len()),
    };
    for token in tokens {
        let grants: Vec<_> =
            token.grants.iter().map(|grant| format!("{}: {}", grant.connection, grant.source)).collect();
        let mut row = vec![
            token.id.clone(),
            if token.name == token.id { "-".to_owned() } else { token.name.clone() },
            token.owner.clone(),
            token.allowed_apis.join(","),
            if grants.is_empty() { "-".to_owned() } else { abbreviate(&grants) },
            abbreviate(&token.referers),
            token.expiration_date.map_or_else(|| "never".to_owned(), |end| relative(end, now)),
            usage(token).map_or_else(|| "-".to_owned(), |usage| relative(usage.last_used, now)),
        ];
        if !owners {
            row.remove(2);
        }
        table.row(row);
    }
    table
}

fn client_table(clients: &[Client], owners: bool) -> Table {
    let mut table = Table::new(if owners {
        &["CLIENT ID", "TITLE", "CREATED", "OWNER"]
    } else {
        &["CLIENT ID", "TITLE", "CREATED"]
    });
    for client in clients {
        let row = [client.id.clone(), client.title.clone(), relative(client.created_at, now())];
        table.row(row.into_iter().chain(owners.then(|| client.owner.clone())));
    }
    table
}

pub(super) fn get(args: &GetArgs) -> anyhow::Result<Exit> {
    let (mut registry, actor) = args.common.registry.open()?;
    let Some(kind) = args.kind.client() else {
        let token = registry.token(&actor, &args.id)?;
        let usage = registry.usage()?.remove(&token.id);
        return match args.common.format {
            Format::Json => json(&TokenJson::new(&token, usage.as_ref())),
            Format::Text => fields(&token_fields(&token, usage.as_ref())),
        };
    };
    let client = registry.client(&actor, kind, &args.id)?;
    match args.common.format {
        Format::Json => json(&client),
        Format::Text => fields(&client_fields(&client)),
    }
}

type Fields = Vec<(&'static str, String)>;

fn token_fields(token: &Token, usage: Option<&Usage>) -> Fields {
    let now = now();
    let instant = |at: Timestamp| format!("{at} ({})", relative(at, now));
    let mut fields = vec![
        ("id", token.id.clone()),
        ("name", token.name.clone()),
        ("owner", token.owner.clone()),
        ("apis", token.allowed_apis.join(", ")),
    ];
    fields.extend(token.grants.iter().map(grant_field));
    if token.referers.is_empty() {
        fields.push(("referers", "any or none".to_owned()));
    }
    fields.extend(token.referers.iter().map(|referer| ("referer", referer.clone())));
    fields.push(("expires", token.expiration_date.map_or_else(|| "never".to_owned(), instant)));
    fields.extend(token.created_at.map(|at| ("created", instant(at))));
    let used = usage.map(|usage| format!("{}, {} requests allowed in total", instant(usage.last_used), usage.allowed));
    fields.push(("last used", used.unwrap_or_else(|| "no recorded use".to_owned())));
    fields
}

fn grant_field(grant: &Grant) -> (&'static str, String) {
    ("grant", format!("{} on {}: {}", grant.kind, grant.connection, grant.source))
}

fn client_fields(client: &Client) -> Fields {
    let mut fields =
        vec![("client id", client.id.clone()), ("title", client.title.clone()), ("owner", client.owner.clone())];
    let Urls { login_uri, callbacks, logout_urls, web_origins, allowed_origins } = &client.urls;
    fields.extend(login_uri.iter().map(|url| ("login URI", url.clone())));
    for (name, list) in [
        ("callback", callbacks),
        ("logout URL", logout_urls),
        ("web origin", web_origins),
        ("allowed origin", allowed_origins),
    ] {
        fields.extend(list.iter().map(|url| (name, url.clone())));
    }
    if client.kind == ClientKind::Spa && callbacks.is_empty() {
        fields.push(("callback", "none: the application signs nobody in".to_owned()));
    }
    if !client.allowed_apis.is_empty() {
        fields.push(("apis", client.allowed_apis.join(", ")));
    }
    fields.extend(client.grants.iter().map(grant_field));
    fields.extend(client.scopes.iter().map(|scopes| ("scopes", scopes.join(", "))));
    if client.kind == ClientKind::M2m {
        fields.push(("secret", "not stored, only its digest".to_owned()));
    }
    let earlier = client.earlier_secrets.iter();
    fields.extend(earlier.map(|earlier| ("earlier secret", format!("valid until {}", earlier.until))));
    fields.push(("created", client.created_at.to_string()));
    fields
}

fn fields(fields: &Fields) -> anyhow::Result<Exit> {
    let text: Vec<_> = fields.iter().map(|(name, value)| format!("{name:<15}{value}")).collect();
    lines(text.iter().map(String::as_str))
}

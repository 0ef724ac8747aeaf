//! Changes of what is there: update, delete, rotate, prune.

use clap::Subcommand;
use clap::builder::NonEmptyStringValueParser;
use portcullis_registry::record::{ClientKind, Token, Urls};
use portcullis_registry::{ClientEdit, TokenEdit};
use serde::Serialize;

use super::Kind;
use super::create::{UrlArgs, WithSecret, confirm_all_sources, described};
use super::pairs::{grant, word};
use super::show::TokenJson;
use crate::Exit;
use crate::output::{Color, Format, counted};
use crate::registry::{Common, invalid, json, lines, warn};

const UPDATE_EXAMPLES: &str = "\
Examples:
  portcullis credentials update token tk_5h3f9w2mzq --name 'web map' --apis maps
  portcullis credentials update token 'web map' --add-grant carto_dw,carto.shared.roads
  portcullis credentials update token 'web map' --referer https://www.example.com/
  portcullis credentials update spa Atlas --callback https://atlas.example.com/new \\
      --remove-callback https://atlas.example.com/old

The next decision follows the change. An expiry never changes: `rotate` makes a new secret.";

const DELETE_EXAMPLES: &str = "\
Examples:
  portcullis credentials delete token tk_5h3f9w2mzq
  portcullis credentials revoke token 'web map' --force

A token that was used within the last 7 days is deleted with `--force` only. `id:` before an id
means that id only, where another token has it as its name.";

const ROTATE_EXAMPLES: &str = "\
Examples:
  portcullis credentials rotate token tk_5h3f9w2mzq
  portcullis credentials rotate token 'web map' --overlap 7d --expiration-date 90d

The token keeps its id, name and rights. Its old secret ends now, or is a token of its own that
expires after the overlap.";

const PRUNE_EXAMPLES: &str = "\
Examples:
  portcullis credentials prune
  portcullis credentials prune --older-than 30d --all-users

An expired token is denied as expired until it is pruned, and then as unknown.";

/// Change a credential
#[derive(Debug, clap::Args)]
#[command(after_help = UPDATE_EXAMPLES, subcommand_required = true, arg_required_else_help = true)]
pub(super) struct UpdateArgs {
    #[command(subcommand)]
    what: Update,
}

#[derive(Debug, Subcommand)]
enum Update {
    /// Change a token: the next decision follows
    Token(UpdateToken),
    /// Change the OAuth client of a single-page application
    Spa(UpdateSpa),
    /// Change the OAuth client of a machine
    M2m(UpdateM2m),
}

#[derive(Debug, clap::Args)]
struct UpdateToken {
    /// Its id or name
    #[arg(value_name = "ID")]
    id: String,
    /// What you call it
    #[arg(long)]
    name: Option<String>,
    /// A grant to add; repeat it for more
    #[arg(long, value_name = "CONNECTION,SOURCE", value_parser = grant)]
    add_grant: Vec<(String, String)>,
    /// A grant to take away, as it is listed; repeat it for more
    #[arg(long, value_name = "CONNECTION,SOURCE", value_parser = grant)]
    remove_grant: Vec<(String, String)>,
    /// The APIs, in the stead of those that it has
    #[arg(long, value_name = "API,…", value_delimiter = ',', value_parser = NonEmptyStringValueParser::new())]
    apis: Option<Vec<String>>,
    /// A referer to add; repeat it for more
    #[arg(long, value_name = "URL", value_parser = NonEmptyStringValueParser::new())]
    referer: Vec<String>,
    /// The referers, in the stead of those that it has
    #[arg(long, value_name = "URL,…", value_delimiter = ',', conflicts_with = "any_referer", value_parser = NonEmptyStringValueParser::new())]
    referers: Option<Vec<String>>,
    /// A referer to take away; repeat it for more
    #[arg(long, value_name = "URL")]
    remove_referer: Vec<String>,
    /// Take all referers away: it may be used from anywhere
    #[arg(long, conflicts_with = "referer")]
    any_referer: bool,
    /// All sources are meant, although the token has referers or no expiry
    #[arg(long)]
    yes: bool,
    /// Refused, with what to do instead
    #[arg(long, hide = true)]
    expiration_date: Option<String>,
    #[command(flatten)]
    common: Common,
}

#[derive(Debug, clap::Args)]
struct UpdateSpa {
    /// Its client id or title
    #[arg(value_name = "ID")]
    id: String,
    /// What people call it
    #[arg(long)]
    title: Option<String>,
    #[command(flatten)]
    add: UrlArgs,
    /// A login URI to take away
    #[arg(long, value_name = "URL")]
    remove_login_uri: Option<String>,
    /// A callback to take away; repeat it for more
    #[arg(long, value_name = "URL")]
    remove_callback: Vec<String>,
    /// A logout URL to take away; repeat it for more
    #[arg(long, value_name = "URL")]
    remove_logout_url: Vec<String>,
    /// A web origin to take away; repeat it for more
    #[arg(long, value_name = "ORIGIN")]
    remove_web_origin: Vec<String>,
    /// An allowed origin to take away; repeat it for more
    #[arg(long, value_name = "ORIGIN")]
    remove_allowed_origin: Vec<String>,
    #[command(flatten)]
    common: Common,
}

#[derive(Debug, clap::Args)]
struct UpdateM2m {
    /// Its client id or title
    #[arg(value_name = "ID")]
    id: String,
    /// What people call it
    #[arg(long)]
    title: String,
    #[command(flatten)]
    common: Common,
}

/// Delete a credential: it is denied from the next decision on
#[derive(Debug, clap::Args)]
#[command(after_help = DELETE_EXAMPLES)]
pub(super) struct DeleteArgs {
    /// `token`, `spa` or `m2m`
    #[arg(value_name = "KIND", hide_possible_values = true)]
    kind: Kind,
    /// Its id, or its name or title
    #[arg(value_name = "ID")]
    id: String,
    /// Delete a token that was used within the last 7 days, too
    #[arg(long)]
    force: bool,
    #[command(flatten)]
    common: Common,
}

/// Give a token a new secret for the same rights
#[derive(Debug, clap::Args)]
#[command(after_help = ROTATE_EXAMPLES, subcommand_required = true, arg_required_else_help = true)]
pub(super) struct RotateArgs {
    #[command(subcommand)]
    what: Rotate,
}

#[derive(Debug, Subcommand)]
enum Rotate {
    /// Give a token a new secret for the same rights; it is shown once
    #[command(after_help = ROTATE_EXAMPLES)]
    Token(RotateToken),
}

#[derive(Debug, clap::Args)]
struct RotateToken {
    /// Its id or name
    #[arg(value_name = "ID")]
    id: String,
    /// How long the old secret stays valid: `7d`, `2w`, `6m`, `1y` [default: not at all]
    #[arg(long, value_name = "SPAN")]
    overlap: Option<String>,
    /// Until when the new secret is valid: a span, a date, an RFC 3339 instant, or `never` [default: as the old one]
    #[arg(long, value_name = "WHEN")]
    expiration_date: Option<String>,
    /// Print nothing but the secret
    #[arg(short, long)]
    quiet: bool,
    #[command(flatten)]
    common: Common,
}

/// Delete tokens that have expired
#[derive(Debug, clap::Args)]
#[command(after_help = PRUNE_EXAMPLES)]
pub(super) struct PruneArgs {
    /// Only those that have been expired for so long: `30d`, `2w`, `6m`, `1y`
    #[arg(long, value_name = "SPAN")]
    older_than: Option<String>,
    #[command(flatten)]
    common: Common,
}

#[derive(Serialize)]
struct RotatedJson<'r> {
    #[serde(flatten)]
    token: WithSecret<'r>,
    /// The old secret's token, while it is valid.
    old: Option<TokenJson<'r>>,
}

pub(super) fn update(args: &UpdateArgs, color: Color) -> anyhow::Result<Exit> {
    match &args.what {
        Update::Token(args) => update_token(args, color),
        Update::Spa(args) => {
            let remove = Urls {
                login_uri: args.remove_login_uri.clone(),
                callbacks: args.remove_callback.clone(),
                logout_urls: args.remove_logout_url.clone(),
                web_origins: args.remove_web_origin.clone(),
                allowed_origins: args.remove_allowed_origin.clone(),
            };
            let edit = ClientEdit { title: args.title.clone(), remove, add: args.add.urls() };
            update_client(ClientKind::Spa, &args.id, &edit, &args.common)
        }
        Update::M2m(args) => {
            let edit = ClientEdit { title: Some(args.title.clone()), ..ClientEdit::default() };
            update_client(ClientKind::M2m, &args.id, &edit, &args.common)
        }
    }
}

fn update_token(args: &UpdateToken, color: Color) -> anyhow::Result<Exit> {
    if args.expiration_date.is_some() {
        let id = word(&args.id);
        let help =
            format!("`portcullis credentials rotate token {id} --expiration-date …` makes a secret with another");
        return Err(invalid("the expiry of a token never changes", help).into());
    }
    let edit = TokenEdit {
        name: args.name.clone(),
        apis: args.apis.clone(),
        add_grants: args.add_grant.clone(),
        remove_grants: args.remove_grant.clone(),
        referers: args.referers.clone(),
        add_referers: args.referer.clone(),
        remove_referers: args.remove_referer.clone(),
        any_referer: args.any_referer,
    };
    if edit == TokenEdit::default() {
        return Err(
            invalid("nothing to change", "`portcullis credentials update token --help` tells what can be").into()
        );
    }
    let (mut registry, actor) = args.common.registry.open()?;
    let token = registry.token(&actor, &args.id)?;
    let kept = args.referers.is_none() && !args.any_referer && !token.referers.is_empty();
    let has_referers = kept || !args.referer.is_empty() || args.referers.is_some();
    let mut grants = edit.add_grants.clone();
    if has_referers && token.referers.is_empty() {
        grants.extend(token.grants.iter().map(|grant| (grant.connection.clone(), grant.source.clone())));
    }
    confirm_all_sources(&grants, has_referers, token.expiration_date.is_some(), args.yes)?;
    // The token that was looked at, whatever is called so by now.
    let (token, warnings) = registry.update_token(&actor, &format!("id:{}", token.id), &edit)?;
    warn(&warnings, color)?;
    match args.common.format {
        Format::Json => json(&TokenJson::new(&token, registry.usage()?.get(&token.id))),
        Format::Text => lines([&*format!("updated {}", described(&token))]),
    }
}

fn update_client(kind: ClientKind, id: &str, edit: &ClientEdit, common: &Common) -> anyhow::Result<Exit> {
    if *edit == ClientEdit::default() {
        let help = format!("`portcullis credentials update {} --help` tells what can be", kind.as_str());
        return Err(invalid("nothing to change", help).into());
    }
    let (mut registry, actor) = common.registry.open()?;
    let client = registry.update_client(&actor, kind, id, edit)?;
    match common.format {
        Format::Json => json(&client),
        Format::Text => lines([&*format!("updated {} client `{}` ({})", kind.as_str(), client.title, client.id)]),
    }
}

pub(super) fn delete(args: &DeleteArgs) -> anyhow::Result<Exit> {
    let (mut registry, actor) = args.common.registry.open()?;
    match args.kind.client() {
        None => {
            let token = registry.delete_token(&actor, &args.id, args.force)?;
            match args.common.format {
                Format::Json => json(&token),
                Format::Text => {
                    let earlier = registry.earlier_secrets(&actor, &token.id)?;
                    let earlier = earlier.iter().map(|old| format!("its earlier secret is still {}", described(old)));
                    let text: Vec<_> =
                        std::iter::once(format!("deleted {}", described(&token))).chain(earlier).collect();
                    lines(text.iter().map(String::as_str))
                }
            }
        }
        Some(kind) => {
            let client = registry.delete_client(&actor, kind, &args.id)?;
            match args.common.format {
                Format::Json => json(&client),
                Format::Text => {
                    lines([&*format!("deleted {} client `{}` ({})", kind.as_str(), client.title, client.id)])
                }
            }
        }
    }
}

pub(super) fn rotate(args: &RotateArgs) -> anyhow::Result<Exit> {
    let Rotate::Token(args) = &args.what;
    let (mut registry, actor) = args.common.registry.open()?;
    let rotated = registry.rotate_token(&actor, &args.id, args.overlap.as_deref(), args.expiration_date.as_deref())?;
    let secret = rotated.secret.expose();
    if args.quiet {
        return lines([secret]);
    }
    if args.common.format == Format::Json {
        let token = WithSecret { token: TokenJson::new(&rotated.token, None), secret };
        return json(&RotatedJson { token, old: rotated.old.as_ref().map(|old| TokenJson::new(old, None)) });
    }
    let old = match &rotated.old {
        None => "The old secret is denied from now on.".to_owned(),
        Some(old) => format!("The old secret is now {}.", described(old)),
    };
    lines([
        &*format!("rotated {}", described(&rotated.token)),
        &format!("  {secret}"),
        "Keep it now: it is not shown again, and the registry keeps only its digest.",
        &old,
    ])
}

pub(super) fn prune(args: &PruneArgs) -> anyhow::Result<Exit> {
    let (mut registry, actor) = args.common.registry.open()?;
    let tokens: Vec<Token> = registry.prune_tokens(&actor, args.older_than.as_deref())?;
    if args.common.format == Format::Json {
        return json(&tokens);
    }
    let each = tokens.iter().map(|token| format!("  {}", described(token)));
    let text: Vec<_> =
        std::iter::once(format!("pruned {}", counted(tokens.len() as u64, "token"))).chain(each).collect();
    lines(text.iter().map(String::as_str))
}

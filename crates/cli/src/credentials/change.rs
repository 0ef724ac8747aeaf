//! Changes credentials: update, delete, rotate, prune.

use clap::Subcommand;
use portcullis_registry::record::{ClientKind, Token, Urls};
use portcullis_registry::{ClientEdit, TokenEdit};
use serde::Serialize;

use super::Kind;
use super::access::AccessEditArgs;
use super::create::{STORE_IT, UrlArgs, WithSecret, confirm_all_sources, described, referer, rotation, show_client};
use super::pairs::{grant, word};
use super::show::TokenJson;
use crate::Exit;
use crate::output::{Color, Format, counted};
use crate::registry::{Common, answer, invalid, json, lines, note_of_others, secret, warn};

const UPDATE_EXAMPLES: &str = "\
Examples:
  portcullis credentials update token tk_5h3f9w2mzq --name 'web map' --apis maps
  portcullis credentials update token 'web map' \\
      --add-grant carto_dw,carto.shared.roads
  portcullis credentials update token 'web map' --referer https://a.example.com/
  portcullis credentials update spa Atlas \\
      --callback https://atlas.example.com/new \\
      --remove-callback https://atlas.example.com/old

The change applies to the next decision. The expiry of a token cannot change:
`portcullis credentials rotate` creates a secret with a new expiry.";

const UPDATE_TOKEN_EXAMPLES: &str = "\
Examples:
  portcullis credentials update token tk_5h3f9w2mzq --name 'web map' --apis maps
  portcullis credentials update token 'web map' \\
      --add-grant carto_dw,carto.shared.roads
  portcullis credentials update token 'web map' --referer https://a.example.com/

The change applies to the next decision. The expiry of a token cannot change:
`portcullis credentials rotate` creates a secret with a new expiry.";

const UPDATE_SPA_EXAMPLES: &str = "\
Example:
  portcullis credentials update spa Atlas \\
      --callback https://atlas.example.com/new \\
      --remove-callback https://atlas.example.com/old";

const UPDATE_M2M_EXAMPLES: &str = "\
Examples:
  portcullis credentials update m2m 'Nightly import' --title 'Hourly import'
  portcullis credentials update m2m 'Nightly import' --apis sql \\
      --grant 'carto_dw,carto.shared.CARTO_*'";

const DELETE_EXAMPLES: &str = "\
Examples:
  portcullis credentials delete token tk_5h3f9w2mzq
  portcullis credentials revoke token 'web map' --force

Requests with the credential are denied from the next decision on. A token that
was used in the last 7 days is deleted only with `--force`. `id:tk_5h3f9w2mzq`
names the token with that id, even if the id is the name of another token.";

const ROTATE_EXAMPLES: &str = "\
Examples:
  portcullis credentials rotate token tk_5h3f9w2mzq
  portcullis credentials rotate token 'web map' --overlap 7d \\
      --expiration-date 90d

The token keeps its id, name and grants. The old secret is denied at once. With
`--overlap` it becomes a separate token that expires after the overlap.";

const ROTATE_M2M_EXAMPLES: &str = "\
Example:
  portcullis credentials rotate m2m 'Nightly import' --overlap 7d

The old secret is refused at once, and the access tokens of the client are
revoked. With `--overlap`, the old secret is refused after the overlap, and
access tokens stay valid until they expire.";

const PRUNE_EXAMPLES: &str = "\
Examples:
  portcullis credentials prune
  portcullis credentials prune --older-than 30d --all-users

Requests with an expired token are denied with `token_expired`, and with
`token_unknown` once it is pruned.";

/// Change a token or an OAuth client
#[derive(Debug, clap::Args)]
#[command(after_long_help = UPDATE_EXAMPLES, subcommand_required = true, arg_required_else_help = true)]
pub(super) struct UpdateArgs {
    #[command(subcommand)]
    what: Update,
}

#[derive(Debug, Subcommand)]
enum Update {
    /// Change a token
    #[command(after_long_help = UPDATE_TOKEN_EXAMPLES)]
    Token(UpdateToken),
    /// Change an OAuth client of a single-page application
    #[command(after_long_help = UPDATE_SPA_EXAMPLES)]
    Spa(UpdateSpa),
    /// Change an OAuth client of a machine
    #[command(after_long_help = UPDATE_M2M_EXAMPLES)]
    M2m(UpdateM2m),
}

#[derive(Debug, clap::Args)]
struct UpdateToken {
    /// Id or name of the token
    #[arg(value_name = "ID")]
    id: String,
    /// Rename the token
    #[arg(long)]
    name: Option<String>,
    /// Add a grant; repeat for more
    ///
    /// Example: `--add-grant carto_dw,carto.shared.roads`
    #[arg(long, help_heading = "Grants", value_name = "CONNECTION,SOURCE", value_parser = grant)]
    add_grant: Vec<(String, String)>,
    /// Remove a grant, as `get` shows it; repeat for more
    #[arg(long, help_heading = "Grants", value_name = "CONNECTION,SOURCE", value_parser = grant)]
    remove_grant: Vec<(String, String)>,
    /// Replace the token's APIs
    ///
    /// Example: `--apis maps,sql`
    #[arg(long, help_heading = "Grants", value_name = "API,…", value_delimiter = ',', value_parser = crate::bounds::item)]
    apis: Option<Vec<String>>,
    /// Add a referer; repeat for more
    #[arg(long, help_heading = "Referers", value_name = "URL", value_parser = referer)]
    referer: Vec<String>,
    /// Replace the token's referers
    #[arg(long, help_heading = "Referers", value_name = "URL,…", value_delimiter = ',', conflicts_with = "any_referer", value_parser = crate::bounds::item)]
    referers: Option<Vec<String>>,
    /// Remove a referer; repeat for more
    #[arg(long, help_heading = "Referers", value_name = "URL")]
    remove_referer: Vec<String>,
    /// Remove all referers, which allows any
    #[arg(long, help_heading = "Referers", conflicts_with = "referer")]
    any_referer: bool,
    /// Confirm a grant of all sources (`*`)
    ///
    /// Needed if the token has referers or no expiry.
    #[arg(long)]
    yes: bool,
    /// Rejected with a hint to `rotate`
    #[arg(long, hide = true, aliases = ["expires", "expires-at", "expires-in", "expiry", "expiration", "expire", "valid-until", "valid-for", "ttl"])]
    expiration_date: Option<String>,
    #[command(flatten)]
    common: Common,
}

#[derive(Debug, clap::Args)]
struct UpdateSpa {
    /// Client id or title
    #[arg(value_name = "ID")]
    id: String,
    /// Replace the title that people see
    #[arg(long)]
    title: Option<String>,
    #[command(flatten)]
    add: UrlArgs,
    /// Remove the login URI
    #[arg(long, value_name = "URL")]
    remove_login_uri: Option<String>,
    /// Remove a callback; repeat for more
    #[arg(long, value_name = "URL")]
    remove_callback: Vec<String>,
    /// Remove a logout URL; repeat for more
    #[arg(long, value_name = "URL")]
    remove_logout_url: Vec<String>,
    /// Remove a web origin; repeat for more
    #[arg(long, value_name = "ORIGIN")]
    remove_web_origin: Vec<String>,
    /// Remove an allowed origin; repeat for more
    #[arg(long, value_name = "ORIGIN")]
    remove_allowed_origin: Vec<String>,
    #[command(flatten)]
    access: AccessEditArgs,
    #[command(flatten)]
    common: Common,
}

#[derive(Debug, clap::Args)]
struct UpdateM2m {
    /// Client id or title
    #[arg(value_name = "ID")]
    id: String,
    /// Replace the title that people see
    #[arg(long)]
    title: Option<String>,
    #[command(flatten)]
    access: AccessEditArgs,
    #[command(flatten)]
    common: Common,
}

/// Delete a token or an OAuth client
#[derive(Debug, clap::Args)]
#[command(after_long_help = DELETE_EXAMPLES)]
pub(super) struct DeleteArgs {
    /// Kind of credential: `token`, `spa` or `m2m`
    #[arg(value_name = "KIND", hide_possible_values = true)]
    kind: Kind,
    /// Id, name or title
    #[arg(value_name = "ID")]
    id: String,
    /// Delete the token even if it was used in the last 7 days
    #[arg(long)]
    force: bool,
    #[command(flatten)]
    common: Common,
}

/// Give a token a new secret
#[derive(Debug, clap::Args)]
#[command(after_long_help = ROTATE_EXAMPLES, subcommand_required = true, arg_required_else_help = true)]
pub(super) struct RotateArgs {
    #[command(subcommand)]
    what: Rotate,
}

#[derive(Debug, Subcommand)]
enum Rotate {
    /// Give a token a new secret, which is shown once
    #[command(after_long_help = ROTATE_EXAMPLES)]
    Token(RotateToken),
    /// Give a machine a new secret, which is shown once
    #[command(after_long_help = ROTATE_M2M_EXAMPLES)]
    M2m(RotateM2m),
}

#[derive(Debug, clap::Args)]
struct RotateM2m {
    /// Client id or title
    #[arg(value_name = "ID")]
    id: String,
    /// Keep the old secret valid for this time [default: none]
    ///
    /// A span such as `7d`, `2w`, `6m` or `1y`.
    #[arg(long, value_name = "SPAN")]
    overlap: Option<String>,
    #[command(flatten)]
    common: Common,
}

#[derive(Debug, clap::Args)]
struct RotateToken {
    /// Id or name of the token
    #[arg(value_name = "ID")]
    id: String,
    /// Keep the old secret valid for this time [default: none]
    ///
    /// A span such as `7d`, `2w`, `6m` or `1y`.
    #[arg(long, value_name = "SPAN")]
    overlap: Option<String>,
    /// Set the expiry of the new secret [default: the old expiry]
    ///
    /// A span such as `7d`, `2w`, `6m` or `1y`, a date, an RFC 3339 instant, or `never`.
    #[arg(long, value_name = "WHEN")]
    expiration_date: Option<String>,
    /// Print only the secret
    #[arg(short, long)]
    quiet: bool,
    #[command(flatten)]
    common: Common,
}

/// Delete expired tokens
#[derive(Debug, clap::Args)]
#[command(after_long_help = PRUNE_EXAMPLES)]
pub(super) struct PruneArgs {
    /// Delete only tokens that expired this long ago
    ///
    /// A span such as `30d`, `2w`, `6m` or `1y`. [default: all expired tokens]
    #[arg(long, value_name = "SPAN")]
    older_than: Option<String>,
    #[command(flatten)]
    common: Common,
}

#[derive(Serialize)]
struct RotatedJson<'r> {
    #[serde(flatten)]
    token: WithSecret<'r>,
    /// The token of the old secret, if there is an overlap.
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
            let edit = ClientEdit { title: args.title.clone(), remove, add: args.add.urls(), ..args.access.edit() };
            update_client(ClientKind::Spa, &args.id, &edit, &args.common)
        }
        Update::M2m(args) => {
            let edit = ClientEdit { title: args.title.clone(), ..args.access.edit() };
            update_client(ClientKind::M2m, &args.id, &edit, &args.common)
        }
    }
}

fn update_token(args: &UpdateToken, color: Color) -> anyhow::Result<Exit> {
    if args.expiration_date.is_some() {
        let id = word(&args.id);
        let help = format!(
            "`portcullis credentials rotate token {id} --expiration-date 90d` creates a secret with a new expiry"
        );
        return Err(invalid("the expiry of a token cannot change", help).into());
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
        ..TokenEdit::default()
    };
    if edit == TokenEdit::default() {
        return Err(
            invalid("nothing to change", "`portcullis credentials update token --help` lists what can change").into()
        );
    }
    let (mut registry, actor) = args.common.registry.open_to_change()?;
    let token = registry.token(&actor, &args.id)?;
    let kept = args.referers.is_none() && !args.any_referer && !token.referers.is_empty();
    let has_referers = kept || !args.referer.is_empty() || args.referers.is_some();
    let mut grants = edit.add_grants.clone();
    if has_referers && token.referers.is_empty() {
        grants.extend(token.grants.iter().map(|grant| (grant.connection.clone(), grant.source.clone())));
    }
    confirm_all_sources(&grants, has_referers, token.expiration_date.is_some(), args.yes)?;
    // By id: another token may have taken the name meanwhile.
    let (token, warnings) = registry.update_token(&actor, &format!("id:{}", token.id), &edit)?;
    warn(&warnings, color)?;
    let usage = registry.usage()?;
    let json = TokenJson::new(&token, usage.get(&token.id));
    answer(args.common.format, &json, || format!("updated {}", described(&token)))
}

fn update_client(kind: ClientKind, id: &str, edit: &ClientEdit, common: &Common) -> anyhow::Result<Exit> {
    if *edit == ClientEdit::default() {
        let help = format!("`portcullis credentials update {} --help` lists what can change", kind.as_str());
        return Err(invalid("nothing to change", help).into());
    }
    let (mut registry, actor) = common.registry.open_to_change()?;
    let client = registry.update_client(&actor, kind, id, edit)?;
    let text = || format!("updated {} client `{}` ({})", kind.as_str(), client.title, client.id);
    answer(common.format, &client, text)
}

pub(super) fn delete(args: &DeleteArgs) -> anyhow::Result<Exit> {
    let (mut registry, actor) = args.common.registry.open_to_change()?;
    match args.kind.client() {
        None => {
            let token = registry.delete_token(&actor, &args.id, args.force)?;
            match args.common.format {
                Format::Json => json(&token),
                Format::Text => {
                    let earlier = registry.earlier_secrets(&actor, &token.id)?;
                    let earlier =
                        earlier.iter().map(|old| format!("its earlier secret is still valid as {}", described(old)));
                    let text: Vec<_> =
                        std::iter::once(format!("deleted {}", described(&token))).chain(earlier).collect();
                    lines(text.iter().map(String::as_str))
                }
            }
        }
        Some(kind) => {
            let client = registry.delete_client(&actor, kind, &args.id)?;
            let text = || format!("deleted {} client `{}` ({})", kind.as_str(), client.title, client.id);
            answer(args.common.format, &client, text)
        }
    }
}

pub(super) fn rotate(args: &RotateArgs) -> anyhow::Result<Exit> {
    match &args.what {
        Rotate::Token(args) => rotate_token(args),
        Rotate::M2m(args) => rotate_client(args),
    }
}

fn rotate_client(args: &RotateM2m) -> anyhow::Result<Exit> {
    let (mut registry, actor) = args.common.registry.open_to_change()?;
    let rotated = registry.rotate_client(&actor, &args.id, args.overlap.as_deref())?;
    let client = &rotated.client;
    let help = || format!("`portcullis credentials rotate m2m {}` creates another secret", client.id);
    let until = client.earlier_secrets.iter().map(|earlier| earlier.until).max();
    let old = match until {
        None => "Earlier secrets are refused from now on.".to_owned(),
        Some(until) => format!("The old secret is valid until {until}."),
    };
    let text = format!("rotated m2m client `{}` of {}", client.title, client.owner);
    show_client(&rotated, args.common.format, &text, Some(&old), help)
}

fn rotate_token(args: &RotateToken) -> anyhow::Result<Exit> {
    let (mut registry, actor) = args.common.registry.open_to_change()?;
    let rotated = registry.rotate_token(&actor, &args.id, args.overlap.as_deref(), args.expiration_date.as_deref())?;
    let help = || rotation(&rotated.token);
    let shown = rotated.secret.expose();
    if args.quiet {
        return secret(&[shown], help);
    }
    if args.common.format == Format::Json {
        let token = WithSecret { token: TokenJson::new(&rotated.token, None), secret: shown };
        let json = RotatedJson { token, old: rotated.old.as_ref().map(|old| TokenJson::new(old, None)) };
        return secret(&[&serde_json::to_string_pretty(&json)?], help);
    }
    let old = match &rotated.old {
        None => "The old secret is denied from now on.".to_owned(),
        Some(old) => format!("The old secret is now {}.", described(old)),
    };
    secret(&[&format!("rotated {}", described(&rotated.token)), &format!("  {shown}"), STORE_IT, &old], help)
}

pub(super) fn prune(args: &PruneArgs, color: Color) -> anyhow::Result<Exit> {
    let (mut registry, actor) = args.common.registry.open_to_change()?;
    let tokens: Vec<Token> = registry.prune_tokens(&actor, args.older_than.as_deref())?;
    if tokens.is_empty() {
        note_of_others(registry.left_out(&actor)?.tokens, "token", color)?;
    }
    if args.common.format == Format::Json {
        return json(&tokens);
    }
    let each = tokens.iter().map(|token| format!("  {}", described(token)));
    let text: Vec<_> =
        std::iter::once(format!("pruned {}", counted(tokens.len() as u64, "token"))).chain(each).collect();
    lines(text.iter().map(String::as_str))
}

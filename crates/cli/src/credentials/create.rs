//! Creates credentials. A secret is shown only here and by `rotate`.

use clap::Subcommand;
use portcullis_registry::record::{Client, ClientKind, Token, Urls};
use portcullis_registry::{CreatedClient, NEVER, NewToken};
use portcullis_secret::Secret;
use serde::Serialize;

use super::access::AccessArgs;
use super::pairs::{pair, word};
use super::show::{Life, TokenJson};
use crate::Exit;
use crate::named::some;
use crate::output::{Color, Format};
use crate::registry::{Common, confirm, hidden, lines, now, secret, warn};

const EXAMPLES: &str = "\
Examples:
  portcullis credentials create token --apis sql,maps --expiration-date 7d \\
      --connection carto_dw --source 'carto.shared.CARTO_*'
  portcullis credentials create spa --title Atlas \\
      --callback https://atlas.example.com/callback
  portcullis credentials create m2m --title 'Nightly import'

The secret is shown once: the registry stores only its digest.";

const TOKEN_EXAMPLES: &str = "\
Examples:
  portcullis credentials create token --apis sql,maps --expiration-date 7d \\
      --connection carto_dw --source 'carto.shared.CARTO_*'
  portcullis credentials create token --apis maps \\
      --referers https://a.example,https://b.example \\
      --connection carto_dw --source carto.shared.roads \\
      --connection warehouse --source open-orders

The secret is shown once: the registry stores only its digest.";

const TOKEN_USAGE: &str = "\
portcullis credentials create token --apis <API,…>
           [--connection <NAME> --source <SOURCE>]… [OPTIONS]";

const SPA_EXAMPLES: &str = "\
Examples:
  portcullis credentials create spa --title Atlas \\
      --callback https://atlas.example.com/callback
  portcullis credentials create spa --title Atlas \\
      --callback https://atlas.example.com/callback \\
      --web-origin https://atlas.example.com \\
      --apis maps --grant 'carto_dw,carto.shared.CARTO_*'

`portcullis workspace` signs users of the application in.";

const M2M_EXAMPLES: &str = "\
Examples:
  portcullis credentials create m2m --title 'Nightly import'
  portcullis credentials create m2m --title Dashboards --apis sql \\
      --grant 'carto_dw,carto.shared.CARTO_*' --format json

`portcullis workspace` exchanges the secret for access tokens.";

/// Create a token or an OAuth client
#[derive(Debug, clap::Args)]
#[command(after_long_help = EXAMPLES, subcommand_required = true, arg_required_else_help = true)]
pub(super) struct Args {
    #[command(subcommand)]
    what: What,
}

#[derive(Debug, Subcommand)]
enum What {
    /// Create an API access token
    #[command(after_long_help = TOKEN_EXAMPLES, override_usage = TOKEN_USAGE, mut_arg("all_users", hidden))]
    Token(TokenArgs),
    /// Create an OAuth client for a single-page application
    #[command(after_long_help = SPA_EXAMPLES, mut_arg("all_users", hidden))]
    Spa(SpaArgs),
    /// Create an OAuth client for a machine
    #[command(after_long_help = M2M_EXAMPLES, mut_arg("all_users", hidden))]
    M2m(M2mArgs),
}

#[derive(Debug, clap::Args)]
struct TokenArgs {
    /// Grant a source on this connection; repeat for more
    ///
    /// Each `--connection` belongs to the `--source` in the same position. Required, unless the only API is `lds`.
    #[arg(long, value_name = "NAME", help_heading = "Grants")]
    connection: Vec<String>,
    /// Grant this source
    ///
    /// A table, a pattern such as `carto.shared.CARTO_*`, SQL, a named source, or `*` for all sources of the connection.
    #[arg(long, value_name = "SOURCE", help_heading = "Grants")]
    source: Vec<String>,
    /// Allow these APIs: `maps`, `sql`, `lds`, `imports` [required]
    ///
    /// `imports` cannot be combined with other APIs. Example: `--apis maps,sql`
    #[arg(long, value_name = "API,…", value_delimiter = ',', help_heading = "Grants", value_parser = crate::bounds::item)]
    apis: Vec<String>,
    /// Allow this referer; repeat for more [default: any]
    #[arg(long, value_name = "URL", help_heading = "Referers", value_parser = referer)]
    referer: Vec<String>,
    /// Allow these referers
    #[arg(long, value_name = "URL,…", value_delimiter = ',', help_heading = "Referers", value_parser = crate::bounds::item)]
    referers: Vec<String>,
    /// Name the token [default: its id]
    #[arg(long)]
    name: Option<String>,
    /// Set the expiry, such as `7d` [default: never]
    ///
    /// A span such as `7d`, `2w`, `6m` or `1y`, a date, an RFC 3339 instant, or `never`.
    #[arg(long, value_name = "WHEN")]
    expiration_date: Option<String>,
    /// Confirm a grant of all sources (`*`)
    ///
    /// Needed if the token has referers or no expiry.
    #[arg(long)]
    yes: bool,
    /// Print only the secret
    #[arg(short, long)]
    quiet: bool,
    #[command(flatten)]
    common: Common,
}

#[derive(Debug, clap::Args)]
struct SpaArgs {
    /// Set the title that people see
    #[arg(long)]
    title: String,
    #[command(flatten)]
    urls: UrlArgs,
    #[command(flatten)]
    access: AccessArgs,
    #[command(flatten)]
    common: Common,
}

#[derive(Debug, clap::Args)]
pub(super) struct UrlArgs {
    /// Set the URI that starts a login
    #[arg(long, value_name = "URL")]
    login_uri: Option<String>,
    /// Allow this redirect URL after login; repeat for more
    ///
    /// `https`, or `http` on localhost, without a fragment. Kept exactly as given.
    #[arg(long, value_name = "URL")]
    callback: Vec<String>,
    /// Allow this redirect URL after logout; repeat for more
    #[arg(long, value_name = "URL")]
    logout_url: Vec<String>,
    /// Use access tokens on the pages of this origin; repeat for more
    ///
    /// Access tokens are valid on the pages of these origins, which may also renew a login silently.
    /// Without any, access tokens are valid on the pages of the callbacks' origins. An origin has no
    /// path. Example: `https://atlas.example.com`
    #[arg(long, value_name = "ORIGIN")]
    web_origin: Vec<String>,
    /// Allow cross-origin calls from this origin; repeat for more
    ///
    /// An origin has no path. Example: `https://atlas.example.com`
    #[arg(long, value_name = "ORIGIN")]
    allowed_origin: Vec<String>,
}

#[derive(Debug, clap::Args)]
struct M2mArgs {
    /// Set the title that people see
    #[arg(long)]
    title: String,
    #[command(flatten)]
    access: AccessArgs,
    #[command(flatten)]
    common: Common,
}

/// Parses a referer of a token, which the registry reads.
pub(super) fn referer(text: &str) -> Result<String, String> {
    some(text, "the URL of a page", "https://app.example.com/")
}

impl UrlArgs {
    pub(super) fn urls(&self) -> Urls {
        Urls {
            login_uri: self.login_uri.clone(),
            callbacks: self.callback.clone(),
            logout_urls: self.logout_url.clone(),
            web_origins: self.web_origin.clone(),
            allowed_origins: self.allowed_origin.clone(),
        }
    }
}

/// A new token with its secret, as JSON.
#[derive(Serialize)]
pub(super) struct WithSecret<'s> {
    #[serde(flatten)]
    pub(super) token: TokenJson<'s>,
    #[serde(rename = "token")]
    pub(super) secret: &'s str,
}

#[derive(Serialize)]
struct ClientWithSecret<'s> {
    #[serde(flatten)]
    client: &'s Client,
    #[serde(skip_serializing_if = "Option::is_none")]
    client_secret: Option<&'s str>,
}

pub(super) fn run(args: &Args, color: Color) -> anyhow::Result<Exit> {
    match &args.what {
        What::Token(args) => token(args, color),
        What::Spa(SpaArgs { title, urls, access, common }) => {
            client(ClientKind::Spa, title, &urls.urls(), access, common)
        }
        What::M2m(M2mArgs { title, access, common }) => {
            client(ClientKind::M2m, title, &Urls::default(), access, common)
        }
    }
}

fn token(args: &TokenArgs, color: Color) -> anyhow::Result<Exit> {
    let apis = args.apis.join(",");
    let mut rest: Vec<(&str, &str)> = Vec::new();
    rest.extend((!apis.is_empty()).then_some(("apis", &*apis)));
    rest.extend(args.referer.iter().chain(&args.referers).map(|referer| ("referer", &**referer)));
    rest.extend(args.name.as_deref().map(|name| ("name", name)));
    rest.extend(args.expiration_date.as_deref().map(|when| ("expiration-date", when)));
    let grants = pair(&args.connection, &args.source, "portcullis credentials create token", &rest)?;
    let new = NewToken {
        name: args.name.clone(),
        apis: args.apis.clone(),
        grants,
        typed_grants: Vec::new(),
        referers: args.referer.iter().chain(&args.referers).cloned().collect(),
        expiration: args.expiration_date.clone(),
    };
    let expires = new.expiration.as_deref().is_some_and(|when| when != NEVER);
    confirm_all_sources(&new.grants, !new.referers.is_empty(), expires, args.yes)?;
    let created = args.common.registry.add_to(|registry, actor| registry.create_token(actor, &new))??;
    warn(&created.warnings, color)?;
    let help = || rotation(&created.token);
    let shown = created.secret.expose();
    if args.quiet {
        return secret(&[shown], help);
    }
    match args.common.format {
        Format::Json => {
            let json = WithSecret { token: TokenJson::new(&created.token, None), secret: shown };
            secret(&[&serde_json::to_string_pretty(&json)?], help)
        }
        Format::Text => {
            let text = [&*format!("created {}", described(&created.token)), &format!("  {shown}"), STORE_IT];
            secret(&text, help)
        }
    }
}

/// What to do with the secret of a client.
const STORE_SECRET: &str = "Store the secret now: it is not shown again, and the registry keeps only its digest.";

/// What to do with the secret of a token.
pub(super) const STORE_IT: &str = "Store it now: it is not shown again, and the registry keeps only its digest.";

/// Returns the help that names the command that replaces a secret that nobody has.
pub(super) fn rotation(token: &Token) -> String {
    format!("`portcullis credentials rotate token {}` creates another secret", word(&token.id))
}

/// Asks for confirmation of `*` if the token has referers or never expires.
///
/// `*` grants everything on its connection, and referers do not authenticate.
pub(super) fn confirm_all_sources(
    grants: &[(String, String)],
    has_referers: bool,
    expires: bool,
    yes: bool,
) -> anyhow::Result<()> {
    let Some((connection, _)) = grants.iter().find(|(_, source)| source == "*") else { return Ok(()) };
    let (why, help) = match (has_referers, expires) {
        (false, true) => return Ok(()),
        (true, _) => ("has referers: web pages will show it to everyone", "name the sources that the pages need"),
        (false, false) => ("never expires", "give `--expiration-date`, or name the sources that are needed"),
    };
    let why = format!("the token grants all sources of connection `{connection}` and {why}");
    confirm(yes, &why, &format!("{help}; `--yes` grants all sources"))
}

/// ``token `web map` (tk_…) of ana, expires in 7 days``.
pub(super) fn described(token: &Token) -> String {
    let name = if token.name == token.id { String::new() } else { format!("`{}` ", token.name) };
    let id = if token.name == token.id { token.id.clone() } else { format!("({})", token.id) };
    format!("token {name}{id} of {}, {}", token.owner, Life(token.expiration_date, now()))
}

fn client(kind: ClientKind, title: &str, urls: &Urls, access: &AccessArgs, common: &Common) -> anyhow::Result<Exit> {
    let (rights, scopes) = (access.access(), access.scopes());
    let created = common
        .registry
        .add_to(|registry, actor| registry.create_client_with(actor, kind, title, urls, &rights, scopes))??;
    let client = &created.client;
    let help =
        || format!("delete the client with `portcullis credentials delete m2m {}`, and create another", client.id);
    let text = format!("created {} client `{}` of {}", kind.as_str(), client.title, client.owner);
    show_client(&created, common.format, &text, None, help)
}

/// Prints a client, and its secret, which is shown once. `text` states what was done, `more` what else follows.
pub(super) fn show_client(
    CreatedClient { client, secret }: &CreatedClient,
    format: Format,
    text: &str,
    more: Option<&str>,
    help: impl FnOnce() -> String,
) -> anyhow::Result<Exit> {
    let client_secret = secret.as_ref().map(Secret::expose);
    if format == Format::Json {
        let json = serde_json::to_string_pretty(&ClientWithSecret { client, client_secret })?;
        return if client_secret.is_some() { self::secret(&[&json], help) } else { lines([&*json]) };
    }
    let id = format!("  client id      {}", client.id);
    match client_secret {
        None if client.urls.callbacks.is_empty() => {
            let add = format!("`portcullis credentials update spa {} --callback URL`", client.id);
            lines([
                text,
                &id,
                "  callback       none: the application signs nobody in",
                &format!("help: add one with {add}"),
            ])
        }
        None => lines([text, &id]),
        Some(secret) => {
            let secret = format!("  client secret  {secret}");
            let text: Vec<_> = [text, &id, &secret, STORE_SECRET].into_iter().chain(more).collect();
            self::secret(&text, help)
        }
    }
}

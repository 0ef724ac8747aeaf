//! Runs the workspace.

mod catalog;
mod claims;
mod sign_in;

use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use anyhow::bail;
use portcullis_registry::{Location, Registry};
use portcullis_server::site::{BoundSite, Site, SiteOptions};
use portcullis_server::{Address, Limits, PublicUrl, Tls, descriptors};
use portcullis_workspace::{Options, Workspace, router};
use tokio::signal::unix::{SignalKind, signal};

use crate::Exit;
use crate::bounds::{count, day_count, seconds, whole_seconds};
use crate::environment::variable_or;
use crate::output::Inputs;
use crate::registry::{RegistryArgs, invalid};
use crate::serve::messages::MessageArgs;
use crate::serve::{alone, values, watched};
use catalog::{CatalogArgs, Sources};
use sign_in::SignInArgs;

const EXAMPLES: &str = "\
Examples:
  portcullis workspace
  portcullis workspace --db sqlite:registry.db --listen 127.0.0.1:8183
  portcullis workspace --listen 0.0.0.0:8183 --tls-cert cert.pem \\
      --tls-key key.pem --public-url https://workspace.example.com

Sign users in at an OpenID provider:
  portcullis workspace --public-url https://workspace.example.com \\
      --oidc-issuer https://login.example.com --oidc-client-id portcullis \\
      --oidc-client-secret-file client-secret --oidc-allow-domain example.com

Get an access token, and create a token with it:
  portcullis credentials create m2m --title Deploy --format json
  curl http://127.0.0.1:8183/oauth/token -d grant_type=client_credentials \\
      -d client_id=… -d client_secret=…
  curl http://127.0.0.1:8183/v3/tokens -H 'authorization: Bearer …' \\
      --json '{\"allowed_apis\": [\"lds\"]}'

Endpoints:
  /  /login  /login/start  /login/callback  /logout   pages
  /openapi.json                           the HTTP API
  /v3/tokens  /v3/named-sources  /v3/connections
  /v3/clients  /v3/users  /v3/catalog  /v3/trail
  /oauth/authorize  /oauth/token  /oauth/userinfo  /oauth/logout
  /oauth/revoke  /oauth/introspect
  /.well-known/openid-configuration  /.well-known/jwks.json
  /.well-known/oauth-authorization-server
  /healthz

Signals:
  SIGHUP            reload the certificates
  SIGTERM, SIGINT   finish open requests, then stop";

/// Run the workspace, which manages credentials over HTTP
///
/// Prints the address of its page and a link that signs in once. The user of the link becomes an administrator if there is
/// none yet. Creates a missing registry, and reports that.
#[derive(clap::Args)]
#[command(after_long_help = EXAMPLES, mut_arg("all_users", crate::registry::hidden))]
pub(super) struct Args {
    #[command(flatten)]
    registry: RegistryArgs,
    #[command(flatten)]
    listen: ListenArgs,
    #[command(flatten)]
    oauth: OauthArgs,
    #[command(flatten)]
    sign_in: SignInArgs,
    #[command(flatten)]
    catalog: CatalogArgs,
    #[command(flatten)]
    limits: LimitArgs,
    #[command(flatten)]
    messages: MessageArgs,
}

#[derive(clap::Args)]
#[command(next_help_heading = "Listening")]
struct ListenArgs {
    #[arg(
        long,
        value_name = "ADDRESS",
        default_value = variable_or("PORTCULLIS_WORKSPACE", "127.0.0.1:8183"),
        hide_default_value = true,
        help = "Listen on this address [default: 127.0.0.1:8183]\n[env: PORTCULLIS_WORKSPACE]",
        long_help = "Listen on this address [default: 127.0.0.1:8183]\n\n\
            An IP address and port, or `unix:PATH`.\n\n\
            [env: PORTCULLIS_WORKSPACE]"
    )]
    listen: Address,
    /// Set the permissions of a Unix socket [default: 600]
    ///
    /// `600` is for the owner, `660` also for the group.
    #[arg(long, value_name = "MODE", value_parser = values::socket_mode)]
    socket_mode: Option<u32>,
    /// Use TLS with this certificate chain (PEM)
    ///
    /// The chain has the certificate and all intermediate ones.
    #[arg(long, value_name = "FILE", requires = "tls_key")]
    tls_cert: Option<PathBuf>,
    /// Read the private key from this file (PEM)
    #[arg(long, value_name = "FILE", requires = "tls_cert")]
    tls_key: Option<PathBuf>,
    /// Set the URL at which clients reach the workspace
    ///
    /// The default is the address. Behind a proxy that ends TLS, write its URL. Example:
    /// `--public-url https://workspace.example.com`
    #[arg(long, value_name = "URL")]
    public_url: Option<PublicUrl>,
    /// Also accept these `Host` names; `*` for all
    ///
    /// Names of loopback addresses and the host of `--public-url` are always accepted. The check applies to loopback
    /// addresses, and with this option to every TCP address. Example: `--allow-host workspace.internal`
    #[arg(long, value_name = "NAME", num_args = 1.., value_parser = values::host)]
    allow_host: Vec<String>,
}

#[derive(clap::Args)]
#[command(next_help_heading = "Tokens")]
struct OauthArgs {
    /// Set the lifetime of access tokens
    #[arg(long, value_name = "SECONDS", default_value_t = 3600, value_parser = whole_seconds::<60, 86_400>)]
    access_token_lifetime: usize,
    /// Delete tokens that expired this many days ago
    #[arg(long, value_name = "DAYS", default_value_t = 30, value_parser = day_count::<0, 36_500>)]
    keep_expired: usize,
}

#[derive(clap::Args)]
#[command(next_help_heading = "Limits")]
struct LimitArgs {
    /// Limit the requests of a client to this many per second
    ///
    /// Ten seconds' worth may come at once. Further ones get 429.
    #[arg(long, value_name = "COUNT", default_value_t = 100, value_parser = count::<1, 1_000_000>)]
    max_rate: usize,
    /// Limit open connections; others get 503
    #[arg(long, value_name = "COUNT", default_value_t = 1024, value_parser = count::<1, 1_000_000>)]
    max_connections: usize,
    /// Limit the time of a request
    #[arg(long, value_name = "SECONDS", default_value = "30", value_parser = seconds)]
    request_timeout: Duration,
    /// Wait this long for open requests when stopping
    #[arg(long, value_name = "SECONDS", default_value = "20", value_parser = seconds)]
    drain: Duration,
}

pub(super) fn run(args: &Args) -> anyhow::Result<Exit> {
    args.messages.init()?;
    let _ = descriptors::raise_limit();
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    let bound = watched(|| BoundSite::new(args.site()?).map_err(anyhow::Error::from))?;
    let site = {
        let _entered = runtime.enter();
        bound.listen()?
    };
    let workspace = open(args, &args.url(&site))?;
    runtime.block_on(serve(args, site, workspace))?;
    runtime.shutdown_timeout(Duration::from_secs(1));
    tracing::info!("stopped");
    Ok(Exit::Success)
}

fn open(args: &Args, url: &str) -> anyhow::Result<Arc<Workspace>> {
    // Wrong options leave no new registry.
    let sign_in = args.sign_in.options(url)?;
    sign_in.check()?;
    let location = args.registry.location()?;
    Inputs::check_stdout_of_registry(&location)?;
    // The dialects of its connections are those of the names in the catalog.
    let connections = opened(args, &location)?.connections()?;
    let sources = args.catalog.sources()?;
    let catalog = match sources.read(&connections) {
        Ok(catalog) => Some(catalog),
        // A database may come back. A file that cannot be read is a mistake.
        Err(error) if sources.refresh().is_some() => {
            tracing::warn!("the catalog cannot be read: {error:#}");
            None
        }
        Err(error) => return Err(error),
    };
    let is_read = catalog.is_some();
    let options = Options {
        location: location.clone(),
        catalog: catalog.unwrap_or_default(),
        url: url.to_owned(),
        access_lifetime: i64::try_from(args.oauth.access_token_lifetime)?,
        rate: u32::try_from(args.limits.max_rate)?,
        keep_expired: i64::try_from(args.oauth.keep_expired)?.saturating_mul(86_400),
        sign_in,
    };
    let workspace = Workspace::open(options)?;
    if !is_read {
        workspace.set_catalog(None);
    }
    if let Some(refresh) = sources.refresh() {
        follow(&workspace, location, sources, refresh)?;
    }
    Ok(workspace)
}

/// Reads the catalog again and again, on a thread of its own, until the workspace is dropped.
fn follow(workspace: &Arc<Workspace>, location: Location, sources: Sources, refresh: Duration) -> anyhow::Result<()> {
    /// The pause after a failure.
    const RETRY: Duration = Duration::from_secs(30);
    let workspace = Arc::downgrade(workspace);
    let mut problem = None;
    let mut pause = refresh.min(RETRY);
    std::thread::Builder::new().name("catalog".into()).spawn(move || {
        loop {
            std::thread::sleep(pause);
            let read = || sources.read(&Registry::open(&location, false)?.connections()?);
            let catalog = read();
            let Some(workspace) = workspace.upgrade() else { return };
            pause = if catalog.is_ok() { refresh } else { refresh.min(RETRY) };
            let error = catalog.as_ref().err().map(|error| format!("{error:#}"));
            if let Some(error) = error.as_ref().filter(|_| error != problem) {
                tracing::warn!("the catalog cannot be read: {error}");
            }
            problem = error;
            workspace.set_catalog(catalog.ok());
        }
    })?;
    Ok(())
}

/// Opens the registry. Creates a missing one, in an existing folder if it is named, and says so: its name may be mistyped.
fn opened(args: &Args, location: &Location) -> anyhow::Result<Registry> {
    let missing = location.path().filter(|path| !path.exists());
    let folder = missing.and_then(Path::parent).filter(|folder| !folder.as_os_str().is_empty());
    let may_create = !args.registry.is_named() || folder.is_none_or(Path::is_dir);
    let near = missing.and_then(|_| Registry::near(location));
    let registry = Registry::open(location, may_create)?;
    match near {
        _ if missing.is_none() => {}
        Some(near) => tracing::warn!("created a new registry, {location}: did you mean {near}?"),
        None => tracing::warn!("created a new registry, {location}"),
    }
    Ok(registry)
}

async fn serve(args: &Args, site: Site, workspace: Arc<Workspace>) -> anyhow::Result<()> {
    let url = workspace.url();
    let user = args.registry.user()?;
    let link = if args.sign_in.prints_link() {
        Some(workspace.login_link(&user).await.map_err(|problem| {
            let detail = problem.details().first().map_or("", |detail| &detail.message).to_owned();
            invalid(detail, "give another name with `--user NAME`")
        })?)
    } else {
        None
    };
    announce(url, &user, link.as_deref())?;
    tracing::info!(listen = %site.address(), url, "serving");
    let certificates = site.certificate_reloads();
    let mut hangup = signal(SignalKind::hangup())?;
    tokio::spawn(async move {
        while hangup.recv().await.is_some() {
            tracing::info!("SIGHUP: reading the certificates again");
            certificates.reload();
        }
    });
    let (mut terminate, mut interrupt) = (signal(SignalKind::terminate())?, signal(SignalKind::interrupt())?);
    let stop = async {
        tokio::select! {
            _ = terminate.recv() => tracing::info!("SIGTERM: stopping"),
            _ = interrupt.recv() => tracing::info!("SIGINT: stopping"),
        }
    };
    let maintaining = tokio::spawn(Arc::clone(&workspace).maintain());
    site.run(router(&workspace), stop).await;
    maintaining.abort();
    Ok(())
}

/// Prints the address of the page and the login link. The link is a secret, and is in no log.
fn announce(url: &str, user: &str, link: Option<&str>) -> io::Result<()> {
    let mut out = io::stdout().lock();
    writeln!(out, "workspace   {url}/")?;
    if let Some(link) = link {
        writeln!(out, "login link  {link}")?;
        writeln!(out, "            signs {user} in once, within 10 minutes")?;
    }
    out.flush()
}

impl Args {
    fn site(&self) -> anyhow::Result<SiteOptions> {
        let ListenArgs { listen, socket_mode, tls_cert, tls_key, public_url, allow_host } = &self.listen;
        alone("--allow-host", allow_host)?;
        if socket_mode.is_some() && !matches!(listen, Address::Unix(_)) {
            bail!(
                "`--socket-mode` applies only to Unix sockets, and the address is not one\n\
                 help: leave it out, or write `--listen unix:/run/portcullis-workspace.sock`"
            );
        }
        let is_private = match listen {
            Address::Tcp(address) => address.ip().to_canonical().is_loopback(),
            Address::Unix(_) => true,
        };
        let has_tls = tls_cert.is_some() || public_url.as_ref().is_some_and(|url| url.as_str().starts_with("https:"));
        if !is_private && !has_tls {
            bail!(
                "`--listen {listen}`: other machines would send secrets without TLS\n\
                 help: add `--tls-cert cert.pem --tls-key key.pem`, or `--public-url https://workspace.example.com` if a \
                 proxy ends TLS"
            );
        }
        Ok(SiteOptions {
            listen: listen.clone(),
            socket_mode: socket_mode.unwrap_or(0o600),
            tls: tls_cert.clone().zip(tls_key.clone()).map(|(certificates, key)| Tls {
                certificates,
                key,
                client_authorities: None,
            }),
            hosts: allow_host.clone(),
            own_name: public_url.as_ref().map(|url| url.host().to_owned()),
            limits: Limits {
                connections: self.limits.max_connections,
                // Large bodies get an answer that names the limit, not a closed connection.
                connection_buffered_bytes: 32 << 20,
                request_time: self.limits.request_timeout,
                ..Limits::default()
            },
            drain: self.limits.drain,
        })
    }

    /// Returns the URL at which clients reach the workspace, without a slash at its end.
    fn url(&self, site: &Site) -> String {
        if let Some(url) = &self.listen.public_url {
            return url.as_str().trim_end_matches('/').to_owned();
        }
        let scheme = if self.listen.tls_cert.is_some() { "https" } else { "http" };
        match site.address() {
            Address::Tcp(address) if address.ip().is_unspecified() => {
                format!("{scheme}://localhost:{}", address.port())
            }
            Address::Tcp(address) => format!("{scheme}://{address}"),
            Address::Unix(_) => format!("{scheme}://localhost"),
        }
    }
}

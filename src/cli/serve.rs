//! The sidecar.

use std::io;
use std::path::PathBuf;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use anyhow::{Context, bail};
use portcullis::server::decision_log::{LogOptions, QueryTexts, Share, Target, WhenFull};
use portcullis::server::operations::{Operations, OperationsOptions};
use portcullis::server::policy::{LiveOptions, MAX_BYTES, Source};
use portcullis::server::{Address, Authority, Cors, Limits, Server, ServerOptions, Tls, descriptors};
use tokio::signal::unix::{SignalKind, signal};
use tracing_subscriber::EnvFilter;

use super::Exit;
use super::policy::PolicyArgs;
use super::reading::ReadingArgs;

const EXAMPLES: &str = "\
Examples:
  portcullis serve --policy policy.json --state-dir /var/lib/portcullis --log -
  portcullis serve --db sqlite:registry.db --listen unix:/run/portcullis.sock
  curl -d '{\"token\": \"…\", \"api\": \"maps\", \"connection\": \"dw\", \"resource\": \"carto.shared.demo\"}' \\
      http://127.0.0.1:8181/v1/decide

Gateways ask at:
  gRPC envoy.service.auth.v3.Authorization   Envoy ext_authz
  /authz/envoy/<path and query>              Envoy ext_authz over HTTP
  /authz/nginx       X-Original-Method, X-Original-URI     nginx, HAProxy
  /authz/forwarded   X-Forwarded-Method, X-Forwarded-Uri   Caddy, Traefik
  POST /v1/decide, POST /access/v1/evaluation, POST /access/v1/evaluations
Operators ask at --admin:
  /healthz  /readyz  /metrics  /v1/snapshot  /v1/shadow  POST /v1/explain

SIGHUP reads the policy again and opens the log again; SIGTERM and SIGINT answer what was asked, then stop.";

/// Answer gateways: Envoy, nginx, Caddy, HAProxy, Traefik, or anything that speaks HTTP
#[derive(clap::Args)]
#[command(after_help = EXAMPLES)]
pub(super) struct Args {
    #[command(flatten)]
    policy: PolicyArgs,
    /// Keep the last good policy here, without secrets, for a restart while its source is broken
    #[arg(long, value_name = "DIR", help_heading = "Policy")]
    state_dir: Option<PathBuf>,
    /// Maximum size of all policy files together; larger files are not read. Does not apply to a registry
    #[arg(long, value_name = "BYTES", default_value_t = MAX_BYTES, value_parser = policy_bytes, help_heading = "Policy")]
    max_policy_bytes: u64,
    /// Never activate a policy that allows what the active one denies: refuse it as if it could not be read
    #[arg(long, help_heading = "Policy")]
    only_narrow: bool,
    /// Decide every request by this policy as well, and tell at `/v1/shadow` what it would change
    #[arg(long, value_name = "FILE", num_args = 1.., help_heading = "Policy")]
    shadow: Vec<PathBuf>,
    /// How many requests of each kind of difference to keep
    #[arg(long, value_name = "COUNT", default_value_t = 10, help_heading = "Policy")]
    shadow_examples: usize,
    #[command(flatten)]
    listen: ListenArgs,
    #[command(flatten)]
    reading: ReadingArgs,
    #[command(flatten)]
    log: LogArgs,
    #[command(flatten)]
    limits: LimitArgs,
}

#[derive(clap::Args)]
#[command(next_help_heading = "Listening")]
struct ListenArgs {
    /// Where gateways ask: an address and port, or `unix:PATH`
    #[arg(long, value_name = "ADDRESS", default_value = "127.0.0.1:8181", env = "PORTCULLIS_LISTEN")]
    listen: Address,
    /// Where operators ask. It tells of the policy: keep it from everybody else
    #[arg(long, value_name = "ADDRESS", default_value = "127.0.0.1:8182", env = "PORTCULLIS_ADMIN")]
    admin: Address,
    /// TLS for both: the certificate and those between it and a root, PEM
    #[arg(long, value_name = "FILE", requires = "tls_key")]
    tls_cert: Option<PathBuf>,
    /// Its private key, PEM
    #[arg(long, value_name = "FILE", requires = "tls_cert")]
    tls_key: Option<PathBuf>,
    /// Ask clients for certificates that one of these authorities signed, PEM
    #[arg(long, value_name = "FILE", requires = "tls_cert")]
    client_ca: Option<PathBuf>,
    /// Web sites from which a browser may read why a request is denied, such as `https://app.example.com`; `*` for all
    #[arg(long, value_name = "ORIGIN", num_args = 1..)]
    cors_origin: Vec<String>,
    /// The URL that clients reach this server by, for AuthZEN's metadata [default: `https://` and the request's host]
    #[arg(long, value_name = "URL")]
    public_url: Option<String>,
}

#[derive(clap::Args)]
#[command(next_help_heading = "Logs")]
struct LogArgs {
    /// Log every decision as a line of JSON to the end of this file; `-` for standard output
    #[arg(long, value_name = "FILE")]
    log: Option<PathBuf>,
    /// When the log falls behind: `drop` lines and count them, or `block` requests
    #[arg(long, value_name = "WHAT", default_value = "drop", value_parser = when_full)]
    log_when_full: WhenFull,
    /// How many bytes of lines may wait
    #[arg(long, value_name = "BYTES", default_value_t = LogOptions::default().queue_bytes)]
    log_queue: usize,
    /// Which part of the allows to log, such as 0.01; denials always are
    #[arg(long, value_name = "SHARE", default_value = "1")]
    log_sample_allows: Share,
    /// Log the text of queries instead of its digest
    #[arg(long)]
    log_queries: bool,
    /// What the server itself tells on standard error: `text` or `json`
    #[arg(long, value_name = "FORMAT", default_value = "text", value_parser = ["text", "json"])]
    messages: String,
    /// How much of it: `error`, `warn`, `info`, `debug`, or filters such as `portcullis=debug`
    #[arg(long, value_name = "LEVEL", default_value = "info", env = "PORTCULLIS_MESSAGE_LEVEL")]
    message_level: String,
}

#[derive(clap::Args)]
#[command(next_help_heading = "Limits")]
struct LimitArgs {
    /// Bytes of a body; a longer one is answered 413
    #[arg(long, value_name = "BYTES", default_value_t = Limits::default().body_bytes)]
    max_body: usize,
    /// Bytes of a request's headers
    #[arg(long, value_name = "BYTES", default_value_t = Limits::default().header_bytes)]
    max_header_bytes: usize,
    /// Headers of a request
    #[arg(long, value_name = "COUNT", default_value_t = Limits::default().headers)]
    max_headers: usize,
    /// Connections at once; more are answered 503 [default: 4096, or fewer if the limit of file descriptors is low]
    #[arg(long, value_name = "COUNT")]
    max_connections: Option<usize>,
    /// Requests at once; more are answered 503
    #[arg(long, value_name = "COUNT", default_value_t = Limits::default().requests)]
    max_requests: usize,
    /// How long a request may take to arrive and be answered
    #[arg(long, value_name = "SECONDS", default_value = "5", value_parser = seconds)]
    request_timeout: Duration,
    /// How long a connection may be idle
    #[arg(long, value_name = "SECONDS", default_value = "75", value_parser = seconds)]
    idle_timeout: Duration,
    /// How long to wait for requests that have begun when stopping
    #[arg(long, value_name = "SECONDS", default_value = "20", value_parser = seconds)]
    drain: Duration,
    /// Threads that answer [default: one for each processor]
    #[arg(long, value_name = "COUNT")]
    threads: Option<usize>,
}

pub(super) fn run(args: &Args) -> anyhow::Result<Exit> {
    args.log.tell()?;
    let connections = args.limits.connections(descriptors::raise_limit())?;
    let reader = args.reading.reader()?;
    let mut runtime = tokio::runtime::Builder::new_multi_thread();
    if let Some(threads) = args.limits.threads {
        runtime.worker_threads(threads.max(1));
    }
    // A request that waits for the log keeps a thread to itself.
    runtime.max_blocking_threads(args.limits.max_requests.saturating_add(64));
    let threads = args.limits.threads.or_else(|| std::thread::available_parallelism().ok().map(usize::from));
    can_start(threads.unwrap_or(1)).context("cannot start the threads that answer")?;
    let runtime = runtime.enable_all().build().context("cannot start the threads that answer")?;
    let operations = Operations::start(args.operations()?)?;
    let authority = Arc::new(Authority::new(operations, reader));
    runtime.block_on(serve(Arc::clone(&authority), args.options(connections)))?;
    // What is left open ends now; then the log is written to its end.
    runtime.shutdown_timeout(Duration::from_secs(1));
    drop(authority);
    tracing::info!("stopped");
    Ok(Exit::Success)
}

/// Whether the system gives that many threads at once. The runtime would panic without one.
fn can_start(threads: usize) -> io::Result<()> {
    let gate = Mutex::new(());
    std::thread::scope(|scope| {
        let _closed = gate.lock();
        let wait = || drop(gate.lock());
        (0..threads).try_for_each(|_| std::thread::Builder::new().spawn_scoped(scope, wait).map(drop))
    })
}

async fn serve(authority: Arc<Authority>, options: ServerOptions) -> anyhow::Result<()> {
    let server = Server::bind(Arc::clone(&authority), options).await?;
    let readiness = authority.operations().readiness();
    tracing::info!(
        listen = %server.address(),
        admin = %server.admin_address(),
        policy = %readiness.policy.source,
        ready = readiness.ready,
        "serving"
    );
    let mut hangup = signal(SignalKind::hangup())?;
    tokio::spawn(async move {
        while hangup.recv().await.is_some() {
            tracing::info!("SIGHUP: reading the policy again");
            authority.operations().reload();
        }
    });
    let (mut terminate, mut interrupt) = (signal(SignalKind::terminate())?, signal(SignalKind::interrupt())?);
    let stop = async {
        tokio::select! {
            _ = terminate.recv() => tracing::info!("SIGTERM: stopping"),
            _ = interrupt.recv() => tracing::info!("SIGINT: stopping"),
        }
    };
    server.run(stop).await;
    Ok(())
}

impl Args {
    fn operations(&self) -> anyhow::Result<OperationsOptions> {
        let shadow = if self.shadow.is_empty() { None } else { Some(Source::files(&self.shadow)?) };
        Ok(OperationsOptions {
            source: self.policy.source()?,
            live: LiveOptions {
                only_narrow: self.only_narrow,
                max_bytes: self.max_policy_bytes,
                ..self.policy.live(self.state_dir.clone())
            },
            log: self.log.options(),
            shadow,
            shadow_examples: self.shadow_examples,
        })
    }

    fn options(&self, connections: usize) -> ServerOptions {
        let ListenArgs { listen, admin, tls_cert, tls_key, client_ca, cors_origin, public_url } = &self.listen;
        let tls = tls_cert.clone().zip(tls_key.clone()).map(|(certificates, key)| Tls {
            certificates,
            key,
            client_authorities: client_ca.clone(),
        });
        let limits = &self.limits;
        ServerOptions {
            listen: listen.clone(),
            admin: admin.clone(),
            tls: tls.clone(),
            admin_tls: tls,
            cors: match &**cors_origin {
                [] => Cors::None,
                origins if origins.iter().any(|origin| origin == "*") => Cors::Any,
                origins => Cors::Only(origins.to_vec()),
            },
            public_url: public_url.clone(),
            limits: Limits {
                body_bytes: limits.max_body,
                header_bytes: limits.max_header_bytes,
                headers: limits.max_headers,
                connections,
                requests: limits.max_requests,
                request_time: limits.request_timeout,
                idle_time: limits.idle_timeout,
            },
            drain: limits.drain,
        }
    }
}

impl LimitArgs {
    /// The maximum number of connections. It leaves descriptors free for reading the policy.
    fn connections(&self, descriptors: Option<u64>) -> anyhow::Result<usize> {
        let most = descriptors::max_connections(descriptors);
        match (self.max_connections, descriptors) {
            (Some(connections), Some(limit)) if connections > most => {
                let needed = descriptors::needed(connections);
                bail!(
                    "`--max-connections {connections}` needs {needed} file descriptors, and the limit is {limit}: write at \
                     most {most}, or raise the limit with `ulimit -Hn {needed}`"
                )
            }
            (Some(connections), _) => Ok(connections),
            (None, _) => {
                let default = Limits::default().connections;
                if most < default {
                    tracing::warn!(connections = most, descriptors, "the limit of file descriptors is low");
                }
                Ok(default.min(most))
            }
        }
    }
}

impl LogArgs {
    fn options(&self) -> Option<(Target, LogOptions)> {
        let path = self.log.as_ref()?;
        let target = if path.as_os_str() == "-" { Target::Stdout } else { Target::File(path.clone()) };
        let options = LogOptions {
            when_full: self.log_when_full,
            queue_bytes: self.log_queue,
            sample_allows: self.log_sample_allows,
            queries: if self.log_queries { QueryTexts::Shown } else { QueryTexts::Hidden },
        };
        Some((target, options))
    }

    /// Begins to tell what the server has to say, on standard error.
    fn tell(&self) -> anyhow::Result<()> {
        let filter = EnvFilter::try_new(&self.message_level)
            .with_context(|| format!("`--message-level`: `{}`", self.message_level))?;
        let messages = tracing_subscriber::fmt().with_env_filter(filter).with_writer(io::stderr).with_target(false);
        let begun = if self.messages == "json" {
            messages.json().try_init()
        } else {
            messages.with_ansi(io::IsTerminal::is_terminal(&io::stderr())).try_init()
        };
        begun.map_err(|error| anyhow::anyhow!("cannot write messages: {error}"))
    }
}

fn policy_bytes(text: &str) -> Result<u64, String> {
    const MOST: u64 = 1 << 40;
    let bytes = text.parse().ok().filter(|bytes| (1..=MOST).contains(bytes));
    bytes.ok_or_else(|| format!("expected a number of bytes from 1 to {MOST}, such as {MAX_BYTES}"))
}

fn when_full(text: &str) -> Result<WhenFull, String> {
    match text {
        "drop" => Ok(WhenFull::Drop),
        "block" => Ok(WhenFull::Block),
        _ => Err("expected `drop` or `block`".to_owned()),
    }
}

fn seconds(text: &str) -> Result<Duration, String> {
    let seconds = text.parse().ok().and_then(|seconds| Duration::try_from_secs_f64(seconds).ok());
    seconds.filter(|time| !time.is_zero()).ok_or_else(|| "expected seconds, such as 5 or 0.5".to_owned())
}

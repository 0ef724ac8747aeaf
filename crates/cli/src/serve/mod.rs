//! Runs the sidecar.

pub(crate) mod messages;
pub(crate) mod values;

use std::io;
use std::num::NonZero;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::mpsc::{RecvTimeoutError, channel};
use std::time::Duration;

use anyhow::bail;
use portcullis::base::Escaped;
use portcullis_server::decision_log::{LogOptions, QueryTexts, Share, Target, WhenFull};
use portcullis_server::operations::{Operations, OperationsOptions};
use portcullis_server::policy::{self, LiveOptions, Source, StateDir};
use portcullis_server::{
    Address, Authority, Cors, Limits, Listeners, PublicUrl, ServerOptions, Tls, descriptors, threads,
};
use tokio::runtime::Runtime;
use tokio::signal::unix::{SignalKind, signal};

use crate::Exit;
use crate::bounds::{MAX_BYTES, byte_count, count, day_count, seconds};
use crate::environment::variable_or;
use crate::output::Inputs;
use crate::policy::PolicyArgs;
use crate::reading::ReadingArgs;
use messages::MessageArgs;

const EXAMPLES: &str = "\
Examples:
  portcullis serve --policy policy.json --state-dir /var/lib/portcullis --log -
  portcullis serve --db sqlite:registry.db --listen unix:/run/portcullis.sock
  curl http://127.0.0.1:8181/v1/decide -H 'content-type: application/json' \\
      -d '{\"token\": \"…\", \"api\": \"maps\", \"connection\": \"dw\", \"resource\": \"a.b\"}'

Endpoints for gateways, at --listen:
  gRPC envoy.service.auth.v3.Authorization   Envoy ext_authz
  /authz/envoy/<path and query>              Envoy ext_authz over HTTP
  /authz/nginx          X-Original-Method, X-Original-URI    nginx
  /authz/ingress-nginx  X-Original-Method, X-Original-URL    ingress-nginx
  /authz/script         X-Original-Method, X-Original-URI    njs, HAProxy
  /authz/forwarded      X-Forwarded-Method, X-Forwarded-Uri  Caddy, Traefik
  POST /v1/decide
  POST /access/v1/evaluation, POST /access/v1/evaluations
Endpoint for HAProxy, at --spoe:
  SPOP 2.0, the protocol of HAProxy's Stream Processing Offload Engine
Endpoints for operators, at --admin:
  /  /healthz  /readyz  /metrics  /v1/snapshot  /v1/shadow  POST /v1/explain

Signals:
  SIGHUP            reload the policy and the certificates, reopen the log
  SIGTERM, SIGINT   finish open requests, then stop";

/// Run the sidecar, which decides requests of gateways
///
/// Serves Envoy, nginx, Caddy, HAProxy, Traefik and any HTTP client.
#[derive(clap::Args)]
#[command(after_long_help = EXAMPLES)]
pub(super) struct Args {
    #[command(flatten)]
    policy: PolicyArgs,
    /// Save the last good policy in this directory
    ///
    /// A restart uses it while the source of the policy is broken. The directory has no secrets.
    #[arg(long, value_name = "DIR", help_heading = "Policy")]
    state_dir: Option<PathBuf>,
    /// Limit the size of all policy files together
    ///
    /// Larger files are not read. Does not apply to a registry.
    #[arg(long, value_name = "BYTES", default_value_t = policy::MAX_BYTES, value_parser = values::policy_bytes, conflicts_with = "db", help_heading = "Policy")]
    max_policy_bytes: u64,
    /// Reject a policy that allows more than the active one
    ///
    /// The active policy stays, as if the new one could not be read.
    #[arg(long, help_heading = "Policy")]
    only_narrow: bool,
    /// Delete tokens of the registry that expired this many days ago
    ///
    /// Only with `--db`. A deleted token is denied as `token_unknown`, no longer as `token_expired`.
    #[arg(long, value_name = "DAYS", default_value_t = 30, value_parser = day_count::<0, 36_500>, conflicts_with = "policy", help_heading = "Policy")]
    keep_expired: usize,
    /// Also decide every request by this policy, without effect
    ///
    /// `/v1/shadow` reports the decisions that it would change.
    #[arg(long, value_name = "FILE", num_args = 1.., help_heading = "Policy")]
    shadow: Vec<PathBuf>,
    /// Keep this many examples of each kind of change
    #[arg(long, value_name = "COUNT", default_value_t = 10, value_parser = count::<0, 65535>, requires = "shadow", help_heading = "Policy")]
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
    #[arg(
        long,
        value_name = "ADDRESS",
        default_value = variable_or("PORTCULLIS_LISTEN", "127.0.0.1:8181"),
        hide_default_value = true,
        help = "Listen for gateways [default: 127.0.0.1:8181]\n[env: PORTCULLIS_LISTEN]",
        long_help = "Listen for gateways [default: 127.0.0.1:8181]\n\n\
            An IP address and port, or `unix:PATH`.\n\n\
            [env: PORTCULLIS_LISTEN]"
    )]
    listen: Address,
    #[arg(
        long,
        value_name = "ADDRESS",
        default_value = variable_or("PORTCULLIS_ADMIN", "127.0.0.1:8182"),
        hide_default_value = true,
        help = "Listen for operators [default: 127.0.0.1:8182]\n[env: PORTCULLIS_ADMIN]",
        long_help = "Listen for operators [default: 127.0.0.1:8182]\n\n\
            Do not make it public: it exposes policy details. An IP address and port, or `unix:PATH`.\n\n\
            [env: PORTCULLIS_ADMIN]"
    )]
    admin: Address,
    /// Also listen for HAProxy's SPOE
    ///
    /// The Stream Processing Offload Engine needs less time than a Lua script. An IP address and port, or `unix:PATH`.
    /// Example: `--spoe 127.0.0.1:8184`
    #[arg(long, value_name = "ADDRESS")]
    spoe: Option<Address>,
    /// Set the permissions of Unix sockets [default: 600]
    ///
    /// `600` is for the owner, `660` also for the group.
    #[arg(long, value_name = "MODE", value_parser = values::socket_mode)]
    socket_mode: Option<u32>,
    /// Use TLS with this certificate chain (PEM)
    ///
    /// For all addresses. The chain has the certificate and all intermediate ones.
    #[arg(long, value_name = "FILE", requires = "tls_key")]
    tls_cert: Option<PathBuf>,
    /// Read the private key from this file (PEM)
    #[arg(long, value_name = "FILE", requires = "tls_cert")]
    tls_key: Option<PathBuf>,
    /// Require client certificates from these authorities (PEM)
    #[arg(long, value_name = "FILE", requires = "tls_cert")]
    client_ca: Option<PathBuf>,
    /// Answer CORS requests of these origins; `*` for all
    ///
    /// Their pages can read why a request is denied. Separate several with spaces. Example:
    /// `--cors-origin https://a.example https://b.example`
    #[arg(long, value_name = "ORIGIN", num_args = 1.., value_parser = values::origin)]
    cors_origin: Vec<String>,
    /// Set the public URL of the server for AuthZEN metadata
    ///
    /// The default is `https://` and the host of the HTTP request. Example: `--public-url https://authz.example.com`
    #[arg(long, value_name = "URL")]
    public_url: Option<PublicUrl>,
    /// Also accept these `Host` names; `*` for all
    ///
    /// Names of loopback addresses are always accepted. The check applies to loopback addresses, and with this option to
    /// every TCP address. Example: `--allow-host decide.internal`
    #[arg(long, value_name = "NAME", num_args = 1.., value_parser = values::host)]
    allow_host: Vec<String>,
}

#[derive(clap::Args)]
#[command(next_help_heading = "Logs")]
struct LogArgs {
    /// Append every decision to this file; `-` is standard output
    ///
    /// One JSON object a line.
    #[arg(long, value_name = "FILE")]
    log: Option<PathBuf>,
    /// Drop lines or block requests when the queue is full
    ///
    /// `drop` counts the lost lines; `block` delays requests.
    #[arg(long, value_name = "WHAT", default_value = "drop", value_parser = values::when_full, requires = "log")]
    log_when_full: WhenFull,
    /// Limit the queue of log lines
    #[arg(long, value_name = "BYTES", default_value_t = LogOptions::default().queue_bytes, value_parser = byte_count::<1, MAX_BYTES>, requires = "log")]
    log_queue: usize,
    /// Log this share of allows, such as 0.01
    ///
    /// Denials are always logged.
    #[arg(long, value_name = "SHARE", default_value = "1", requires = "log")]
    log_sample_allows: Share,
    /// Log the text of queries instead of their digests
    #[arg(long, requires = "log")]
    log_queries: bool,
    #[command(flatten)]
    messages: MessageArgs,
}

#[derive(clap::Args)]
#[command(next_help_heading = "Limits")]
struct LimitArgs {
    /// Limit the size of a body; larger ones get 413
    #[arg(long, value_name = "BYTES", default_value_t = Limits::default().body_bytes, value_parser = byte_count::<1, MAX_BYTES>)]
    max_body: usize,
    /// Limit the size of request headers
    #[arg(long, value_name = "BYTES", default_value_t = Limits::default().header_bytes, value_parser = byte_count::<1024, MAX_HEADER_BYTES>)]
    max_header_bytes: usize,
    /// Limit the number of request headers
    #[arg(long, value_name = "COUNT", default_value_t = Limits::default().headers, value_parser = count::<1, 4096>)]
    max_headers: usize,
    /// Limit open connections; others get 503 [default: 4096]
    ///
    /// The default is smaller if the limit of file descriptors is low.
    #[arg(long, value_name = "COUNT", value_parser = count::<1, MAX_AT_ONCE>)]
    max_connections: Option<usize>,
    /// Limit concurrent requests; further ones get 503
    #[arg(long, value_name = "COUNT", default_value_t = Limits::default().requests, value_parser = count::<1, MAX_AT_ONCE>)]
    max_requests: usize,
    /// Limit the requests in one batch; larger ones get 413
    #[arg(long, value_name = "COUNT", default_value_t = Limits::default().batch, value_parser = count::<1, MAX_AT_ONCE>)]
    max_batch: usize,
    /// Limit buffered requests and answers [default: 256 MiB]
    ///
    /// The default is at least the limit of one connection.
    #[arg(long, value_name = "BYTES", value_parser = byte_count::<1, MAX_BYTES>)]
    max_buffered: Option<usize>,
    /// Limit buffers of one connection [default: 32 MiB]
    ///
    /// The default is at least four times `--max-body`.
    #[arg(long, value_name = "BYTES", value_parser = byte_count::<1, MAX_BYTES>)]
    max_connection_buffered: Option<usize>,
    /// Limit each phase of a request
    ///
    /// The phases are: receiving the headers, deciding, sending the answer.
    #[arg(long, value_name = "SECONDS", default_value = "5", value_parser = seconds)]
    request_timeout: Duration,
    /// Close idle connections after this time
    #[arg(long, value_name = "SECONDS", default_value = "75", value_parser = seconds)]
    idle_timeout: Duration,
    /// Wait this long for open requests when stopping
    #[arg(long, value_name = "SECONDS", default_value = "20", value_parser = seconds)]
    drain: Duration,
    /// Serve on this many threads [default: number of cores]
    #[arg(long, value_name = "COUNT", value_parser = crate::bounds::threads)]
    threads: Option<NonZero<usize>>,
}

impl LimitArgs {
    fn limits(&self, connections: usize) -> anyhow::Result<Limits> {
        let default = Limits::default();
        let of_connection = self.max_connection_buffered;
        let of_connection = of_connection.unwrap_or(default.connection_buffered_bytes.max(4 * self.max_body));
        let of_all = self.max_buffered.unwrap_or(default.buffered_bytes.max(of_connection));
        if of_connection < self.max_body {
            bail!(
                "`--max-connection-buffered`: expected at least `--max-body` {0}, found {of_connection}\n\
                 help: write `--max-connection-buffered {0}`",
                self.max_body
            );
        }
        if of_all < of_connection {
            bail!(
                "`--max-buffered`: expected at least `--max-connection-buffered` {of_connection}, found {of_all}\n\
                 help: write `--max-buffered {of_connection}`"
            );
        }
        Ok(Limits {
            body_bytes: self.max_body,
            header_bytes: self.max_header_bytes,
            headers: self.max_headers,
            connections,
            requests: self.max_requests,
            batch: self.max_batch,
            buffered_bytes: of_all,
            connection_buffered_bytes: of_connection,
            request_time: self.request_timeout,
            idle_time: self.idle_timeout,
        })
    }
}

/// How long the files that the options name are waited for.
const PATIENCE: Duration = Duration::from_secs(10);

/// HTTP/2 announces its limit in 32 bits.
const MAX_HEADER_BYTES: usize = 1 << 30;
const MAX_AT_ONCE: usize = 1_000_000;

pub(super) fn run(args: &Args) -> anyhow::Result<Exit> {
    args.log.messages.init()?;
    let connections = args.limits.connections(descriptors::raise_limit())?;
    let options = args.options(connections)?;
    let runtime = args.runtime()?;
    // Every option is checked before the policy is compiled, which may take long.
    let (reader, operations, listeners) = watched(|| {
        args.check_outputs()?;
        anyhow::Ok((args.reading.reader()?, args.operations()?, Listeners::bind(options)?))
    })?;
    let operations = Operations::start(operations)?;
    let authority = Arc::new(Authority::new(operations, reader));
    runtime.block_on(serve(Arc::clone(&authority), listeners))?;
    // Open requests end now. Then the decision log is written completely.
    runtime.shutdown_timeout(Duration::from_secs(1));
    authority.operations().close();
    drop(authority);
    tracing::info!("stopped");
    Ok(Exit::Success)
}

/// Looks at the files that the options name by `look`. Ends the process if that takes longer than [`PATIENCE`]: a file system
/// that hangs, such as a network's, would hold up the start indefinitely.
pub(crate) fn watched<T>(look: impl FnOnce() -> T) -> T {
    let (done, finished) = channel::<()>();
    let watch = move || {
        if finished.recv_timeout(PATIENCE) == Err(RecvTimeoutError::Timeout) {
            tracing::error!(
                "the files that the options name have not answered for {} s: check the file systems of the policy, \
                 `--routes`, `--state-dir`, `--log` and `--tls-cert`",
                PATIENCE.as_secs()
            );
            std::process::exit(Exit::Failure as i32);
        }
    };
    let watchdog = std::thread::Builder::new().name("start".into()).spawn(watch);
    let found = look();
    drop(done);
    // Without a thread nothing is watched.
    if let Ok(watchdog) = watchdog {
        let _ = watchdog.join();
    }
    found
}

async fn serve(authority: Arc<Authority>, listeners: Listeners) -> anyhow::Result<()> {
    let server = listeners.server(Arc::clone(&authority)).await?;
    let certificates = server.certificate_reloads();
    let readiness = authority.operations().readiness();
    tracing::info!(
        listen = %server.address(),
        admin = %server.admin_address(),
        spoe = server.spoe_address().map(tracing::field::display),
        policy = %Escaped::whole(&readiness.policy.source),
        ready = readiness.ready,
        "serving"
    );
    let mut hangup = signal(SignalKind::hangup())?;
    tokio::spawn(async move {
        while hangup.recv().await.is_some() {
            tracing::info!("SIGHUP: reading the policy and the certificates again");
            authority.operations().reload();
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
    server.run(stop).await;
    Ok(())
}

impl Args {
    /// Starts the threads that answer, if the system gives all threads of the server.
    fn runtime(&self) -> anyhow::Result<Runtime> {
        let mut runtime = tokio::runtime::Builder::new_multi_thread();
        if let Some(threads) = self.limits.threads {
            runtime.worker_threads(threads.get());
        }
        let answering = self.limits.threads.or_else(|| std::thread::available_parallelism().ok());
        let needed = answering.map_or(1, NonZero::get).saturating_add(self.other_threads());
        let failed = |error: io::Error| {
            anyhow::anyhow!(
                "cannot start the {needed} threads of the server: {error}; help: raise the limit of processes (`ulimit -u`, \
                 `pids.max` of a container) or of memory, or lower `--threads`"
            )
        };
        threads::check(needed).map_err(failed)?;
        runtime.enable_all();
        threads::build(runtime).map_err(failed)
    }

    /// The maximum number of threads beside those that answer gateways.
    fn other_threads(&self) -> usize {
        // One starts the others, one answers operators, one explains; each policy has a keeper, a reader and a file
        // watcher.
        const START: usize = 1;
        const OPERATORS: usize = 2;
        const POLICY: usize = 3;
        let is_registry = self.policy.is_registry();
        START
            + OPERATORS
            + POLICY * (1 + usize::from(!self.shadow.is_empty()))
            + usize::from(self.state_dir.is_some())
            + usize::from(self.log.log.is_some())
            // Certificates have a thread that reads them again.
            + usize::from(self.listen.tls_cert.is_some())
            // A registry has threads that record usage and delete expired tokens; each of its three connections has one.
            + if is_registry { 5 } else { 0 }
    }

    /// Returns the files that the server reads.
    fn inputs(&self) -> anyhow::Result<Inputs> {
        let mut inputs = Inputs::default();
        self.policy.add_inputs(&mut inputs)?;
        self.reading.add_inputs(&mut inputs);
        inputs.add_all(&self.shadow);
        let ListenArgs { tls_cert, tls_key, client_ca, .. } = &self.listen;
        inputs.add_all([tls_cert, tls_key, client_ca].into_iter().flatten());
        Ok(inputs)
    }

    /// Returns the files of the state directory that are replaced.
    fn saved(&self) -> impl Iterator<Item = PathBuf> {
        self.state_dir.iter().flat_map(|state| ["policy.json", "lock"].map(|name| state.join(name)))
    }

    /// Checks that the server does not write to a file that it reads, nor removes one.
    fn check_outputs(&self) -> anyhow::Result<()> {
        let mut inputs = self.inputs()?;
        self.saved().try_for_each(|saved| inputs.check(&saved))?;
        self.state_dir.as_deref().map_or(Ok(()), |state| inputs.check_folder(state, StateDir::owns))?;
        inputs.add_all(self.saved());
        let Some(log) = &self.log.log else { return Ok(()) };
        inputs.check(log)?;
        let mut logs = Inputs::default();
        logs.add(log);
        self.state_dir.as_deref().map_or(Ok(()), |state| logs.check_folder(state, StateDir::owns))
    }

    fn operations(&self) -> anyhow::Result<OperationsOptions> {
        let mut inputs = self.inputs()?;
        inputs.add_all(self.saved());
        let shadow = if self.shadow.is_empty() { None } else { Some(Source::files(&self.shadow)?) };
        Ok(OperationsOptions {
            source: self.policy.source()?,
            live: LiveOptions {
                only_narrow: self.only_narrow,
                max_bytes: self.max_policy_bytes,
                ..self.policy.live(self.state_dir.clone())
            },
            log: self.log.options(inputs),
            shadow,
            shadow_examples: self.shadow_examples,
            keep_expired: Some(Duration::from_hours(24 * u64::try_from(self.keep_expired)?)),
        })
    }

    fn options(&self, connections: usize) -> anyhow::Result<ServerOptions> {
        let ListenArgs {
            listen,
            admin,
            spoe,
            socket_mode,
            tls_cert,
            tls_key,
            client_ca,
            cors_origin,
            public_url,
            allow_host,
        } = &self.listen;
        alone("--cors-origin", cors_origin)?;
        alone("--allow-host", allow_host)?;
        let mut addresses = [Some(listen), Some(admin), spoe.as_ref()].into_iter().flatten();
        if socket_mode.is_some() && !addresses.any(|address| matches!(address, Address::Unix(_))) {
            bail!(
                "`--socket-mode` applies only to Unix sockets, and no address is one\n\
                 help: leave it out, or write `--listen unix:/run/portcullis.sock`"
            );
        }
        let tls = tls_cert.clone().zip(tls_key.clone()).map(|(certificates, key)| Tls {
            certificates,
            key,
            client_authorities: client_ca.clone(),
        });
        Ok(ServerOptions {
            listen: listen.clone(),
            admin: admin.clone(),
            spoe: spoe.clone(),
            socket_mode: socket_mode.unwrap_or(ServerOptions::default().socket_mode),
            tls: tls.clone(),
            admin_tls: tls,
            cors: match &**cors_origin {
                [] => Cors::None,
                [all] if all == "*" => Cors::Any,
                origins => Cors::Only(origins.to_vec()),
            },
            public_url: public_url.clone(),
            hosts: allow_host.clone(),
            limits: self.limits.limits(connections)?,
            drain: self.limits.drain,
        })
    }
}

/// Checks that `*` is the only value of an option: with it, other values have no effect.
pub(crate) fn alone(option: &str, values: &[String]) -> anyhow::Result<()> {
    let all = values.iter().filter(|value| *value == "*").count();
    if all == 0 || values.len() == 1 {
        return Ok(());
    }
    bail!("`{option}`: `*` already includes all other values\nhelp: write `{option} '*'`, or leave `*` out")
}

impl LimitArgs {
    /// The maximum number of connections. It leaves descriptors free for reading the policy.
    fn connections(&self, descriptors: Option<u64>) -> anyhow::Result<usize> {
        let max = descriptors::max_connections(descriptors);
        if max == 0 {
            let needed = descriptors::needed(1);
            bail!(
                "the limit of file descriptors is {}: expected at least {needed}; raise it with `ulimit -Hn {needed}`",
                descriptors.unwrap_or_default()
            );
        }
        match (self.max_connections, descriptors) {
            (Some(connections), Some(limit)) if connections > max => {
                let needed = descriptors::needed(connections);
                bail!(
                    "`--max-connections {connections}` needs {needed} file descriptors, but the limit is {limit}: use at \
                     most {max}, or raise the limit with `ulimit -Hn {needed}`"
                )
            }
            (Some(connections), _) => Ok(connections),
            (None, _) => {
                let default = Limits::default().connections;
                if max < default {
                    tracing::warn!(connections = max, descriptors, "the limit of file descriptors is low");
                }
                Ok(default.min(max))
            }
        }
    }
}

impl LogArgs {
    fn options(&self, inputs: Inputs) -> Option<(Target, LogOptions)> {
        let path = self.log.as_ref()?;
        let target = if path.as_os_str() == "-" { Target::Stdout } else { Target::File(path.clone()) };
        let options = LogOptions {
            when_full: self.log_when_full,
            queue_bytes: self.log_queue,
            sample_allows: self.log_sample_allows,
            queries: if self.log_queries { QueryTexts::Shown } else { QueryTexts::Hidden },
            inputs: inputs.into_paths(),
        };
        Some((target, options))
    }
}

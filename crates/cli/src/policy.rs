//! The policy of a command: the options that name it, and how it is loaded.

use std::io::{self, Write};
use std::path::{Path, PathBuf};

use anyhow::{Context, anyhow, bail};
use portcullis::authorizer::{Clock, SystemClock};
use portcullis::model::Policy;
use portcullis::snapshot::{MAGIC, Options, Snapshot};
use portcullis_document::load::{Diagnostic, Input, LoadOptions, Loaded, Severity, is_compiled, load};
#[cfg(feature = "server")]
use portcullis_server::policy::{LiveOptions, Source};

use super::bounds::{self, MAX_BYTES, MAX_COUNT};
use super::environment::registry_of_environment;
use super::excerpt::Renderer;
use super::input::{MAX_POLICY, Opened};
use super::output::{Color, Inputs, Painted, counted, file_name, is_stdin};
use super::paths::expanded;
#[cfg(feature = "registry")]
pub(super) use super::registry;

/// The option that names the files of a policy.
const OPTION: &str = "--policy";

/// The number of errors that are shown by default.
pub(crate) const MAX_ERRORS: usize = 20;

/// The policy of a command.
#[derive(Debug, clap::Args)]
#[command(next_help_heading = "Policy")]
pub(crate) struct PolicyArgs {
    #[arg(
        short,
        long = "policy",
        value_name = "FILE",
        num_args = 1..,
        conflicts_with = "db",
        help = "Read the policy from files; `-` is standard input\n[env: PORTCULLIS_POLICY]",
        long_help = "Read the policy from files; `-` is standard input\n\n\
            Several JSON documents are one policy together. A file that `portcullis compile` wrote is a whole policy. \
            Standard input may be either. `serve` needs files. \
            Takes precedence over PORTCULLIS_DB. Example: `--policy tokens.json connections.json`\n\n\
            [env: PORTCULLIS_POLICY]"
    )]
    policy: Vec<PathBuf>,
    #[arg(
        long,
        value_name = "URL",
        help = "Read the policy from a registry: `sqlite:registry.db` or\n`postgres://…` [env: PORTCULLIS_DB]",
        long_help = "Read the policy from a registry: `sqlite:registry.db` or `postgres://…`\n\n\
            The policy has the tokens of all users. Takes precedence over PORTCULLIS_POLICY. A password belongs into \
            PGPASSWORD or ~/.pgpass. Example: `--db postgres://ana@db.example.com/portcullis`\n\n\
            [env: PORTCULLIS_DB]"
    )]
    db: Option<String>,
    /// Leave out tokens with errors
    ///
    /// Without this option an error rejects the whole policy. The errors are printed on standard error. Does not apply to a
    /// compiled policy.
    #[arg(long)]
    skip_invalid: bool,
    /// Show at most this many errors of the policy
    ///
    /// The total includes all of them.
    #[arg(long, value_name = "COUNT", default_value_t = MAX_ERRORS, value_parser = bounds::count::<1, MAX_COUNT>)]
    max_errors: usize,
    /// Limit the memory of all pattern automata together
    ///
    /// Patterns over the limit are found by their literals, which may be slower. Decisions do not change.
    #[arg(long, value_name = "BYTES", default_value_t = Options::default().automaton_bytes, value_parser = bounds::byte_count::<0, MAX_BYTES>, hide_short_help = true)]
    automaton_bytes: usize,
}

impl PolicyArgs {
    pub(crate) fn reads_stdin(&self) -> bool {
        let named = if self.policy.is_empty() && self.db.is_none() { from_environment() } else { None };
        self.policy.iter().chain(&named).any(|path| is_stdin(path))
    }

    /// Adds the files of the policy to `inputs`.
    pub(crate) fn add_inputs(&self, inputs: &mut Inputs) -> anyhow::Result<()> {
        match self.named_origin()? {
            Origin::Files(files) => inputs.add_all(files),
            Origin::Registry(url) => registry::add_files(&url, inputs)?,
        }
        Ok(())
    }

    /// Whether options or the environment name a policy.
    pub(crate) fn is_named(&self) -> bool {
        let by_environment = || from_environment().is_some() || registry_of_environment().is_some();
        !self.policy.is_empty() || self.db.is_some() || by_environment()
    }

    /// Whether the policy is a registry's.
    pub(crate) fn is_registry(&self) -> bool {
        matches!(self.named_origin(), Ok(Origin::Registry(_)))
    }

    /// Returns the origin of the policy. Fails if standard output is one of its files.
    fn origin(&self) -> anyhow::Result<Origin> {
        let origin = self.named_origin()?;
        match &origin {
            Origin::Files(files) => files.iter().try_for_each(|file| Inputs::check_stdout(file))?,
            Origin::Registry(url) => registry::check_stdout(url)?,
        }
        Ok(origin)
    }

    /// Returns the origin that the options name. Without such options, the environment names it.
    fn named_origin(&self) -> anyhow::Result<Origin> {
        if let Some(url) = &self.db {
            #[cfg(feature = "registry")]
            registry::argument(url)?;
            return Ok(Origin::Registry(url.clone()));
        }
        if !self.policy.is_empty() {
            return Ok(Origin::Files(self.policy.clone()));
        }
        match (from_environment(), registry_of_environment()) {
            (Some(_), Some(_)) => {
                bail!("`PORTCULLIS_POLICY` and `PORTCULLIS_DB` both name a policy: choose with `--policy` or `--db`")
            }
            (Some(file), None) => match expanded(file) {
                Ok(file) => Ok(Origin::Files(vec![file])),
                Err(error) => bail!("invalid value of `PORTCULLIS_POLICY`: {error}"),
            },
            (None, Some(url)) => Ok(Origin::Registry(url)),
            (None, None) => bail!("the policy is missing: give `--policy FILE` or `--db URL`"),
        }
    }

    /// Compiles the policy. Returns `None` if it has errors, and prints them on standard error.
    pub(crate) fn snapshot(&self, color: Color) -> anyhow::Result<Option<Snapshot>> {
        if let Origin::Files(files) = self.origin()? {
            match contents(&files)? {
                Contents::Compiled(_) if self.skip_invalid => {
                    bail!("`--skip-invalid` does not apply to a compiled policy: leave the option out")
                }
                Contents::Compiled(snapshot) => return Ok(Some(snapshot)),
                Contents::Documents(inputs) => {
                    let Some(read) = self.load(inputs, color, false)? else { return Ok(None) };
                    return read.snapshot(&self.compile_options()).map(Some);
                }
            }
        }
        let Some(read) = self.documents(color, false)? else { return Ok(None) };
        read.snapshot(&self.compile_options()).map(Some)
    }

    /// Loads the policy and its documents. Returns `None` if they have errors, and prints them on standard error.
    pub(crate) fn documents(&self, color: Color, warnings: bool) -> anyhow::Result<Option<ReadPolicy>> {
        let inputs = match self.origin()? {
            Origin::Registry(url) => vec![registry::policy(&url)?],
            Origin::Files(files) => read(&files)?,
        };
        self.load(inputs, color, warnings)
    }

    /// Loads documents. Returns `None` if they have errors, and prints them on standard error.
    fn load(&self, inputs: Vec<Input>, color: Color, warnings: bool) -> anyhow::Result<Option<ReadPolicy>> {
        let now = Some(SystemClock.now());
        let options = LoadOptions {
            skip_invalid: self.skip_invalid,
            warnings,
            now,
            max_errors: self.max_errors,
            ..LoadOptions::default()
        };
        let loaded = load(&inputs, &options);
        self.report(&inputs, &loaded, color)?;
        Ok(loaded.policy.is_some().then_some(ReadPolicy { inputs, loaded }))
    }

    /// The policy of one argument: a file, or the URL of a registry.
    pub(crate) fn named(text: &str) -> Self {
        let is_registry = ["sqlite:", "postgres:", "postgresql:"].iter().any(|scheme| text.starts_with(scheme));
        Self {
            policy: if is_registry { Vec::new() } else { vec![text.into()] },
            db: is_registry.then(|| text.to_owned()),
            skip_invalid: false,
            max_errors: MAX_ERRORS,
            automaton_bytes: Options::default().automaton_bytes,
        }
    }

    /// Returns the policy and its documents, of which a compiled file has none.
    ///
    /// Returns `None` if the policy has errors, and prints them on standard error.
    #[cfg(feature = "scan")]
    pub(crate) fn policy_and_inputs(&self, color: Color) -> anyhow::Result<Option<(Policy, Vec<Input>)>> {
        let read = match self.origin()? {
            Origin::Files(files) => match contents(&files)? {
                Contents::Compiled(snapshot) => return Ok(Some((snapshot.policy()?, Vec::new()))),
                Contents::Documents(inputs) => self.load(inputs, color, false)?,
            },
            Origin::Registry(_) => self.documents(color, false)?,
        };
        Ok(read.and_then(|ReadPolicy { inputs, loaded }| Some((loaded.policy?, inputs))))
    }

    /// Returns the policy and its snapshot. The policy of a compiled file is derived from its snapshot.
    ///
    /// Returns `None` if the policy has errors, and prints them on standard error.
    pub(crate) fn model(&self, color: Color) -> anyhow::Result<Option<(Policy, Snapshot)>> {
        let read = match self.origin()? {
            Origin::Files(files) => match contents(&files)? {
                Contents::Compiled(snapshot) => return Ok(Some((snapshot.policy()?, snapshot))),
                Contents::Documents(inputs) => self.load(inputs, color, false)?,
            },
            Origin::Registry(_) => self.documents(color, false)?,
        };
        let Some(read) = read else { return Ok(None) };
        let snapshot = read.snapshot(&self.compile_options())?;
        Ok(read.loaded.policy.map(|policy| (policy, snapshot)))
    }

    /// The URL of the registry that holds the policy; `None` for files.
    pub(crate) fn registry(&self) -> anyhow::Result<Option<String>> {
        Ok(match self.origin()? {
            Origin::Registry(url) => Some(url),
            Origin::Files(_) => None,
        })
    }

    pub(crate) fn compile_options(&self) -> Options {
        Options { automaton_bytes: self.automaton_bytes, ..Options::default() }
    }

    /// The source that a running server reloads the policy from.
    #[cfg(feature = "server")]
    pub(crate) fn source(&self) -> anyhow::Result<Source> {
        match self.origin()? {
            Origin::Registry(url) => Ok(Source::registry(url.parse()?)),
            Origin::Files(files) => Ok(Source::files(files)?),
        }
    }

    /// The options of that reload.
    #[cfg(feature = "server")]
    pub(crate) fn live(&self, state_dir: Option<PathBuf>) -> LiveOptions {
        LiveOptions {
            skip_invalid: self.skip_invalid,
            max_errors: self.max_errors,
            compile: self.compile_options(),
            state_dir,
            ..LiveOptions::default()
        }
    }

    /// Prints the errors of a loaded policy on standard error, with what follows from them.
    fn report(&self, inputs: &[Input], loaded: &Loaded, color: Color) -> anyhow::Result<()> {
        let errors: Vec<_> = loaded.errors().collect();
        if loaded.count().errors == 0 {
            return Ok(());
        }
        let mut stderr = io::stderr().lock();
        let paint = color.on(&stderr);
        let mut text = String::new();
        render(inputs, &errors, paint, &mut text)?;
        stderr.write_all(text.as_bytes())?;
        let total = loaded.count().errors;
        let rest = total.saturating_sub(errors.len());
        if rest > 0 {
            let (rest, note) = (counted(rest as u64, "error"), Painted::bold(paint, "note:"));
            writeln!(stderr, "{note} {rest} not shown; `--max-errors {total}` shows all")?;
        }
        let count = counted(total as u64, "error");
        if loaded.policy.is_some() {
            let skipped = counted(loaded.skipped as u64, "token");
            writeln!(stderr, "{} left out {skipped} with {count}", Painted::bold(paint, "note:"))?;
        } else {
            let label = Painted::red(paint, "error:");
            writeln!(stderr, "{label} the policy has {count} and was not loaded")?;
            if inputs.iter().any(Input::is_generated) {
                let help = Painted::bold(paint, "help:");
                writeln!(stderr, "{help} `portcullis credentials delete token ID --all-users` deletes a token")?;
            }
            // Errors of connections and APIs remain when tokens are left out.
            if !self.skip_invalid && rest == 0 && errors.iter().all(|error| error.path.starts_with("tokens[")) {
                writeln!(
                    stderr,
                    "{} `--skip-invalid` leaves out the tokens with errors",
                    Painted::bold(paint, "help:")
                )?;
            }
        }
        Ok(())
    }
}

/// A policy and its documents.
pub(crate) struct ReadPolicy {
    pub(crate) inputs: Vec<Input>,
    // INVARIANT: holds a policy.
    pub(crate) loaded: Loaded,
}

impl ReadPolicy {
    pub(crate) fn policy(&self) -> anyhow::Result<&Policy> {
        self.loaded.policy.as_ref().context("there is no policy")
    }

    pub(crate) fn snapshot(&self, options: &Options) -> anyhow::Result<Snapshot> {
        Ok(Snapshot::compile(self.policy()?, options)?)
    }
}

/// The origin of a policy.
enum Origin {
    Files(Vec<PathBuf>),
    Registry(String),
}

/// The contents of the files of a policy.
enum Contents {
    Compiled(Snapshot),
    Documents(Vec<Input>),
}

/// Reads every file once: a pipe cannot be read again. A compiled policy must be the only file.
fn contents(files: &[PathBuf]) -> anyhow::Result<Contents> {
    let refuse_more = |path: &Path| {
        if files.len() > 1 {
            bail!("{} is a compiled policy, which cannot be combined with other files", file_name(path));
        }
        Ok(())
    };
    let cannot = |path: &Path| format!("cannot load {}", file_name(path));
    let is_file = |path: &&PathBuf| !is_stdin(path) && is_compiled(path);
    if let Some(path) = files.iter().find(is_file) {
        refuse_more(path)?;
        return Snapshot::open(path).map(Contents::Compiled).with_context(|| cannot(path));
    }
    let is_stream = |path: &Path| is_stdin(path) || !path.is_file();
    if let [path] = files
        && is_stream(path)
    {
        return match Opened::open(path, OPTION)?.whole(MAX_POLICY) {
            Ok(bytes) if bytes.starts_with(&MAGIC) => {
                Snapshot::from_bytes(&bytes).map(Contents::Compiled).with_context(|| cannot(path))
            }
            read => Ok(Contents::Documents(vec![Input::from_bytes(input_name(path), read)?])),
        };
    }
    read(files).map(Contents::Documents)
}

/// A build without the registry refuses to read one.
#[cfg(not(feature = "registry"))]
pub(super) mod registry {
    use super::{Input, Inputs};

    pub(crate) fn policy(_: &str) -> anyhow::Result<Input> {
        anyhow::bail!("this build does not read registries\nhelp: build it with `--features registry`")
    }

    pub(crate) fn add_files(url: &str, _: &mut Inputs) -> anyhow::Result<()> {
        policy(url).map(drop)
    }

    pub(crate) fn check_stdout(url: &str) -> anyhow::Result<()> {
        policy(url).map(drop)
    }
}

/// The file that `PORTCULLIS_POLICY` names.
fn from_environment() -> Option<PathBuf> {
    std::env::var_os("PORTCULLIS_POLICY").filter(|path| !path.is_empty()).map(PathBuf::from)
}

/// Reads every file; `-` is standard input. Fails with one error for each unreadable file.
pub(super) fn read(paths: &[PathBuf]) -> anyhow::Result<Vec<Input>> {
    let (mut inputs, mut errors) = (Vec::with_capacity(paths.len()), Vec::new());
    for path in paths {
        match read_one(path, OPTION) {
            Ok(input) => inputs.push(input),
            Err(error) => errors.push(format!("{error:#}")),
        }
    }
    if errors.is_empty() { Ok(inputs) } else { Err(anyhow!("{}", errors.join("\nerror: "))) }
}

/// Reads one file, which `option` names, or standard input for `-`.
pub(super) fn read_one(path: &Path, option: &'static str) -> anyhow::Result<Input> {
    Ok(Input::from_bytes(input_name(path), Opened::open(path, option)?.whole(MAX_POLICY))?)
}

/// The name of a file in messages.
fn input_name(path: &Path) -> String {
    if is_stdin(path) { "<stdin>".to_owned() } else { path.display().to_string() }
}

/// Appends the rendered `diagnostics` of all `inputs` to `out`.
pub(super) fn render(
    inputs: &[Input],
    diagnostics: &[&Diagnostic],
    paint: bool,
    out: &mut String,
) -> anyhow::Result<()> {
    for input in inputs {
        let mut here = diagnostics.iter().filter(|diagnostic| diagnostic.file == input.name()).peekable();
        if here.peek().is_none() {
            continue;
        }
        let renderer = Renderer::new(input, paint);
        for diagnostic in here {
            renderer.render(*diagnostic, out)?;
        }
    }
    Ok(())
}

/// Counts the diagnostics of `severity`.
pub(super) fn count(diagnostics: &[&Diagnostic], severity: Severity) -> usize {
    diagnostics.iter().filter(|diagnostic| diagnostic.severity == severity).count()
}

//! Opens the files that a command reads. `-` is standard input, which one option of a command can read.

use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom};
use std::path::Path;
use std::sync::OnceLock;

use anyhow::{Context, anyhow, bail};
use portcullis_document::load::{FOREIGN_BYTES, Foreign, Input, Unreadable};

use super::output::{Inputs, bytes, is_stdin};

/// The maximum size of a policy that is read as text: a million tokens have half of it.
pub(crate) const MAX_POLICY: usize = 2 << 30;

/// The maximum size of routes, named sources and prefixes.
const MAX_SETTINGS: usize = 16 << 20;

/// The option that reads standard input.
static STDIN: OnceLock<&'static str> = OnceLock::new();

/// An open file, or standard input.
pub(crate) enum Opened {
    Stdin(io::Stdin),
    /// A regular file, with its size.
    File(File, u64),
    /// A pipe or a device.
    Stream(File),
}

impl Opened {
    /// Opens the file at `path`, which `option` names.
    ///
    /// Fails if standard output is the same file, or if another option reads standard input.
    pub(crate) fn open(path: &Path, option: &'static str) -> anyhow::Result<Self> {
        Inputs::check_stdout(path)?;
        if is_stdin(path) {
            claim_stdin(option)?;
            return Ok(Self::Stdin(io::stdin()));
        }
        let unreadable = |error| Unreadable::new(&path.display().to_string(), &error);
        let file = File::open(path).map_err(unreadable)?;
        let metadata = file.metadata().map_err(unreadable)?;
        if metadata.is_dir() {
            return Err(unreadable(io::ErrorKind::IsADirectory.into()).into());
        }
        Ok(if metadata.is_file() { Self::File(file, metadata.len()) } else { Self::Stream(file) })
    }

    /// The size of a regular file.
    pub(crate) fn size(&self) -> Option<u64> {
        match self {
            Self::File(_, size) => Some(*size),
            Self::Stdin(_) | Self::Stream(_) => None,
        }
    }

    /// Reads everything. Fails if that is more than `max` bytes: a device may have no end.
    pub(crate) fn whole(self, max: usize) -> io::Result<Vec<u8>> {
        let mut read = Vec::new();
        let is_large = self.size().is_some_and(|size| size > max as u64)
            || self.take(max as u64 + 1).read_to_end(&mut read)? > max;
        if is_large {
            return Err(io::Error::other(format!("it has more than {}", bytes(max))));
        }
        Ok(read)
    }
}

impl Read for Opened {
    fn read(&mut self, bytes: &mut [u8]) -> io::Result<usize> {
        match self {
            Self::Stdin(stdin) => stdin.read(bytes),
            Self::File(file, _) | Self::Stream(file) => file.read(bytes),
        }
    }
}

/// Records that `option` reads standard input. Fails if another option, or the same one, did so before, or if standard
/// output is the same file.
pub(crate) fn claim_stdin(option: &'static str) -> anyhow::Result<()> {
    Inputs::check_stdout(Path::new("-"))?;
    let Err(option) = STDIN.set(option) else { return Ok(()) };
    match STDIN.get() {
        Some(first) if *first != option => {
            bail!("{} and {} both read standard input: name a file for one of them", named(first), named(option))
        }
        _ => bail!("`-` is given more than once: standard input can be read only once"),
    }
}

/// Formats an option that reads standard input, such as `--policy -`.
fn named(option: &str) -> String {
    if option.starts_with("--") && !option.ends_with("-stdin") {
        format!("`{option} -`")
    } else {
        format!("`{option}`")
    }
}

/// Reads a whole file of JSON, without a byte order mark. A file in another format is named in the error.
pub(crate) fn json(path: &Path, option: &'static str) -> anyhow::Result<String> {
    json_up_to(path, option, MAX_SETTINGS)
}

/// Reads a whole file of JSON, as [`json`] does, of at most `max` bytes.
pub(crate) fn json_up_to(path: &Path, option: &'static str, max: usize) -> anyhow::Result<String> {
    let opened = Opened::open(path, option)?;
    let input = Input::from_bytes(path.display().to_string(), opened.whole(max))?;
    Ok(without_mark(input.text()).to_owned())
}

/// Reads a whole file of prefixes, one a line.
pub(crate) fn prefixes(path: &Path, option: &'static str) -> anyhow::Result<String> {
    text(path, option, &format!("cannot read `{}`", path.display()), "prefixes")
}

/// Reads a whole file of SQL.
pub(crate) fn sql(path: &Path, option: &'static str) -> anyhow::Result<String> {
    text(path, option, &format!("cannot read the SQL of `{}`", path.display()), "SQL")
}

/// Reads a whole file of text that is not JSON, without a byte order mark. `cannot` starts the errors.
fn text(path: &Path, option: &'static str, cannot: &str, expected: &str) -> anyhow::Result<String> {
    let text = Opened::open(path, option)?.whole(MAX_SETTINGS).with_context(|| cannot.to_owned())?;
    if let Some(foreign) = Foreign::of(text.get(..FOREIGN_BYTES).unwrap_or(&text)) {
        bail!("{cannot}: expected {expected}, {foreign}");
    }
    let text = String::from_utf8(text).map_err(|_| anyhow!("{cannot}: it is not UTF-8"))?;
    Ok(without_mark(&text).to_owned())
}

fn without_mark(text: &str) -> &str {
    text.strip_prefix('\u{feff}').unwrap_or(text)
}

/// A file that a command reads more than once. Standard input, pipes and devices are copied to a temporary file without
/// a name.
pub(crate) struct Spooled {
    file: File,
    /// The size when the file was opened: what is appended later is not read.
    bytes: u64,
}

impl Spooled {
    /// Opens the file at `path`, which `option` names.
    pub(crate) fn open(path: &Path, option: &'static str) -> anyhow::Result<Self> {
        let mut stream = match Opened::open(path, option)? {
            Opened::File(file, bytes) => return Ok(Self { file, bytes }),
            stream => stream,
        };
        let copied = tempfile::tempfile().and_then(|mut file| {
            let mut start = Vec::new();
            (&mut stream).take(FOREIGN_BYTES as u64).read_to_end(&mut start)?;
            // Data of another format is not copied, because a device has no end. The reader names the format.
            let is_copied = matches!(Foreign::of(&start), None | Some(Foreign::Gzip | Foreign::Zstd));
            let rest = stream.take(if is_copied { u64::MAX } else { 0 });
            Ok(Self { bytes: io::copy(&mut start.chain(rest), &mut file)?, file })
        });
        copied.with_context(|| format!("cannot copy `{}` to a temporary file", path.display()))
    }

    /// Reads the file from its start.
    pub(crate) fn reader(&mut self) -> io::Result<impl Read> {
        self.file.seek(SeekFrom::Start(0))?;
        Ok((&self.file).take(self.bytes))
    }
}

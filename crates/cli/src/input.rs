//! Opens the files that a command reads. `-` is standard input, which one option of a command can read.

use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom};
use std::path::Path;
use std::sync::OnceLock;

use anyhow::{Context, bail};
use portcullis_document::load::{FOREIGN_BYTES, Foreign, Input, Unreadable};

use super::output::{Inputs, bytes, is_stdin};

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
    let opened = Opened::open(path, option)?;
    let input = Input::from_reader(path.display().to_string(), opened)?;
    let text = input.text();
    Ok(text.strip_prefix('\u{feff}').unwrap_or(text).to_owned())
}

/// Reads a whole file of SQL, at most `max_bytes`.
pub(crate) fn sql(path: &Path, option: &'static str, max_bytes: usize) -> anyhow::Result<String> {
    let name = path.display();
    let mut text = Vec::new();
    let read = Opened::open(path, option)?.take(max_bytes as u64 + 1).read_to_end(&mut text);
    read.with_context(|| format!("cannot read the SQL of `{name}`"))?;
    if text.len() > max_bytes {
        bail!("cannot read the SQL of `{name}`: it has more than {}", bytes(max_bytes));
    }
    if let Some(foreign) = Foreign::of(text.get(..FOREIGN_BYTES).unwrap_or(&text)) {
        bail!("cannot read the SQL of `{name}`: expected SQL, {foreign}");
    }
    let text = String::from_utf8(text);
    let text = text.map_err(|_| anyhow::anyhow!("cannot read the SQL of `{name}`: it is not UTF-8"))?;
    Ok(text.strip_prefix('\u{feff}').unwrap_or(&text).to_owned())
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
        let copied =
            tempfile::tempfile().and_then(|mut file| Ok(Self { bytes: io::copy(&mut stream, &mut file)?, file }));
        copied.with_context(|| format!("cannot copy `{}` to a temporary file", path.display()))
    }

    /// Reads the file from its start.
    pub(crate) fn reader(&mut self) -> io::Result<impl Read> {
        self.file.seek(SeekFrom::Start(0))?;
        Ok((&self.file).take(self.bytes))
    }
}

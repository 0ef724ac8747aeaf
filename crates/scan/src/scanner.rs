//! Scans one input after another: plain streams, and containers with what they contain.

mod archive;
mod format;

use std::cell::Cell;
use std::fs::File;
use std::io::{self, Read, Seek};
use std::os::unix::fs::MetadataExt;

use crate::detector::Detector;
use crate::report::{Finding, Report};
use crate::sparse::Sparse;
use crate::text::{Hit, TextReader};
use archive::Container;

/// Limits for compressed files and archives, which may expand without end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Max levels of containers in each other, such as 2 for `tar.gz`.
    pub depth: u32,
    /// Max bytes that one input may expand to, over all levels.
    pub expanded_bytes: u64,
}

/// Reads inputs and collects what it finds. One for each thread.
///
/// Memory: a few blocks of 256 KiB, the directory of an open zip archive, and the findings.
pub struct Scanner<'d> {
    detector: &'d Detector,
    limits: Limits,
    text: TextReader,
    report: Report,
    /// The name of the input that was opened: an archive, for its members.
    outer: String,
}

/// The bytes of an input.
enum Content<'r> {
    /// A file that can be read at any offset.
    File(&'r File),
    /// A stream, and what was read from its start.
    Stream(&'r mut dyn Read),
}

/// The state of the containers around an input.
#[derive(Clone, Copy)]
struct Level<'b> {
    depth: u32,
    /// The bytes that containers may still expand to.
    budget: &'b Cell<u64>,
}

/// The bytes that determine the type of a container: one block of a tar file.
const HEAD: usize = 512;

impl Default for Limits {
    /// 8 levels, 4 GiB.
    fn default() -> Self {
        Self { depth: 8, expanded_bytes: 4 << 30 }
    }
}

impl<'d> Scanner<'d> {
    /// Creates a scanner.
    pub fn new(detector: &'d Detector, limits: Limits) -> Self {
        Self { detector, limits, text: TextReader::new(), report: Report::default(), outer: String::new() }
    }

    /// Scans a stream. A read error is reported as unread, with the findings before it.
    pub fn stream(&mut self, name: &str, reader: &mut dyn Read) {
        let budget = Cell::new(self.limits.expanded_bytes);
        let name = self.opened(name);
        self.content(&name, Content::Stream(reader), Level { depth: 0, budget: &budget });
    }

    /// Scans a file from its start. Holes of sparse files cost no time.
    pub fn file(&mut self, name: &str, file: &File) {
        let budget = Cell::new(self.limits.expanded_bytes);
        let name = self.opened(name);
        self.content(&name, Content::File(file), Level { depth: 0, budget: &budget });
    }

    /// Records an input that cannot be read. A secret in the reason is masked.
    pub fn unread(&mut self, name: &str, reason: impl AsRef<str>) {
        let name = self.opened(name);
        self.miss(&name, reason);
    }

    fn opened(&mut self, name: &str) -> String {
        self.outer = self.detector.masked(name).0;
        self.name("", name)
    }

    /// Records a link or a special file that is not read.
    pub(crate) fn skip(&mut self) {
        self.report.skipped += 1;
    }

    /// Returns everything that was found, sorted.
    pub fn into_report(mut self) -> Report {
        self.report.sort();
        self.report
    }

    /// Returns `parent` and the name of an input in it. A secret in the name is a finding, and is masked in the result.
    fn name(&mut self, parent: &str, name: &str) -> String {
        let (masked, occurrences) = self.detector.masked(name);
        let masked = format!("{parent}{masked}");
        for occurrence in occurrences {
            self.found(&masked, Hit { occurrence, line: 0, column: 0 });
        }
        masked
    }

    /// Returns the number of findings.
    pub(crate) fn findings(&self) -> u64 {
        self.report.findings.len() as u64 + self.report.more_findings
    }

    /// Scans the content of an input whose name is masked.
    fn content(&mut self, name: &str, content: Content<'_>, level: Level<'_>) {
        let mut head = Vec::with_capacity(HEAD);
        let read = match &content {
            Content::File(file) => head_of(*file, &mut head).and_then(|()| rewind(file)),
            Content::Stream(_) => Ok(()),
        };
        if let Err(error) = read {
            return self.report.miss(name, archive::reason(&error));
        }
        match content {
            Content::File(file) => match Container::of(name, &head) {
                None => {
                    self.report.inputs += 1;
                    self.whole(name, file);
                    // A program may have a zip archive after it.
                    if archive::ends_as_zip(file) {
                        self.container(name, Container::Zip, Content::File(file), level);
                    }
                }
                Some(container) => self.container(name, container, Content::File(file), level),
            },
            Content::Stream(reader) => {
                if let Err(error) = head_of(&mut *reader, &mut head) {
                    self.report.miss(name, archive::reason(&error));
                    // What was read before the error is searched.
                    return self.text(name, &mut &*head);
                }
                let container = Container::of(name, &head);
                let mut whole = head.chain(reader);
                match container {
                    None => {
                        self.report.inputs += 1;
                        self.text(name, &mut whole);
                    }
                    Some(container) => self.container(name, container, Content::Stream(&mut whole), level),
                }
            }
        }
    }

    /// Scans an input without opening it as a container.
    fn raw(&mut self, name: &str, content: Content<'_>) {
        self.report.inputs += 1;
        match content {
            Content::File(file) => self.whole(name, file),
            Content::Stream(reader) => self.text(name, reader),
        }
    }

    /// Scans a file without opening it as a container.
    fn whole(&mut self, name: &str, mut file: &File) {
        if is_sparse(file) {
            self.text(name, &mut Sparse::new(file));
        } else if let Err(error) = file.rewind() {
            self.miss(name, archive::reason(&error));
        } else {
            self.text(name, &mut file);
        }
    }

    fn container(&mut self, name: &str, container: Container, content: Content<'_>, level: Level<'_>) {
        if level.depth >= self.limits.depth {
            let depth = self.limits.depth;
            return self.report.miss(name, format!("it is nested in more than {depth} archives"));
        }
        archive::open(self, name, container, content, Level { depth: level.depth + 1, ..level });
    }

    /// Scans a stream without opening containers.
    fn text(&mut self, name: &str, reader: &mut dyn Read) {
        let Self { detector, text, report, outer, .. } = self;
        let (bytes, end) = text.read(detector, reader, |hit| report.find(finding(detector, outer, name, hit)));
        self.report.bytes += bytes;
        if let Err(error) = end {
            self.report.miss(name, archive::reason(&error));
        }
    }

    fn found(&mut self, name: &str, hit: Hit) {
        let finding = finding(self.detector, &self.outer, name, hit);
        self.report.find(finding);
    }

    fn miss(&mut self, name: &str, reason: impl AsRef<str>) {
        self.report.miss(name, self.detector.masked(reason.as_ref()).0);
    }
}

fn finding(detector: &Detector, outer: &str, name: &str, hit: Hit) -> Finding {
    let Hit { occurrence, line, column } = hit;
    Finding {
        file: name.to_owned(),
        outer: outer.to_owned(),
        line,
        column,
        encoding: occurrence.encoding,
        prefix: detector.prefix(occurrence.prefix).map(|prefix| prefix.text().to_owned()).unwrap_or_default(),
        digest: occurrence.digest,
        history: None,
    }
}

/// Reads the first block, or less if the input is shorter.
fn head_of(reader: impl Read, head: &mut Vec<u8>) -> io::Result<()> {
    reader.take(HEAD as u64).read_to_end(head).map(drop)
}

fn rewind(mut file: &File) -> io::Result<()> {
    file.rewind()
}

/// Whether most of the file is holes. Compressed file systems look similar, and are read the same way.
fn is_sparse(file: &File) -> bool {
    file.metadata().is_ok_and(|metadata| metadata.len() > 1 << 20 && metadata.blocks() * 512 < metadata.len() / 2)
}

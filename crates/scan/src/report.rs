//! The results of a scan.

use portcullis::model::SecretDigest;
use portcullis_secret::SecretKind;

use crate::detector::Encoding;

/// Max findings that a report keeps. Further ones are only counted, to bound the memory.
pub(crate) const MAX_FINDINGS: usize = 100_000;

/// Max names of inputs that could not be read. Further ones are only counted.
const MAX_UNREAD: usize = 10_000;

/// The results of a scan.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Report {
    /// The secrets that were found, at most 100,000, sorted by file and position.
    pub findings: Vec<Finding>,
    /// The number of findings beyond them.
    pub more_findings: u64,
    /// The inputs that were not read, or not completely, at most 10,000.
    pub unread: Vec<Unread>,
    /// The number of inputs beyond them.
    pub more_unread: u64,
    /// The number of files, members of archives and objects of git that were read.
    pub inputs: u64,
    /// The number of bytes that were read, after decompression.
    pub bytes: u64,
    /// The number of links and special files in folders, which are not read.
    pub skipped: u64,
    /// The number of files in folders that `.gitignore` excludes, which are not read.
    pub ignored: u64,
}

/// One occurrence of a secret.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Finding {
    /// The name of the input. Members of archives follow `!`, as in `backup.zip!config.js`.
    pub file: String,
    /// The name of the input that was opened: of the archive, for its members.
    pub outer: String,
    /// The line, from 1. For a secret in the name of a file, 0.
    pub line: u64,
    /// The column in characters, from 1. For a secret in the name of a file, 0.
    pub column: u64,
    /// How the secret is written.
    pub encoding: Encoding,
    /// The prefix of the secret.
    pub prefix: String,
    /// The digest of the secret.
    pub digest: SecretDigest,
    /// Where the object is in the history, if it is one of git.
    pub history: Option<History>,
}

/// The commits and paths that hold an object of a git repository.
#[derive(Debug, Clone, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct History {
    /// The name of the object.
    pub object: String,
    /// `blob`, `commit`, `tag` or `tree`.
    pub object_type: String,
    /// The paths at which commits add the object.
    pub paths: Vec<String>,
    /// The commits that add the object, from the newest. Empty if no commit of a branch, a tag or a log has it.
    pub commits: Vec<Commit>,
}

/// A commit.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Commit {
    /// The name of the commit.
    pub id: String,
    /// The time of the commit, in RFC 3339.
    pub date: String,
}

/// An input that was not read, or not completely.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Unread {
    /// The name of the input.
    pub file: String,
    /// The reason.
    pub reason: String,
}

impl Finding {
    /// Returns the kind of credential; `None` for a prefix of another installation.
    pub fn kind(&self) -> Option<SecretKind> {
        SecretKind::ALL.into_iter().find(|kind| kind.prefix() == self.prefix)
    }
}

impl Report {
    /// Whether everything was read. Otherwise a report without findings proves nothing.
    pub fn is_complete(&self) -> bool {
        self.unread.is_empty() && self.more_findings == 0
    }

    pub(crate) fn find(&mut self, finding: Finding) {
        if self.findings.len() < MAX_FINDINGS {
            self.findings.push(finding);
        } else {
            self.more_findings += 1;
        }
    }

    pub(crate) fn miss(&mut self, file: &str, reason: impl Into<String>) {
        if self.unread.len() < MAX_UNREAD {
            self.unread.push(Unread { file: file.to_owned(), reason: reason.into() });
        } else {
            self.more_unread += 1;
        }
    }

    /// Adds the results of other inputs.
    pub fn add(&mut self, other: Self) {
        other.findings.into_iter().for_each(|finding| self.find(finding));
        self.more_findings += other.more_findings;
        for Unread { file, reason } in other.unread {
            self.miss(&file, reason);
        }
        self.more_unread += other.more_unread;
        self.inputs += other.inputs;
        self.bytes += other.bytes;
        self.skipped += other.skipped;
        self.ignored += other.ignored;
    }

    /// Sorts the results: threads finish in any order.
    pub(crate) fn sort(&mut self) {
        self.findings.sort();
        self.unread.sort();
    }
}

//! Recognizes files that are not the text that a reader expects, and names the command that converts them.

use std::fmt;

use portcullis::snapshot::MAGIC;

/// A format that no reader of text accepts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Foreign {
    /// Compressed with gzip.
    Gzip,
    /// Compressed with zstd.
    Zstd,
    /// Compressed with bzip2.
    Bzip2,
    /// Compressed with xz.
    Xz,
    /// A zip archive.
    Zip,
    /// A tar archive.
    Tar,
    /// A database of SQLite, such as a registry.
    Sqlite,
    /// A file that `portcullis compile` wrote.
    Compiled,
    /// A Parquet file.
    Parquet,
    /// Text in UTF-16.
    Utf16,
    /// Text in UTF-32.
    Utf32,
    /// Other data with a NUL byte.
    Binary,
    /// A web page or another document with tags.
    Html,
    /// YAML.
    Yaml,
    /// TOML.
    Toml,
    /// A PDF document.
    Pdf,
    /// The pointer that Git LFS stores instead of a file.
    LfsPointer,
    /// A key or certificate in PEM.
    Pem,
    /// Encrypted with age.
    Age,
    /// Text with NUL bytes at its end.
    Padded,
    /// A table of values, separated by commas, tabs or semicolons.
    Csv,
    /// Lines of JSON that end with a carriage return alone.
    CarriageReturns,
}

/// The number of bytes of a file that [`Foreign::of`] needs.
pub const FOREIGN_BYTES: usize = 512;

/// The first bytes of files in a format.
const MAGICS: [(&[u8], Foreign); 17] = [
    (b"-----BEGIN AGE ENCRYPTED FILE-----", Foreign::Age),
    (b"age-encryption.org/", Foreign::Age),
    (b"-----BEGIN ", Foreign::Pem),
    (b"\x1f\x8b", Foreign::Gzip),
    (b"\x28\xb5\x2f\xfd", Foreign::Zstd),
    (b"BZh", Foreign::Bzip2),
    (b"\xfd7zXZ\0", Foreign::Xz),
    (b"PK\x03\x04", Foreign::Zip),
    (b"SQLite format 3\0", Foreign::Sqlite),
    (&MAGIC, Foreign::Compiled),
    (b"PAR1", Foreign::Parquet),
    (b"%PDF-", Foreign::Pdf),
    (b"version https://git-lfs.github.com/spec/", Foreign::LfsPointer),
    // The mark of UTF-32 starts with that of UTF-16.
    (b"\xff\xfe\0\0", Foreign::Utf32),
    (b"\0\0\xfe\xff", Foreign::Utf32),
    (b"\xff\xfe", Foreign::Utf16),
    (b"\xfe\xff", Foreign::Utf16),
];

/// The offset and the mark of a tar archive.
const TAR: (usize, &[u8]) = (257, b"ustar");

impl Foreign {
    /// Recognizes a format by the first bytes of a file, of which [`FOREIGN_BYTES`] are enough. `None` for text.
    ///
    /// ```
    /// use portcullis_document::load::Foreign;
    ///
    /// assert_eq!(Foreign::of(b"\x1f\x8b\x08"), Some(Foreign::Gzip));
    /// assert_eq!(Foreign::of(b"{\"tokens\": []}"), None);
    /// ```
    pub fn of(start: &[u8]) -> Option<Self> {
        let known = MAGICS.iter().find(|(magic, _)| start.starts_with(magic)).map(|(_, format)| *format);
        let (tar, mark) = TAR;
        let is_tar = || start.get(tar..).is_some_and(|rest| rest.starts_with(mark));
        known
            .or_else(|| is_tar().then_some(Self::Tar))
            .or_else(|| Self::with_nul(start))
            .or_else(|| Self::tagged(start))
    }

    /// Recognizes a format by its bytes and, for text that is neither a JSON object nor a JSON list, by its first lines.
    pub fn of_document(text: &[u8]) -> Option<Self> {
        let start = text.get(..FOREIGN_BYTES).unwrap_or(text);
        Self::of(start).or_else(|| Self::written(start))
    }

    /// Recognizes a format as [`of`](Self::of) does, or JSON Lines without a line feed.
    pub(super) fn of_lines(start: &[u8]) -> Option<Self> {
        // No JSON value has an object directly after another one.
        let next = |end: usize| start.get(end + 2..).unwrap_or_default().trim_ascii_start().first();
        let mut ends = memchr::memmem::find_iter(start, b"}\r");
        let returns = !start.contains(&b'\n') && ends.any(|end| next(end) == Some(&b'{'));
        Self::of(start).or_else(|| returns.then_some(Self::CarriageReturns))
    }

    /// Recognizes data with a NUL byte, which no text has. In UTF-16, every second byte of ASCII is one; in
    /// UTF-32, three of four.
    fn with_nul(start: &[u8]) -> Option<Self> {
        match start {
            [b'\t'..=b'~', 0, b'\t'..=b'~', 0, ..] | [0, b'\t'..=b'~', 0, b'\t'..=b'~', ..] => Some(Self::Utf16),
            [b'\t'..=b'~', 0, 0, 0, ..] | [0, 0, 0, b'\t'..=b'~', ..] => Some(Self::Utf32),
            _ => {
                let text = start.trim_ascii_end();
                let padding = text.iter().rev().take_while(|&&byte| byte == 0).count();
                let text = text.get(..text.len() - padding).unwrap_or_default();
                match padding {
                    1.. if !text.is_empty() && text.iter().all(|&byte| byte >= b' ' || byte.is_ascii_whitespace()) => {
                        Some(Self::Padded)
                    }
                    _ => start.contains(&0).then_some(Self::Binary),
                }
            }
        }
    }

    fn tagged(start: &[u8]) -> Option<Self> {
        let start = without_mark(start).trim_ascii_start();
        let is_tag = |byte: &u8| byte.is_ascii_alphabetic() || matches!(byte, b'!' | b'?');
        (start.first() == Some(&b'<') && start.get(1).is_some_and(is_tag)).then_some(Self::Html)
    }

    fn written(start: &[u8]) -> Option<Self> {
        let text = String::from_utf8_lossy(without_mark(start));
        let mut lines = text.lines().map(str::trim).filter(|line| !line.is_empty() && !line.starts_with('#'));
        let first = lines.next()?;
        if first.starts_with('{') || (first.starts_with('"') && !first.contains("\",\"")) {
            return None;
        }
        let is_table = first.starts_with('[')
            && first.trim_start_matches('[').starts_with(|character: char| character.is_ascii_alphabetic())
            && first.ends_with(']')
            && !first.contains(',')
            && !matches!(first, "[true]" | "[false]" | "[null]");
        if is_table || is_key(first, '=') {
            return Some(Self::Toml);
        }
        // One line is a message, such as `404: Not Found`.
        let second = lines.next()?;
        if first == "---" || first.starts_with("- ") || is_key(first, ':') {
            return Some(Self::Yaml);
        }
        is_heading(first, second).then_some(Self::Csv)
    }

    /// Returns the name of the format, such as `gzip data`.
    pub fn found(self) -> &'static str {
        match self {
            Self::Gzip => "gzip data",
            Self::Zstd => "zstd data",
            Self::Bzip2 => "bzip2 data",
            Self::Xz => "xz data",
            Self::Zip => "a zip archive",
            Self::Tar => "a tar archive",
            Self::Sqlite => "an SQLite database",
            Self::Compiled => "a compiled policy, which holds no definitions",
            Self::Parquet => "a Parquet file",
            Self::Utf16 => "UTF-16 text",
            Self::Utf32 => "UTF-32 text",
            Self::Binary => "binary data",
            Self::Html => "HTML or XML",
            Self::Yaml => "YAML",
            Self::Toml => "TOML",
            Self::Pdf => "a PDF document",
            Self::LfsPointer => "a Git LFS pointer",
            Self::Pem => "a key or certificate in PEM",
            Self::Age => "data encrypted with age",
            Self::Padded => "text with NUL bytes at its end",
            Self::Csv => "CSV",
            Self::CarriageReturns => "lines that end with a carriage return alone",
        }
    }

    fn help(self) -> &'static str {
        match self {
            Self::Gzip => "decompress it with `gunzip`",
            Self::Zstd => "decompress it with `unzstd`",
            Self::Bzip2 => "decompress it with `bunzip2`",
            Self::Xz => "decompress it with `unxz`",
            Self::Zip => "extract it with `unzip`",
            Self::Tar => "extract it with `tar -xf`",
            Self::Sqlite => "name a registry with `--db sqlite:FILE`",
            Self::Compiled => "give the documents that it was compiled from",
            Self::Parquet => "convert it to JSON Lines",
            Self::Utf16 => "convert it with `iconv -f UTF-16 -t UTF-8`",
            Self::Utf32 => "convert it with `iconv -f UTF-32 -t UTF-8`",
            Self::Binary | Self::Pdf => "name a file with text in UTF-8",
            Self::Html => "download the file itself instead of a web page: check the URL, and that you are signed in",
            Self::Yaml => "convert it with `yq -o json`",
            Self::Toml => "convert it with `yq -p toml -o json`",
            Self::LfsPointer => "download the file itself with `git lfs pull`",
            Self::Pem => "name the file of the definitions: a policy holds no keys",
            Self::Age => "decrypt it with `age -d`",
            Self::Padded => "remove them with `tr -d '\\0'`",
            Self::Csv => "write it as JSON: a table holds no definitions",
            Self::CarriageReturns => "convert it with `tr '\\r' '\\n'`",
        }
    }
}

impl fmt::Display for Foreign {
    /// Writes what was found, and a fix.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "found {}; help: {}", self.found(), self.help())
    }
}

/// Whether `line` starts with a bare key and `sign`, as in `version: 1` or `version = 1`. The words of a secret or a
/// sentence do not.
fn is_key(line: &str, sign: char) -> bool {
    let Some((key, value)) = line.split_once(sign) else { return false };
    let key = key.trim_end();
    let is_bare = |character: char| character.is_ascii_alphanumeric() || matches!(character, '_' | '-' | '.');
    let separated = value.is_empty() || value.starts_with(' ');
    !key.is_empty() && key.chars().all(is_bare) && separated
}

/// Whether `first` consists of several bare column names, and `second` has as many values.
fn is_heading(first: &str, second: &str) -> bool {
    let is_bare = |character: char| character.is_ascii_alphanumeric() || matches!(character, '_' | ' ' | '-' | '.');
    let is_name = |name: &str| {
        let name = name.trim().trim_matches('"');
        name.starts_with(|character: char| character.is_ascii_alphabetic()) && name.chars().all(is_bare)
    };
    [',', '\t', ';']
        .into_iter()
        .any(|separator| first.contains(separator) && first.split(separator).all(is_name) && second.contains(separator))
}

/// Returns `text` without a byte order mark.
fn without_mark(text: &[u8]) -> &[u8] {
    text.strip_prefix("\u{feff}".as_bytes()).unwrap_or(text)
}

#[cfg(test)]
mod tests {
    use super::Foreign;

    #[test]
    fn formats_are_recognized_by_their_start() {
        let cases: [(&[u8], Option<Foreign>); 45] = [
            (b"", None),
            (b"{\"tokens\": []}", None),
            (b"\n [{\"id\": \"a\"}]", None),
            (b"[true]", None),
            (b"[null, []]", None),
            (b"[\n  {}\n]", None),
            ("\u{feff}{}".as_bytes(), None),
            (b"s3cret", None),
            (b"TOKEN=s3cret", None),
            (b"\x1f\x8b\x08\0", Some(Foreign::Gzip)),
            (b"\x28\xb5\x2f\xfd\x04", Some(Foreign::Zstd)),
            (b"BZh91AY", Some(Foreign::Bzip2)),
            (b"\xfd7zXZ\0", Some(Foreign::Xz)),
            (b"PK\x03\x04", Some(Foreign::Zip)),
            (b"SQLite format 3\0\x10", Some(Foreign::Sqlite)),
            (b"\x89PCLS\r\n\x1a", Some(Foreign::Compiled)),
            (b"PAR1\x15", Some(Foreign::Parquet)),
            (b"\xff\xfe{\0", Some(Foreign::Utf16)),
            (b"{\0\"\0t\0", Some(Foreign::Utf16)),
            (b"\0{\0\"\0t", Some(Foreign::Utf16)),
            (b"\xff\xfe\0\0{\0\0\0", Some(Foreign::Utf32)),
            (b"\0\0\xfe\xff\0\0\0{", Some(Foreign::Utf32)),
            (b"{\0\0\0\"\0\0\0", Some(Foreign::Utf32)),
            (b"\0\0\0{\0\0\0\"", Some(Foreign::Utf32)),
            (b"{\"a\": \"\0\"}", Some(Foreign::Binary)),
            (b"  <!doctype html>", Some(Foreign::Html)),
            ("\u{feff}<html>".as_bytes(), Some(Foreign::Html)),
            (b"# policy\nversion: 1\ntokens:\n", Some(Foreign::Yaml)),
            (b"---\ntokens: []", Some(Foreign::Yaml)),
            (b"- id: a\n  token: s", Some(Foreign::Yaml)),
            (b"[[tokens]]\nid = \"a\"", Some(Foreign::Toml)),
            (b"version = 1\n", Some(Foreign::Toml)),
            (b"404: Not Found\n", None),
            (b"s3cret, and more\n", None),
            (b"---\n", None),
            (b"-----BEGIN PRIVATE KEY-----\nMII", Some(Foreign::Pem)),
            (b"-----BEGIN AGE ENCRYPTED FILE-----\n", Some(Foreign::Age)),
            (b"age-encryption.org/v1\n-> X25519 ", Some(Foreign::Age)),
            (b"{\"tokens\": []}\0\0\n", Some(Foreign::Padded)),
            (b"{\"tokens\": []}\n\0", Some(Foreign::Padded)),
            (b"\x7fELF\x02\x01\0", Some(Foreign::Binary)),
            (b"%PDF-1.7\n", Some(Foreign::Pdf)),
            (b"version https://git-lfs.github.com/spec/v1\noid sha256:00\n", Some(Foreign::LfsPointer)),
            (b"id,token_sha256\na,00\n", Some(Foreign::Csv)),
            (b"\"id\",\"token\"\r\n\"a\",\"s\"\r\n", Some(Foreign::Csv)),
        ];
        for (start, expected) in cases {
            assert_eq!(Foreign::of_document(start), expected, "{}", start.escape_ascii());
        }
        let mut tar = [b'a'; 512];
        tar[257..262].copy_from_slice(b"ustar");
        assert_eq!(Foreign::of(&tar), Some(Foreign::Tar));
    }
}

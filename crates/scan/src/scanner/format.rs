//! Recognises formats whose content is not searched, or not completely.

/// Why the content of a format is not searched completely.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Why {
    /// The whole file is compressed, or an archive.
    Archive,
    /// Parts may be compressed or encoded.
    Parts,
    /// The file is encrypted.
    Encrypted,
}

/// A format whose content is not searched completely.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Format {
    name: &'static str,
    why: Why,
}

const fn archive(name: &'static str) -> Format {
    Format { name, why: Why::Archive }
}

const fn parts(name: &'static str) -> Format {
    Format { name, why: Why::Parts }
}

const fn encrypted(name: &'static str) -> Format {
    Format { name, why: Why::Encrypted }
}

/// The formats that start with fixed bytes.
const MAGIC: [(&[u8], Format); 43] = [
    (b"\xfd7zXZ\0", archive("xz")),
    (b"7z\xbc\xaf\x27\x1c", archive("7-Zip")),
    (b"Rar!\x1a\x07", archive("RAR")),
    (b"\x04\x22\x4d\x18", archive("lz4")),
    (b"\x02\x21\x4c\x18", archive("lz4")),
    (b"LZIP", archive("lzip")),
    (b"\x89LZO\0\r\n\x1a\n", archive("lzop")),
    (b"LRZI", archive("lrzip")),
    (b"\xff\x06\0\0sNaPpY", archive("Snappy")),
    (b"\xce\xb2\xcf\x81\x13\xc3", archive("Brotli")),
    (b"\x1f\x9d", archive("compress")),
    (b"\x1f\xa0", archive("compress")),
    (b"\x1f\x1e", archive("pack")),
    (b"bvx2", archive("LZFSE")),
    (b"bvxn", archive("LZFSE")),
    (b"\x78\x01", archive("zlib")),
    (b"\x78\x9c", archive("zlib")),
    (b"\x78\xda", archive("zlib")),
    (b"MSCF\0\0\0\0", archive("cabinet")),
    (b"MSWIM\0\0\0", archive("WIM")),
    (b"xar!", archive("xar")),
    (b"hsqs", archive("SquashFS")),
    (b"\xed\xab\xee\xdb", archive("RPM")),
    (b"!<arch>\ndebian", archive("Debian package")),
    (b"PACK\0\0\0", archive("git pack")),
    (b"# v2 git bundle", archive("git bundle")),
    (b"# v3 git bundle", archive("git bundle")),
    (b"PGDMP", parts("PostgreSQL dump")),
    (b"PAR1", parts("Parquet")),
    (b"PARE", encrypted("Parquet")),
    (b"Obj\x01", parts("Avro")),
    (b"ORC", parts("ORC")),
    (b"ARROW1\0\0", parts("Arrow")),
    (b"\x89HDF\r\n\x1a\n", parts("HDF5")),
    (b"QFI\xfb", parts("QCOW")),
    (b"KDMV", parts("VMDK")),
    (b"age-encryption.org/v1\n", encrypted("age")),
    (b"-----BEGIN AGE ENCRYPTED FILE-----", encrypted("age")),
    (b"-----BEGIN PGP MESSAGE-----", encrypted("OpenPGP")),
    (b"Salted__", encrypted("OpenSSL")),
    (b"\0GITCRYPT\0", encrypted("git-crypt")),
    (b"$ANSIBLE_VAULT;", encrypted("Ansible Vault")),
    (b"LUKS\xba\xbe", encrypted("LUKS")),
];

/// The formats without fixed bytes, by the end of the name.
const NAMES: [(&str, &str); 4] = [(".br", "Brotli"), (".lzma", "lzma"), (".tlz", "lzma"), (".ppmd", "PPMd")];

impl Format {
    /// Recognises a format by the first bytes, or by the name if the bytes are not text.
    pub(super) fn of(name: &str, head: &[u8]) -> Option<Self> {
        if let Some((magic, format)) = MAGIC.iter().find(|(magic, _)| head.starts_with(magic)) {
            // `ORC` is also the start of a word.
            return Some(*format).filter(|_| *magic != b"ORC" || !is_text(head));
        }
        // `BZh`, the block size, and the start of a block, or the end of an empty file.
        if head.starts_with(b"BZh") && matches!(head.get(4..10), Some(b"1AY&SY" | b"\x17\x72\x45\x38\x50\x90")) {
            return Some(archive("bzip2"));
        }
        // The properties and the size of the dictionary; then a size that is unknown or less than 1 TiB.
        if head.starts_with(b"\x5d\0\0") && matches!(head.get(10..13), Some(b"\xff\xff\xff" | b"\0\0\0")) {
            return Some(archive("lzma"));
        }
        // Members of archives follow `!`, and names end in any case.
        let name = name.to_ascii_lowercase();
        let (_, format) = NAMES.iter().find(|(end, _)| name.ends_with(end))?;
        (!head.is_empty() && !is_text(head)).then_some(archive(format))
    }

    /// Whether parts of the content may be searched as it is.
    pub(super) fn is_searched(self) -> bool {
        !matches!(self.why, Why::Archive)
    }

    /// Explains why the content is not searched completely.
    pub(super) fn reason(self) -> String {
        let Self { name, why } = self;
        match why {
            Why::Archive => format!("archives of the format {name} are not read: unpack it first"),
            Why::Parts => format!(
                "files of the format {name} are not read completely, because parts may be compressed: write the content as text"
            ),
            Why::Encrypted => format!("it is encrypted with {name}: decrypt it first"),
        }
    }
}

/// Whether the start of a file is UTF-8 without control characters of binary files.
fn is_text(head: &[u8]) -> bool {
    let valid = match std::str::from_utf8(head) {
        Ok(_) => true,
        // The last character may be cut off.
        Err(error) => error.error_len().is_none(),
    };
    valid && !head.iter().any(|byte| matches!(byte, 0..=8 | 14..=26 | 28..=31))
}

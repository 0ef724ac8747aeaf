//! Ways to write a secret.

use std::io::Write;

use base64::Engine;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use portcullis_scan::Encoding;
use rand::RngExt;
use rand_chacha::ChaCha8Rng;

/// A way to write a secret.
pub(crate) struct Form {
    pub(crate) name: &'static str,
    pub(crate) encoding: Encoding,
    pub(crate) write: fn(&str, &mut ChaCha8Rng) -> Vec<u8>,
}

pub(crate) const FORMS: [Form; 12] = [
    Form { name: "plain", encoding: Encoding::Plain, write: |text, _| text.as_bytes().to_vec() },
    Form {
        name: "UTF-16LE",
        encoding: Encoding::Utf16,
        write: |text, _| utf16(&format!("a {text}\n"), u16::to_le_bytes),
    },
    Form {
        name: "UTF-16BE",
        encoding: Encoding::Utf16,
        write: |text, _| utf16(&format!("é {text}é"), u16::to_be_bytes),
    },
    Form {
        name: "base64 of the secret",
        encoding: Encoding::Base64,
        write: |text, _| STANDARD.encode(text).into_bytes(),
    },
    Form {
        name: "base64 in a text",
        encoding: Encoding::Base64,
        write: |text, random| STANDARD.encode(within(text, random)).into_bytes(),
    },
    Form {
        name: "URL-safe base64",
        encoding: Encoding::Base64,
        write: |text, random| URL_SAFE_NO_PAD.encode(within(text, random)).into_bytes(),
    },
    Form { name: "base64 in lines", encoding: Encoding::Base64, write: |text, random| lines(text, random, "\n") },
    Form {
        name: "base64 in indented lines",
        encoding: Encoding::Base64,
        write: |text, random| lines(text, random, "\r\n    "),
    },
    Form {
        name: "percent escapes",
        encoding: Encoding::Escaped,
        write: |text, random| escaped(text, random, |c| format!("%{:02x}", c as u32)),
    },
    Form {
        name: "\\u escapes",
        encoding: Encoding::Escaped,
        write: |text, random| escaped(text, random, |c| format!("\\u{:04X}", c as u32)),
    },
    Form {
        name: "\\x escapes",
        encoding: Encoding::Escaped,
        write: |text, random| escaped(text, random, |c| format!("\\x{:02x}", c as u32)),
    },
    Form {
        name: "\\u{} escapes",
        encoding: Encoding::Escaped,
        write: |text, random| escaped(text, random, |c| format!("\\u{{{:06x}}}", c as u32)),
    },
];

fn utf16(text: &str, bytes: fn(u16) -> [u8; 2]) -> Vec<u8> {
    text.encode_utf16().flat_map(bytes).collect()
}

/// The secret after and before other text of any length, so that it starts at any bit of a group.
fn within(text: &str, random: &mut ChaCha8Rng) -> Vec<u8> {
    let mut noise = |max| -> Vec<u8> { (0..random.random_range(0..max)).map(|_| random.random()).collect() };
    let (before, after) = (noise(200), noise(200));
    [&before[..], b" ", text.as_bytes(), b" ", &after].concat()
}

fn lines(text: &str, random: &mut ChaCha8Rng, separator: &str) -> Vec<u8> {
    let encoded = STANDARD.encode(within(text, random));
    let width = [16, 60, 64, 76][random.random_range(0..4)];
    let lines: Vec<_> = encoded.as_bytes().chunks(width).map(|line| std::str::from_utf8(line).unwrap()).collect();
    lines.join(separator).into_bytes()
}

/// Escapes some characters, and at least one.
fn escaped(text: &str, random: &mut ChaCha8Rng, escape: fn(char) -> String) -> Vec<u8> {
    let share = [0.02, 0.3, 1.0][random.random_range(0..3)];
    let always = random.random_range(0..text.len());
    let write = |(index, c): (usize, char)| {
        if index == always || random.random_bool(share) { escape(c) } else { c.to_string() }
    };
    text.chars().enumerate().map(write).collect::<String>().into_bytes()
}

pub(crate) fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut gzip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    gzip.write_all(bytes).unwrap();
    gzip.finish().unwrap()
}

/// Returns the check digits of a text, computed bit by bit.
pub(crate) fn check(text: &str) -> String {
    const DIGITS: &[u8; 62] = b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";
    let mut crc = u32::MAX;
    for byte in text.bytes() {
        crc ^= u32::from(byte);
        for _ in 0..8 {
            crc = (crc >> 1) ^ (0xEDB8_8320 & 0_u32.wrapping_sub(crc & 1));
        }
    }
    let (mut rest, mut digits) = (!crc as usize, Vec::new());
    for _ in 0..6 {
        digits.insert(0, char::from(DIGITS[rest % 62]));
        rest /= 62;
    }
    digits.into_iter().collect()
}

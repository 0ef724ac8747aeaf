//! Typed data and integers of variable length.

use std::net::{Ipv4Addr, Ipv6Addr};

use super::Status;

/// A typed value.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Data<'f> {
    /// No value.
    Null,
    /// A boolean.
    Bool(bool),
    /// A signed integer of 32 bits, in the bits of 64.
    Int32(u64),
    /// An unsigned integer of 32 bits.
    Uint32(u64),
    /// A signed integer of 64 bits.
    Int64(u64),
    /// An unsigned integer of 64 bits.
    Uint64(u64),
    /// An IPv4 address.
    Ipv4(Ipv4Addr),
    /// An IPv6 address.
    Ipv6(Ipv6Addr),
    /// Text, in any encoding.
    String(&'f [u8]),
    /// Bytes.
    Binary(&'f [u8]),
}

/// The flag of a boolean that is true.
const TRUE: u8 = 0x10;

impl Data<'_> {
    /// Appends the value.
    pub fn write(&self, out: &mut Vec<u8>) {
        let number = |kind: u8, number: u64, out: &mut Vec<u8>| {
            out.push(kind);
            write_varint(number, out);
        };
        match *self {
            Self::Null => out.push(0),
            Self::Bool(is) => out.push(if is { 1 | TRUE } else { 1 }),
            Self::Int32(value) => number(2, value, out),
            Self::Uint32(value) => number(3, value, out),
            Self::Int64(value) => number(4, value, out),
            Self::Uint64(value) => number(5, value, out),
            Self::Ipv4(address) => {
                out.push(6);
                out.extend(address.octets());
            }
            Self::Ipv6(address) => {
                out.push(7);
                out.extend(address.octets());
            }
            Self::String(bytes) => {
                out.push(8);
                write_string(bytes, out);
            }
            Self::Binary(bytes) => {
                out.push(9);
                write_string(bytes, out);
            }
        }
    }
}

/// Appends bytes after their length.
pub(super) fn write_string(bytes: &[u8], out: &mut Vec<u8>) {
    write_varint(bytes.len() as u64, out);
    out.extend(bytes);
}

/// Numbers below this have one byte. In other numbers, four bits follow in the first byte.
const ONE_BYTE: u64 = 240;

/// Appends an integer of variable length. Each integer has exactly one form.
pub fn write_varint(value: u64, out: &mut Vec<u8>) {
    let low = |value: u64| value.to_le_bytes().first().copied().unwrap_or_default();
    if value < ONE_BYTE {
        return out.push(low(value));
    }
    out.push(low(value) | 0xF0);
    let mut rest = (value - ONE_BYTE) >> 4;
    while rest >= 128 {
        out.push(low(rest) | 0x80);
        rest = (rest - 128) >> 7;
    }
    out.push(low(rest));
}

/// Reads an integer of variable length from the start of `bytes`; returns it and the bytes after it.
///
/// # Errors
///
/// [`Status::Invalid`] if the integer is cut, or has more than 64 bits.
pub fn read_varint(bytes: &[u8]) -> Result<(u64, &[u8]), Status> {
    let (first, mut rest) = bytes.split_first().ok_or(Status::Invalid)?;
    let mut value = u64::from(*first);
    if value < ONE_BYTE {
        return Ok((value, rest));
    }
    let mut shift = 4;
    loop {
        let (byte, after) = rest.split_first().ok_or(Status::Invalid)?;
        rest = after;
        let factor = 1_u64.checked_shl(shift).ok_or(Status::Invalid)?;
        let part = u64::from(*byte).checked_mul(factor).ok_or(Status::Invalid)?;
        value = value.checked_add(part).ok_or(Status::Invalid)?;
        if *byte < 128 {
            return Ok((value, rest));
        }
        shift += 7;
    }
}

/// The bytes of a frame that are not read yet.
#[derive(Debug, Clone, Copy)]
pub(super) struct Input<'f>(pub(super) &'f [u8]);

impl<'f> Input<'f> {
    pub(super) fn is_empty(self) -> bool {
        self.0.is_empty()
    }

    pub(super) fn byte(&mut self) -> Result<u8, Status> {
        let (byte, rest) = self.0.split_first().ok_or(Status::Invalid)?;
        self.0 = rest;
        Ok(*byte)
    }

    pub(super) fn bytes(&mut self, count: usize) -> Result<&'f [u8], Status> {
        let (bytes, rest) = self.0.split_at_checked(count).ok_or(Status::Invalid)?;
        self.0 = rest;
        Ok(bytes)
    }

    fn array<const COUNT: usize>(&mut self) -> Result<[u8; COUNT], Status> {
        self.bytes(COUNT)?.try_into().map_err(|_| Status::Invalid)
    }

    pub(super) fn varint(&mut self) -> Result<u64, Status> {
        let (value, rest) = read_varint(self.0)?;
        self.0 = rest;
        Ok(value)
    }

    /// Reads bytes after their length.
    pub(super) fn string(&mut self) -> Result<&'f [u8], Status> {
        let length = usize::try_from(self.varint()?).map_err(|_| Status::Invalid)?;
        self.bytes(length)
    }

    pub(super) fn data(&mut self) -> Result<Data<'f>, Status> {
        let kind = self.byte()?;
        Ok(match kind & 0x0F {
            0 => Data::Null,
            1 => Data::Bool(kind & TRUE != 0),
            2 => Data::Int32(self.varint()?),
            3 => Data::Uint32(self.varint()?),
            4 => Data::Int64(self.varint()?),
            5 => Data::Uint64(self.varint()?),
            6 => Data::Ipv4(self.array::<4>()?.into()),
            7 => Data::Ipv6(self.array::<16>()?.into()),
            8 => Data::String(self.string()?),
            9 => Data::Binary(self.string()?),
            _ => return Err(Status::Invalid),
        })
    }
}

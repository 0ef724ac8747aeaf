//! HAProxy's side of SPOP 2.0, written from the protocol's description: each value byte by byte.

/// Encodes an integer by the table of the protocol: the number of bytes depends on its size, and each byte after the first
/// has seven bits.
pub(crate) fn varint(value: u64) -> Vec<u8> {
    // The first number that needs one byte more.
    const LIMITS: [u128; 9] = {
        let mut limits = [240; 9];
        let mut at = 1;
        while at < 9 {
            // Four bits in the first byte, and seven in each of the others.
            limits[at] = limits[at - 1] + (1 << (4 + 7 * at));
            at += 1;
        }
        limits
    };
    let more = LIMITS.iter().filter(|limit| u128::from(value) >= **limit).count();
    if more == 0 {
        return vec![u8::try_from(value).unwrap()];
    }
    let rest = u128::from(value) - LIMITS[more - 1];
    let mut bytes = vec![0xF0 | u8::try_from(rest & 0xF).unwrap()];
    for at in 0..more {
        let bits = u8::try_from((rest >> (4 + 7 * at)) & 0x7F).unwrap();
        bytes.push(if at + 1 < more { bits | 0x80 } else { bits });
    }
    bytes
}

pub(crate) fn string(text: &[u8]) -> Vec<u8> {
    [&varint(text.len() as u64), text].concat()
}

pub(crate) fn text(value: &str) -> Vec<u8> {
    [&[8], &*string(value.as_bytes())].concat()
}

pub(crate) fn binary(value: &[u8]) -> Vec<u8> {
    [&[9], &*string(value)].concat()
}

pub(crate) fn uint32(value: u32) -> Vec<u8> {
    [&[3], &*varint(value.into())].concat()
}

pub(crate) fn boolean(is: bool) -> Vec<u8> {
    vec![if is { 0x11 } else { 0x01 }]
}

pub(crate) fn pairs(pairs: &[(&str, Vec<u8>)]) -> Vec<u8> {
    pairs.iter().flat_map(|(name, value)| [string(name.as_bytes()), value.clone()].concat()).collect()
}

/// Returns a frame without the length before it.
pub(crate) fn frame(kind: u8, flags: u32, stream: u64, number: u64, payload: &[u8]) -> Vec<u8> {
    [&[kind], &flags.to_be_bytes()[..], &varint(stream), &varint(number), payload].concat()
}

/// Returns a frame after its length.
pub(crate) fn sent(frame: &[u8]) -> Vec<u8> {
    [&u32::try_from(frame.len()).unwrap().to_be_bytes()[..], frame].concat()
}

pub(crate) fn hello(max_frame: u32, more: &[(&str, Vec<u8>)]) -> Vec<u8> {
    let offered = [
        ("supported-versions", text("2.0")),
        ("max-frame-size", uint32(max_frame)),
        ("capabilities", text("pipelining,async")),
    ];
    frame(1, 1, 0, 0, &pairs(&[&offered[..], more].concat()))
}

/// Returns the value of `req.hdrs_bin`.
pub(crate) fn headers<V: AsRef<[u8]>>(headers: &[(&str, V)]) -> Vec<u8> {
    let headers = headers.iter().flat_map(|(name, value)| [string(name.as_bytes()), string(value.as_ref())].concat());
    headers.chain([0, 0]).collect()
}

/// Returns the message of a request, with these arguments.
pub(crate) fn message(name: &str, arguments: &[(&str, Vec<u8>)]) -> Vec<u8> {
    [string(name.as_bytes()), vec![u8::try_from(arguments.len()).unwrap()], pairs(arguments)].concat()
}

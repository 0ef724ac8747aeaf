//! Frames of HAProxy.

use portcullis_http::gateway::{Body, Headers};
use portcullis_http::spop::{Check, Data, Frame, FrameId, Hello, NotACheck, Notify, Status, read_varint, write_varint};

use crate::choices::Choices;
use crate::haproxy::{binary, boolean, frame, headers, hello, message, text, uint32, varint};

/// Reads an input as the bytes of a frame, of messages, of integers, and as choices for a generated frame.
pub(crate) fn property(input: &[u8]) {
    _ = Frame::read(input).map(|frame| {
        if let Frame::Notify(notify) = frame {
            messages(notify.messages);
        }
    });
    messages(input);
    integers(input);
    made_up(&mut Choices::of(input));
}

/// Any bytes are a request, or are refused. What is read is a part of the bytes.
fn messages(bytes: &[u8]) {
    if let Ok(check) = Check::read(bytes) {
        let read =
            check.method.len() + check.target.len() + check.headers.bytes() + body(&check).map_or(0, <[u8]>::len);
        assert!(read <= bytes.len(), "{check:?}");
        let mut count = 0;
        check.headers.for_each(&mut |name, _| {
            assert!(!name.is_empty());
            count += 1;
        });
        assert_eq!(count, check.headers.count());
    }
}

fn body<'f>(check: &Check<'f>) -> Option<&'f [u8]> {
    match check.body {
        Body::Whole(body) => Some(body),
        Body::NotPassedOn => None,
    }
}

/// Each integer has one form: what is read is written as the same bytes, and the other way round.
fn integers(bytes: &[u8]) {
    if let Ok((value, rest)) = read_varint(bytes) {
        let length = bytes.len() - rest.len();
        assert_eq!(varint(value), bytes[..length], "{value}");
        if length > 1 {
            assert_eq!(read_varint(&bytes[..length - 1]), Err(Status::Invalid));
        }
    }
    let mut eight = [0; 8];
    eight.iter_mut().zip(bytes).for_each(|(to, from)| *to = *from);
    for value in [u64::from_le_bytes(eight), u64::from(eight[0]), u64::from_le_bytes(eight) >> (eight[7] % 64)] {
        let mut out = Vec::new();
        write_varint(value, &mut out);
        assert_eq!(out, varint(value), "{value}");
        assert_eq!(read_varint(&out), Ok((value, &[][..])));
    }
}

/// A generated frame is read as it was meant. One that is cut anywhere is refused.
pub(crate) fn made_up(choices: &mut Choices<'_>) {
    let size = 256 + u32::try_from(choices.below(256)).unwrap() * 4099;
    let is_health_check = choices.one_in(2);
    let introduction = hello(size, &[("healthcheck", boolean(is_health_check)), ("engine-id", text("x"))]);
    assert_eq!(Frame::read(&introduction), Ok(Frame::Hello(Hello { max_frame_size: size, is_health_check })));

    let names = ["accept", "Referer", "content-type", "x-a", "authorization"];
    let sent: Vec<(&str, Vec<u8>)> = (0..choices.below(40))
        .map(|_| (choices.pick(&names), vec![b'a' + u8::try_from(choices.below(26)).unwrap(); choices.below(256) * 2]))
        .collect();
    let content = vec![b'{'; choices.below(256) * choices.pick(&[0, 1, 300])];
    let target = format!("/v3/{}", "t".repeat(choices.below(256) * 10));
    let is_whole = choices.one_in(2);
    let mut arguments = vec![
        ("method", text("POST")),
        ("target", text(&target)),
        ("headers", binary(&headers(&sent))),
        ("body", binary(&content)),
        ("whole", boolean(is_whole)),
        ("more", uint32(7)),
    ];
    let (a, b) = (choices.below(arguments.len()), choices.below(arguments.len()));
    arguments.swap(a, b);
    let messages = message("check", &arguments);
    let id = FrameId { stream: u64::try_from(choices.below(256)).unwrap() << choices.below(40), frame: 1 };
    let whole = frame(3, 1, id.stream, id.frame, &messages);
    assert_eq!(Frame::read(&whole), Ok(Frame::Notify(Notify { id, messages: &messages })));

    let check = Check::read(&messages).unwrap();
    assert_eq!((check.method, check.target, check.is_whole), ("POST", &*target, is_whole));
    assert_eq!(body(&check), Some(&*content));
    let mut found = Vec::new();
    check.headers.for_each(&mut |name, value| found.push((name.to_owned(), value.to_vec())));
    let expected: Vec<_> = sent.iter().map(|(name, value)| ((*name).to_owned(), value.clone())).collect();
    assert_eq!(found, expected);

    let cut = messages.len() * choices.below(256) / 256;
    assert_eq!(Check::read(&messages[..cut]).unwrap_err(), NotACheck::Malformed(Status::Invalid), "{cut}");
    // What comes after the three values that every introduction has may be missing.
    let cut = hello(size, &[]).len() * choices.below(256) / 256;
    assert!(Frame::read(&introduction[..cut]).is_err(), "{cut}");
    values(choices);
}

/// Every type of value is written as the protocol defines.
fn values(choices: &mut Choices<'_>) {
    let byte = u8::try_from(choices.below(256)).unwrap();
    let number = u64::from(byte) << choices.below(56);
    let plain = |kind: u8, bytes: &[u8]| [&[kind], bytes].concat();
    for (value, expected) in [
        (Data::Null, vec![0]),
        (Data::Bool(true), boolean(true)),
        (Data::Bool(false), boolean(false)),
        (Data::Int32(number), plain(2, &varint(number))),
        (Data::Uint32(number), plain(3, &varint(number))),
        (Data::Int64(number), plain(4, &varint(number))),
        (Data::Uint64(number), plain(5, &varint(number))),
        (Data::Ipv4([byte; 4].into()), plain(6, &[byte; 4])),
        (Data::Ipv6([byte; 16].into()), plain(7, &[byte; 16])),
        (Data::String(&[byte; 3]), plain(8, &[3, byte, byte, byte])),
        (Data::Binary(&[byte; 3]), plain(9, &[3, byte, byte, byte])),
    ] {
        let mut out = Vec::new();
        value.write(&mut out);
        assert_eq!(out, expected, "{value:?}");
    }
}

//! The frames of HAProxy, compared with an encoder that is written from the protocol's description.

use portcullis_http::gateway::Body;
use portcullis_http::spop::{Check, Frame, NotACheck, Status, read_varint};
use proptest::prelude::*;

use crate::choices::{Choices, bytes, config};
use crate::fuzzed::spop;
use crate::haproxy::{binary, boolean, frame, headers, hello, message, pairs, text, uint32, varint};

proptest! {
    #![proptest_config(config(500))]

    #[test]
    fn frames_are_read_as_they_are_meant(bytes in bytes(200)) {
        spop::made_up(&mut Choices::of(&bytes));
        spop::property(&bytes);
    }
}

#[test]
fn integers_have_the_sizes_that_the_protocol_lists() {
    for (value, size) in [
        (0, 1),
        (239, 1),
        (240, 2),
        (2287, 2),
        (2288, 3),
        (264_431, 3),
        (264_432, 4),
        (33_818_863, 4),
        (33_818_864, 5),
        (4_328_786_159, 5),
        (4_328_786_160, 6),
        (u64::MAX, 10),
    ] {
        assert_eq!(varint(value).len(), size, "{value}");
        assert_eq!(read_varint(&varint(value)), Ok((value, &[][..])), "{value}");
    }
    let beyond = [&[0xFF; 9][..], &[0x7F]].concat();
    for (bytes, why) in [
        (&[][..], "no byte"),
        (&[0xF0], "cut"),
        (&[0xFF, 0x80], "cut"),
        (&beyond, "more than 64 bits"),
        (&[0xFF; 40], "endless"),
    ] {
        assert_eq!(read_varint(bytes), Err(Status::Invalid), "{why}");
    }
}

/// Each status is the one that the protocol lists for the mistake.
#[test]
fn wrong_frames_are_refused_with_the_status_of_their_mistake() {
    let offer = |offered: &[(&str, Vec<u8>)]| frame(1, 1, 0, 0, &pairs(offered));
    let (versions, size, capabilities) =
        (("supported-versions", text("1.0, 2.0")), ("max-frame-size", uint32(16_380)), ("capabilities", text("")));
    assert!(Frame::read(&offer(&[versions.clone(), size.clone(), capabilities.clone()])).is_ok());
    let replaced = |pair: (&'static str, Vec<u8>)| {
        let offered = [versions.clone(), size.clone(), capabilities.clone()];
        offer(&offered.map(|offered| if offered.0 == pair.0 { pair.clone() } else { offered }))
    };
    for (bytes, status, why) in [
        (vec![], Status::Invalid, "no byte"),
        (vec![3, 0, 0, 0], Status::Invalid, "flags that are cut"),
        (frame(3, 0, 1, 1, &[]), Status::Fragment, "the first fragment of a request"),
        (frame(0, 1, 1, 1, &[]), Status::Invalid, "the last fragment of a request"),
        (frame(3, 3, 1, 1, &[]), Status::Invalid, "a request that is taken back"),
        (frame(103, 1, 1, 1, &[]), Status::Invalid, "the answer of an agent"),
        (frame(1, 1, 1, 0, &[]), Status::Invalid, "an introduction with the number of a stream"),
        (offer(&[size.clone(), capabilities.clone()]), Status::NoVersion, "no version"),
        (offer(&[versions.clone(), capabilities.clone()]), Status::NoFrameSize, "no size of frames"),
        (offer(&[versions.clone(), size.clone()]), Status::NoCapabilities, "no capabilities"),
        (replaced(("supported-versions", text("1.0"))), Status::UnsupportedVersion, "an older version"),
        (replaced(("supported-versions", text("20.0"))), Status::UnsupportedVersion, "a version that starts with 2"),
        (replaced(("supported-versions", uint32(2))), Status::Invalid, "a version that is a number"),
        (replaced(("max-frame-size", uint32(255))), Status::BadFrameSize, "frames that are too small"),
        (replaced(("max-frame-size", text("16380"))), Status::Invalid, "a size that is a text"),
        (replaced(("capabilities", boolean(true))), Status::Invalid, "capabilities that are a boolean"),
        (hello(16_380, &[("max-frame-size", uint32(300))]), Status::Invalid, "two sizes"),
        (hello(16_380, &[("engine-id", vec![8, 9])]), Status::Invalid, "a text that is cut"),
        (hello(16_380, &[("engine-id", vec![10])]), Status::Invalid, "a type that does not exist"),
        (frame(2, 1, 0, 0, &[1]), Status::Invalid, "a disconnection that is cut"),
    ] {
        assert_eq!(Frame::read(&bytes), Err(status), "{why}");
    }
}

/// Each part of the request that is missing, repeated or another type makes the request not understood.
#[test]
fn incomplete_requests_are_not_checked() {
    let complete = || {
        vec![
            ("method", text("GET")),
            ("target", text("/v3/maps/dw/table?name=a")),
            ("headers", binary(&headers(&[("content-length", "2")]))),
            ("body", binary(b"{}")),
            ("whole", boolean(true)),
        ]
    };
    let check = |arguments: &[(&str, Vec<u8>)]| message("check", arguments);
    assert!(Check::read(&check(&complete())).is_ok());
    let without = |name: &str| complete().into_iter().filter(|(other, _)| *other != name).collect::<Vec<_>>();
    let with = |name: &'static str, value: Vec<u8>| [without(name), vec![(name, value)]].concat();
    for (bytes, why) in [
        (message("other", &complete()), "another message"),
        ([check(&complete()), check(&complete())].concat(), "two messages"),
        (check(&[complete(), vec![("target", text("/v3"))]].concat()), "two targets"),
        (check(&without("method")), "no method"),
        (check(&without("target")), "no target"),
        (check(&without("headers")), "no headers"),
        (check(&with("target", vec![0])), "a target without a value"),
        (check(&with("target", binary(b"/v3"))), "a target that is bytes"),
        (
            check(&with("method", text("\u{0}").into_iter().map(|byte| if byte == 0 { 0xFF } else { byte }).collect())),
            "a method that is not UTF-8",
        ),
        (check(&with("headers", vec![0])), "headers that do not fit HAProxy's buffer"),
        (check(&with("headers", binary(&[1, b'a', 0, 0, 1, b'b']))), "a header with an empty name"),
        (check(&with("headers", binary(&[0, 0, 0, 0]))), "two ends of the headers"),
    ] {
        assert!(matches!(Check::read(&bytes), Err(NotACheck::Incomplete(_))), "{why}: {:?}", Check::read(&bytes));
    }
    // Headers without their end may be cut.
    let cut = check(&with("headers", binary(&[1, b'a', 0])));
    assert_eq!(Check::read(&cut).unwrap_err(), NotACheck::Malformed(Status::Invalid));
    let body = |arguments: &[(&str, Vec<u8>)]| Check::read(&check(arguments)).unwrap().body == Body::NotPassedOn;
    assert!(!body(&complete()), "a whole body");
    assert!(body(&without("body")), "no body");
    assert!(body(&with("body", vec![0])), "a body that does not fit HAProxy's buffer");
    assert!(body(&with("body", binary(b"{"))), "another length than the announced one");
    let whole = |arguments: &[(&str, Vec<u8>)]| Check::read(&check(arguments)).unwrap().is_whole;
    assert!(whole(&complete()));
    for (arguments, why) in
        [(without("whole"), "missing"), (with("whole", vec![0]), "no value"), (with("whole", uint32(1)), "a number")]
    {
        assert!(!whole(&arguments), "{why}");
    }
}

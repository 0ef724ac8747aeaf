//! Compiled policies: equal policies give equal bytes, loading restores the snapshot, and other bytes are rejected.

use portcullis::snapshot::{Editor, FORMAT, MAGIC, Options, ReadError, Report, Snapshot, WriteError};
use portcullis_document::load;
use portcullis_testkit::reference::Reference;
use proptest::prelude::*;
use serde_json::json;

use crate::choices::config;
use crate::engine::{by_engine, by_explanation, for_each_strategy, policy, snapshot};
use crate::fuzzed::pcls::{SAMPLES, property};
use crate::generate::{World, worlds};

fn written(snapshot: &Snapshot) -> Vec<u8> {
    let mut file = Vec::new();
    snapshot.write(&mut file).unwrap();
    file
}

fn error(bytes: &[u8]) -> ReadError {
    match Snapshot::from_bytes(bytes) {
        Ok(snapshot) => panic!("loaded {} tokens", snapshot.token_count()),
        Err(error) => error,
    }
}

/// Every machine must write the bytes with these ids, which were recorded when the format was introduced.
#[test]
fn compiled_bytes_do_not_change_within_a_format() {
    let ids: Vec<String> = SAMPLES
        .iter()
        .map(|file| Snapshot::from_bytes(file).unwrap().report().content_id.unwrap().to_string())
        .collect();
    assert_eq!(
        ids, IDS,
        "the compiled bytes have changed: increase `FORMAT`, unless no release has written the current format"
    );
    assert_eq!(FORMAT, 7);
}

const IDS: [&str; 5] = [
    "sha256:563a52e530d4b8dfd5c8568b9a20e696d23386a3d1b3a1c16f2a58b10fe6ebb0",
    "sha256:e8d385f6a6d0c4f425f8242b84f5d997e204674a9169c4c4be6b8f1aa74d0266",
    "sha256:3f8b4d24cb66bb6689063f4421c5ce0efd0161b1c704c1f32cb39f71c38e7825",
    "sha256:2d910a9d6d05304bcacd82f8693e16460e1abaf80f87d0150301f3009cabfa93",
    "sha256:4a39571dfa8462130cc796379b3b3875d8ed53ff15aa460683155d2277817f8b",
];

#[test]
fn truncated_and_extended_files_are_rejected() {
    for file in &SAMPLES[..2] {
        for length in 0..file.len() {
            let found = error(&file[..length]);
            match length {
                0..8 => assert!(matches!(found, ReadError::Foreign), "{length}: {found:?}"),
                _ => assert!(matches!(found, ReadError::Length { .. }), "{length}: {found:?}"),
            }
        }
        let longer = [file.as_slice(), &[0; 64]].concat();
        assert!(matches!(error(&longer), ReadError::Length { .. }));
    }
}

#[test]
fn changing_any_byte_is_detected() {
    for file in &SAMPLES[..2] {
        for at in 0..file.len() {
            for bit in [0, 7] {
                let mut flipped = file.clone();
                flipped[at] ^= 1 << bit;
                let error = error(&flipped);
                let expected = match at {
                    0..8 => matches!(error, ReadError::Foreign),
                    8..12 => matches!(error, ReadError::Format { .. }),
                    _ => matches!(error, ReadError::Damaged { .. }),
                };
                assert!(expected, "byte {at}: {error:?}");
            }
        }
    }
}

#[test]
fn read_errors_say_what_is_wrong() {
    let message = |bytes: &[u8]| error(bytes).to_string();
    assert_eq!(message(b"{\"tokens\": []}"), "not a compiled policy: expected a file written by `portcullis compile`");
    // Format 4 stores names that were folded by earlier rules.
    for format in [3, 4, 5, 6, 8] {
        let mut other = SAMPLES[1].clone();
        other[8] = format;
        assert_eq!(
            message(&other),
            format!("unsupported format of the compiled policy: expected 7, found {format}; compile the policy again")
        );
    }
    let length = SAMPLES[1].len();
    assert_eq!(
        message(&SAMPLES[1][..1000]),
        format!("incomplete compiled policy: expected {length} bytes, found 1000; copy or compile it again")
    );
    let mut damaged = SAMPLES[1].clone();
    damaged[length - 1] ^= 1;
    assert!(message(&damaged).starts_with("damaged compiled policy: the checksum of its "), "{}", message(&damaged));
    assert_eq!(SAMPLES[1][..8], MAGIC);
}

#[test]
fn writing_an_edited_snapshot_fails() {
    let token = |id: &str| json!({ "id": id, "token": format!("s-{id}"), "allowed_apis": ["lds"] });
    let mut editor = Editor::new(&policy(&json!({ "tokens": [token("a")] })), &Options::default()).unwrap();
    let added = load::tokens(token("b").to_string(), editor.known()).unwrap();
    let error = editor.create(&added).unwrap().write(&mut Vec::new()).unwrap_err();
    assert!(matches!(error, WriteError::Edited), "{error}");
}

#[test]
fn opened_file_equals_loaded_bytes_and_its_content_id_can_be_verified() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("policy.pcls");
    for file in SAMPLES.iter() {
        std::fs::write(&path, file).unwrap();
        let loaded = Snapshot::open(&path).unwrap();
        assert_eq!(loaded.report(), Snapshot::from_bytes(file).unwrap().report());
        assert_eq!(Some(loaded.content_id().unwrap()), loaded.report().content_id);
    }
    // Opening a file trusts its stored id. Only `content_id` computes the id from the contents.
    let mut forged = SAMPLES[1].clone();
    forged[40] ^= 1;
    assert!(portcullis::snapshot::reseal(&mut forged));
    std::fs::write(&path, &forged).unwrap();
    let forged = Snapshot::open(&path).unwrap();
    assert_ne!(Some(forged.content_id().unwrap()), forged.report().content_id);
    assert!(matches!(Snapshot::open(dir.path().join("none")), Err(ReadError::Io(_))));
}

proptest! {
    #![proptest_config(config(100))]

    /// A snapshot that is written and loaded gives the same decisions, report and bytes as the original.
    #[test]
    fn loaded_snapshot_decides_as_the_compiled_one(World { document, requests } in worlds()) {
        let policy = policy(&document);
        let reference = Reference::new(&policy);
        for_each_strategy(|strategy, options| {
            let compiled = snapshot(&policy, options);
            let file = written(&compiled);
            assert_eq!(written(&snapshot(&policy, options)), file, "compiled again, {strategy}");
            let loaded = Snapshot::from_bytes(&file).unwrap();
            assert_eq!(written(&loaded), file, "written again, {strategy}");
            assert_eq!(&Report { content_id: None, ..loaded.report().clone() }, compiled.report(), "{strategy}");
            for asked in &requests {
                let expected = asked.with(|request, now| reference.decide(request, now));
                assert_eq!(by_engine(&loaded, asked), expected, "{strategy}: {asked:?}\n{document:#}");
            }
        });
        let loaded = Snapshot::from_bytes(&written(&snapshot(&policy, &Options::default()))).unwrap();
        for asked in &requests {
            let expected = asked.with(|request, now| reference.decide(request, now));
            prop_assert_eq!(&by_explanation(&loaded, asked), &expected, "explained: {:?}", asked);
        }
    }
}

proptest! {
    #![proptest_config(config(200))]

    /// A policy that is restored from a snapshot allows and denies as the snapshot does, by the same grants.
    #[test]
    fn policy_restored_from_snapshot_decides_as_the_snapshot(World { document, requests } in worlds()) {
        let policy = policy(&document);
        for_each_strategy(|strategy, options| {
            let compiled = snapshot(&policy, options);
            let restored = compiled.policy().unwrap();
            assert_eq!(restored.connections(), policy.connections());
            assert_eq!(restored.limits(), policy.limits());
            let reference = Reference::new(&restored);
            for asked in &requests {
                let decision = asked.with(|request, now| reference.decide(request, now));
                assert_eq!(decision, by_engine(&compiled, asked), "{strategy}: {asked:?}\n{document:#}");
            }
        });
        let restored = snapshot(&policy, &Options::default()).policy().unwrap();
        for (token, restored) in policy.tokens().iter().zip(restored.tokens()) {
            prop_assert_eq!(token.id(), restored.id());
            prop_assert_eq!(token.digest(), restored.digest());
            prop_assert_eq!(token.apis(), restored.apis());
            prop_assert_eq!(token.referers(), restored.referers());
            prop_assert_eq!(token.expiry(), restored.expiry());
            // The index of a repeated grant holds the first grant of the token. Repeated grants at the end are dropped.
            for (index, grant) in restored.grants().iter().enumerate() {
                let is_first = !token.grants()[..index].contains(&token.grants()[index]);
                prop_assert_eq!(grant, if is_first { &token.grants()[index] } else { &token.grants()[0] });
            }
        }
    }
}

proptest! {
    #![proptest_config(config(2_000))]

    /// Forged contents with valid checksums are rejected, or are safe to use.
    #[test]
    fn forged_contents_with_valid_checksums_are_safe(
        which in any::<u8>(),
        edits in prop::collection::vec((any::<[u8; 3]>(), any::<u8>()), 1..12),
    ) {
        let mut input = vec![which];
        input.extend(edits.iter().flat_map(|&([a, b, c], value)| [a, b, c, value]));
        property(&input);
    }
}

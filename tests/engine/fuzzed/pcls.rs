//! Forged and damaged compiled policies.

use std::sync::LazyLock;

use portcullis::decision::{Request, Source, decide, decide_batch};
use portcullis::explain::explain;
use portcullis::snapshot::{Options, ReadError, ResidueStrategy, Snapshot, reseal};
use portcullis_document::load;

/// The bytes of one edit: an offset of three bytes, and the new byte at this offset.
const EDIT: usize = 4;

/// Reads an input: a compiled policy. Also reads it as the index of a sample, followed by edits of the sample.
pub(crate) fn property(input: &[u8]) {
    if let Ok(snapshot) = Snapshot::from_bytes(input) {
        decide_all(&snapshot);
    }
    let mut own = input.to_vec();
    if reseal(&mut own) {
        load_and_decide(&own);
    }
    let Some((&which, edits)) = input.split_first() else { return };
    let sample = &SAMPLES[usize::from(which) % SAMPLES.len()];
    let mut edited = sample.clone();
    for edit in edits.as_chunks::<EDIT>().0 {
        let offset = usize::from(edit[0]) | usize::from(edit[1]) << 8 | usize::from(edit[2]) << 16;
        let offset = offset % edited.len();
        edited[offset] = edit[3];
    }
    // The checksums detect every changed byte.
    assert_eq!(Snapshot::from_bytes(&edited).is_ok(), edited == *sample);
    if reseal(&mut edited) {
        load_and_decide(&edited);
    }
}

/// Loading rejects the bytes, or decisions with the loaded snapshot are safe.
fn load_and_decide(bytes: &[u8]) {
    match Snapshot::from_bytes(bytes) {
        Ok(snapshot) => decide_all(&snapshot),
        Err(error) => assert!(
            matches!(
                error,
                ReadError::Malformed { .. } | ReadError::Foreign | ReadError::Format { .. } | ReadError::Damaged { .. }
            ),
            "{error:?}"
        ),
    }
}

fn decide_all(snapshot: &Snapshot) {
    let now = "2026-11-22T12:00:00Z".parse().unwrap();
    let sources = [
        Source::Resource("db.schema.table_7"),
        Source::Resource("db.other.prefix_7_x"),
        Source::Resource("xroad7.t"),
        Source::Resource("xrail7yabcabab.t"),
        Source::Query("SELECT 1"),
        Source::NamedSource("named"),
    ];
    let base = Request::new("maps", "dw").secret("secret-a").referer("https://a.b.example.com/x?y");
    let mut requests: Vec<Request<'_>> = sources.iter().map(|&source| base.source(source)).collect();
    requests.push(base.sources(&sources));
    requests.push(Request { connection: "other", ..base.sources(&sources[..1]) });
    requests.push(Request { api: "own", ..base.secret("secret-b").sources(&sources[..3]) });
    requests.push(base.secret("nobody's"));
    for (request, decision) in requests.iter().zip(decide_batch(snapshot, &requests, now)) {
        assert_eq!(decision, decide(snapshot, request, now));
        let explanation = explain(snapshot, request, now);
        assert_eq!(explanation.decision(), decision);
        assert!(!explanation.to_string().is_empty());
    }
    let report = snapshot.report();
    assert_eq!(report.tokens, snapshot.token_count());
    assert!(report.bytes() < 1 << 20 && report.connections.len() == snapshot.connections().len());
    // The policy can be restored, or restoring returns an error for contents that no compilation writes.
    if let Ok(policy) = snapshot.policy() {
        assert_eq!(policy.tokens().len(), snapshot.token_count());
    }
    // A loaded snapshot can be written and loaded again.
    let mut written = Vec::new();
    let id = snapshot.write(&mut written).unwrap();
    let again = Snapshot::from_bytes(&written).unwrap();
    assert_eq!(again.report().content_id, Some(id));
}

/// Compiled policies that together use every part of the format.
pub(crate) static SAMPLES: LazyLock<Vec<Vec<u8>>> = LazyLock::new(|| {
    use ResidueStrategy::{Auto, Automaton, Literals};
    let compiled = |document: &str, options: &Options| {
        let mut file = Vec::new();
        Snapshot::compile(&load::policy(document).unwrap(), options).unwrap().write(&mut file).unwrap();
        file
    };
    let residue = |residue| Options { same_key: 1, residue, ..Options::default() };
    let patterns = |count: usize| {
        let of =
            |at: usize| format!(r#"{{"connection_name": "dw", "source": "*{}{at}*.*"}}"#, ["road", "rail"][at % 2]);
        (0..count).map(of).collect::<Vec<_>>().join(",")
    };
    let document = |patterns: &str| {
        format!(
            r#"{{"connections": [{{"name": "dw", "dialect": "postgres"}}, {{"name": "other", "named_sources_only": true}}],
                "apis": [{{"name": "own", "accepts": ["pattern", "all"]}}],
                "tokens": [
                    {{"id": "a", "token": "secret-a", "allowed_apis": ["maps", "sql"],
                      "referers": ["https://*.example.com/", "https://x.test/a/*", "http://y.test/b"],
                      "expiration_date": "2040-01-01", "grants": [
                        {{"connection_name": "dw", "source": "db.schema.table_7"}},
                        {{"connection_name": "dw", "source": "db.schema.*"}},
                        {{"connection_name": "dw", "source": "db.*.prefix_*"}},
                        {{"connection_name": "dw", "source": "SELECT 1"}},
                        {{"connection_name": "other", "source": "named"}},
                        {{"connection_name": "dw", "source": "named"}}, {patterns}]}},
                    {{"id": "b", "token": "secret-b", "allowed_apis": ["own"], "grants": [
                        {{"connection_name": "dw", "source": "*"}}, {{"connection_name": "other", "source": "db.*"}}]}}
                ]}}"#
        )
    };
    vec![
        compiled("[]", &Options::default()),
        compiled(&document(&patterns(8)), &Options::default()),
        compiled(&document(&patterns(4)), &residue(Automaton)),
        compiled(&document(&patterns(40)), &residue(Literals)),
        compiled(&document(&patterns(300)), &residue(Auto)),
    ]
});

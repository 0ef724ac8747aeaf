//! Measures all engines on one workload.

use std::sync::Arc;

use portcullis::base::Timestamp;
use portcullis::snapshot::{Options, Snapshot};
use portcullis_document::load;

use crate::agree::{Agreement, agreement, intention, reasons, reference};
use crate::casbins::Casbin;
use crate::cedar::Cedar;
use crate::engine::Engine;
use crate::floors::{Fast, Hashed};
use crate::gate::{FromDigest, FromSecret};
use crate::measure::{Contender, Effort, Times, measure};
use crate::memory::{Built, built};
use crate::plain::Plain;
use crate::policy::Document;
use crate::rego::Regorus;
use crate::requests::Requests;
use crate::sets::{Globs, Regexes};
use crate::workload;

/// The results for one number of tokens.
pub struct Field {
    pub tokens: usize,
    pub grants: usize,
    pub rows: Vec<Row>,
    pub clock: f64,
    pub read: Built,
    pub compile: Built,
    pub allowed: usize,
    pub intention: Agreement,
    pub reference: Option<Agreement>,
}

/// The results of one engine.
pub struct Row {
    pub name: &'static str,
    pub times: Times,
    pub built: Built,
    pub holds: (usize, usize),
    pub agreement: Agreement,
}

/// Measures the engines whose names begin with one of `only`; all of them if there is none.
pub fn field(tokens: usize, effort: Effort, seed: u64, only: &[String]) -> Field {
    let now: Timestamp = workload::NOW.parse().expect("an instant");
    let count = if tokens >= 100_000 { 1 << 18 } else { 1 << 16 };
    let workload = workload::workload(tokens, count, seed);
    let requests = Requests::new(&workload.requests);
    let (document, grants) = (workload.document, workload.grants);
    let meant: Vec<&'static str> = workload.requests.iter().map(|asked| asked.built_for).collect();
    drop(workload.requests);
    let asked = requests.list();

    // The memory includes a copy of the document, as in a program that reads the document from a file.
    let (policy, read) = built(|| load::policy(document.clone()).expect("the workload is a policy"));
    let (snapshot, compile) = built(|| Snapshot::compile(&policy, &Options::default()).expect("it compiles"));
    let snapshot = Arc::new(snapshot);
    let reference = (tokens <= 1000).then(|| reference(&policy, &snapshot, &asked, now, 2000));
    drop(policy);

    let read_by_peers = Document::read(&document);
    let mut contenders = contenders(&read_by_peers, now);
    drop(read_by_peers);
    let from_secret = FromSecret { snapshot: Arc::clone(&snapshot), now };
    let from_digest = FromDigest { snapshot: Arc::clone(&snapshot), now };
    // The allocator does not count the large pages of long parts. The report counts all parts.
    let parts = snapshot.report().bytes();
    let compile = Built { live: compile.live.max(parts), peak: compile.peak + parts, ..compile };
    let whole = Built { time: read.time + compile.time, ..compile };
    let gate = |name, engine| Contender { name, engine, built: whole, holds: (tokens, grants) };
    contenders.insert(2, gate("portcullis, secret", Box::new(from_secret)));
    contenders.insert(3, gate("portcullis, digest", Box::new(from_digest)));

    let wanted = |name: &str| only.is_empty() || only.iter().any(|only| name.starts_with(only.as_str()));
    contenders.retain(|contender| wanted(contender.name));
    let reasons = reasons(&snapshot, &asked, now);
    let intention = intention(&reasons, &meant);
    let allowed = reasons.iter().filter(|&&reason| reason == "allow").count() * 100 / reasons.len();
    let agreements: Vec<Agreement> = contenders
        .iter_mut()
        .map(|contender| {
            let floor = contender.name.ends_with("floor");
            agreement(contender, &asked, &reasons, if floor { 0 } else { 1 << 16 })
        })
        .collect();
    let (times, clock) = measure(&mut contenders, &asked, effort);
    let rows = contenders.into_iter().zip(times).zip(agreements).map(|((contender, times), agreement)| {
        let Contender { name, built, holds, .. } = contender;
        Row { name, times, built, holds, agreement }
    });
    Field { tokens, grants, rows: rows.collect(), clock, read, compile, allowed, intention, reference }
}

fn contenders(document: &Document<'_>, now: Timestamp) -> Vec<Contender<'static>> {
    let now = now.seconds();
    let tokens = document.tokens.len();
    let mut contenders = vec![
        contender("hashed floor", document, |document| Box::new(Hashed::new(document))),
        contender("fast floor", document, |document| Box::new(Fast::new(document))),
        contender("plain loop", document, |document| Box::new(Plain::new(document, now))),
    ];
    // At a million tokens, a set for each token would not fit into memory.
    if tokens <= 100_000 {
        contenders.extend([
            contender("globset", document, |document| Box::new(Globs::new(document, now))),
            contender("regex", document, |document| Box::new(Regexes::new(document, now))),
            contender("cedar-policy", document, |document| Box::new(Cedar::new(document, now))),
            contender("casbin", document, |document| Box::new(Casbin::new(document, now))),
            contender("regorus", document, |document| Box::new(Regorus::new(document, now))),
        ]);
    }
    contenders
}

fn contender(
    name: &'static str,
    document: &Document<'_>,
    build: impl FnOnce(&Document<'_>) -> Box<dyn Engine>,
) -> Contender<'static> {
    eprintln!("building {name} of {} tokens", document.tokens.len());
    let (engine, built) = built(|| build(document));
    Contender { name, engine, built, holds: (document.tokens.len(), document.grants()) }
}

//! Fills a registry with many tokens and measures it: `load URL TOKENS`. `benches/registry.sh` runs it.
#![expect(clippy::print_stdout, reason = "a program for people")]

use std::error::Error;
use std::fmt::Write;
use std::time::{Duration, Instant};

use portcullis::authorizer::{Clock, SystemClock};
use portcullis::model::SecretDigest;
use portcullis::{Options, Snapshot};
use portcullis_document::load::Input;
use portcullis_document::read_policy;
use portcullis_registry::{Actor, Location, NewToken, Registry, TokenQuery};

/// The number of clients that create tokens at the same time, and of tokens of each.
const CLIENTS: usize = 16;
const TOKENS: usize = 50;

/// The number of repeated reads.
const READS: usize = 20;

/// The number of tokens of one import.
const IMPORTED: usize = 200_000;

fn main() -> Result<(), Box<dyn Error>> {
    let mut arguments = std::env::args().skip(1);
    let (Some(url), Some(tokens)) = (arguments.next(), arguments.next()) else {
        return Err("name a registry and a number of tokens: `load postgres:///portcullis 1000000`".into());
    };
    let location: Location = url.parse()?;
    let admin = Actor::new("load", SystemClock.now())?.for_all_users();
    let mut registry = Registry::open(&location, true)?;
    fill(&mut registry, &admin, tokens.parse()?)?;
    read(&mut registry)?;
    list(&mut registry, &admin)?;
    create(&location, &admin)
}

/// Imports tokens, and indexes their texts as the workspace does.
fn fill(registry: &mut Registry, admin: &Actor, tokens: usize) -> Result<(), Box<dyn Error>> {
    for first in (0..tokens).step_by(IMPORTED) {
        let numbers = first..tokens.min(first + IMPORTED);
        let (count, document) = (numbers.len(), Input::new("generated", document(numbers)?));
        let started = Instant::now();
        registry.import(admin, &document)?;
        let per_second = count as u128 * 1_000 / started.elapsed().as_millis().max(1);
        println!("{:40} {per_second:>9} tokens/s", format!("import after {first}"));
    }
    let started = Instant::now();
    while registry.index_texts(10_000)? > 0 {}
    println!("{:40} {:>9.2?}", "index of the searched texts", started.elapsed());
    Ok(())
}

/// Returns a policy document with tokens of a thousand users.
fn document(numbers: std::ops::Range<usize>) -> Result<String, std::fmt::Error> {
    let mut text = String::from(r#"{"version":1,"connections":[{"name":"dw","dialect":"postgres"}],"tokens":["#);
    for (index, number) in numbers.enumerate() {
        let comma = if index == 0 { "" } else { "," };
        let (user, table, digest) = (number % 1_000, number % 10_000, SecretDigest::of(&number.to_string()).to_hex());
        let (minute, second) = (number / 60 % 60, number % 60);
        write!(
            text,
            r#"{comma}
{{"id":"tk_{number:010}","name":"token {number}","owner":"user {user}","token_sha256":"{digest}","allowed_apis":["maps"],"grants":[{{"connection_name":"dw","source":"analytics.tables.t{table}"}},{{"connection_name":"dw","source":"analytics.shared_{user}.*"}}],"created_at":"2026-01-01T00:{minute:02}:{second:02}Z"}}"#
        )?;
    }
    text.push_str("]}");
    Ok(text)
}

/// Measures the time until the first decision, from the registry and from its document.
fn read(registry: &mut Registry) -> Result<(), Box<dyn Error>> {
    let mut times = [Vec::new(), Vec::new()];
    for _ in 0..3 {
        let started = Instant::now();
        let document = registry.policy_document()?;
        let is_read = Instant::now();
        drop(Snapshot::compile(&read_policy(document)?, &Options::default())?);
        let [whole, compilation] = &mut times;
        whole.push(started.elapsed());
        compilation.push(is_read.elapsed());
    }
    let [whole, compilation] = times;
    report("first decision, from the registry", whole);
    report("first decision, from its document", compilation);
    Ok(())
}

/// Measures pages of the list of tokens.
fn list(registry: &mut Registry, admin: &Actor) -> Result<(), Box<dyn Error>> {
    let searches = [
        ("first page", None),
        ("search with one match", Some("token 123456")),
        ("search with many matches", Some("analytics")),
        ("search with no match", Some("no such text")),
        ("search by the start of a name", Some("to")),
        ("search of a source", Some("tables.t4321")),
    ];
    for (what, search) in searches {
        let mut times = Vec::new();
        let mut found = 0;
        for _ in 0..READS {
            let started = Instant::now();
            let query = TokenQuery { search, limit: 50, descending: true, ..TokenQuery::default() };
            found = registry.token_page(admin, &query)?.tokens.len();
            times.push(started.elapsed());
        }
        report(&format!("{what} ({found} tokens)"), times);
    }
    Ok(())
}

/// Measures clients that create tokens at once.
fn create(location: &Location, admin: &Actor) -> Result<(), Box<dyn Error>> {
    let clients: Vec<_> = (0..CLIENTS)
        .map(|client| {
            let (location, actor) = (location.clone(), admin.clone());
            std::thread::spawn(move || -> Result<Vec<Duration>, String> {
                let mut registry = Registry::open(&location, true).map_err(|error| error.to_string())?;
                let create = |at: usize| {
                    let new = NewToken {
                        name: Some(format!("load {} {client} {at}", std::process::id())),
                        apis: vec!["maps".into()],
                        grants: vec![("dw".into(), format!("db.tables.t{at}"))],
                        ..NewToken::default()
                    };
                    let started = Instant::now();
                    registry.create_token(&actor, &new).map_err(|error| error.to_string())?;
                    Ok(started.elapsed())
                };
                (0..TOKENS).map(create).collect()
            })
        })
        .collect();
    let mut times = Vec::new();
    for client in clients {
        times.extend(client.join().map_err(|_| "a client panicked")??);
    }
    report(&format!("create, {CLIENTS} clients"), times);
    Ok(())
}

/// Prints the median and the highest times.
fn report(what: &str, mut times: Vec<Duration>) {
    times.sort_unstable();
    let at = |share: usize| times.get(times.len() * share / 100).or(times.last()).copied().unwrap_or_default();
    println!("{what:40} median {:>9.2?}  p95 {:>9.2?}  max {:>9.2?}", at(50), at(95), at(100));
}

//! Measures a registry that holds many tokens: `load URL`. `benches/registry.sh` fills a PostgreSQL database and runs it.
#![expect(clippy::print_stdout, reason = "a program for people")]

use std::error::Error;
use std::time::{Duration, Instant};

use portcullis::authorizer::{Clock, SystemClock};
use portcullis_registry::{Actor, Location, NewToken, Registry, TokenQuery};

/// The number of clients that create tokens at the same time, and of tokens of each.
const CLIENTS: usize = 16;
const TOKENS: usize = 50;

/// The number of repeated reads.
const READS: usize = 20;

fn main() -> Result<(), Box<dyn Error>> {
    let url = std::env::args().nth(1).ok_or("name a registry: `load postgres:///portcullis`")?;
    let location: Location = url.parse()?;
    let admin = Actor::new("load", SystemClock.now())?.for_all_users();
    let mut registry = Registry::open(&location, true)?;
    if registry.connections()?.is_empty() {
        registry.add_connection(&admin, "dw", "postgres", None, false)?;
    }
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
            found = registry.token_page(&admin, &query)?.tokens.len();
            times.push(started.elapsed());
        }
        report(&format!("{what} ({found} tokens)"), times);
    }
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

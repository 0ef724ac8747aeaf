//! Fills a registry with many tokens and measures it: `load URL TOKENS`. With `load http ADDRESS`, measures a workspace on it, with
//! the access token of the variable `ACCESS_TOKEN`. With `load picker ADDRESS`, measures the source picker of the workspace, with
//! the session of the variable `SESSION`. `load catalog NAMES` prints a catalog for it. `benches/registry.sh` runs all of them.
#![expect(clippy::print_stdout, reason = "a program for people")]

use std::error::Error;
use std::fmt::Write as _;
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::TcpStream;
use std::sync::Barrier;
use std::time::{Duration, Instant};

use portcullis::authorizer::{Clock, SystemClock};
use portcullis::model::SecretDigest;
use portcullis::{Options, Snapshot};
use portcullis_document::load::Input;
use portcullis_document::read_policy;
use portcullis_registry::{Actor, Location, NewToken, Registry, TokenQuery};

/// The number of clients that create tokens at the same time, and of tokens of each.
const CLIENTS: usize = 16;
const TOKENS: usize = 100;

/// The number of repeated reads.
const READS: usize = 20;

/// The number of tokens of one import.
const IMPORTED: usize = 200_000;

fn main() -> Result<(), Box<dyn Error>> {
    let mut arguments = std::env::args().skip(1);
    let (Some(url), Some(tokens)) = (arguments.next(), arguments.next()) else {
        return Err("name a registry and a number of tokens: `load postgres:///portcullis 1000000`".into());
    };
    match &*url {
        "http" => return create_over_http(&tokens, &std::env::var("ACCESS_TOKEN")?),
        "picker" => return pick(&tokens, &std::env::var("SESSION")?),
        "catalog" => return Ok(print_catalog(tokens.parse()?)?),
        _ => {}
    }
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
    at_once("create", |client| {
        let (location, actor) = (location.clone(), admin.clone());
        let mut registry = Registry::open(&location, true).map_err(|error| error.to_string())?;
        Ok(move |at| {
            let new = NewToken {
                name: Some(name(client, at)),
                apis: vec!["maps".into()],
                grants: vec![("dw".into(), format!("db.tables.t{at}"))],
                ..NewToken::default()
            };
            registry.create_token(&actor, &new).map(drop).map_err(|error| error.to_string())
        })
    })
}

/// Measures clients of the workspace at `address` that create tokens at once, each over one connection.
fn create_over_http(address: &str, access_token: &str) -> Result<(), Box<dyn Error>> {
    at_once("create over HTTP", |client| {
        let (host, access_token) = (address.to_owned(), access_token.to_owned());
        let stream = TcpStream::connect(address).map_err(|error| error.to_string())?;
        stream.set_nodelay(true).map_err(|error| error.to_string())?;
        let mut stream = BufReader::new(stream);
        Ok(move |at| {
            let name = name(client, at);
            let body = format!(
                r#"{{"name":"{name}","allowed_apis":["maps"],"grants":[{{"connection_name":"dw","source":"db.tables.t{at}"}}]}}"#
            );
            let request = format!(
                "POST /v3/tokens HTTP/1.1\r\nHost: {host}\r\nAuthorization: Bearer {access_token}\r\n\
                 Content-Type: application/json\r\nContent-Length: {}\r\n\r\n{body}",
                body.len()
            );
            stream.get_mut().write_all(request.as_bytes()).map_err(|error| error.to_string())?;
            let answer = answer(&mut stream).map_err(|error| error.to_string())?;
            if answer.starts_with("HTTP/1.1 201 ") { Ok(()) } else { Err(format!("expected 201, found {answer}")) }
        })
    })
}

/// Prints a catalog with this number of names.
fn print_catalog(names: usize) -> std::io::Result<()> {
    let mut out = std::io::BufWriter::new(std::io::stdout().lock());
    writeln!(out, "connection,name")?;
    for number in 0..names {
        writeln!(out, "dw,proj{}.schema_{}.table_{number}", number % 7, number % 900)?;
    }
    out.flush()
}

/// Measures the source picker of the workspace at `address`: what its script asks for while a user types, and steps of the tree.
fn pick(address: &str, session: &str) -> Result<(), Box<dyn Error>> {
    let mut stream = BufReader::new(TcpStream::connect(address)?);
    stream.get_ref().set_nodelay(true)?;
    let texts = ["table_9999", "nothing_has_this", "schema_42", "t", "9", "proj3.schema_1", "TABLE_123456", "le_77"];
    let mut times = Vec::new();
    for round in 0..READS {
        let searches = texts.iter().map(|text| format!("q={text}"));
        for query in searches.chain([format!("path=proj{}.", round % 7)]) {
            let started = Instant::now();
            let request = format!(
                "GET /catalog/search?connection=dw&{query} HTTP/1.1\r\nHost: {address}\r\nCookie: portcullis={session}\r\n\r\n"
            );
            stream.get_mut().write_all(request.as_bytes())?;
            let answer = answer(&mut stream)?;
            if !answer.starts_with("HTTP/1.1 200 ") {
                return Err(format!("expected 200, found {answer}").into());
            }
            times.push(started.elapsed());
        }
    }
    report("source picker", times);
    Ok(())
}

/// Reads an answer with a `Content-Length`, and returns its first line and its body.
fn answer(stream: &mut BufReader<TcpStream>) -> Result<String, Box<dyn Error>> {
    let (mut first, mut length) = (String::new(), 0);
    stream.read_line(&mut first)?;
    loop {
        let mut line = String::new();
        stream.read_line(&mut line)?;
        match line.split_once(':') {
            Some((name, value)) if name.eq_ignore_ascii_case("content-length") => length = value.trim().parse()?,
            Some(_) => {}
            None => break,
        }
    }
    let mut body = vec![0; length];
    stream.read_exact(&mut body)?;
    Ok(first + &String::from_utf8(body)?)
}

/// Returns the name of a token that differs in each run.
fn name(client: usize, at: usize) -> String {
    format!("load {} {client} {at}", std::process::id())
}

/// Measures clients that create tokens at once. `connect` returns what a client calls for each token.
fn at_once<C: FnMut(usize) -> Result<(), String>>(
    what: &str,
    connect: impl Fn(usize) -> Result<C, String> + Sync,
) -> Result<(), Box<dyn Error>> {
    let mut times = Vec::new();
    let (connected, started) = (Barrier::new(CLIENTS), Instant::now());
    let run = |client| {
        let create = connect(client);
        // Every client counts, also one that cannot connect.
        connected.wait();
        let mut create = create?;
        let create_one = |at| {
            let started = Instant::now();
            create(at).map(|()| started.elapsed())
        };
        (0..TOKENS).map(create_one).collect::<Result<Vec<Duration>, String>>()
    };
    std::thread::scope(|scope| {
        let clients: Vec<_> = (0..CLIENTS)
            .map(|client| {
                let run = &run;
                scope.spawn(move || run(client))
            })
            .collect();
        for client in clients {
            times.extend(client.join().map_err(|_| "a client panicked")??);
        }
        Ok::<_, Box<dyn Error>>(())
    })?;
    let per_second = times.len() as u128 * 1_000 / started.elapsed().as_millis().max(1);
    report(&format!("{what}, {CLIENTS} clients"), times);
    println!("{what:40} {per_second:>9} tokens/s");
    Ok(())
}

/// Prints the median, the 95th and 99th percentile, and the longest time.
fn report(what: &str, mut times: Vec<Duration>) {
    times.sort_unstable();
    let at = |share: usize| times.get(times.len() * share / 100).or(times.last()).copied().unwrap_or_default();
    println!("{what:40} median {:>9.2?}  p95 {:>9.2?}  p99 {:>9.2?}  max {:>9.2?}", at(50), at(95), at(99), at(100));
}

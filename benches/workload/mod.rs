//! A seeded workload: a policy document and requests for it. A seed gives the same bytes on every machine.
//!
//! The shape follows the content of API platforms over data warehouses:
//!
//! - a catalog of 20 databases, 200 schemas and 200,000 tables whose names share prefixes (`raw_`, `stg_`, `CARTO_`, …);
//! - tokens whose number of grants is log-normal: median 4, 99th percentile about 200, cut at 2,000, mean about 15;
//! - grants: 55 % one table, 20 % `db.schema.*`, 15 % `db.schema.PREFIX_*`, 7 % `db.*.prefix_*`, 3 % all sources;
//! - 50 connections of Zipf popularity, one to three for each token;
//! - 30 % of the tokens with referers, 30 % with an expiry (a tenth of these already past);
//! - requests: tokens of Zipf(1.0) popularity; 75 % are built to be allowed, the rest to be denied, with equal shares for each
//!   reason of a denial;
//! - for audits, a catalog of any size (`catalog.rs`).
//!
//! `rows.rs` is a second generator, for one kind of request at a time. Both share only the form of a request.

#![allow(dead_code, reason = "each benchmark uses its part")]

pub mod catalog;
pub mod floor;
pub mod http;
pub mod measure;
pub mod plain;
pub mod rows;

use portcullis::decision::{self, Request};
use rand::seq::IndexedRandom;
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use rand_distr::{Distribution, LogNormal, Zipf};

pub const NOW: &str = "2026-11-22T12:00:00Z";
const PREFIXES: [&str; 8] = ["raw", "stg", "CARTO", "mart", "dim", "fct", "tmp", "geo"];
const WORDS: [&str; 12] = [
    "roads",
    "parcels",
    "stores",
    "trips",
    "census",
    "weather",
    "visits",
    "buildings",
    "sales",
    "routes",
    "zones",
    "events",
];
const DATABASES: usize = 20;
const SCHEMAS: usize = 10;
const TABLES: usize = 1000;
const CONNECTIONS: usize = 50;
const MOST_GRANTS: f64 = 2000.0;

/// A policy document and requests.
pub struct Workload {
    pub document: String,
    pub requests: Vec<OwnedRequest>,
    pub grants: usize,
}

/// A request that owns its texts.
#[derive(Debug, Clone, Default)]
pub struct OwnedRequest {
    pub secret: String,
    pub api: &'static str,
    pub connection: String,
    pub resource: Option<String>,
    pub query: Option<String>,
    pub referer: Option<String>,
    /// The outcome for which the request was built. The engine may decide otherwise.
    pub built_for: &'static str,
}

impl OwnedRequest {
    /// Returns the request for the engine.
    pub fn request(&self) -> Request<'_> {
        let mut request = Request::new(self.api, &self.connection).secret(&self.secret);
        if let Some(resource) = &self.resource {
            request = request.source(decision::Source::Resource(resource));
        }
        if let Some(query) = &self.query {
            request = request.source(decision::Source::Query(query));
        }
        request.referer = self.referer.as_deref();
        request
    }
}

struct Token {
    secret: String,
    grants: Vec<Grant>,
    referer: Option<String>,
    expiry: Expiry,
}

#[derive(PartialEq)]
enum Expiry {
    Never,
    Future,
    Past,
}

struct Grant {
    connection: usize,
    source: Source,
}

enum Source {
    Table { database: usize, schema: usize, table: usize },
    Schema { database: usize, schema: usize },
    Prefix { database: usize, schema: usize, prefix: usize },
    AnySchema { database: usize, prefix: usize },
    All,
}

impl Token {
    /// Whether the token has no grant of all sources on the connection of `grant`.
    fn is_narrow(&self, grant: &Grant) -> bool {
        let wide = |other: &&Grant| other.connection == grant.connection && matches!(other.source, Source::All);
        !self.grants.iter().any(|other| wide(&other))
    }
}

fn table(database: usize, schema: usize, table: usize) -> String {
    let (prefix, word) = (PREFIXES[table % PREFIXES.len()], WORDS[table / PREFIXES.len() % WORDS.len()]);
    format!("warehouse_{database:02}.{}_{schema:02}.{prefix}_{word}_{table:03}", WORDS[schema % WORDS.len()])
}

fn schema(database: usize, schema: usize) -> String {
    format!("warehouse_{database:02}.{}_{schema:02}", WORDS[schema % WORDS.len()])
}

impl Source {
    fn draw(rng: &mut ChaCha8Rng) -> Self {
        let (database, schema) = (rng.random_range(0..DATABASES), rng.random_range(0..SCHEMAS));
        match rng.random_range(0..100) {
            0..55 => Self::Table { database, schema, table: rng.random_range(0..TABLES) },
            55..75 => Self::Schema { database, schema },
            75..90 => Self::Prefix { database, schema, prefix: rng.random_range(0..PREFIXES.len()) },
            90..97 => Self::AnySchema { database, prefix: rng.random_range(0..PREFIXES.len()) },
            _ => Self::All,
        }
    }

    fn written(&self) -> String {
        match *self {
            Self::Table { database, schema, table: at } => table(database, schema, at),
            Self::Schema { database, schema: at } => format!("{}.*", schema(database, at)),
            Self::Prefix { database, schema: at, prefix } => format!("{}.{}_*", schema(database, at), PREFIXES[prefix]),
            Self::AnySchema { database, prefix } => format!("warehouse_{database:02}.*.{}_*", PREFIXES[prefix]),
            Self::All => "*".to_owned(),
        }
    }

    /// Returns the name of a table that the source covers.
    fn covered(&self, rng: &mut ChaCha8Rng) -> String {
        let any = rng.random_range(0..TABLES);
        let with = |prefix: usize| any / PREFIXES.len() * PREFIXES.len() + prefix;
        match *self {
            Self::Table { database, schema, table: at } => table(database, schema, at),
            Self::Schema { database, schema } => table(database, schema, any),
            Self::Prefix { database, schema, prefix } => table(database, schema, with(prefix)),
            Self::AnySchema { database, prefix } => table(database, rng.random_range(0..SCHEMAS), with(prefix)),
            Self::All => table(rng.random_range(0..DATABASES), rng.random_range(0..SCHEMAS), any),
        }
    }
}

fn connection(at: usize) -> String {
    format!("connection_{at:02}")
}

/// Generates a policy of `tokens` tokens, and `requests` requests.
pub fn workload(tokens: usize, requests: usize, seed: u64) -> Workload {
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    let counts = LogNormal::new(4f64.ln(), 50f64.ln() / 2.326).unwrap();
    let popular = Zipf::new(CONNECTIONS as f64, 1.0).unwrap();
    let tokens: Vec<Token> = (0..tokens)
        .map(|_| {
            let own: Vec<usize> = (0..rng.random_range(1..=3)).map(|_| popular.sample(&mut rng) as usize - 1).collect();
            let count = counts.sample(&mut rng).round().clamp(1.0, MOST_GRANTS) as usize;
            Token {
                secret: format!("pcl_{:016x}{:016x}", rng.random::<u64>(), rng.random::<u64>()),
                grants: (0..count)
                    .map(|_| Grant { connection: *own.choose(&mut rng).unwrap(), source: Source::draw(&mut rng) })
                    .collect(),
                referer: rng.random_bool(0.3).then(|| format!("https://app{}.example.com/", rng.random_range(0..500))),
                expiry: match rng.random_range(0..100) {
                    0..3 => Expiry::Past,
                    3..30 => Expiry::Future,
                    _ => Expiry::Never,
                },
            }
        })
        .collect();
    let zipf = Zipf::new(tokens.len() as f64, 1.0).unwrap();
    let requests = (0..requests).map(|_| request(&tokens, zipf.sample(&mut rng) as usize - 1, &mut rng)).collect();
    Workload { document: document(&tokens), requests, grants: tokens.iter().map(|token| token.grants.len()).sum() }
}

fn request(tokens: &[Token], at: usize, rng: &mut ChaCha8Rng) -> OwnedRequest {
    let denied = rng.random_bool(0.25);
    // Finds a token that is suitable for the outcome, starting at the popular one.
    let from =
        |suitable: &dyn Fn(&Token) -> bool| tokens[at..].iter().chain(&tokens[..at]).find(|token| suitable(token));
    let reason = if denied { rng.random_range(0..9) } else { 9 };
    let token = match reason {
        2 => from(&|token| token.expiry == Expiry::Past),
        4 | 5 => from(&|token| token.expiry != Expiry::Past && token.referer.is_some()),
        // A source is not granted only if no grant of the connection is of all sources.
        8 => from(&|token| token.expiry != Expiry::Past && token.grants.iter().any(|grant| token.is_narrow(grant))),
        _ => from(&|token| token.expiry != Expiry::Past),
    };
    let token = token.unwrap_or(&tokens[at]);
    let narrow: Vec<&Grant> = token.grants.iter().filter(|grant| reason != 8 || token.is_narrow(grant)).collect();
    let grant = narrow.choose(rng).copied().unwrap_or(&token.grants[0]);
    let allowed = OwnedRequest {
        secret: token.secret.clone(),
        api: "maps",
        connection: connection(grant.connection),
        resource: Some(grant.source.covered(rng)),
        query: None,
        referer: token.referer.clone(),
        built_for: "allow",
    };
    match reason {
        0 => OwnedRequest { secret: String::new(), built_for: "token_missing", ..allowed },
        1 => {
            OwnedRequest { secret: format!("pcl_{:032x}", rng.random::<u64>()), built_for: "token_unknown", ..allowed }
        }
        2 => OwnedRequest { built_for: "token_expired", ..allowed },
        3 => OwnedRequest { api: "imports", built_for: "api_not_allowed", ..allowed },
        4 => OwnedRequest { referer: None, built_for: "referer_missing", ..allowed },
        5 => OwnedRequest {
            referer: Some("https://evil.example.org/".into()),
            built_for: "referer_not_allowed",
            ..allowed
        },
        6 => OwnedRequest { resource: Some("warehouse_01..roads".into()), built_for: "source_malformed", ..allowed },
        7 => OwnedRequest { connection: "connection_zz".into(), built_for: "connection_not_granted", ..allowed },
        8 => {
            // A name in another database, or with one segment more than the granted source.
            let deeper = rng.random_bool(0.5);
            let resource = allowed
                .resource
                .map(|name| if deeper { format!("{name}.part_01") } else { name.replace("warehouse", "storehouse") });
            OwnedRequest { resource, built_for: "source_not_granted", ..allowed }
        }
        _ => allowed,
    }
}

fn document(tokens: &[Token]) -> String {
    use std::fmt::Write;
    let mut text = String::from("{\"version\":1,\"tokens\":[");
    for (at, token) in tokens.iter().enumerate() {
        let comma = if at == 0 { "" } else { "," };
        write!(
            text,
            "{comma}\n{{\"id\":\"tk_{at}\",\"token\":\"{}\",\"allowed_apis\":[\"maps\",\"sql\"]",
            token.secret
        )
        .unwrap();
        if let Some(referer) = &token.referer {
            write!(text, ",\"referers\":[\"{referer}\"]").unwrap();
        }
        match token.expiry {
            Expiry::Never => {}
            Expiry::Future => text.push_str(",\"expiration_date\":\"2027-06-30T00:00:00Z\""),
            Expiry::Past => text.push_str(",\"expiration_date\":\"2026-01-31\""),
        }
        text.push_str(",\"grants\":[");
        for (at, grant) in token.grants.iter().enumerate() {
            let comma = if at == 0 { "" } else { "," };
            let (connection, source) = (connection(grant.connection), grant.source.written());
            write!(text, "{comma}{{\"connection_name\":\"{connection}\",\"source\":\"{source}\"}}").unwrap();
        }
        text.push_str("]}");
    }
    text.push_str("\n]}\n");
    text
}

//! A second seeded workload, independent of the first: other names, sizes and alphabets. Each row has requests of one
//! kind, so that no kind can hide in the average of a mix.
//!
//! - names of three segments, such as `lake-eu-17.clickstream.Sessions_2024Q3_0042`;
//! - secrets of 24 to 59 characters;
//! - tokens of each combination of grants ([`Rights`]) and number of referers (0, 1, 5, 50), in turn;
//! - referers of five kinds, in turn: a prefix, a site, a wildcard host, one page, a port.

use portcullis::decision::Reason;
use rand::seq::IndexedRandom;
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;

use super::OwnedRequest;

const DATASETS: [&str; 9] =
    ["clickstream", "billing_v2", "iot", "Risk", "ab_tests", "supply_chain", "cdc_mirror", "geo-fences", "x"];
const STEMS: [&str; 7] = ["Sessions", "invoice_lines", "readings", "scores", "sku", "Customer360", "h3_cells"];
const CONNECTIONS: [&str; 6] =
    ["bq", "snow-prod-eu", "pg_reporting", "lakehouse", "dwh2", "redshift-analytics-us-east-1"];
const REFERERS: [usize; 4] = [0, 1, 5, 50];

/// The number of referers in the rows of variants.
const SEVERAL: usize = 5;

/// The grants of a token on its connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Rights {
    /// Three to twenty tables.
    Tables,
    /// Two to eight patterns of one dataset or one prefix each.
    Patterns,
    /// Forty patterns of eight shapes; the one that covers the requested name is the last.
    ManyPatterns,
    /// Five tables, and all sources.
    All,
}

const RIGHTS: [Rights; 4] = [Rights::Tables, Rights::Patterns, Rights::ManyPatterns, Rights::All];

/// Requests of one kind.
pub struct RowRequests {
    pub name: String,
    /// `None` if each request is allowed.
    pub expected: Option<Reason>,
    pub requests: Vec<OwnedRequest>,
}

/// Tokens of all kinds.
pub struct Population {
    tokens: Vec<Token>,
}

struct Token {
    secret: String,
    rights: Rights,
    connection: usize,
    /// Written sources. The last one covers the requested names.
    sources: Vec<String>,
    referers: Vec<String>,
    expired: bool,
}

fn table(rng: &mut ChaCha8Rng) -> String {
    let (dataset, stem) = (DATASETS.choose(rng).unwrap(), STEMS.choose(rng).unwrap());
    let (lake, quarter, part) = (rng.random_range(0..40), rng.random_range(1..5), rng.random_range(0..10_000));
    format!("lake-eu-{lake}.{dataset}.{stem}_2024Q{quarter}_{part:04}")
}

fn pattern(at: usize, rng: &mut ChaCha8Rng) -> String {
    let name = table(rng);
    let (dataset, last) = name.rsplit_once('.').unwrap();
    let (lake, _) = dataset.split_once('.').unwrap();
    let start = |length: usize| last.get(..length).unwrap_or(last);
    match at % 4 {
        0 => format!("{dataset}.*"),
        1 => format!("{dataset}.{}*", start(3 + at % 2)),
        2 => format!("{lake}.*.{last}"),
        _ => format!("{lake}.*.{}*", start(4)),
    }
}

/// Returns a name that the source covers.
fn covered(source: &str, rng: &mut ChaCha8Rng) -> String {
    if source == "*" {
        return table(rng);
    }
    source.split('.').map(|segment| segment.replace('*', "any_17")).collect::<Vec<_>>().join(".")
}

/// Returns the referer of this number, and a header that it matches.
fn referer(token: usize, at: usize, count: usize) -> (String, String) {
    match (if count == 1 { token } else { at }) % 5 {
        0 => {
            let site = format!("https://portal-{token}-{at}.acme.io");
            (format!("{site}/app/*"), format!("{site}/app/dashboards/17?zoom=3&layer=roads"))
        }
        1 => {
            let site = format!("https://shop{token}x{at}.example.net");
            (site.clone(), format!("{site}/maps/view?x=1"))
        }
        2 => {
            let host = format!("tenant{token}i{at}.hosting.dev");
            (format!("https://*.{host}"), format!("https://eu-west.{host}/"))
        }
        3 => {
            let page = format!("https://docs.acme.io/p/{token}/{at}?lang=en");
            (page.clone(), page)
        }
        _ => {
            let site = format!("http://localhost:{}/", 3000 + (token + at) % 900);
            (site.clone(), format!("{site}dev?hot"))
        }
    }
}

impl Population {
    pub fn new(tokens: usize, seed: u64) -> Self {
        let mut rng = ChaCha8Rng::seed_from_u64(seed);
        let kinds = RIGHTS.len() * REFERERS.len() + 1;
        let alphabet = b"ABCDEFGHJKLMNPQRSTUVWXYZabcdefghijkmnopqrstuvwxyz23456789-_";
        let token = |at: usize| {
            let kind = at % kinds;
            let rights = RIGHTS[kind % RIGHTS.len()];
            let referers = REFERERS.get(kind / RIGHTS.len()).copied().unwrap_or(0);
            let length = rng.random_range(21..=56);
            let secret: String = (0..length).map(|_| char::from(*alphabet.choose(&mut rng).unwrap())).collect();
            let count = match rights {
                Rights::Tables => rng.random_range(3..=20),
                Rights::Patterns => rng.random_range(2..=8),
                Rights::ManyPatterns => 40,
                Rights::All => 5,
            };
            let mut sources: Vec<String> = match rights {
                Rights::Tables | Rights::All => (0..count).map(|_| table(&mut rng)).collect(),
                Rights::Patterns => (0..count).map(|at| pattern(at % 2, &mut rng)).collect(),
                Rights::ManyPatterns => (0..count).map(|at| pattern(at, &mut rng)).collect(),
            };
            if rights == Rights::All {
                sources.push("*".to_owned());
            }
            Token {
                secret: format!("sk-{secret}"),
                rights,
                connection: rng.random_range(0..CONNECTIONS.len()),
                sources,
                referers: (0..referers).map(|number| referer(at, number, referers).0).collect(),
                expired: kind + 1 == kinds,
            }
        };
        Self { tokens: (0..tokens).map(token).collect() }
    }

    /// Returns the policy document.
    pub fn document(&self) -> String {
        let token = |(at, token): (usize, &Token)| {
            let grants: Vec<_> = (token.sources.iter())
                .map(|source| serde_json::json!({"connection_name": CONNECTIONS[token.connection], "source": source}))
                .collect();
            let mut written = serde_json::json!({
                "id": format!("token-{at}"),
                "token": token.secret,
                "allowed_apis": ["maps", "sql"],
                "grants": grants,
            });
            if !token.referers.is_empty() {
                written["referers"] = token.referers.clone().into();
            }
            if token.expired {
                written["expiration_date"] = "2026-03-01".into();
            }
            written.to_string()
        };
        let tokens: Vec<String> = self.tokens.iter().enumerate().map(token).collect();
        format!("{{\"version\":1,\"tokens\":[\n{}\n]}}", tokens.join(",\n"))
    }

    /// Calls `visit` with `count` requests of each row.
    pub fn each_row(&self, count: usize, seed: u64, mut visit: impl FnMut(RowRequests)) {
        let mut rng = ChaCha8Rng::seed_from_u64(seed);
        let mut row = |name: &str,
                       expected: Option<Reason>,
                       rights: Rights,
                       referers: usize,
                       change: &mut dyn FnMut(usize, &mut OwnedRequest)| {
            let suitable: Vec<usize> = (0..self.tokens.len())
                .filter(|&at| {
                    let token = &self.tokens[at];
                    token.rights == rights
                        && token.referers.len() == referers
                        && token.expired == (expected == Some(Reason::TokenExpired))
                })
                .collect();
            let requests = (0..count).map(|_| {
                let at = *suitable.choose(&mut rng).unwrap();
                let mut request = self.request(at, &mut rng);
                change(at, &mut request);
                request
            });
            visit(RowRequests { name: name.to_owned(), expected, requests: requests.collect() });
        };
        let as_built = &mut |_: usize, _: &mut OwnedRequest| ();
        row("allow: exact name", None, Rights::Tables, 0, as_built);
        row("allow: pattern", None, Rights::Patterns, 0, as_built);
        row("allow: last of 40 patterns", None, Rights::ManyPatterns, 0, as_built);
        row("allow: all sources", None, Rights::All, 0, as_built);
        row("allow: all sources, 1 referer", None, Rights::All, 1, as_built);
        let tables = Rights::Tables;
        row("deny: token unknown", Some(Reason::TokenUnknown), tables, 0, &mut |_, request| request.secret.push('x'));
        row("deny: token expired", Some(Reason::TokenExpired), tables, 0, as_built);
        row("deny: wrong API", Some(Reason::ApiNotAllowed), tables, 0, &mut |_, request| request.api = "imports");
        row("deny: referer missing", Some(Reason::RefererMissing), tables, 1, &mut |_, request| request.referer = None);
        row("deny: malformed name", Some(Reason::SourceMalformed), tables, 0, &mut |_, request| {
            request.resource = Some("lake-eu-17..Sessions".to_owned());
        });
        row("deny: connection not granted", Some(Reason::ConnectionNotGranted), tables, 0, &mut |at, request| {
            let next = (self.tokens[at].connection + 1) % CONNECTIONS.len();
            CONNECTIONS[next].clone_into(&mut request.connection);
        });
        row("deny: connection unknown", Some(Reason::ConnectionNotGranted), tables, 0, &mut |_, request| {
            "staging".clone_into(&mut request.connection);
        });
        row("deny: kind not accepted", Some(Reason::GrantKindNotAccepted), tables, 0, &mut |_, request| {
            request.api = "sql";
        });
        for (kind, rights) in [("exact", tables), ("pattern", Rights::Patterns), ("40 patterns", Rights::ManyPatterns)]
        {
            let name = format!("deny: near miss, {kind}");
            row(&name, Some(Reason::SourceNotGranted), rights, 0, &mut |_, request| {
                // The lake of another region, with an equally long name.
                request.resource = request.resource.take().map(|name| name.replace("lake-eu", "lake-us"));
            });
        }
        let not_allowed = Some(Reason::RefererNotAllowed);
        for count in [1, 5, 50] {
            for (position, number) in [("first", 0), ("last", count - 1)] {
                let name = format!("{count} referers: {position}");
                row(&name, None, tables, count, &mut |at, request| {
                    request.referer = Some(referer(at, number, count).1);
                });
            }
            row(&format!("{count} referers: none, near miss"), not_allowed, tables, count, &mut |at, request| {
                request.referer = Some(format!("https://portal-{at}-{count}.acme.io/app/view"));
            });
            row(&format!("{count} referers: none, foreign"), not_allowed, tables, count, &mut |_, request| {
                request.referer = Some("https://www.competitor.org/products/maps/embed?id=1234".to_owned());
            });
        }
        for (name, host) in [
            ("port", "https://portal-7-0.acme.io:8443"),
            ("default port", "https://portal-7-999.acme.io:443"),
            ("IDN in punycode", "https://xn--bcher-kva.acme.io"),
            ("IDN in Unicode", "https://b\u{fc}cher.example.org"),
            ("encoded path", "https://www.competitor.org/caf%C3%A9|^'x"),
        ] {
            row(&format!("{SEVERAL} referers: none, {name}"), not_allowed, tables, SEVERAL, &mut |_, request| {
                request.referer = Some(format!("{host}/app/view?x=1"));
            });
        }
    }

    /// Returns a request that the token allows.
    fn request(&self, at: usize, rng: &mut ChaCha8Rng) -> OwnedRequest {
        let token = &self.tokens[at];
        let source = match token.rights {
            Rights::Tables | Rights::Patterns => token.sources.choose(rng).unwrap(),
            Rights::ManyPatterns | Rights::All => token.sources.last().unwrap(),
        };
        let referers = token.referers.len();
        OwnedRequest {
            secret: token.secret.clone(),
            api: "maps",
            connection: CONNECTIONS[token.connection].to_owned(),
            resource: Some(covered(source, rng)),
            query: None,
            referer: (referers > 0).then(|| referer(at, rng.random_range(0..referers), referers).1),
            built_for: "",
        }
    }
}

/// The secret of [`one_token`].
pub const ONE_SECRET: &str = "one-token-with-all-patterns";

/// Returns a policy of one token with this number of patterns.
pub fn one_token(patterns: usize) -> String {
    let grants: Vec<_> =
        (0..patterns).map(|at| serde_json::json!({"connection_name": "dw", "source": one_pattern(at)})).collect();
    let token = serde_json::json!({"id": "one", "token": ONE_SECRET, "allowed_apis": ["maps"], "grants": grants});
    serde_json::json!({"version": 1, "tokens": [token]}).to_string()
}

/// Returns names that patterns of [`one_token`] cover.
pub fn names_of_one(patterns: usize, count: usize) -> Vec<String> {
    let mut rng = ChaCha8Rng::seed_from_u64(99);
    (0..count).map(|_| covered(&one_pattern(rng.random_range(0..patterns)), &mut rng)).collect()
}

fn one_pattern(at: usize) -> String {
    let (dataset, stem) = (DATASETS[at % DATASETS.len()], STEMS[at % STEMS.len()]);
    match at % 3 {
        0 => format!("lake-{at}.{dataset}.*"),
        1 => format!("lake-{at}.{dataset}.{stem}*"),
        _ => format!("lake-{at}.*.{stem}*"),
    }
}

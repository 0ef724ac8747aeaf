//! Requests whose texts are adjacent in memory, as in a gateway that has just parsed them.

use portcullis::model::SecretDigest;

use crate::workload;

/// One request. Its fields are slices of the text in [`Requests`].
#[derive(Debug, Clone, Copy)]
pub struct ParsedRequest<'r> {
    pub secret: &'r str,
    pub api: &'r str,
    pub connection: &'r str,
    pub resource: &'r str,
    pub referer: Option<&'r str>,
    /// The digest of the secret, computed in advance, for engines that start with a digest.
    pub digest: SecretDigest,
}

/// The text of all requests.
pub struct Requests {
    text: String,
    ends: Vec<[usize; 6]>,
}

impl Requests {
    pub fn new(asked: &[workload::OwnedRequest]) -> Self {
        let mut text = String::new();
        let ends = asked.iter().map(|asked| {
            let start = text.len();
            let referer = asked.referer.as_deref().unwrap_or_default();
            let resource = asked.resource.as_deref().unwrap_or_default();
            let fields = [&asked.secret, asked.api, &asked.connection, resource, referer];
            let mut at = [start; 6];
            for (field, end) in fields.into_iter().zip(&mut at[1..]) {
                text.push_str(field);
                *end = text.len();
            }
            at
        });
        let ends = ends.collect();
        Self { text, ends }
    }

    pub fn list(&self) -> Vec<ParsedRequest<'_>> {
        self.ends
            .iter()
            .map(|at| {
                let [secret, api, connection, resource, referer] =
                    std::array::from_fn(|field| &self.text[at[field]..at[field + 1]]);
                let referer = (!referer.is_empty()).then_some(referer);
                ParsedRequest { secret, api, connection, resource, referer, digest: SecretDigest::of(secret) }
            })
            .collect()
    }
}

/// Loads the text of the requests into the cache, as a parser would.
pub fn touch(asked: &[ParsedRequest<'_>]) {
    let sum = asked.iter().fold(0_u8, |sum, asked| {
        let fields = [asked.secret, asked.api, asked.connection, asked.resource, asked.referer.unwrap_or_default()];
        fields.iter().filter_map(|field| field.as_bytes().first()).fold(sum, |sum, &byte| sum.wrapping_add(byte))
    });
    std::hint::black_box(sum);
}

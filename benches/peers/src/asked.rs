//! The requests, each with all its text in one place, as a gateway holds one that it has just parsed.

use portcullis::model::SecretDigest;

use crate::workload;

/// One request. Its text is a slice of the bytes that [`Requests`] holds.
#[derive(Debug, Clone, Copy)]
pub struct Asked<'r> {
    pub secret: &'r str,
    pub api: &'r str,
    pub connection: &'r str,
    pub resource: &'r str,
    pub referer: Option<&'r str>,
    /// Computed beforehand, for engines that are asked with a digest.
    pub digest: SecretDigest,
}

/// The text of all requests.
pub struct Requests {
    text: String,
    ends: Vec<[usize; 6]>,
}

impl Requests {
    pub fn new(asked: &[workload::Asked]) -> Self {
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

    pub fn list(&self) -> Vec<Asked<'_>> {
        self.ends
            .iter()
            .map(|at| {
                let [secret, api, connection, resource, referer] =
                    std::array::from_fn(|field| &self.text[at[field]..at[field + 1]]);
                let referer = (!referer.is_empty()).then_some(referer);
                Asked { secret, api, connection, resource, referer, digest: SecretDigest::of(secret) }
            })
            .collect()
    }
}

/// Brings the text of the requests into the cache, where a parser would have left it.
pub fn touch(asked: &[Asked<'_>]) {
    let sum = asked.iter().fold(0_u8, |sum, asked| {
        let fields = [asked.secret, asked.api, asked.connection, asked.resource, asked.referer.unwrap_or_default()];
        fields.iter().filter_map(|field| field.as_bytes().first()).fold(sum, |sum, &byte| sum.wrapping_add(byte))
    });
    std::hint::black_box(sum);
}

//! Names that other formats give to fields: the error for one names the field that is meant.

/// Words of other formats, each with the fields that it may mean.
const SYNONYMS: &[(&[&str], &[&str])] = &[
    (
        &[
            "expires",
            "expires_at",
            "expires_in",
            "expires_on",
            "expired_at",
            "expire_at",
            "expiry",
            "expiry_date",
            "expiration",
            "expiration_time",
            "expire",
            "exp",
            "end_date",
            "not_after",
            "valid_to",
            "valid_until",
            "ttl",
        ],
        &["expiration_date"],
    ),
    (
        &[
            "domain",
            "domains",
            "origin",
            "origins",
            "websites",
            "sites",
            "hosts",
            "referrer",
            "referrers",
            "http_referrers",
            "allowed_domains",
            "allowed_hosts",
            "allowed_origins",
            "allowed_referers",
            "allowed_referrers",
        ],
        &["referers"],
    ),
    (&["api", "apis", "api_list", "scope", "scopes"], &["allowed_apis"]),
    (&["permissions", "sources", "resources", "tables", "datasets", "allowed_grants", "allowed_sources"], &["grants"]),
    (&["secret", "access_token", "key", "value"], &["token"]),
    (&["sha256", "digest", "hash", "token_hash", "token_digest"], &["token_sha256"]),
    (&["connection", "database", "warehouse"], &["connection_name"]),
    (&["table", "tileset", "raster", "resource", "pattern", "query", "sql", "dataset", "fqn"], &["source"]),
    (&["kind", "source_type"], &["type"]),
    (&["provider", "provider_id", "engine", "warehouse", "type", "kind"], &["dialect"]),
    (&["connection_name", "title", "label"], &["name"]),
    (&["user", "user_id", "owner_id", "created_by"], &["owner"]),
    (&["created", "creation_date"], &["created_at"]),
    (&["credentials", "keys"], &["tokens"]),
];

/// Returns the first of the fields `known` that other formats call `name`, in any letter case, with any separators.
pub(super) fn synonym(name: &str, known: &[&'static str]) -> Option<&'static str> {
    /// Longer names are no synonyms.
    const MAX_BYTES: usize = 32;
    if name.len() > MAX_BYTES {
        return None;
    }
    let name = letters(name);
    let is_meant = |words: &[&str]| words.iter().any(|word| letters(word) == name);
    let meant = SYNONYMS.iter().filter(|(words, _)| is_meant(words)).flat_map(|(_, meant)| *meant);
    meant.copied().find(|field| known.contains(field))
}

/// Returns `expiresAt`, `EXPIRES_AT` and `expires-at` as `expiresat`.
fn letters(name: &str) -> String {
    name.chars().filter(|character| !matches!(character, '_' | '-')).flat_map(char::to_lowercase).collect()
}

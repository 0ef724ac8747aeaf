//! Names that other formats give to fields: the error for one names the field that is meant.

/// Words of other formats, each with the fields that it may mean.
const SYNONYMS: &[(&[&str], &[&str])] = &[
    (
        &["expires", "expires_at", "expires_in", "expiry", "expiration", "expire", "exp", "valid_until", "ttl"],
        &["expiration_date"],
    ),
    (&["domain", "domains", "origin", "origins", "websites", "sites", "hosts"], &["referers"]),
    (&["api", "apis", "scope", "scopes"], &["allowed_apis"]),
    (&["permissions", "sources", "resources", "tables", "datasets"], &["grants"]),
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

/// Returns the first of the fields `known` that other formats call `name`.
pub(super) fn synonym(name: &str, known: &[&'static str]) -> Option<&'static str> {
    let name = snake_case(name);
    let meant = SYNONYMS.iter().filter(|(words, _)| words.contains(&&*name)).flat_map(|(_, meant)| *meant);
    meant.copied().find(|field| known.contains(field))
}

/// Returns `expiresAt` and `expires-at` as `expires_at`.
fn snake_case(name: &str) -> String {
    /// Longer names are no synonyms.
    const MAX_CHARACTERS: usize = 32;
    let mut snake = String::new();
    for character in name.chars().take(MAX_CHARACTERS) {
        if character.is_ascii_uppercase() && !snake.is_empty() && !snake.ends_with('_') {
            snake.push('_');
        }
        snake.push(if character == '-' { '_' } else { character.to_ascii_lowercase() });
    }
    snake
}

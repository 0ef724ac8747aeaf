//! HTTP requests of a map in a browser.

/// The secret in the headers.
pub const TOKEN: &str = "eyJhbGciOiJIUzI1NiJ9.eyJhIjoiYWNfZTJlMDAwMCIsImp0aSI6ImJiYmIyMjIyIn0.not-a-signature";

/// The connection of the token.
pub const ONE_CONNECTION: &str = "carto_dw";

/// The headers of a browser, and those that a proxy adds.
pub const HEADERS: [(&str, &str); 14] = [
    ("host", "gcp-us-east1.api.carto.com"),
    (
        "user-agent",
        "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/140.0.0.0 Safari/537.36",
    ),
    ("accept", "*/*"),
    ("accept-language", "en-US,en;q=0.9"),
    ("accept-encoding", "gzip, deflate, br, zstd"),
    ("authorization", "Bearer eyJhbGciOiJIUzI1NiJ9.eyJhIjoiYWNfZTJlMDAwMCIsImp0aSI6ImJiYmIyMjIyIn0.not-a-signature"),
    ("content-type", "application/json"),
    ("origin", "https://app.example.com"),
    ("referer", "https://app.example.com/"),
    ("sec-fetch-dest", "empty"),
    ("sec-fetch-mode", "cors"),
    ("sec-fetch-site", "cross-site"),
    ("x-forwarded-for", "203.0.113.7"),
    ("x-request-id", "5f0c2d0e-5b5e-4b39-9a83-0d8a63f5f3c1"),
];

/// Returns the targets of `count` tiles, each of another table.
pub fn tiles(count: usize) -> Vec<String> {
    let tile = |at: usize| {
        format!(
            "/v3/maps/carto_dw/table/{}/{}/{}?name=carto-demo-data.demo_tables.airports_{at}&spatialDataColumn=geom\
            &spatialDataType=geo&tileResolution=0.5&columns=name%2Crevenue&cache=1767225600000&formatTiles=binary&v=3.4\
            &client=deck-gl",
            at % 20,
            at % 1_007,
            at % 509
        )
    };
    (0..count).map(tile).collect()
}

/// Returns a policy of `tokens` tokens; the first is [`TOKEN`], which reads the tables of the tiles from the
/// site in the `referer` header.
pub fn policy(tokens: usize) -> String {
    let token = |at: usize| {
        let secret = if at == 0 { TOKEN.to_owned() } else { format!("{TOKEN}-{at}") };
        serde_json::json!({
            "id": format!("tk_{at}"),
            "token": secret,
            "allowed_apis": ["maps", "sql"],
            "referers": ["https://app.example.com"],
            "grants": [
                {"connection_name": "carto_dw", "source": "carto-demo-data.demo_raster.*"},
                {"connection_name": "carto_dw", "source": "carto-demo-data.demo_tables.*"},
                {"connection_name": "carto_dw", "source": format!("carto-demo-data.private.table_{at}")},
            ],
        })
    };
    let tokens: Vec<_> = (0..tokens).map(token).collect();
    serde_json::json!({"version": 1, "tokens": tokens}).to_string()
}

/// Returns a query of about 8 KiB with many quotes.
pub fn long_query() -> String {
    let values: Vec<String> = (0..560).map(|at| format!("'order-{at:06}'")).collect();
    format!("SELECT * FROM t WHERE id IN ({})", values.join(","))
}

/// Returns a policy of one token, [`TOKEN`], which may run `query`.
pub fn policy_of_query(query: &str) -> String {
    let token = serde_json::json!({
        "id": "tk_query",
        "token": TOKEN,
        "allowed_apis": ["sql"],
        "grants": [{"connection_name": ONE_CONNECTION, "source": query, "type": "query"}],
    });
    serde_json::json!({"version": 1, "tokens": [token]}).to_string()
}

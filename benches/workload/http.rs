//! HTTP requests of a map in a browser.

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

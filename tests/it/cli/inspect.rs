//! `inspect` and `bench`.

use serde_json::Value;

use super::util::{Dir, SECRET};

#[test]
fn inspect_counts_tokens_grants_and_connections() {
    let dir = Dir::with_policy();
    let text = dir.command("inspect --policy policy.json").stdout(0);
    for line in [
        "tokens        2\n",
        "grants        3: 1 resource, 1 query, 1 named_source\n",
        "\ndw (postgres)\n",
        "  strategy    hashes: ",
    ] {
        assert!(text.contains(line), "{line:?} in {text}");
    }
    let json: Value =
        serde_json::from_str(&dir.command("inspect --policy policy.json --format json").stdout(0)).unwrap();
    assert_eq!(json["tokens"], 2);
    assert_eq!(json["connections"][0]["name"], "dw");
    assert_eq!(json["connections"][0]["grants"]["query"], 1);
    assert!(json["bytes"]["total"].as_u64() > Some(0));
}

#[test]
fn bench_reports_latency_of_each_outcome() {
    let requests = format!("{{\"api\":\"lds\",\"token\":\"{SECRET}-geo\"}}\n{{\"api\":\"lds\"}}\n");
    let dir = Dir::with_policy().file("requests.jsonl", requests).file("bad.jsonl", "{\"api\":\"lds\"}\n{}\n");
    let bench = "bench --policy policy.json --seconds 0.05 --threads 2 --requests";
    let text = dir.command(&format!("{bench} requests.jsonl")).stdout(0);
    for part in ["2 requests over 2 tokens; the clock costs ", "  allow", "  token_missing", "1 thread ", "2 threads "]
    {
        assert!(text.contains(part), "{part:?} in {text}");
    }
    let json: Value =
        serde_json::from_str(&dir.command(&format!("{bench} requests.jsonl --format json")).stdout(0)).unwrap();
    assert_eq!(json["outcomes"][0]["outcome"], "allow");
    assert!(json["latency"]["p99_9_ns"].as_u64() <= json["latency"]["max_ns"].as_u64());
    assert!(json["throughput"][1]["decisions_per_second"].as_u64() > Some(0));
    let bad = dir.command(&format!("{bench} bad.jsonl")).stderr();
    assert_eq!(bad, "error: cannot read the requests `bad.jsonl`: line 2: `api` is missing\n");
    assert!(
        dir.command(&format!("{bench} requests.jsonl --seconds 0"))
            .run()
            .stderr
            .contains("cannot be used multiple times")
    );
}

//! The order of the checks of a decision (N10): a referer that is not allowed is reported before any later reason, also
//! if its origin is one of the token's.

use portcullis::base::Timestamp;
use portcullis::decision::Reason;
use portcullis::model::Operation;
use portcullis_testkit::reference::ReferenceDecision;
use serde_json::{Value, json};

use crate::document;
use crate::engine::{by_engine, for_each_strategy, policy, snapshot};
use crate::request::{OwnedRequest, OwnedSource, Presented};

/// Tokens by the number of their referers: one site, one page, several origins with pages, prefixes, wildcards and
/// ports, and many origins. Each has the origin `https://a.test` with other pages than `/none`, except the first.
fn tokens() -> Vec<Value> {
    let pages = ["https://a.test/page", "https://a.test/x/*"].map(str::to_owned);
    let many: Vec<String> = (0..100).map(|at| format!("https://site-{at}.test/app/*")).chain(pages).collect();
    let referers = [
        json!(["https://b.test/"]),
        json!(["https://a.test/page"]),
        json!([
            "https://a.test/page",
            "https://a.test/app/*",
            "https://*.a.test/",
            "http://a.test/",
            "https://a.test:81/"
        ]),
        json!(many),
    ];
    let grants = json!([
        {"connection_name": "dw", "source": "s.t"},
        {"connection_name": "dw", "type": "query", "source": "select 1 from t"},
        {"connection_name": "named", "type": "named_source", "source": "shops"},
    ]);
    let token = |(at, referers): (usize, &Value)| json!({"id": format!("{at}"), "token": format!("secret-{at}"), "allowed_apis": ["maps", "sql"], "grants": grants, "referers": referers});
    referers.iter().enumerate().map(token).collect()
}

fn sources() -> Vec<(&'static str, OwnedSource)> {
    vec![
        ("dw", OwnedSource::Resource("s.t".to_owned())),
        ("dw", OwnedSource::Resource("s.other".to_owned())),
        ("dw", OwnedSource::Resource("s..t".to_owned())),
        ("dw", OwnedSource::Query("select  1\nfrom t;".to_owned())),
        ("dw", OwnedSource::Query("select 2 from t".to_owned())),
        ("dw", OwnedSource::Query(" ; ".to_owned())),
        ("named", OwnedSource::Query("select 1 from t".to_owned())),
        ("named", OwnedSource::NamedSource("shops".to_owned())),
        ("unknown", OwnedSource::Resource("s.t".to_owned())),
    ]
}

#[test]
fn referer_is_reported_before_what_is_wrong_with_the_sources() {
    let connections = json!([{"name": "dw"}, {"name": "named", "named_sources_only": true}]);
    let document = json!({"connections": connections, "tokens": tokens()});
    let (reference, policy) = (document::reference(&document), policy(&document));
    let headers = [
        "https://a.test/page",
        "https://a.test/none",
        "https://a.test/app/../page",
        "https://b.test/",
        "https://c.test/",
    ];
    let mut reasons = Vec::new();
    for_each_strategy(|strategy, options| {
        let snapshot = snapshot(&policy, options);
        for ((connection, source), header) in sources().iter().flat_map(|source| headers.map(|header| (source, header)))
        {
            for (token, api) in (0..tokens().len()).flat_map(|token| ["maps", "sql"].map(|api| (token, api))) {
                let asked = OwnedRequest {
                    credential: Presented::Secret(format!("secret-{token}")),
                    api: api.to_owned(),
                    operation: Operation::Query,
                    connection: (*connection).to_owned(),
                    sources: vec![source.clone()],
                    referer: Some(header.to_owned()),
                    now: Timestamp::from_unix(0, 0),
                };
                let expected = asked.with(|request, now| reference.decide(request, now));
                assert_eq!(by_engine(&snapshot, &asked), expected, "{strategy}: {asked:?}");
                if let ReferenceDecision::Deny(reason) = expected {
                    assert!(header != "https://a.test/none" || reason == Reason::RefererNotAllowed, "{asked:?}");
                    reasons.push(reason);
                }
            }
        }
    });
    let every = [
        Reason::RefererNotAllowed,
        Reason::SourceMalformed,
        Reason::ConnectionNotGranted,
        Reason::QueryNotAccepted,
        Reason::SourceNotGranted,
    ];
    assert!(every.iter().all(|reason| reasons.contains(reason)), "{reasons:?}");
}

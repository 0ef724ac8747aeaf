//! Reading of HTTP requests by the rules W1 to W6.

use std::fs;

use portcullis_http::gateway::{Body, HttpRequest, Preflights, Reader, ReaderOptions, Reading, Routes};
use proptest::prelude::*;
use serde_json::{Value, json};

use crate::choices::{Choices, bytes, config};
use crate::fuzzed::requests::{self, Sent};

/// Reads an HTTP request and returns the result in the form of the vectors.
fn read(reader: &Reader, method: &str, target: &str, headers: &[(&str, &str)], body: Body<'_>) -> Value {
    match reader.read(&HttpRequest { method, target, headers: &headers, body }) {
        Err(error) => json!({"not_understood": error.to_string()}),
        Ok(Reading::Preflight(preflight)) => {
            json!({"preflight": preflight.origin, "passes": preflight.passes})
        }
        Ok(Reading::PassedThrough) => json!("passed through"),
        Ok(Reading::Access(access)) => {
            let sources: Vec<Value> =
                access.sources.iter().map(|(kind, text)| json!({(kind.as_str()): text})).collect();
            let mut result = json!({
                "token": access.token, "api": access.api, "connection": access.connection,
                "sources": sources, "referer": access.referer,
            });
            if access.operation == portcullis::model::Operation::Model {
                result["operation"] = json!("model");
            }
            result
        }
    }
}

/// Returns the recorded requests.
fn recorded() -> Vec<Value> {
    let file = crate::repository().join("tests/data/http/requests.jsonl");
    fs::read_to_string(file).unwrap().lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

#[test]
fn recorded_requests_are_read_as_the_vectors_expect() {
    let reader = Reader::default();
    let mut wrong = Vec::new();
    for line in recorded() {
        let headers: Vec<(&str, &str)> = line["headers"]
            .as_object()
            .unwrap()
            .iter()
            .map(|(name, value)| (&**name, value.as_str().unwrap()))
            .collect();
        let body = Body::Whole(line["body"].as_str().unwrap_or_default().as_bytes());
        let found = read(&reader, line["method"].as_str().unwrap(), line["url"].as_str().unwrap(), &headers, body);
        let expected = &line["expect"];
        let refused = expected["not_understood"] == true && found.get("not_understood").is_some();
        if !refused && found != *expected {
            wrong.push(format!("{}: expected {expected}, found {found}", line["id"]));
        }
    }
    assert!(wrong.is_empty(), "{} differ\n{}", wrong.len(), wrong.join("\n"));
}

/// Returns bytes for choices, different for each number.
fn choice_bytes(number: u32) -> Vec<u8> {
    (0..400).map(|at| (number * 400 + at).wrapping_mul(0x9e37_79b9).to_be_bytes()[1]).collect()
}

#[test]
fn recorded_requests_in_other_spellings_are_read_equally() {
    let mut understood = 0;
    let recorded = recorded();
    for (at, line) in (0..).zip(&recorded) {
        let text = |key: &str| line[key].as_str().unwrap_or_default().to_owned();
        let headers = line["headers"].as_object().unwrap().iter();
        let headers = headers.map(|(name, value)| (name.clone(), value.as_str().unwrap().as_bytes().to_vec()));
        let sent = Sent {
            method: text("method"),
            target: text("url"),
            headers: headers.collect(),
            body: text("body").into_bytes(),
        };
        for turn in 0..4 {
            understood += usize::from(requests::check(&sent, &mut Choices::of(&choice_bytes(4 * at + turn))));
        }
    }
    assert!(understood >= recorded.len(), "only {understood} of {} are understood", 4 * recorded.len());
}

proptest! {
    #![proptest_config(config(2000))]

    #[test]
    fn every_spelling_of_a_request_is_read_as_its_meaning(bytes in bytes(160)) {
        requests::made_up(&mut Choices::of(&bytes));
    }

    #[test]
    fn any_bytes_are_read_or_rejected(
        method in "(GET|POST|OPTIONS|[a-z\0é ]{0,4})",
        target in "(/v3/(maps|sql|stats|imports|lds)/[a-z%./;+]{0,6}/?(table|query|model/x|boundary)?)?[ -~é\0]{0,8}[?]?((name|q|source|type|access_token|%6eame)=[ -~]{0,6}&?){0,3}.{0,3}",
        headers in prop::collection::vec(("(authorization|referer|origin|content-type|content-length|.{0,3})", prop::collection::vec(any::<u8>(), 0..12)), 0..4),
        body in prop_oneof![prop::collection::vec(any::<u8>(), 0..24), "[{](\"(name|q|source|n\\\\u0061me)\":(\"[ -~]{0,4}\"|[0-9a-z]{0,4}),?){0,3}[}]?".prop_map(String::into_bytes)],
        bytes in bytes(60),
    ) {
        requests::check(&Sent { method, target, headers, body }, &mut Choices::of(&bytes));
    }
}

#[test]
fn enough_requests_in_other_spellings_are_understood() {
    let understood = (0..400).filter(|seed| requests::made_up(&mut Choices::of(&choice_bytes(*seed))));
    let understood = understood.count();
    assert!(understood > 100, "only {understood} of 400 are understood: too few for a meaningful test");
}

/// Returns the API, connection and sources of a GET, or the reason why it is not understood.
fn get(target: &str) -> String {
    let found = read(&Reader::default(), "GET", target, &[], Body::Whole(b""));
    match found.get("not_understood") {
        Some(why) => format!("refused: {}", why.as_str().unwrap()),
        None => {
            format!("{} {} {}", found["api"].as_str().unwrap(), found["connection"].as_str().unwrap(), found["sources"])
        }
    }
}

#[test]
fn paths_and_parameters_are_read_or_rejected() {
    for (target, expected) in [
        ("/v3/maps/dw/table?name=a.b", r#"maps dw [{"resource":"a.b"}]"#),
        ("/api/v3/maps/dw/raster/1/2/3?name=a%2Eb+c", r#"maps dw [{"resource":"a.b c"}]"#),
        ("/v3/maps/v3/tileset?name=a", r#"maps v3 [{"resource":"a"}]"#),
        ("/v3/maps/dw/query?q=daily", r#"maps dw [{"named_source":"daily"}]"#),
        ("/v3/sql/dw/job?q=SELECT+1", r#"sql dw [{"query":"SELECT 1"}]"#),
        ("/v3/sql/dw/model/pick?type=tileset&source=a.b", r#"sql dw [{"resource":"a.b"}]"#),
        ("/v3/sql/dw/model/pick?type=query&source=daily", r#"sql dw [{"named_source":"daily"}]"#),
        (
            "/v3/maps/dw/boundary?tilesetTableName=t&propertiesTableName=p",
            r#"maps dw [{"resource":"t"},{"resource":"p"}]"#,
        ),
        ("/v3/stats/dw/a+b.c/col", r#"maps dw [{"resource":"a+b.c"}]"#),
        ("/v3/imports/dw?destination=a.b", r#"imports dw [{"resource":"a.b"}]"#),
        ("/v3/lds/geocoding/geocode?address=x", "lds  []"),
        ("/v3/maps/a%2520b/table?name=t", r#"maps a%20b [{"resource":"t"}]"#),
    ] {
        assert_eq!(get(target), expected, "{target}");
    }
    for target in [
        "/v3/maps/public/table?name=t",
        "/v3/maps/%70ublic/table?name=t",
        "/v3/other",
        "/v4/maps/dw/table?name=t",
        "/V3/maps/a/table/v3/maps/b/table?name=t",
        "/%76%33/maps/a/table/v3/maps/b/table?name=t",
        "//v3/maps/dw/table?name=t",
        "/v3/maps//table?name=t",
        "/v3/maps/dw/table/?name=t",
        "/v3//maps/dw/table?name=t",
        "/v3/maps/./table?name=t",
        "/v3/maps/../table?name=t",
        "/v3/maps/%2e%2E/table?name=t",
        "/v3/maps/dw/table/%252e%252e?name=t",
        "/v3/maps/dw/table/..;x?name=t",
        "/v3/maps/dw;x/table?name=t",
        "/v3/maps/d%2Fw/table?name=t",
        "/v3/maps/d%5Cw/table?name=t",
        "/v3/maps/d\\w/table?name=t",
        "/v3/maps/d%0Aw/table?name=t",
        "/v3/maps/dw/t%61ble?name=t",
        "/v3/maps/%C3/table?name=t",
        "/v3/maps/dw/table",
        "/v3/maps/dw/table?name=a&name=a",
        "/v3/maps/dw/table?name=a&%6eame=b",
        "/v3/maps/dw/table?name=a&x=1&x=2",
        "/v3/maps/dw/table?name=a&name[]=b",
        "/v3/maps/dw/table?name=a&Name=b",
        "/v3/maps/dw/table?name=a;name=b",
        "/v3/maps/dw/table?name=a%00",
        "/v3/maps/dw/table?name=a%FF",
        "/v3/maps/dw/table?name=a%4",
        "/v3/maps/dw/table?name=a&filters=%zz",
        "/v3/maps/dw/table?name=a#b",
        "/v3/maps/dw/table?name=a b",
        "/v3/maps/dw/table?name=é",
        "https://x/v3/maps/dw/table?name=a",
        "*",
        "",
        "/v3/maps/dw/boundary?tilesetTableName=t",
        "/v3/sql/dw/model/pick?source=a.b",
        "/v3/maps/dw/boundary?tilesetTableName=t&propertiesTableName=p&propertiesSqlQuery=q",
        "/v3/sql/dw/model/pick?type=view&source=a.b",
        "/v3/stats/dw/t/col?q=SELECT+1",
    ] {
        let found = get(target);
        assert!(found.starts_with("refused: "), "{target}: {found}");
    }
}

#[test]
fn tokens_and_referers_are_read_or_rejected() {
    let reader = Reader::default();
    let plain = "/v3/maps/dw/table?name=t";
    let with_token = "/v3/maps/dw/table?name=t&access_token=se%2Bcret";
    let read_get = |target: &str, headers: &[(&str, &str)]| read(&reader, "GET", target, headers, Body::Whole(b""));
    for (target, headers, token) in [
        (plain, &[("Authorization", "bEARER  s3cret")][..], json!("s3cret")),
        (with_token, &[], json!("se+cret")),
        (with_token, &[("authorization", "Basic eDp5")], json!("se+cret")),
        (plain, &[("authorization", "Bearer ")], json!(null)),
        (plain, &[("authorization", "Bearer")], json!(null)),
        (plain, &[], json!(null)),
    ] {
        assert_eq!(read_get(target, headers)["token"], token, "{target} {headers:?}");
    }
    for (target, headers) in [
        (with_token, &[("authorization", "Bearer s3cret")][..]),
        (plain, &[("authorization", "Bearer s3cret"), ("AUTHORIZATION", "Bearer s3cret")]),
        (plain, &[("authorization", "Bearer s3cret, Bearer other")]),
        (plain, &[("authorization", "Bearer s3cret other")]),
        (plain, &[("authorization", "Bearer\ts3cret")]),
        ("/v3/maps/dw/table?name=t&access_token=s3cret&access_token=s3cret", &[]),
        ("/v3/maps/dw/table?name=t&access_token[]=s3cret", &[]),
    ] {
        let found = read_get(target, headers);
        assert!(found["not_understood"].as_str().is_some_and(|why| !why.contains("s3cret")), "{found}");
    }
    let two = [("referer", "https://a.test/"), ("referer", "https://a.test/")];
    let referer = read_get(plain, &two)["referer"].as_str().unwrap().to_owned();
    assert!(portcullis::referer::Referer::parse(&referer).is_none());
    for (referer, is_one) in [
        ("https://a.test/", true),
        ("https://a.test/x,y?z=1,2", true),
        ("https://a.test/?a:1,b:2", true),
        ("https://a.test/,https://b.test/", false),
        ("https://a.test/, HTTP:b.test", false),
        ("https://a.test/ ,\thttps://b.test/", false),
        ("https://a.test/,ht\ttps://b.test/", false),
        ("https://a.test/,android-app://b.test/", false),
    ] {
        let found = read_get(plain, &[("referer", referer)])["referer"].as_str().unwrap().to_owned();
        assert_eq!(found == referer, is_one, "{referer}");
        assert_eq!(portcullis::referer::Referer::parse(&found).is_some(), is_one, "{referer}");
    }
    let strict = ReaderOptions { refuse_query_tokens: true, ..ReaderOptions::default() };
    let strict = Reader::new(Routes::default(), strict);
    let found = read(&strict, "GET", with_token, &[], Body::Whole(b""));
    assert!(found["not_understood"].as_str().is_some_and(|why| why.contains("`Authorization` header")), "{found}");
    let found = read(&strict, "GET", plain, &[("authorization", "Bearer s3cret")], Body::Whole(b""));
    assert_eq!(found["token"], "s3cret");
    let options = ReaderOptions { origin_as_referer: true, ..ReaderOptions::default() };
    let lenient = Reader::new(Routes::default(), options);
    let origin = [("origin", "https://a.test")];
    assert_eq!(read_get(plain, &origin)["referer"], json!(null));
    assert_eq!(read(&lenient, "GET", plain, &origin, Body::Whole(b""))["referer"], "https://a.test");
    assert_eq!(read(&lenient, "GET", plain, &[("origin", "null")], Body::Whole(b""))["referer"], json!(null));
}

#[test]
fn bodies_are_read_or_rejected() {
    let reader = Reader::default();
    let json = [("content-type", "application/json; charset=utf-8")];
    let post = |target: &str, body: Body<'_>| read(&reader, "POST", target, &json, body);
    let bare = "/v3/maps/dw/table";
    let named = "/v3/maps/dw/table?name=t";
    for (target, body) in [
        (bare, r#"{"name":"\u0074","v":3}"#),
        (named, r#"{"v":"3.4"}"#),
        (named, r#"{"name":"t"}"#),
        (named, r#"{"x":"\\u0000"}"#),
        (named, ""),
    ] {
        assert_eq!(
            post(target, Body::Whole(body.as_bytes()))["sources"],
            json!([{"resource": "t"}]),
            "{target} {body}"
        );
    }
    for (target, body) in [
        (bare, r#"{"name":"t","name":"t"}"#),
        (bare, r#"{"name":"t","n\u0061me":"s"}"#),
        (named, r#"{"name":"s"}"#),
        (bare, r#"{"name":["t"]}"#),
        (bare, r#"{"name":null}"#),
        (bare, r#"{"name":"a\u0000"}"#),
        (named, r#"{"x":[{"y":"\\\u0000"}]}"#),
        (named, "[]"),
        (named, "name=s"),
        (bare, r#"{"name":"t"} {}"#),
        (bare, "\u{feff}{\"name\":\"t\"}"),
        (bare, r#"{"Name":"s","name":"t"}"#),
        (named, r#"{"access_token":"x"}"#),
        (bare, ""),
    ] {
        assert!(post(target, Body::Whole(body.as_bytes())).get("not_understood").is_some(), "{target} {body}");
    }
    assert!(post(named, Body::NotPassedOn).get("not_understood").is_some());
    assert!(read(&reader, "GET", named, &[], Body::NotPassedOn).get("sources").is_some());
    assert!(read(&reader, "GET", named, &[("Content-Length", "9")], Body::NotPassedOn).get("not_understood").is_some());
    for content_type in [
        "application/x-www-form-urlencoded",
        "application/json;charset=utf-16",
        "application/json; charset = utf-16",
        "application/json; charset",
        "text/plain",
        "",
    ] {
        let headers = [("content-type", content_type)];
        assert!(read(&reader, "POST", bare, &headers, Body::Whole(br#"{"name":"t"}"#)).get("not_understood").is_some());
    }
    assert!(read(&reader, "POST", bare, &[], Body::Whole(br#"{"name":"t"}"#)).get("not_understood").is_some());
}

#[test]
fn preflights_and_passed_through_requests_are_recognized() {
    let preflight = [("origin", "https://a.test"), ("access-control-request-method", "GET")];
    let target = "/v3/maps/dw/table?name=t";
    let read_options =
        |reader: &Reader, headers: &[(&str, &str)]| read(reader, "OPTIONS", target, headers, Body::Whole(b""));
    assert_eq!(read_options(&Reader::default(), &preflight), json!({"preflight": "https://a.test", "passes": false}));
    let passing = ReaderOptions { preflights: Preflights::Pass, ..ReaderOptions::default() };
    let passing = Reader::new(Routes::default(), passing);
    assert_eq!(read_options(&passing, &preflight), json!({"preflight": "https://a.test", "passes": true}));
    for reader in [&Reader::default(), &passing] {
        for more in [("X-HTTP-Method-Override", "GET"), ("x_http_method", "GET"), ("Upgrade", "h2c")] {
            let headers = [preflight[0], preflight[1], more];
            assert!(read_options(reader, &headers).get("not_understood").is_some(), "{more:?}");
        }
        // A preflight has no body and requests no upgrade.
        for more in [("Content-Length", "2"), ("Transfer-Encoding", "chunked"), ("Upgrade", "websocket")] {
            let headers = [preflight[0], preflight[1], more];
            assert!(read_options(reader, &headers).get("api").is_some(), "{more:?}");
        }
    }
    // A passed preflight must be as plain as any other request.
    for target in
        ["/v3/other", "/v3;x/maps/dw/table?name=t", "/v3/maps/dw/table?_method=GET", "/v3/maps/dw/table?name]=t"]
    {
        let found = read(&passing, "OPTIONS", target, &preflight, Body::Whole(b""));
        assert!(found.get("not_understood").is_some(), "{target}: {found}");
    }

    let routes = r#"{"base_segment": "v3", "passed_through": ["/health", "/v3/maps/public"], "routes": [
        {"path": "/v3/maps/public/**", "undecided": true},
        {"path": "/v3/maps/{connection}/table", "api": "maps", "sources": [{"resource": "name"}]}]}"#;
    let mut routes = Routes::from_json(routes).unwrap();
    routes.pass_through("/api").unwrap();
    let reader = Reader::new(routes, ReaderOptions::default());
    let get = |target: &str| read(&reader, "GET", target, &[], Body::Whole(b""));
    // A passed-through prefix without the base segment does not pass paths that resemble a route.
    for target in ["TABLE", "Table", "table.json", "table%20", "t%2561ble", "query2", "other/x"] {
        let target = format!("/api/v3/maps/dw/{target}?name=t");
        assert!(get(&target).get("not_understood").is_some(), "{target}");
    }
    for target in ["/api", "/api/login", "/health", "/health/live?x", "/v3/maps/public/1", "/api/v3/maps/public/table"]
    {
        assert_eq!(get(target), "passed through", "{target}");
    }
    for target in ["/healthy", "/x/health", "/v3/maps/public2/1", "/health/../v3", "/health//x", "/h%65alth"] {
        assert!(get(target).get("not_understood").is_some(), "{target}");
    }
}

#[test]
fn invalid_routes_are_rejected() {
    assert_eq!(get("/v3/lds/x"), "lds  []");
    for (route, why) in [
        (r#"{"path": "maps", "api": "maps"}"#, "begins with `/`"),
        (r#"{"path": "/v3//x", "api": "maps"}"#, "is not a segment"),
        (r#"{"path": "/v4/x", "api": "maps"}"#, "base segment"),
        (r#"{"path": "/v3/x"}"#, "`api` is missing"),
        (r#"{"api": "maps"}"#, "`path` is missing"),
        (r#"{"path": 7, "api": "maps"}"#, "expected a string, found a number"),
        (r#"{"pathh": "/v3/x", "api": "maps"}"#, "unknown key `pathh`, did you mean `path`?"),
        (r#"{"path": "/v3/x", "path": "/v3/y"}"#, "`path` is given more than once"),
        ("7", "expected an object with the key `path`, found a number"),
        (r#"{"path": "/v3/x", "api": "maps", "sources": [{"resource": "n"}]}"#, "needs `{connection}`"),
        (r#"{"path": "/v3/{connection}", "api": "maps", "sources": [{}]}"#, "name of a parameter"),
        (r#"{"path": "/v3/{connection}/{connection}", "api": "maps"}"#, "only once"),
        (r#"{"path": "/v3/x", "api": "sql", "operation": "drop"}"#, "`query` or `model`"),
        (r#"{"path": "/v3/x", "api": "maps", "colour": 1}"#, "unknown key `colour`"),
        (
            r#"{"path": "/v3/{connection}", "api": "maps", "sources": [{"resource": "na me"}]}"#,
            "`na me` is not the name",
        ),
        (r#"{"path": "/v3/x", "api": "maps", "without": ["q[]"]}"#, "`q[]` is not the name"),
    ] {
        let error = Routes::from_json(&format!(r#"{{"base_segment": "v3", "routes": [{route}]}}"#)).unwrap_err();
        assert!(error.to_string().contains(why), "{route}: {error}");
    }
}

/// Routes that start alike are compared together.
#[test]
fn the_first_route_that_fits_applies_whatever_it_shares_with_others() {
    let paths = [
        "/v3/a/{connection}/x",
        "/v3/a/{connection}/**",
        "/v3/a/b",
        "/v3/a/b/{connection}/{any}",
        "/v3/{any}/b/x",
        "/v3/{any}/{connection}/x/**",
        "/v3/{any}/{source}/{connection}/b",
        "/v3/b/x",
        "/v3/b/**",
    ];
    let segments = ["a", "b", "x"];
    // Each path is a number to the base of four, in which zero is no segment.
    let targets = (0..4_usize.pow(4)).map(|number| {
        let digits = (0..4).map(|at| number / 4_usize.pow(at) % 4).filter(|digit| *digit > 0);
        digits.fold("/v3".to_owned(), |path, digit| format!("{path}/{}", segments[digit - 1]))
    });
    let targets: Vec<String> = targets.collect();
    for turn in 0..paths.len() {
        let order: Vec<&str> = paths[turn..].iter().chain(&paths[..turn]).copied().collect();
        let routes = order.iter().enumerate().map(|(at, path)| json!({"path": path, "api": format!("api{at}")}));
        let table = json!({"base_segment": "v3", "routes": routes.collect::<Vec<_>>()}).to_string();
        let reader = Reader::new(Routes::from_json(&table).unwrap(), ReaderOptions::default());
        for target in &targets {
            let expected = order.iter().position(|path| fits(path, target)).map(|at| json!(format!("api{at}")));
            let found = read(&reader, "GET", target, &[], Body::Whole(b""));
            assert_eq!(found.get("api"), expected.as_ref(), "{order:?} {target}");
        }
    }
}

/// Whether the path of a route fits `target`, by comparing them segment by segment.
fn fits(path: &str, target: &str) -> bool {
    let (path, below) = path.strip_suffix("/**").map_or((path, false), |path| (path, true));
    let (wanted, found): (Vec<_>, Vec<_>) = (path.split('/').collect(), target.split('/').collect());
    (wanted.len() == found.len() || below && wanted.len() < found.len())
        && wanted.iter().zip(&found).all(|(wanted, found)| wanted == found || wanted.starts_with('{'))
}

#[test]
fn reading_a_tile_request_does_not_allocate() {
    let reader = Reader::default();
    let headers = [("authorization", "Bearer s3cret"), ("referer", "https://a.test/"), ("user-agent", "x")];
    let target = "/v3/maps/carto_dw/table/5/15/12?name=carto.demo.airports&columns=a%2Cb&cache=1&formatTiles=binary";
    let request = HttpRequest { method: "GET", target, headers: &headers, body: Body::Whole(b"") };
    let used = allocation_counter::measure(|| assert!(matches!(reader.read(&request), Ok(Reading::Access(_)))));
    assert_eq!(used.count_total, 0);
}

#[test]
fn reading_allocates_only_to_decode() {
    let reader = Reader::default();
    let headers = [("authorization", "Bearer s3cret"), ("referer", "https://a.test/")];
    // Only used values are decoded into new memory. Parameters without an effect are checked without decoding.
    for (target, decoded) in [
        ("/v3/maps/Oracle%20Conn/table?name=a.b&columns=a%2Cb", 1),
        ("/v3/maps/Oracle%20Conn/table?name=a+b&columns=a%2Cb", 2),
        ("/v3/sql/dw/query?q=SELECT+1&access_token=a%2Bb", 2),
        ("/v3/stats/dw/a%2Eb/c", 1),
    ] {
        let headers = &headers[usize::from(target.contains("token"))..];
        let request = HttpRequest { method: "GET", target, headers: &headers, body: Body::Whole(b"") };
        let used = allocation_counter::measure(|| assert!(matches!(reader.read(&request), Ok(Reading::Access(_)))));
        assert!(used.count_total <= decoded, "{target}: {} allocations", used.count_total);
    }
}

//! What `/oauth/authorize` answers to which request.

use serde_json::Value;

use super::{ORIGIN, Spa, answer, sign_in};

fn values(value: &Value) -> Vec<String> {
    match value {
        Value::Null => Vec::new(),
        Value::String(text) => vec![text.clone()],
        Value::Array(list) => list.iter().flat_map(values).collect(),
        other => panic!("{other}"),
    }
}

#[test]
fn each_request_gets_its_answer() {
    let spa = Spa::start();
    let machine = spa.server.machine("ana", None).id;
    // `ana` consents; `cleo` never does.
    spa.code(&[]);
    let stranger = sign_in(&spa.server, "cleo");
    let cases: Vec<Value> =
        serde_json::from_str(include_str!("../../../../../tests/data/workspace/authorize.json")).unwrap();
    for case in &cases {
        let why = case["why"].as_str().unwrap();
        let filled = |text: String| text.replace("$CLIENT", &spa.id).replace("$MACHINE", &machine);
        let changes = case["set"].as_object().unwrap().iter();
        let changes: Vec<(&str, Vec<String>)> =
            changes.map(|(name, value)| (&**name, values(value).into_iter().map(filled).collect())).collect();
        let query = spa.query(&changes);
        let cookie = match (case["signed_in"].as_bool(), case["consented"].as_bool()) {
            (Some(false), _) => "",
            (_, Some(false)) => &stranger,
            _ => &spa.cookie,
        };
        let reply = spa.server.send("GET", &format!("/oauth/authorize?{query}"), &[("cookie", cookie)], "");
        let sent = |name: &str| url::form_urlencoded::parse(query.as_bytes()).find(|(known, _)| known == name);
        let sent = |name: &str| sent(name).map(|(_, value)| value.into_owned());
        assert_eq!(reply.header("cache-control"), Some("no-store"), "{why}");
        let policy = reply.header("content-security-policy").unwrap();
        // Pages need the origin in their forms; nothing of an address reaches another site.
        let referrer = reply.header("referrer-policy").unwrap();
        assert_eq!(referrer, if reply.status == 303 { "no-referrer" } else { "same-origin" }, "{why}");
        let want = case["answer"].as_str().unwrap();
        if want == "message" {
            assert!(policy.ends_with(&format!("frame-ancestors {ORIGIN}")), "{why}: {policy}");
            assert_eq!(reply.header("x-frame-options"), None, "{why}");
        } else {
            assert!(policy.contains("frame-ancestors 'none'"), "{why}: {policy}");
            assert_eq!(reply.header("x-frame-options"), Some("DENY"), "{why}");
        }
        match want {
            "page" => {
                assert_eq!((reply.status, reply.header("location")), (400, None), "{why}: {reply:?}");
                assert!(!reply.body.contains("<script>") && !reply.body.contains("postMessage"), "{why}");
            }
            "sign_in" => {
                assert_eq!(reply.status, 200, "{why}: {reply:?}");
                assert!(reply.body.contains("Sign in with the one-time link"), "{why}");
                assert!(reply.header("set-cookie").unwrap().starts_with("portcullis-back="), "{why}");
            }
            "consent" => {
                assert_eq!(reply.status, 200, "{why}: {reply:?}");
                assert!(reply.body.contains("Allow Atlas?") && reply.body.contains("value=\"deny\""), "{why}");
            }
            "message" => {
                assert_eq!(reply.status, 200, "{why}: {reply:?}");
                assert!(reply.body.contains(&format!("data-origin=\"{ORIGIN}\"")), "{why}");
                assert!(reply.body.contains("&quot;iss&quot;"), "{why}: {}", reply.body);
            }
            answered => {
                assert_eq!(reply.status, 303, "{why}: {reply:?}");
                let location = reply.header("location").unwrap();
                assert!(location.starts_with(&sent("redirect_uri").unwrap()), "{why}: {location}");
                let fields = answer(&reply);
                let get = |name: &str| fields.iter().find(|(known, _)| known == name).map(|(_, value)| value.clone());
                let state = if case.get("state").is_some() { None } else { sent("state") };
                assert_eq!(get("state"), state, "{why}");
                assert_eq!(get("iss"), Some(format!("http://{}/", spa.server.address)), "{why}");
                assert_eq!(get("access_token").or(get("id_token")), None, "{why}");
                if answered == "code" {
                    assert!(get("code").is_some_and(|code| code.len() >= 32) && get("error").is_none(), "{why}");
                } else {
                    assert_eq!((get("error").as_deref(), get("code")), (Some(answered), None), "{why}: {location}");
                    assert!(get("error_description").is_some(), "{why}");
                }
            }
        }
    }
}

#[test]
fn a_request_by_post_is_the_same_request() {
    let spa = Spa::start();
    let query = spa.query(&[]);
    let reply = spa.server.form("/oauth/authorize", &query).expect(303);
    assert_eq!(reply.header("location"), Some(&*format!("/oauth/authorize?{query}")));
    let long = format!("state={}", "x".repeat(9_000));
    assert_eq!(spa.server.form("/oauth/authorize", &long).status, 400);
    assert_eq!(spa.open(&format!("/oauth/authorize?{query}&{long}")).status, 400);
}

#[test]
fn the_path_of_the_libraries_is_the_same_endpoint() {
    let spa = Spa::start();
    assert!(spa.open(&format!("/authorize?{}", spa.query(&[]))).expect(200).body.contains("Allow Atlas?"));
}

//! Applications that ask for a new sign-in, and requests that only look.

use super::{Spa, answer};

/// Opens a request in the browser of `ana`, signs in by a link on the way, and returns the cookie of the new session.
fn sign_in_for(spa: &Spa, path: &str) -> String {
    let page = spa.open(path).expect(200);
    assert!(page.body.contains("one-time link"), "{page:?}");
    let back = page.header("set-cookie").unwrap().split(';').next().unwrap().to_owned();
    let link = spa.server.block_on(spa.server.workspace.login_link("ana")).unwrap();
    let link = link.split_once(&spa.server.address).unwrap().1.to_owned();
    let reply = spa.server.send("GET", &link, &[("cookie", &back)], "").expect(303);
    assert_eq!(reply.header("location"), Some(path), "the request is repeated as it was");
    let session = reply.headers.iter().find(|(name, value)| name == "set-cookie" && value.starts_with("portcullis="));
    session.unwrap().1.split(';').next().unwrap().to_owned()
}

#[test]
fn a_new_sign_in_counts_for_the_request_that_asked_for_it() {
    let mut spa = Spa::start();
    spa.code(&[]);
    let request = |spa: &Spa, state: &str, name: &'static str, value: &str| {
        let changes = [(name, vec![value.to_owned()]), ("state", vec![state.to_owned()])];
        format!("/oauth/authorize?{}", spa.query(&changes))
    };
    for (name, value) in [("prompt", "login"), ("prompt", "select_account consent"), ("max_age", "0")] {
        let path = request(&spa, "one", name, value);
        spa.cookie = sign_in_for(&spa, &path);
        let mut reply = spa.open(&path);
        if reply.status == 200 {
            assert!(reply.body.contains("Allow Atlas?"), "{name}={value}: {reply:?}");
            reply = spa.submit(&reply, ("decision", "allow"));
        }
        assert!(answer(&reply).iter().any(|(name, _)| name == "code"), "{name}={value}: {reply:?}");
        // Another request needs a sign-in of its own, whatever a URL says about the time of the last one.
        for added in ["", "&signed_in_after=0", "&signed_in_for=1"] {
            let other = spa.open(&format!("{}{added}", request(&spa, "two", name, value))).expect(200);
            assert!(other.body.contains("one-time link"), "{name}={value}{added}: {other:?}");
        }
    }
}

#[test]
fn a_request_that_only_looks_gets_no_code_and_ends_no_session() {
    let spa = Spa::start();
    spa.code(&[]);
    let query = spa.query(&[]);
    for path in ["/oauth/authorize", "/authorize"] {
        let path = format!("{path}?{query}");
        for (method, purpose) in [("HEAD", ""), ("GET", "prefetch"), ("GET", "prefetch;prerender")] {
            let headers = [("cookie", &*spa.cookie), ("sec-purpose", purpose)];
            let reply = spa.server.send(method, &path, &headers, "").expect(200);
            assert_eq!((reply.header("location"), reply.header("set-cookie")), (None, None), "{method} {purpose}");
        }
    }
    let hint = spa.tokens().text("id_token");
    for path in ["/oauth/logout", "/v2/logout"] {
        let path = format!("{path}?id_token_hint={hint}");
        spa.server.send("HEAD", &path, &[("cookie", &spa.cookie)], "").expect(200);
    }
    assert!(answer(&spa.authorize(&[]).expect(303)).iter().any(|(name, _)| name == "code"));
}

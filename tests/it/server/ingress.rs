//! The endpoint of ingress-nginx, whose `auth-url` sends the whole URL in `X-Original-URL` (W5).

use super::running::{options, serve};
use super::util::{SECRET, policy};

const MAY: &str = "/v3/maps/dw/table?name=db.t";
const MAY_NOT: &str = "/v3/maps/dw/table?name=db.other";
const NOT_UNDERSTOOD: &str = "request_not_understood";

#[test]
fn url_is_read_only_from_the_absolute_original_url() {
    let server = serve(Some(&policy("t")), options());
    let token = format!("Bearer {SECRET}");
    let ask = |headers: &[(&str, &str)], body: &str| {
        let own = [("authorization", &*token)];
        server.ask("GET /authz/ingress-nginx", &[&own, headers].concat(), body)
    };
    let method = ("x-original-method", "GET");
    let url = |scheme: &str, path: &str| format!("{scheme}apis.example.com{path}");
    for (url, reason) in [
        (url("https://", MAY), ""),
        (url("http://", MAY), ""),
        (url("https://", MAY_NOT), "source_not_granted"),
        (format!("https://apis.example.com:8443{MAY}"), ""),
        (format!("https://[::1]:8443{MAY}"), ""),
        // The template appends the client's `Host`, which must not move the start of the path.
        (format!("https://apis.example.com?x{MAY}"), NOT_UNDERSTOOD),
        (format!("https://apis.example.com\\{MAY}"), NOT_UNDERSTOOD),
        (format!("https://user@apis.example.com{MAY}"), NOT_UNDERSTOOD),
        (format!("https://a,b{MAY}"), NOT_UNDERSTOOD),
        ("https://apis.example.com".to_owned(), NOT_UNDERSTOOD),
        (format!("ftp://apis.example.com{MAY}"), NOT_UNDERSTOOD),
        (format!("apis.example.com{MAY}"), NOT_UNDERSTOOD),
        (String::new(), NOT_UNDERSTOOD),
        ("https://apis.example.com//v3/maps/dw/table?name=db.t".to_owned(), NOT_UNDERSTOOD),
    ] {
        let answer = ask(&[method, ("x-original-url", &url)], "");
        assert_eq!(answer.reason(), reason, "{url}");
        if reason.is_empty() {
            assert_eq!((answer.status, answer.header("x-portcullis-token-id")), (200, Some("only_t")));
        } else {
            assert_eq!(answer.header("x-portcullis-denial"), Some(&*answer.body), "{url}");
        }
    }
    let (may, may_not) = (url("https://", MAY), url("https://", MAY_NOT));
    for (headers, reason, why) in [
        (
            vec![method, ("x-original-url", &*may_not), ("x-original-uri", MAY)],
            "source_not_granted",
            "the client's own header",
        ),
        (vec![method, ("x-original-url", &may), ("x-original-uri", MAY_NOT)], "", "the client's own header"),
        (vec![method, ("x-original-url", &may), ("x-original-url", &may_not)], NOT_UNDERSTOOD, "two URLs"),
        (
            vec![method, ("x-original-url", &may), ("x-original-url", &may)],
            NOT_UNDERSTOOD,
            "one of them is the client's",
        ),
        (vec![method, ("x-original-uri", MAY)], NOT_UNDERSTOOD, "no URL"),
        (vec![("x-original-url", &*may)], NOT_UNDERSTOOD, "no method"),
        (vec![method, ("x-original-url", &may), ("x-original-method", "GET")], NOT_UNDERSTOOD, "two methods"),
        (
            vec![("x-original-method", "POST"), ("x-original-url", &may)],
            NOT_UNDERSTOOD,
            "a body that was not passed on",
        ),
        (
            vec![method, ("x-original-url", &may), ("x-original-content-length", "5")],
            NOT_UNDERSTOOD,
            "a GET with a body",
        ),
        (vec![method, ("x-original-url", &may), ("x-rewrite-url", MAY_NOT)], NOT_UNDERSTOOD, "an override"),
    ] {
        assert_eq!(ask(&headers, "").reason(), reason, "{why}");
    }
    // No 2xx but for an allow: ingress-nginx takes any for one.
    let preflight = [
        ("x-original-method", "OPTIONS"),
        ("x-original-url", &*may),
        ("origin", "https://a.test"),
        ("access-control-request-method", "GET"),
    ];
    assert_eq!(ask(&preflight, "").reason(), NOT_UNDERSTOOD);
}

#[test]
fn nginx_refuses_what_ingress_nginx_sends() {
    let server = serve(Some(&policy("t")), options());
    let token = format!("Bearer {SECRET}");
    let (may, may_not) = (format!("https://apis.example.com{MAY}"), format!("https://apis.example.com{MAY_NOT}"));
    for (headers, reason) in [
        (vec![("x-original-url", &*may_not), ("x-original-uri", MAY)], NOT_UNDERSTOOD),
        (vec![("x-original-url", &*may_not)], NOT_UNDERSTOOD),
        (vec![("x-original-url", &*may), ("x-original-uri", MAY)], ""),
    ] {
        let own = [("authorization", &*token), ("x-original-method", "GET")];
        assert_eq!(server.ask("GET /authz/nginx", &[&own, &headers[..]].concat(), "").reason(), reason, "{headers:?}");
    }
}

//! ID tokens, keys, discovery, and what a client may know about a user.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use ring::rsa::PublicKeyComponents;
use ring::signature::RSA_PKCS1_2048_8192_SHA256;
use serde_json::{Value, json};

use super::super::server::Server;
use super::{Spa, sign_in};

fn part(token: &str, index: usize) -> Value {
    serde_json::from_slice(&URL_SAFE_NO_PAD.decode(token.split('.').nth(index).unwrap()).unwrap()).unwrap()
}

/// Returns the claims of an ID token that a published key verifies.
fn claims(server: &Server, token: &str) -> Value {
    let keys = server.send("GET", "/.well-known/jwks.json", &[], "").expect(200).json();
    let header = part(token, 0);
    assert_eq!((header["alg"].as_str(), header["typ"].as_str()), (Some("RS256"), Some("JWT")));
    let key = keys["keys"].as_array().unwrap().iter().find(|key| key["kid"] == header["kid"]).unwrap();
    assert_eq!(
        (key["kty"].as_str(), key["use"].as_str(), key["alg"].as_str()),
        (Some("RSA"), Some("sig"), Some("RS256"))
    );
    let bytes = |name: &str| URL_SAFE_NO_PAD.decode(key[name].as_str().unwrap()).unwrap();
    let (signed, signature) = token.rsplit_once('.').unwrap();
    let key = PublicKeyComponents { n: bytes("n"), e: bytes("e") };
    let signature = URL_SAFE_NO_PAD.decode(signature).unwrap();
    key.verify(&RSA_PKCS1_2048_8192_SHA256, signed.as_bytes(), &signature).unwrap();
    part(token, 1)
}

#[test]
fn an_id_token_says_who_signed_in_and_for_whom() {
    let spa = Spa::start();
    let reply = spa.tokens();
    let token = claims(&spa.server, &reply.text("id_token"));
    let issuer = format!("http://{}/", spa.server.address);
    assert_eq!((&token["iss"], &token["aud"], &token["sub"]), (&json!(issuer), &json!(spa.id), &json!("ana")));
    assert_eq!((&token["nonce"], &token["name"]), (&json!("n-1"), &json!("ana")));
    let (now, number) = (portcullis_workspace::Workspace::now().seconds(), |name: &str| token[name].as_i64().unwrap());
    assert!((now - 60..=now).contains(&number("iat")) && (now - 60..=now).contains(&number("auth_time")));
    assert_eq!(number("exp") - number("iat"), 3600);
    // After a refresh: the same user and time of sign-in, and no nonce (OpenID Connect Core, section 12.2).
    let next = spa.refresh(&reply.text("refresh_token")).expect(200);
    let refreshed = claims(&spa.server, &next.text("id_token"));
    assert_eq!((&refreshed["sub"], &refreshed["auth_time"]), (&token["sub"], &token["auth_time"]));
    assert_eq!(refreshed.get("nonce"), None);
    // Without `openid`, there is none.
    let plain = spa.exchange(&spa.code(&[("scope", "read:tokens")])).expect(200);
    assert_eq!(plain.json().get("id_token"), None);
    // An ID token manages nothing and reads nothing.
    spa.server.get(&reply.text("id_token"), "/v3/tokens/self").problem(401, "invalid_token");
}

#[test]
fn keys_of_all_processes_are_published_and_no_private_key_is_stored() {
    let spa = Spa::start();
    let token = spa.tokens().text("id_token");
    // Another process of the workspace, with the same registry.
    let location = spa.server.location();
    let second = Server::start_with(|options| options.location = location.clone());
    let other = Spa { cookie: sign_in(&second, "ana"), id: spa.id.clone(), server: second };
    let reply = other.exchange(&other.code(&[])).expect(200);
    assert_ne!(part(&token, 0)["kid"], part(&reply.text("id_token"), 0)["kid"]);
    for server in [&spa.server, &other.server] {
        claims(server, &token);
        claims(server, &reply.text("id_token"));
        let keys = server.send("GET", "/.well-known/jwks.json", &[], "").expect(200);
        assert_eq!(keys.json()["keys"].as_array().unwrap().len(), 2);
        for private in ["\"d\"", "\"p\"", "\"q\"", "\"dp\"", "\"k\""] {
            assert!(!keys.body.contains(private), "{private}");
        }
    }
    let stored = spa.server.registry(|registry| {
        let kind = portcullis_registry::record::TicketKind::PublicKey;
        registry.tickets(kind, "", portcullis_workspace::Workspace::now()).unwrap()
    });
    let fields = |body: &[u8]| {
        let json: Value = serde_json::from_slice(body).unwrap();
        json.as_object().unwrap().keys().cloned().collect::<Vec<_>>()
    };
    assert_eq!(stored.len(), 2);
    for ticket in stored {
        let mut names = fields(&ticket.body);
        names.sort();
        assert_eq!(names, ["alg", "e", "kid", "kty", "n", "use"]);
    }
}

#[test]
fn discovery_names_what_exists() {
    let spa = Spa::start();
    let read = |path: &str| spa.server.send("GET", path, &[], "").expect(200).json();
    let document = read("/.well-known/openid-configuration");
    assert_eq!(document, read("/.well-known/oauth-authorization-server"));
    let issuer = document["issuer"].as_str().unwrap();
    assert_eq!(issuer, format!("http://{}/", spa.server.address), "`auth0-spa-js` expects a slash");
    for (name, status) in [
        ("authorization_endpoint", 400),
        ("token_endpoint", 405),
        ("revocation_endpoint", 405),
        ("introspection_endpoint", 405),
        ("userinfo_endpoint", 401),
        ("end_session_endpoint", 200),
        ("jwks_uri", 200),
    ] {
        let path = document[name].as_str().unwrap().strip_prefix(issuer.trim_end_matches('/')).unwrap();
        assert_eq!(spa.server.send("GET", path, &[], "").status, status, "{name}");
    }
    assert_eq!(document["code_challenge_methods_supported"], json!(["S256"]), "never `plain`");
    assert_eq!(document["response_types_supported"], json!(["code"]));
    assert_eq!(document["id_token_signing_alg_values_supported"], json!(["RS256"]));
    assert_eq!(document["authorization_response_iss_parameter_supported"], true);
}

#[test]
fn userinfo_needs_an_access_token_with_openid() {
    let spa = Spa::start();
    spa.server.registry(|registry| {
        registry
            .set_role(&super::actor("root").for_all_users(), "root", portcullis_registry::record::Role::Administrator)
            .unwrap()
    });
    let mail = Spa { cookie: sign_in(&spa.server, "ana@example.com"), id: spa.id.clone(), server: spa.server };
    let of = |scope: &str| mail.exchange(&mail.code(&[("scope", scope)])).expect(200).text("access_token");
    let info = |access: &str| mail.server.get(access, "/oauth/userinfo");
    assert_eq!(info(&of("openid")).expect(200).json(), json!({"sub": "ana@example.com"}));
    let access = of("openid profile email");
    let all = info(&access).expect(200);
    let name = "ana@example.com";
    assert_eq!(all.json(), json!({"sub": name, "name": name, "preferred_username": name, "email": name}));
    assert_eq!(all.header("cache-control"), Some("no-store"));
    assert_eq!(mail.server.call(&access, "POST", "/oauth/userinfo", &[], "").expect(200).json(), all.json());
    info(&of("read:tokens")).problem(403, "insufficient_scope");
    info("unknown").problem(401, "invalid_token");
    // A session is not an access token, and a machine's access token is of no user who signed in.
    mail.open("/oauth/userinfo").problem(401, "unauthenticated");
    info(&mail.server.access("ana")).problem(403, "insufficient_scope");
    // A token in an address would be in logs and histories.
    mail.open(&format!("/oauth/userinfo?access_token={access}")).problem(400, "secret_in_url");
}

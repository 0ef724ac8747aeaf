//! An OpenID provider that does what a test wants, also what no provider should.

use std::collections::HashMap;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use ring::rand::SystemRandom;
use ring::signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, KeyPair};
use serde_json::{Value, json};
use url::Url;

pub(crate) const CLIENT: &str = "portcullis";
pub(crate) const SECRET: &str = "s3cret-of-the-client";

pub(crate) struct FakeProvider {
    pub(crate) url: String,
    pub(crate) behavior: Arc<Mutex<Behavior>>,
}

/// How the provider answers.
pub(crate) struct Behavior {
    /// The keys, with their ids. The last one signs.
    pub(crate) keys: Vec<(String, EcdsaKeyPair)>,
    /// Whether the key set also has the last key.
    pub(crate) publishes_last_key: bool,
    /// Claims of ID tokens in addition to those of every one.
    pub(crate) claims: Value,
    /// The claims of the user information.
    pub(crate) user_info: Option<Value>,
    /// Fields of the discovery document that replace the usual ones.
    pub(crate) metadata: Value,
    /// Changes each ID token.
    pub(crate) forge: fn(&mut Forged),
    /// Whole answers by path.
    pub(crate) answers: HashMap<&'static str, Canned>,
    /// The path of each request.
    pub(crate) requests: Vec<String>,
    codes: HashMap<String, Code>,
}

/// An ID token before it is signed.
pub(crate) struct Forged {
    pub(crate) header: Value,
    pub(crate) claims: Value,
    pub(crate) sign: Sign,
}

pub(crate) enum Sign {
    LastKey,
    /// A key with the same id that the provider does not have.
    OtherKey,
    Nothing,
    /// HMAC with this key.
    Hmac(&'static [u8]),
}

#[derive(Clone)]
pub(crate) enum Canned {
    /// A status, headers and a body.
    Answer(u16, &'static str, String),
    /// No answer.
    Silence,
}

/// What the provider remembers of an authorization request.
struct Code {
    nonce: String,
    challenge: String,
}

pub(crate) fn new_key() -> EcdsaKeyPair {
    let random = SystemRandom::new();
    let document = EcdsaKeyPair::generate_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, &random).unwrap();
    EcdsaKeyPair::from_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, document.as_ref(), &random).unwrap()
}

pub(crate) fn seconds() -> i64 {
    portcullis_workspace::Workspace::now().seconds()
}

impl FakeProvider {
    pub(crate) fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let behavior = Arc::new(Mutex::new(Behavior {
            keys: vec![("one".to_owned(), new_key())],
            publishes_last_key: true,
            claims: json!({"sub": "ana-7", "email": "ana@example.com", "email_verified": true}),
            user_info: None,
            metadata: json!({}),
            forge: |_| {},
            answers: HashMap::new(),
            requests: Vec::new(),
            codes: HashMap::new(),
        }));
        let (own, shared) = (url.clone(), Arc::clone(&behavior));
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let (own, shared) = (own.clone(), Arc::clone(&shared));
                std::thread::spawn(move || serve(stream, &own, &shared));
            }
        });
        Self { url, behavior }
    }

    pub(crate) fn set(&self, change: impl FnOnce(&mut Behavior)) {
        change(&mut self.behavior.lock().unwrap());
    }

    /// Counts the requests of a path.
    pub(crate) fn count(&self, path: &str) -> usize {
        self.behavior.lock().unwrap().requests.iter().filter(|known| *known == path).count()
    }

    /// Signs a user in at the URL to which a browser was sent: returns the query with which the browser comes back.
    pub(crate) fn approve(&self, url: &str) -> String {
        let parameters: HashMap<_, _> = Url::parse(url).unwrap().query_pairs().into_owned().collect();
        assert_eq!(parameters["response_type"], "code");
        assert_eq!(parameters["client_id"], CLIENT);
        assert_eq!(parameters["code_challenge_method"], "S256");
        assert!(parameters["scope"].split(' ').any(|scope| scope == "openid"), "{parameters:?}");
        let mut behavior = self.behavior.lock().unwrap();
        let code = format!("code-{}", behavior.codes.len());
        let remembered = Code { nonce: parameters["nonce"].clone(), challenge: parameters["code_challenge"].clone() };
        behavior.codes.insert(code.clone(), remembered);
        format!("code={code}&state={}&iss={}", parameters["state"], self.url.replace(':', "%3A").replace('/', "%2F"))
    }
}

fn serve(mut stream: TcpStream, own: &str, shared: &Mutex<Behavior>) {
    let mut reader = BufReader::new(stream.try_clone().unwrap());
    let mut head = Vec::new();
    loop {
        let mut line = String::new();
        if reader.read_line(&mut line).unwrap_or(0) == 0 {
            return;
        }
        if line.trim().is_empty() {
            break;
        }
        head.push(line.trim().to_owned());
    }
    let header = |name: &str| {
        let found =
            head.iter().filter_map(|line| line.split_once(": ")).find(|(known, _)| known.eq_ignore_ascii_case(name));
        found.map(|(_, value)| value.to_owned()).unwrap_or_default()
    };
    let mut body = vec![0; header("content-length").parse().unwrap_or(0)];
    reader.read_exact(&mut body).unwrap();
    let path = head[0].split(' ').nth(1).unwrap().to_owned();
    let mut behavior = shared.lock().unwrap();
    behavior.requests.push(path.clone());
    let (status, headers, text) = match behavior.answers.get(&*path).cloned() {
        Some(Canned::Silence) => {
            drop(behavior);
            std::thread::sleep(Duration::from_mins(1));
            return;
        }
        Some(Canned::Answer(status, headers, text)) => (status, headers, text),
        None => {
            let (status, value) = answer(&mut behavior, own, &path, &header("authorization"), &body);
            (status, "content-type: application/json\r\n", value.to_string())
        }
    };
    drop(behavior);
    let length = text.len();
    let _ =
        write!(stream, "HTTP/1.1 {status} X\r\n{headers}content-length: {length}\r\nconnection: close\r\n\r\n{text}");
}

fn answer(behavior: &mut Behavior, own: &str, path: &str, authorization: &str, body: &[u8]) -> (u16, Value) {
    match path {
        "/.well-known/openid-configuration" => {
            let mut document = json!({
                "issuer": own,
                "authorization_endpoint": format!("{own}/authorize"),
                "token_endpoint": format!("{own}/token"),
                "jwks_uri": format!("{own}/jwks"),
                "userinfo_endpoint": format!("{own}/userinfo"),
                "end_session_endpoint": format!("{own}/end"),
                "response_types_supported": ["code"],
                "subject_types_supported": ["public"],
                "id_token_signing_alg_values_supported": ["ES256", "RS256", "HS256", "none"],
                "authorization_response_iss_parameter_supported": true,
            });
            merge(&mut document, &behavior.metadata);
            (200, document)
        }
        "/jwks" => {
            let count = behavior.keys.len() - usize::from(!behavior.publishes_last_key);
            let keys: Vec<_> = behavior.keys[..count].iter().map(|(id, key)| jwk(id, key)).collect();
            (200, json!({ "keys": keys }))
        }
        "/token" => token(behavior, own, authorization, body),
        "/userinfo" if authorization == "Bearer upstream-access-token" => match &behavior.user_info {
            Some(claims) => (200, claims.clone()),
            None => (500, json!({})),
        },
        _ => (404, json!({})),
    }
}

fn token(behavior: &mut Behavior, own: &str, authorization: &str, body: &[u8]) -> (u16, Value) {
    let basic = base64::engine::general_purpose::STANDARD.encode(format!("{CLIENT}:{SECRET}"));
    assert_eq!(authorization, format!("Basic {basic}"));
    let form: HashMap<_, _> = url::form_urlencoded::parse(body).into_owned().collect();
    assert_eq!(form["grant_type"], "authorization_code");
    assert!(form["redirect_uri"].ends_with("/login/callback"), "{form:?}");
    // A code is valid once.
    let Some(code) = behavior.codes.remove(&form["code"]) else { return (400, json!({"error": "invalid_grant"})) };
    let hash = ring::digest::digest(&ring::digest::SHA256, form["code_verifier"].as_bytes());
    if URL_SAFE_NO_PAD.encode(hash) != code.challenge {
        return (400, json!({"error": "invalid_grant"}));
    }
    let (id, _) = behavior.keys.last().unwrap();
    let mut forged = Forged {
        header: json!({"alg": "ES256", "kid": id, "typ": "JWT"}),
        claims: json!({"iss": own, "aud": CLIENT, "iat": seconds(), "exp": seconds() + 300, "nonce": code.nonce}),
        sign: Sign::LastKey,
    };
    merge(&mut forged.claims, &behavior.claims);
    (behavior.forge)(&mut forged);
    let id_token = signed(behavior, &forged);
    (
        200,
        json!({"access_token": "upstream-access-token", "token_type": "Bearer", "expires_in": 60, "id_token": id_token}),
    )
}

fn signed(behavior: &Behavior, forged: &Forged) -> String {
    let encoded = |value: &Value| URL_SAFE_NO_PAD.encode(value.to_string());
    let text = format!("{}.{}", encoded(&forged.header), encoded(&forged.claims));
    let sign = |key: &EcdsaKeyPair| key.sign(&SystemRandom::new(), text.as_bytes()).unwrap().as_ref().to_vec();
    let signature = match forged.sign {
        Sign::LastKey => sign(&behavior.keys.last().unwrap().1),
        Sign::OtherKey => sign(&new_key()),
        Sign::Nothing => Vec::new(),
        Sign::Hmac(key) => {
            let key = ring::hmac::Key::new(ring::hmac::HMAC_SHA256, key);
            ring::hmac::sign(&key, text.as_bytes()).as_ref().to_vec()
        }
    };
    format!("{text}.{}", URL_SAFE_NO_PAD.encode(signature))
}

fn jwk(id: &str, key: &EcdsaKeyPair) -> Value {
    // An uncompressed point: a byte, x and y.
    let point = key.public_key().as_ref();
    let (x, y) = (URL_SAFE_NO_PAD.encode(&point[1..33]), URL_SAFE_NO_PAD.encode(&point[33..]));
    json!({"kty": "EC", "crv": "P-256", "use": "sig", "alg": "ES256", "kid": id, "x": x, "y": y})
}

/// Replaces fields of `value` by those of `more`; `null` removes one.
pub(crate) fn merge(value: &mut Value, more: &Value) {
    for (name, new) in more.as_object().unwrap() {
        let fields = value.as_object_mut().unwrap();
        if new.is_null() {
            fields.remove(name)
        } else {
            fields.insert(name.clone(), new.clone())
        };
    }
}

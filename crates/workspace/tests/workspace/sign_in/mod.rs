//! Sign-in at an OpenID provider.

mod faults;
mod limits;
mod links;
mod rules;
mod visits;

use portcullis::model::SecretDigest;
use portcullis_registry::record::{Role, Ticket, TicketKind};
use portcullis_workspace::{ProviderOptions, Rules, SignInOptions, Workspace};

use super::fake_provider::{CLIENT, FakeProvider, SECRET};
use super::server::{Reply, Server, actor};

/// A workspace whose users sign in at a provider.
struct Site {
    server: Server,
    provider: FakeProvider,
}

/// A browser, which keeps cookies.
struct Browser<'s> {
    site: &'s Site,
    cookies: Vec<(String, String)>,
}

impl Site {
    fn start() -> Self {
        Self::start_with(|_| {})
    }

    fn start_with(change: impl FnOnce(&mut SignInOptions)) -> Self {
        let provider = FakeProvider::start();
        let server = Server::start_with(|options| {
            let mut sign_in = SignInOptions {
                provider: Some(ProviderOptions {
                    issuer: provider.url.parse().unwrap(),
                    client_id: CLIENT.to_owned(),
                    client_secret: Some(SECRET.to_owned()),
                    redirect_url: format!("{}/login/callback", options.url),
                    signed_out_url: format!("{}/", options.url),
                    scopes: vec!["email".to_owned()],
                    claims: Vec::new(),
                    authorities: None,
                }),
                rules: Rules { groups_claim: "groups".to_owned(), ..Rules::default() },
                ..SignInOptions::default()
            };
            change(&mut sign_in);
            options.sign_in = sign_in;
        });
        Self { server, provider }
    }

    fn invite(&self, name: &str, role: Role, email: Option<&str>) {
        let root = actor("root").for_all_users();
        self.server.registry(|registry| registry.invite_user(&root, name, role, email).unwrap());
    }

    fn browser(&self) -> Browser<'_> {
        Browser { site: self, cookies: Vec::new() }
    }

    /// Signs the provider's user in, and returns the last answer.
    fn sign_in(&self) -> Reply {
        self.browser().sign_in("/")
    }
}

impl Browser<'_> {
    fn get(&mut self, path: &str) -> Reply {
        self.send("GET", path, &[], "")
    }

    fn send(&mut self, method: &str, path: &str, headers: &[(&str, &str)], body: &str) -> Reply {
        let cookies: Vec<_> = self.cookies.iter().map(|(name, value)| format!("{name}={value}")).collect();
        let cookies = cookies.join("; ");
        let headers: Vec<_> = headers.iter().copied().chain([("cookie", &*cookies)]).collect();
        let reply = self.site.server.send(method, path, &headers, body);
        for (name, value) in &reply.headers {
            if name.eq_ignore_ascii_case("set-cookie") {
                let (cookie, value) = value.split(';').next().unwrap().split_once('=').unwrap();
                self.cookies.retain(|(known, _)| known != cookie);
                if !value.is_empty() {
                    self.cookies.push((cookie.to_owned(), value.to_owned()));
                }
            }
        }
        reply
    }

    /// Starts a sign-in: returns the URL of the provider.
    fn start(&mut self, page: &str) -> String {
        let query = url::form_urlencoded::Serializer::new(String::new()).append_pair("return_to", page).finish();
        let reply = self.get(&format!("/login/start?{query}")).expect(303);
        reply.header("location").unwrap().to_owned()
    }

    fn come_back(&mut self, query: &str) -> Reply {
        self.get(&format!("/login/callback?{query}"))
    }

    fn sign_in(&mut self, page: &str) -> Reply {
        let url = self.start(page);
        let query = self.site.provider.approve(&url);
        self.come_back(&query)
    }

    fn has_session(&self) -> bool {
        self.cookies.iter().any(|(name, _)| name == "portcullis")
    }
}

/// Changes the session of a browser, as if it had started `seconds` earlier.
fn age(server: &Server, cookies: &[(String, String)], seconds: i64) {
    let (_, session) = cookies.iter().find(|(name, _)| name == "portcullis").unwrap();
    let (digest, now) = (SecretDigest::of(session), Workspace::now());
    server.registry(|registry| {
        let ticket = registry.ticket(TicketKind::Session, &digest, now).unwrap().unwrap();
        let mut content: serde_json::Value = serde_json::from_slice(&ticket.body).unwrap();
        content["started"] = (now.seconds() - seconds).into();
        registry.put_ticket(&Ticket { body: content.to_string().into_bytes(), ..ticket }).unwrap();
    });
}

/// Checks that a page states a failure, with the id of the request.
fn check_failure(reply: &Reply, status: u16, sentence: &str, why: &str) {
    assert_eq!(reply.status, status, "{why}: {reply:?}");
    let shown = reply.body.replace("<code>", "`").replace("</code>", "`");
    assert!(shown.contains(sentence), "{why}: {reply:?}");
    let id = reply.header("x-request-id").unwrap();
    assert!(reply.body.contains(id), "{why}: {reply:?}");
    let is_session = |(name, value): &(String, String)| name == "set-cookie" && value.starts_with("portcullis=");
    assert!(!reply.headers.iter().any(is_session), "{why}: {reply:?}");
}

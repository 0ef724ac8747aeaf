//! OAuth for single-page applications.

mod authorize;
mod browser;
mod consents;
mod exchange;
mod identity;
mod origins;
mod owners;
mod recent;
mod refresh;

use portcullis_registry::record::{ClientKind, Urls};
use portcullis_registry::{ClientAccess, TypedGrant};
use url::form_urlencoded;

use super::server::{Reply, Server, actor};

/// The verifier of RFC 7636, appendix B, and its challenge.
pub(super) const VERIFIER: &str = "dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk";
const CHALLENGE: &str = "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM";

pub(super) const CALLBACK: &str = "https://app.example.com/callback";
pub(super) const ORIGIN: &str = "https://app.example.com";

/// The scopes that [`Spa::query`] asks for.
const SCOPE: &str = "openid profile email offline_access read:tokens";

/// A single-page application, and a browser in which `ana` is signed in.
pub(super) struct Spa {
    pub(super) server: Server,
    pub(super) id: String,
    pub(super) cookie: String,
}

impl Spa {
    pub(super) fn start() -> Self {
        Self::on(Server::start())
    }

    pub(super) fn on(server: Server) -> Self {
        let id = application(&server, "bo", "Atlas");
        let cookie = sign_in(&server, "ana");
        Self { server, id, cookie }
    }

    /// The query of a complete request, in which `changes` replace, repeat or remove parameters.
    pub(super) fn query(&self, changes: &[(&str, Vec<String>)]) -> String {
        let own = [
            ("client_id", &*self.id),
            ("redirect_uri", CALLBACK),
            ("response_type", "code"),
            ("scope", SCOPE),
            ("state", "s t"),
            ("nonce", "n-1"),
            ("code_challenge", CHALLENGE),
            ("code_challenge_method", "S256"),
        ];
        let mut query = form_urlencoded::Serializer::new(String::new());
        for (name, value) in own {
            if !changes.iter().any(|(changed, _)| *changed == name) {
                query.append_pair(name, value);
            }
        }
        for (name, values) in changes {
            for value in values {
                query.append_pair(name, value);
            }
        }
        query.finish()
    }

    pub(super) fn open(&self, path: &str) -> Reply {
        self.server.send("GET", path, &[("cookie", &self.cookie)], "")
    }

    pub(super) fn authorize(&self, changes: &[(&str, &str)]) -> Reply {
        let changes: Vec<_> = changes.iter().map(|(name, value)| (*name, vec![(*value).to_owned()])).collect();
        self.open(&format!("/oauth/authorize?{}", self.query(&changes)))
    }

    /// Sends the form of a page of ours with the given button.
    pub(super) fn submit(&self, page: &Reply, button: (&str, &str)) -> Reply {
        let own = format!("http://{}", self.server.address);
        self.submit_with(page, button, &[("cookie", &self.cookie), ("origin", &own)])
    }

    pub(super) fn submit_with(&self, page: &Reply, button: (&str, &str), headers: &[(&str, &str)]) -> Reply {
        let action = between(&page.body, "method=\"post\" action=\"", "\"");
        let action = if action == "/logout" {
            // The button of the console comes first.
            between(page.body.split_once("action=\"/logout\"").unwrap().1, "action=\"", "\"")
        } else {
            action
        };
        let mut form = form_urlencoded::Serializer::new(String::new());
        for name in ["request", "token"] {
            form.append_pair(name, &field(page, name));
        }
        form.append_pair(button.0, button.1);
        let kind = [("content-type", "application/x-www-form-urlencoded")];
        let headers: Vec<_> = headers.iter().copied().chain(kind).collect();
        self.server.send("POST", &action, &headers, &form.finish())
    }

    /// Returns a code: the user consents if asked.
    pub(super) fn code(&self, changes: &[(&str, &str)]) -> String {
        let mut reply = self.authorize(changes);
        if reply.status == 200 {
            reply = self.submit(&reply, ("decision", "allow"));
        }
        answer(&reply).into_iter().find(|(name, _)| name == "code").unwrap_or_else(|| panic!("no code: {reply:?}")).1
    }

    pub(super) fn exchange(&self, code: &str) -> Reply {
        self.exchange_with(&[("code", code)])
    }

    /// Exchanges a code. `changes` replace the parameters of a complete request.
    pub(super) fn exchange_with(&self, changes: &[(&str, &str)]) -> Reply {
        let own = [
            ("grant_type", "authorization_code"),
            ("client_id", &*self.id),
            ("redirect_uri", CALLBACK),
            ("code_verifier", VERIFIER),
        ];
        let kept = own.into_iter().filter(|(name, _)| !changes.iter().any(|(changed, _)| changed == name));
        let form = form_urlencoded::Serializer::new(String::new())
            .extend_pairs(kept.chain(changes.iter().copied()).filter(|(_, value)| !value.is_empty()))
            .finish();
        self.server.form("/oauth/token", &form)
    }

    /// Returns the answer with the tokens of a new authorization.
    pub(super) fn tokens(&self) -> Reply {
        self.exchange(&self.code(&[])).expect(200)
    }

    pub(super) fn refresh(&self, token: &str) -> Reply {
        let id = &self.id;
        self.server.form("/oauth/token", &format!("grant_type=refresh_token&client_id={id}&refresh_token={token}"))
    }

    /// Whether the access token of an answer is valid.
    pub(super) fn is_live(&self, reply: &Reply) -> bool {
        match self.server.get(&reply.text("access_token"), "/v3/tokens/self").status {
            200 => true,
            401 => false,
            status => panic!("{status}"),
        }
    }
}

pub(super) fn application(server: &Server, owner: &str, title: &str) -> String {
    let texts = |texts: &[&str]| texts.iter().map(ToString::to_string).collect();
    let urls = Urls {
        login_uri: None,
        callbacks: texts(&[
            CALLBACK,
            "https://app.example.com/q?a=1",
            "http://localhost:5173/cb",
            "http://127.0.0.1/native",
            "http://[::1]:8009/native",
        ]),
        logout_urls: texts(&["https://app.example.com/bye"]),
        web_origins: texts(&[ORIGIN]),
        allowed_origins: texts(&["https://tools.example.com"]),
    };
    let grant = TypedGrant { connection: "carto_dw".into(), source: "carto.shared.*".into(), kind: None };
    let access = ClientAccess { apis: vec!["maps".into()], grants: vec![grant] };
    server.registry(|registry| {
        let created = registry.create_client_with(&actor(owner), ClientKind::Spa, title, &urls, &access, None);
        created.unwrap().client.id
    })
}

/// Returns the cookie of a new session.
pub(super) fn sign_in(server: &Server, user: &str) -> String {
    let link = server.block_on(server.workspace.login_link(user)).unwrap();
    let reply = server.send("GET", link.split_once(&server.address).unwrap().1, &[], "").expect(303);
    reply.header("set-cookie").unwrap().split(';').next().unwrap().to_owned()
}

/// Returns the parameters that an answer has in the query of its redirect.
pub(super) fn answer(reply: &Reply) -> Vec<(String, String)> {
    let location = reply.header("location").unwrap_or_else(|| panic!("no redirect: {reply:?}"));
    url::Url::parse(location).unwrap().query_pairs().into_owned().collect()
}

/// Returns the value of a hidden field.
fn field(page: &Reply, name: &str) -> String {
    let value = between(&page.body, &format!("name=\"{name}\" value=\""), "\"");
    value.replace("&amp;", "&").replace("&lt;", "<").replace("&gt;", ">").replace("&quot;", "\"")
}

fn between(text: &str, start: &str, end: &str) -> String {
    let (_, rest) = text.split_once(start).unwrap_or_else(|| panic!("no {start}: {text}"));
    rest.split_once(end).unwrap().0.to_owned()
}

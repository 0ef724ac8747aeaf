//! Requests to the provider: each on a connection of its own, without redirects, with limits on time and size.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use portcullis::base::unreadable_words;

use http::header::{CONNECTION, HOST};
use http::uri::Scheme;
use http::{HeaderValue, Request, Response, Uri};
use http_body_util::{BodyExt as _, Full, Limited};
use hyper::body::Bytes;
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, RootCertStore};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio::task::JoinSet;
use tokio_rustls::TlsConnector;

/// How long a request may take, from the connection to the end of the answer.
pub(crate) const MAX_TIME: Duration = Duration::from_secs(10);

/// The maximum size of an answer, in bytes.
const MAX_BODY: usize = 512 << 10;

/// Why the provider has not answered a request.
#[derive(Debug, thiserror::Error)]
pub(crate) enum HttpError {
    #[error("the URL is neither `https` nor of this machine")]
    Insecure,
    #[error("no connection")]
    Connect,
    #[error("TLS failed: the certificate is not valid for this host, or not trusted")]
    Tls,
    #[error("no answer within {} seconds", MAX_TIME.as_secs())]
    Slow,
    #[error("the answer has more than {MAX_BODY} bytes, or was cut off")]
    Body,
    #[error("the connection was closed without an answer")]
    Closed,
    #[error("the answer redirects to another URL")]
    Redirect,
    #[error("the answer has the status {0}")]
    Status(u16),
}

/// Why certificate authorities cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum AuthorityError {
    /// The file cannot be read.
    #[error("cannot read `{}`: {}", path.display(), unreadable_words(path, error))]
    Read {
        /// The file.
        path: PathBuf,
        /// The error of the system.
        error: std::io::Error,
    },
    /// The file has no certificates.
    #[error("`{}`: expected certificates in PEM format", path.display())]
    Content {
        /// The file.
        path: PathBuf,
    },
    /// The system has no certificate authorities.
    #[error(
        "this machine has no certificate authorities\nhelp: install `ca-certificates`, or write `--oidc-ca ca.pem`"
    )]
    None,
}

/// Sends requests.
#[derive(Clone)]
pub(crate) struct HttpClient {
    tls: TlsConnector,
}

impl HttpClient {
    /// Trusts the certificate authorities in the file, or those of the system. A provider without TLS needs none.
    pub(crate) fn new(authorities: Option<&Path>, needs_tls: bool) -> Result<Self, AuthorityError> {
        let roots = match authorities {
            Some(path) => roots_of(path)?,
            None => system_roots(),
        };
        if roots.is_empty() && needs_tls {
            return Err(AuthorityError::None);
        }
        let builder = ClientConfig::builder_with_provider(Arc::new(rustls::crypto::ring::default_provider()));
        let builder = builder.with_safe_default_protocol_versions().map_err(|_| AuthorityError::None)?;
        let config = builder.with_root_certificates(roots).with_no_client_auth();
        Ok(Self { tls: TlsConnector::from(Arc::new(config)) })
    }

    /// Sends a request and returns the whole answer.
    pub(crate) async fn send(self, request: Request<Vec<u8>>) -> Result<Response<Vec<u8>>, HttpError> {
        tokio::time::timeout(MAX_TIME, self.exchange(request)).await.unwrap_or(Err(HttpError::Slow))
    }

    async fn exchange(self, request: Request<Vec<u8>>) -> Result<Response<Vec<u8>>, HttpError> {
        let uri = request.uri().clone();
        let host = uri.host().ok_or(HttpError::Insecure)?.trim_start_matches('[').trim_end_matches(']').to_owned();
        let is_tls = uri.scheme() == Some(&Scheme::HTTPS);
        if !is_tls && !is_of_this_machine(&host) {
            return Err(HttpError::Insecure);
        }
        let port = uri.port_u16().unwrap_or(if is_tls { 443 } else { 80 });
        let stream = TcpStream::connect((&*host, port)).await.map_err(|_| HttpError::Connect)?;
        let request = origin_form(request, &uri)?;
        if !is_tls {
            return talk(stream, request).await;
        }
        let name = ServerName::try_from(host).map_err(|_| HttpError::Tls)?;
        let stream = self.tls.connect(name, stream).await.map_err(|_| HttpError::Tls)?;
        talk(stream, request).await
    }
}

/// Whether `host` is this machine, to which requests need no TLS.
pub(crate) fn is_of_this_machine(host: &str) -> bool {
    let address = host.trim_start_matches('[').trim_end_matches(']').parse::<std::net::IpAddr>();
    host == "localhost" || address.is_ok_and(|address| address.to_canonical().is_loopback())
}

/// Rewrites a request to a URL as a request on a connection to its host.
fn origin_form(request: Request<Vec<u8>>, uri: &Uri) -> Result<Request<Full<Bytes>>, HttpError> {
    let (mut parts, body) = request.into_parts();
    let host = uri.authority().map(http::uri::Authority::as_str).unwrap_or_default();
    parts.headers.insert(HOST, HeaderValue::from_str(host).map_err(|_| HttpError::Insecure)?);
    parts.headers.insert(CONNECTION, HeaderValue::from_static("close"));
    let path = uri.path_and_query().map_or("/", http::uri::PathAndQuery::as_str);
    parts.uri = path.parse().map_err(|_| HttpError::Insecure)?;
    Ok(Request::from_parts(parts, Full::new(Bytes::from(body))))
}

async fn talk<S>(stream: S, request: Request<Full<Bytes>>) -> Result<Response<Vec<u8>>, HttpError>
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await.map_err(|_| HttpError::Closed)?;
    // The connection ends with this function, even if its caller stops waiting.
    let mut connections = JoinSet::new();
    connections.spawn(connection);
    let answer = sender.send_request(request).await.map_err(|_| HttpError::Closed)?;
    let (parts, body) = answer.into_parts();
    match parts.status {
        status if status.is_redirection() => return Err(HttpError::Redirect),
        status if status.is_server_error() => return Err(HttpError::Status(status.as_u16())),
        _ => {}
    }
    let body = Limited::new(body, MAX_BODY).collect().await.map_err(|_| HttpError::Body)?;
    Ok(Response::from_parts(parts, body.to_bytes().to_vec()))
}

fn roots_of(path: &Path) -> Result<RootCertStore, AuthorityError> {
    let text = std::fs::read(path).map_err(|error| AuthorityError::Read { path: path.to_owned(), error })?;
    let content = || AuthorityError::Content { path: path.to_owned() };
    let mut roots = RootCertStore::empty();
    for certificate in CertificateDer::pem_slice_iter(&text) {
        roots.add(certificate.map_err(|_| content())?).map_err(|_| content())?;
    }
    if roots.is_empty() { Err(content()) } else { Ok(roots) }
}

fn system_roots() -> RootCertStore {
    let mut roots = RootCertStore::empty();
    roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
    roots
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use rustls::ServerConfig;
    use rustls::pki_types::PrivateKeyDer;
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
    use tokio::net::TcpListener;
    use tokio_rustls::TlsAcceptor;

    use super::{AuthorityError, HttpClient, HttpError, is_of_this_machine};

    /// A server for `localhost` with a certificate of its own, which is its only authority.
    #[test]
    fn a_server_is_trusted_only_with_its_authority_and_its_name() {
        let issued = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
        let dir = tempfile::tempdir().unwrap();
        let authority = dir.path().join("ca.pem");
        std::fs::write(&authority, issued.cert.pem()).unwrap();
        let key = PrivateKeyDer::try_from(issued.signing_key.serialize_der()).unwrap();
        let builder = ServerConfig::builder_with_provider(Arc::new(rustls::crypto::ring::default_provider()));
        let builder = builder.with_safe_default_protocol_versions().unwrap().with_no_client_auth();
        let acceptor =
            TlsAcceptor::from(Arc::new(builder.with_single_cert(vec![issued.cert.der().clone()], key).unwrap()));
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
        let listener = runtime.block_on(TcpListener::bind("127.0.0.1:0")).unwrap();
        let port = listener.local_addr().unwrap().port();
        runtime.spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let Ok(mut stream) = acceptor.accept(stream).await else { continue };
                let mut read = [0; 1024];
                let length = stream.read(&mut read).await.unwrap();
                let head = String::from_utf8_lossy(&read[..length]).to_lowercase();
                let body = if head.contains(&format!("host: localhost:{port}")) { "found" } else { "no host" };
                let answer = format!("HTTP/1.1 200 OK\r\ncontent-length: {}\r\n\r\n{body}", body.len());
                stream.write_all(answer.as_bytes()).await.unwrap();
                stream.shutdown().await.ok();
            }
        });
        let get = |client: &HttpClient, host: &str| {
            let request = http::Request::get(format!("https://{host}:{port}/")).body(Vec::new()).unwrap();
            runtime.block_on(client.clone().send(request))
        };
        let trusting = HttpClient::new(Some(&authority), true).unwrap();
        assert_eq!(get(&trusting, "localhost").unwrap().body(), b"found");
        assert!(matches!(get(&trusting, "127.0.0.1"), Err(HttpError::Tls)), "another name");
        let system = HttpClient::new(None, false).unwrap();
        assert!(matches!(get(&system, "localhost"), Err(HttpError::Tls)), "another authority");
        let plain = http::Request::get(format!("http://example.com:{port}/")).body(Vec::new()).unwrap();
        assert!(matches!(runtime.block_on(trusting.send(plain)), Err(HttpError::Insecure)), "no TLS");
    }

    #[test]
    fn a_file_without_certificates_is_no_authority() {
        let dir = tempfile::tempdir().unwrap();
        for text in ["", "text", "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n"] {
            let path = dir.path().join("ca.pem");
            std::fs::write(&path, text).unwrap();
            assert!(matches!(HttpClient::new(Some(&path), true), Err(AuthorityError::Content { .. })), "{text}");
        }
        let missing = dir.path().join("missing.pem");
        assert!(matches!(HttpClient::new(Some(&missing), true), Err(AuthorityError::Read { .. })));
    }

    #[test]
    fn only_this_machine_is_reached_without_tls() {
        for (host, want) in [
            ("localhost", true),
            ("127.0.0.1", true),
            ("127.9.9.9", true),
            ("[::1]", true),
            ("::1", true),
            ("::ffff:127.0.0.1", true),
            ("localhost.evil.example", false),
            ("127.0.0.1.evil.example", false),
            ("10.0.0.1", false),
            ("[::2]", false),
            ("", false),
        ] {
            assert_eq!(is_of_this_machine(host), want, "{host}");
        }
    }
}

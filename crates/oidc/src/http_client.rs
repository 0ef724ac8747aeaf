//! Requests to the provider: each on a connection of its own, without redirects, with limits on time and size.

use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use http::header::{CONNECTION, HOST};
use http::uri::Scheme;
use http::{HeaderValue, Request, Response, Uri};
use http_body_util::{BodyExt as _, Full, Limited};
use hyper::body::Bytes;
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use portcullis::base::{quoted, unreadable_words};
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, RootCertStore};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpStream, lookup_host};
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
    #[error(
        "the host name {} has no address: check its spelling, and that the workspace's machine can resolve names",
        quoted(.0)
    )]
    UnknownHost(String),
    #[error(
        "{}: {reason}: check host and port, and that the provider runs and accepts connections from here",
        quoted(at)
    )]
    Connect {
        /// Host and port.
        at: String,
        reason: &'static str,
    },
    #[error("{}: {reason}", quoted(at))]
    Tls {
        /// Host and port.
        at: String,
        /// What is wrong, and what to check.
        reason: &'static str,
    },
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
        let stream = connect(&host, port).await?;
        let request = origin_form(request, &uri)?;
        if !is_tls {
            return talk(stream, request).await;
        }
        let failed = |reason| HttpError::Tls { at: format!("{host}:{port}"), reason };
        let name = ServerName::try_from(host.clone()).map_err(|_| failed("it is not the name of a host"))?;
        let stream = self.tls.connect(name, stream).await.map_err(|error| failed(untrusted(&error)))?;
        talk(stream, request).await
    }
}

/// Connects to one of the addresses of `host`.
async fn connect(host: &str, port: u16) -> Result<TcpStream, HttpError> {
    let addresses: Vec<_> =
        lookup_host((host, port)).await.map_err(|_| HttpError::UnknownHost(host.to_owned()))?.collect();
    TcpStream::connect(&*addresses).await.map_err(|error| HttpError::Connect {
        at: format!("{host}:{port}"),
        reason: match error.kind() {
            ErrorKind::ConnectionRefused => "connection refused",
            ErrorKind::HostUnreachable | ErrorKind::NetworkUnreachable => "no route to the host",
            ErrorKind::TimedOut => "no answer",
            _ => "the host cannot be reached",
        },
    })
}

/// Returns why a TLS handshake failed, and what to check.
fn untrusted(error: &std::io::Error) -> &'static str {
    use rustls::{CertificateError, Error};
    match error.get_ref().and_then(|error| error.downcast_ref()) {
        Some(Error::InvalidCertificate(certificate)) => match certificate {
            CertificateError::UnknownIssuer => {
                "its certificate is from an unknown authority: name the authority with `--oidc-ca`"
            }
            CertificateError::NotValidForName | CertificateError::NotValidForNameContext { .. } => {
                "its certificate is for another host: check the host in `--oidc-issuer`"
            }
            CertificateError::Expired
            | CertificateError::ExpiredContext { .. }
            | CertificateError::NotValidYet
            | CertificateError::NotValidYetContext { .. } => {
                "its certificate is not valid at this time: check the certificate and the clocks"
            }
            _ => "its certificate is not valid: check the certificate and `--oidc-ca`",
        },
        Some(Error::InvalidMessage(_)) => "its answer is not TLS: check the port in `--oidc-issuer`",
        None if error.kind() == ErrorKind::UnexpectedEof => {
            "it closed the connection during the TLS handshake: check host and port"
        }
        _ => "no agreement on TLS: check that the provider supports TLS 1.2 or 1.3",
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
        let system = HttpClient::new(None, false).unwrap();
        for (client, host, reason) in [
            (&trusting, "127.0.0.1", "its certificate is for another host: "),
            (&system, "localhost", "its certificate is from an unknown authority: "),
        ] {
            let error = get(client, host).unwrap_err().to_string();
            assert!(error.starts_with(&format!("`{host}:{port}`: {reason}")), "{error}");
        }
        let plain = http::Request::get(format!("http://example.com:{port}/")).body(Vec::new()).unwrap();
        assert!(matches!(runtime.block_on(trusting.send(plain)), Err(HttpError::Insecure)), "no TLS");
    }

    #[test]
    fn each_failure_to_connect_has_its_own_words_and_names_the_host() {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let refusing = runtime.block_on(TcpListener::bind("127.0.0.1:0")).unwrap().local_addr().unwrap().port();
        let client = HttpClient::new(None, false).unwrap();
        // Sends `answer` on each connection and closes it.
        let serve = |answer: &'static [u8]| {
            let listener = runtime.block_on(TcpListener::bind("127.0.0.1:0")).unwrap();
            let port = listener.local_addr().unwrap().port();
            runtime.spawn(async move {
                while let Ok((mut stream, _)) = listener.accept().await {
                    let _read = stream.read(&mut [0; 4096]).await;
                    stream.write_all(answer).await.ok();
                    stream.shutdown().await.ok();
                }
            });
            format!("https://127.0.0.1:{port}/")
        };
        for (url, found, check) in [
            ("https://host.invalid/".to_owned(), "the host name `host.invalid` has no address", "check its spelling"),
            ("https://host.invalid:8443/".to_owned(), "the host name `host.invalid` has no address", "resolve names"),
            (format!("https://127.0.0.1:{refusing}/"), "connection refused", "check host and port"),
            (format!("http://localhost:{refusing}/"), "connection refused", "check host and port"),
            (serve(b"HTTP/1.1 400 Bad Request\r\n\r\n"), "its answer is not TLS", "check the port"),
            (serve(b""), "it closed the connection during the TLS handshake", "check host and port"),
        ] {
            let request = http::Request::get(&*url).body(Vec::new()).unwrap();
            let error = runtime.block_on(client.clone().send(request)).unwrap_err().to_string();
            let at = url.split('/').nth(2).unwrap();
            assert!(error.contains(found) && error.contains(check), "{url}: {error}");
            assert!(error.contains("host.invalid") || error.starts_with(&format!("`{at}`: ")), "{url}: {error}");
        }
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

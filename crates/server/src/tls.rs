//! TLS, and optional client certificates. The files are read again when they change.

use std::fmt;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::WebPkiClientVerifier;
use rustls::{RootCertStore, ServerConfig};
use sha2::{Digest, Sha256};
use tokio_rustls::TlsAcceptor;
use x509_parser::prelude::{FromDer, X509Certificate};

use super::policy::read_regular;
use portcullis::authorizer::{Clock, SystemClock};
use portcullis::base::{Timestamp, unreadable_words};

/// The maximum size of a file, in bytes.
const MAX_FILE: u64 = 1 << 20;

/// How often the files are read to find changes.
const POLL: Duration = Duration::from_secs(1);

/// The files of a listener's TLS, all in PEM format.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Tls {
    /// The certificate, followed by its intermediate certificates.
    pub certificates: PathBuf,
    /// The private key of the certificate.
    pub key: PathBuf,
    /// The certificate authorities. If set, clients must present a certificate that one of them signed.
    pub client_authorities: Option<PathBuf>,
}

/// Why TLS cannot be set up. No message repeats the content of a file.
#[derive(Debug, thiserror::Error)]
pub enum TlsError {
    /// A file cannot be read.
    #[error("cannot read `{}`: {}", path.display(), unreadable_words(path, error))]
    Read {
        /// The file.
        path: PathBuf,
        /// The error of the system.
        error: io::Error,
    },
    /// A file lacks what it should contain.
    #[error("`{}`: expected {expected} in PEM format\nhelp: {help}", path.display())]
    Content {
        /// The file.
        path: PathBuf,
        /// What the file should contain.
        expected: &'static str,
        /// How to get such a file.
        help: &'static str,
    },
    /// The certificate and the key do not match.
    #[error(
        "the key in `{}` does not belong to the certificate in `{}`\nhelp: put the server's own certificate first in its file",
        key.display(), certificates.display()
    )]
    Pair {
        /// The file of the certificate.
        certificates: PathBuf,
        /// The file of the key.
        key: PathBuf,
    },
}

/// The state of the certificate of a listener.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CertificateReport {
    /// When the first certificate of the chain expires, in seconds since 1970.
    pub expires: i64,
    /// Whether the files cannot be used now, and earlier ones are in use.
    pub is_stale: bool,
}

/// The contents of the files.
struct Files {
    certificates: Vec<u8>,
    key: Vec<u8>,
    client_authorities: Option<Vec<u8>>,
}

/// The certificates of a listener. Clones share them.
#[derive(Clone)]
pub(super) struct Certificates(Arc<Shared>);

struct Shared {
    tls: Tls,
    active: RwLock<Active>,
}

/// What handshakes use.
struct Active {
    config: Arc<ServerConfig>,
    /// The digest of the files.
    digest: [u8; 32],
    expires: i64,
    /// Why the present files cannot be used.
    failure: Option<String>,
}

impl fmt::Debug for Certificates {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Certificates").field(&self.0.tls).finish()
    }
}

impl Tls {
    fn read(&self) -> Result<Files, TlsError> {
        let read =
            |path: &PathBuf| read_regular(path, MAX_FILE).map_err(|error| TlsError::Read { path: path.clone(), error });
        Ok(Files {
            certificates: read(&self.certificates)?,
            key: read(&self.key)?,
            client_authorities: self.client_authorities.as_ref().map(read).transpose()?,
        })
    }

    /// Returns the configuration of handshakes, and when the first certificate of the chain expires.
    fn config(&self, files: &Files) -> Result<(ServerConfig, i64), TlsError> {
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let (chain, expires) = certificates(&self.certificates, &files.certificates)?;
        let no_key = || TlsError::Content {
            path: self.key.clone(),
            expected: "a private key without a password",
            help: "convert the key with `openssl pkey`",
        };
        let key = PrivateKeyDer::from_pem_slice(&files.key).map_err(|_| no_key())?;
        let builder = ServerConfig::builder_with_provider(Arc::clone(&provider)).with_safe_default_protocol_versions();
        let builder = builder.map_err(|_| no_key())?;
        let builder = match self.client_authorities.as_ref().zip(files.client_authorities.as_ref()) {
            None => builder.with_no_client_auth(),
            Some((path, text)) => {
                let mut roots = RootCertStore::empty();
                for authority in certificates(path, text)?.0 {
                    roots.add(authority).map_err(|_| no_certificate(path))?;
                }
                let verifier = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider).build();
                builder.with_client_cert_verifier(verifier.map_err(|_| no_certificate(path))?)
            }
        };
        let pair = || TlsError::Pair { certificates: self.certificates.clone(), key: self.key.clone() };
        let mut config = builder.with_single_cert(chain, key).map_err(|error| match error {
            rustls::Error::InconsistentKeys(_) => pair(),
            rustls::Error::InvalidCertificate(_) => no_certificate(&self.certificates),
            _ => no_key(),
        })?;
        config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
        Ok((config, expires))
    }
}

impl Files {
    fn digest(&self) -> [u8; 32] {
        let files = [Some(&self.certificates), Some(&self.key), self.client_authorities.as_ref()];
        let digests = files.into_iter().flatten().map(Sha256::digest);
        digests.fold(Sha256::new(), Digest::chain_update).finalize().into()
    }
}

impl Certificates {
    /// Loads the files.
    ///
    /// # Errors
    ///
    /// If they cannot be used.
    pub(super) fn load(tls: Tls) -> Result<Self, TlsError> {
        let active = Active::load(&tls, &tls.read()?)?;
        active.report_expiry(&tls);
        Ok(Self(Arc::new(Shared { tls, active: RwLock::new(active) })))
    }

    /// Returns the acceptor of the next handshake.
    pub(super) fn acceptor(&self) -> TlsAcceptor {
        TlsAcceptor::from(Arc::clone(&self.active().config))
    }

    pub(super) fn report(&self) -> CertificateReport {
        let active = self.active();
        CertificateReport { expires: active.expires, is_stale: active.failure.is_some() }
    }

    fn active(&self) -> std::sync::RwLockReadGuard<'_, Active> {
        self.0.active.read().unwrap_or_else(PoisonError::into_inner)
    }

    /// Returns the digest of the present files, or why they cannot be read.
    fn look(&self) -> Result<[u8; 32], String> {
        self.0.tls.read().map(|files| files.digest()).map_err(|error| error.to_string())
    }

    /// Uses the present files, if they differ from the active ones and are valid. Otherwise the active ones stay.
    fn reload(&self) {
        let tls = &self.0.tls;
        let loaded = tls.read().and_then(|files| Active::load(tls, &files));
        let mut active = self.0.active.write().unwrap_or_else(PoisonError::into_inner);
        let path = tls.certificates.display();
        match loaded {
            Ok(new) if new.digest == active.digest => {
                if active.failure.take().is_some() {
                    tracing::info!("the certificate in `{path}` is valid again");
                }
            }
            Ok(new) => {
                new.report_expiry(tls);
                tracing::info!(expires = %Timestamp::from_unix(new.expires, 0), "the new certificate in `{path}` is in use");
                *active = new;
            }
            Err(error) => {
                let error = error.to_string();
                if active.failure.as_ref() != Some(&error) {
                    tracing::error!("the new certificate cannot be used, and the earlier one stays: {error}");
                }
                active.failure = Some(error);
            }
        }
    }
}

impl Active {
    fn load(tls: &Tls, files: &Files) -> Result<Self, TlsError> {
        let (config, expires) = tls.config(files)?;
        Ok(Self { config: Arc::new(config), digest: files.digest(), expires, failure: None })
    }

    fn report_expiry(&self, tls: &Tls) {
        if self.expires <= SystemClock.now().seconds() {
            let expired = Timestamp::from_unix(self.expires, 0);
            tracing::warn!("the certificate in `{}` expired at {expired}", tls.certificates.display());
        }
    }
}

/// Reloads certificates on demand. Clones share the thread that also reloads them when their files change.
#[derive(Debug, Clone)]
pub struct CertificateReloads(Option<Sender<()>>);

impl CertificateReloads {
    /// Starts the thread, unless there are no certificates. The thread ends with the last clone.
    pub(super) fn start(certificates: Vec<Certificates>) -> io::Result<Self> {
        if certificates.is_empty() {
            return Ok(Self(None));
        }
        let (sender, requests) = channel();
        std::thread::Builder::new().name("certificates".into()).spawn(move || watch(&certificates, &requests))?;
        Ok(Self(Some(sender)))
    }

    /// Reads the files again, as `SIGHUP` does. Returns at once.
    pub fn reload(&self) {
        if let Some(thread) = &self.0 {
            let _ = thread.send(());
        }
    }
}

/// Reloads the certificates at each request, and when their files have changed and then stayed the same for one poll: the
/// certificate and the key are not replaced at once.
fn watch(certificates: &[Certificates], requests: &Receiver<()>) {
    let mut before: Vec<_> = certificates.iter().map(Certificates::look).collect();
    loop {
        match requests.recv_timeout(POLL) {
            Ok(()) => certificates.iter().for_each(Certificates::reload),
            Err(RecvTimeoutError::Disconnected) => return,
            Err(RecvTimeoutError::Timeout) => {
                for (certificates, before) in certificates.iter().zip(&mut before) {
                    let now = certificates.look();
                    let (is_settled, is_active) = (now == *before, now == Ok(certificates.active().digest));
                    *before = now;
                    if is_settled && (!is_active || certificates.active().failure.is_some()) {
                        certificates.reload();
                    }
                }
            }
        }
    }
}

/// Returns the certificates in `text`, and when the first one expires.
fn certificates(path: &Path, text: &[u8]) -> Result<(Vec<CertificateDer<'static>>, i64), TlsError> {
    let found: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(text).collect();
    let found = found.map_err(|_| no_certificate(path))?;
    let ends = found.iter().map(|der| {
        let (_, certificate) = X509Certificate::from_der(der).map_err(|_| no_certificate(path))?;
        Ok(certificate.validity().not_after.timestamp())
    });
    let ends = ends.collect::<Result<Vec<_>, _>>()?;
    let first = ends.into_iter().min().ok_or_else(|| no_certificate(path))?;
    Ok((found, first))
}

fn no_certificate(path: &Path) -> TlsError {
    TlsError::Content {
        path: path.to_owned(),
        expected: "a certificate",
        help: "the file has a line `-----BEGIN CERTIFICATE-----` for each certificate",
    }
}

//! TLS, and client certificates.

use std::fs;
use std::io::Write;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use portcullis_server::{ServerOptions, Tls};
use rcgen::{BasicConstraints, Certificate, CertificateParams, IsCa, Issuer, KeyPair, date_time_ymd};
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use rustls::{ClientConfig, ClientConnection, RootCertStore, StreamOwned};

use super::running::{Running, answer, connect, options, request, serve};
use super::util::{SECRET, policy};

pub(super) struct Authority {
    pub(super) certificate: Certificate,
    issuer: Issuer<'static, KeyPair>,
}

pub(super) fn authority() -> Authority {
    let mut params = CertificateParams::new(Vec::new()).unwrap();
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let key = KeyPair::generate().unwrap();
    Authority { certificate: params.self_signed(&key).unwrap(), issuer: Issuer::new(params, key) }
}

pub(super) fn signed(by: &Authority, name: &str) -> (Certificate, KeyPair) {
    let key = KeyPair::generate().unwrap();
    let params = CertificateParams::new(vec![name.to_owned()]).unwrap();
    (params.signed_by(&key, &by.issuer).unwrap(), key)
}

/// A certificate that expires at this instant, in seconds since 1970.
pub(super) fn expiring(by: &Authority, name: &str, expiry: i64) -> (Certificate, KeyPair) {
    let key = KeyPair::generate().unwrap();
    let mut params = CertificateParams::new(vec![name.to_owned()]).unwrap();
    params.not_after = date_time_ymd(1970, 1, 1) + Duration::from_secs(expiry.unsigned_abs());
    (params.signed_by(&key, &by.issuer).unwrap(), key)
}

/// The status of a response over TLS; `None` if there is no response.
pub(super) fn status(server: &Running, trusted: &Authority, own: Option<&(Certificate, KeyPair)>) -> Option<u16> {
    let mut roots = RootCertStore::empty();
    roots.add(trusted.certificate.der().clone()).unwrap();
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions().unwrap();
    let config = config.with_root_certificates(roots);
    let config = match own {
        None => config.with_no_client_auth(),
        Some((certificate, key)) => {
            let chain: Vec<CertificateDer<'static>> = vec![certificate.der().clone()];
            config.with_client_auth_cert(chain, PrivateKeyDer::try_from(key.serialize_der()).unwrap()).unwrap()
        }
    };
    let name = ServerName::try_from("localhost").unwrap();
    let connection = ClientConnection::new(Arc::new(config), name).unwrap();
    let mut stream = StreamOwned::new(connection, connect(server.tcp()));
    let token = format!("Bearer {SECRET}");
    let request_bytes = request("GET /authz/envoy/v3/maps/dw/table?name=db.t", &[("authorization", &token)], "");
    stream.write_all(request_bytes.as_bytes()).ok()?;
    let mut text = Vec::new();
    let _ = std::io::Read::read_to_end(&mut stream, &mut text);
    (!text.is_empty()).then(|| answer(&mut &text[..]).status)
}

pub(super) fn tls(folder: &Path, own: &(Certificate, KeyPair), client_authority: Option<&Authority>) -> Tls {
    let write = |name: &str, text: String| {
        fs::write(folder.join(name), text).unwrap();
        folder.join(name)
    };
    Tls {
        certificates: write("cert.pem", own.0.pem()),
        key: write("key.pem", own.1.serialize_pem()),
        client_authorities: client_authority.map(|authority| write("ca.pem", authority.certificate.pem())),
    }
}

#[test]
fn only_clients_with_a_certificate_of_the_authority_are_answered() {
    let (folder, ours, theirs) = (tempfile::tempdir().unwrap(), authority(), authority());
    let own = signed(&ours, "localhost");
    let plain = serve(Some(&policy("t")), ServerOptions { tls: Some(tls(folder.path(), &own, None)), ..options() });
    assert_eq!(status(&plain, &ours, None), Some(200));
    let asking = ServerOptions { tls: Some(tls(folder.path(), &own, Some(&ours))), ..options() };
    let mutual = serve(Some(&policy("t")), asking);
    assert_eq!(status(&mutual, &ours, Some(&signed(&ours, "gateway"))), Some(200));
    assert_eq!(status(&mutual, &ours, Some(&signed(&theirs, "gateway"))), None);
    assert_eq!(status(&mutual, &ours, None), None);
}

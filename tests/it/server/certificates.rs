//! Certificates that change while the server runs.

use std::fs;
use std::path::Path;
use std::process::Command;

use portcullis_server::ServerOptions;

use super::running::{Running, ask, options, serve};
use super::tls::{Authority, authority, expiring, signed, status, tls};
use super::util::{eventually, policy};

/// When the certificates of these tests expire, in seconds since 1970.
const EXPIRY: [i64; 2] = [4_000_000_000, 4_100_000_000];

/// The same instants as metrics.
const SHOWN: [&str; 2] = ["4000000000.0", "4100000000.0"];

fn replace(folder: &Path, name: &str, text: impl AsRef<[u8]>) {
    fs::write(folder.join("next"), text).unwrap();
    fs::rename(folder.join("next"), folder.join(name)).unwrap();
}

fn answers(server: &Running, authority: &Authority) -> bool {
    status(server, authority, None) == Some(200)
}

fn metric(server: &Running, name: &str) -> String {
    let metrics = ask(server.admin, "GET /metrics", &[], "").body;
    let prefix = format!("{name}{{listener=\"decisions\"}} ");
    let value = metrics.lines().find_map(|line| line.strip_prefix(&*prefix));
    value.unwrap_or_else(|| panic!("{name}: {metrics}")).to_owned()
}

#[test]
fn changed_certificate_is_used_and_a_broken_one_keeps_the_old() {
    let folder = tempfile::tempdir().unwrap();
    let (first, second) = (authority(), authority());
    let own = expiring(&first, "localhost", EXPIRY[0]);
    let files = tls(folder.path(), &own, None);
    let server = serve(Some(&policy("t")), ServerOptions { tls: Some(files), ..options() });
    let expiry = "portcullis_certificate_expiry_timestamp_seconds";
    let is_stale = || metric(&server, "portcullis_certificate_stale") == "1.0";
    assert!(answers(&server, &first) && !answers(&server, &second));
    assert_eq!((&*metric(&server, expiry), is_stale()), (SHOWN[0], false));

    // Only half of a pair, then text, then nothing: the old certificate stays.
    let next = expiring(&second, "localhost", EXPIRY[1]);
    for broken in [Some(next.0.pem()), Some("no certificate".to_owned()), None] {
        match broken {
            Some(text) => replace(folder.path(), "cert.pem", text),
            None => fs::remove_file(folder.path().join("cert.pem")).unwrap(),
        }
        eventually("it is reported", is_stale);
        assert!(answers(&server, &first) && !answers(&server, &second));
        assert_eq!(metric(&server, expiry), SHOWN[0]);
        // The old pair again is no failure.
        replace(folder.path(), "cert.pem", own.0.pem());
        eventually("its end is noticed", || !is_stale());
    }
    replace(folder.path(), "cert.pem", next.0.pem());
    replace(folder.path(), "key.pem", next.1.serialize_pem());
    eventually("the new certificate is used", || answers(&server, &second));
    assert!(!answers(&server, &first));
    assert_eq!((&*metric(&server, expiry), is_stale()), (SHOWN[1], false));
}

#[test]
fn changed_client_authorities_are_used() {
    let folder = tempfile::tempdir().unwrap();
    let (ours, next) = (authority(), authority());
    let files = tls(folder.path(), &signed(&ours, "localhost"), Some(&ours));
    let server = serve(Some(&policy("t")), ServerOptions { tls: Some(files), ..options() });
    let clients = [signed(&ours, "gateway"), signed(&next, "gateway")];
    let answered = || clients.each_ref().map(|client| status(&server, &ours, Some(client)).is_some());
    assert_eq!(answered(), [true, false]);
    replace(folder.path(), "ca.pem", next.certificate.pem());
    eventually("the new authority is used", || answered() == [false, true]);
}

#[test]
fn a_signal_reloads_certificates_and_reports_broken_ones() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path();
    fs::write(path.join("policy.json"), policy("t")).unwrap();
    let (first, second) = (authority(), authority());
    tls(path, &signed(&first, "localhost"), None);
    let server = super::faulty::start(path, &["--tls-cert", "cert.pem", "--tls-key", "key.pem"]);
    let next = signed(&second, "localhost");
    fs::write(path.join("cert.pem"), next.0.pem()).unwrap();
    server.signal("HUP");
    eventually("it is reported", || {
        server.said("the key in `key.pem` does not belong to the certificate in `cert.pem`") == 1
    });
    fs::write(path.join("key.pem"), "s3cr3t-of-the-test").unwrap();
    server.signal("HUP");
    eventually("it is reported", || server.said("`key.pem`: expected a private key without a password") == 1);
    assert!(!server.messages().contains("s3cr3t"), "{}", server.messages());
    fs::write(path.join("key.pem"), next.1.serialize_pem()).unwrap();
    server.signal("HUP");
    eventually("it is used", || server.said("the new certificate in `cert.pem` is in use") == 1);
    assert!(server.stops() < super::faulty::SOON);
}

#[test]
fn an_expired_certificate_is_reported_at_start() {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("policy.json"), policy("t")).unwrap();
    tls(folder.path(), &expiring(&authority(), "localhost", 1_000_000_000), None);
    let server = super::faulty::start(folder.path(), &["--tls-cert", "cert.pem", "--tls-key", "key.pem"]);
    assert_eq!(
        server.said("the certificate in `cert.pem` expired at 2001-09-09T01:46:40Z"),
        1,
        "{}",
        server.messages()
    );
}

#[test]
fn a_pair_that_does_not_match_is_refused_at_start() {
    let folder = tempfile::tempdir().unwrap();
    let (ours, theirs) = (authority(), authority());
    tls(folder.path(), &signed(&ours, "localhost"), None);
    fs::write(folder.path().join("key.pem"), signed(&theirs, "localhost").1.serialize_pem()).unwrap();
    let output = Command::new(env!("CARGO_BIN_EXE_portcullis"))
        .args(["serve", "--policy", "policy.json", "--listen", "127.0.0.1:0", "--admin", "127.0.0.1:0"])
        .args(["--tls-cert", "cert.pem", "--tls-key", "key.pem"])
        .current_dir(folder.path())
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(2), "{said}");
    assert!(said.contains("does not belong to the certificate") && said.contains("\nhelp: "), "{said}");
}

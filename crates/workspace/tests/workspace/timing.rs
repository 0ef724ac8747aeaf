//! How long answers take does not say what exists.

use std::time::{Duration, Instant};

use super::server::Server;

/// Each attempt of one kind is next to one of the other kind, so other programs on the machine slow both down alike.
#[test]
fn an_unknown_client_and_a_wrong_secret_take_the_same_time() {
    const ROUNDS: usize = 40;
    let server = Server::start();
    let machine = server.machine("ana", None);
    let time = |id: &str| {
        let form = format!("grant_type=client_credentials&client_id={id}&client_secret={}x", machine.secret);
        let begun = Instant::now();
        let reply = server.form("/oauth/token", &form);
        assert!([401, 429].contains(&reply.status), "{reply:?}");
        begun.elapsed()
    };
    let (mut unknown, mut wrong): (Vec<_>, Vec<_>) =
        (0..ROUNDS).map(|_| (time("m2m_0000000000"), time(&machine.id))).unzip();
    unknown.sort_unstable();
    wrong.sort_unstable();
    let (unknown, wrong) = (unknown[ROUNDS / 2], wrong[ROUNDS / 2]);
    let limit = unknown.max(wrong) / 2 + Duration::from_millis(1);
    assert!(unknown.abs_diff(wrong) < limit, "an unknown client takes {unknown:?}, a wrong secret {wrong:?}");
}

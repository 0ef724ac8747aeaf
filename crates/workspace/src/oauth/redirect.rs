//! Redirect URIs: equal to a registered one byte for byte. Only the port of a loopback address may vary (RFC 8252).

/// How a redirect URI is registered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Registered {
    /// Byte for byte.
    Exactly,
    /// With another port of a loopback address: any program on the user's machine may listen there.
    WithAnotherPort,
}

/// Returns how `uri` is registered, if it is.
pub(super) fn registered(uri: &str, callbacks: &[String]) -> Option<Registered> {
    if callbacks.iter().any(|callback| callback == uri) {
        return Some(Registered::Exactly);
    }
    let wanted = loopback(uri)?;
    callbacks.iter().any(|callback| loopback(callback) == Some(wanted)).then_some(Registered::WithAnotherPort)
}

/// Returns the host and what follows the port, if `uri` has `http` and a loopback address. `localhost` is a name, which another
/// machine may have.
fn loopback(uri: &str) -> Option<(&str, &str)> {
    let after_scheme = uri.strip_prefix("http://")?;
    let host = ["127.0.0.1", "[::1]"].into_iter().find(|host| after_scheme.starts_with(host))?;
    let rest = after_scheme.strip_prefix(host)?;
    let Some(from_port) = rest.strip_prefix(':') else { return Some((host, rest)) };
    let end = from_port.find(|at: char| !at.is_ascii_digit()).unwrap_or(from_port.len());
    let (port, rest) = from_port.split_at_checked(end)?;
    let is_plain = !port.starts_with('0') && port.parse::<u16>().is_ok();
    is_plain.then_some((host, rest))
}

//! The example configurations work as files of the services of a distribution: each service has another working directory,
//! starts as root, and is reloaded by `systemctl reload`.

use std::fs;

fn example(name: &str) -> String {
    fs::read_to_string(crate::repository().join("examples/gateways").join(name)).unwrap()
}

/// Returns the arguments of the lines that start with `directive`, without comments.
fn arguments<'t>(text: &'t str, directive: &str) -> Vec<&'t str> {
    let lines = text.lines().map(str::trim).filter(|line| !line.starts_with('#'));
    lines.filter_map(|line| line.strip_prefix(directive)?.strip_prefix([' ', '\t'])).map(str::trim).collect()
}

#[test]
fn haproxy_gives_up_the_rights_of_root_and_reads_absolute_paths() {
    let text = example("haproxy.cfg");
    for (directive, value) in [("user", "haproxy"), ("group", "haproxy"), ("chroot", "/var/lib/haproxy")] {
        assert_eq!(arguments(&text, directive), [value], "{directive}");
    }
    let global: Vec<_> =
        text.lines().skip_while(|line| *line != "global").take_while(|line| !line.is_empty()).collect();
    assert!(global.contains(&"    user haproxy") && global.contains(&"    daemon"), "the section `global`: {global:?}");
    assert_eq!(arguments(&text, "lua-load"), ["/etc/haproxy/portcullis.lua"]);
    let socket = arguments(&text, "stats socket");
    assert_eq!(socket, ["/run/haproxy/admin.sock mode 660 level admin"], "only its group may use the socket");
}

#[test]
fn caddy_keeps_the_admin_api_by_which_it_is_reloaded() {
    assert_eq!(arguments(&example("Caddyfile"), "admin"), ["127.0.0.1:2019"], "not `off`, and not for other machines");
}

#[test]
fn every_file_that_a_gateway_reads_has_an_absolute_path() {
    for (file, directives) in [
        ("haproxy.cfg", &["lua-load", "chroot", "stats socket", "log", "errorfile", "ca-file", "crt"][..]),
        ("traefik.yaml", &["filename:", "directory:", "filePath:", "certFile:", "keyFile:"]),
        ("traefik-routes.yaml", &["filename:", "certFile:", "keyFile:"]),
        ("envoy-grpc.yaml", &["filename:", "path:"]),
        ("envoy-http.yaml", &["filename:", "path:"]),
        ("Caddyfile", &["root", "import", "tls"]),
    ] {
        let text = example(file);
        for directive in directives {
            for argument in arguments(&text, directive) {
                let path = argument.trim_matches(['"', '\'']);
                assert!(path.starts_with('/'), "{file}: `{directive} {argument}`");
            }
        }
    }
    // The dynamic configuration of Traefik is the file that the guide installs.
    assert_eq!(arguments(&example("traefik.yaml"), "filename:"), ["/etc/traefik/traefik-routes.yaml"]);
}

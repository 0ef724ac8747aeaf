//! The examples in C, compiled with the C compiler of the system and run: plainly, and with sanitizers.

use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use super::built;

/// The flags of all programs. The header must be free of warnings.
const FLAGS: &[&str] = &["-std=gnu11", "-Wall", "-Wextra", "-Werror", "-pedantic", "-g"];
const SANITIZED: &[&str] = &["-fsanitize=address,undefined", "-fno-sanitize-recover=all"];

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).to_owned()
}

/// Compiles a program that links the shared library.
fn compiled(source: &str, folder: &Path, more: &[&str]) -> PathBuf {
    linked(source, folder, more, &[&built::library().display().to_string()])
}

/// Compiles a program that links `libraries`.
fn linked(source: &str, folder: &Path, more: &[&str], libraries: &[&str]) -> PathBuf {
    let program = folder.join(Path::new(source).file_stem().unwrap());
    let output = Command::new("cc")
        .args(FLAGS)
        .args(more)
        .arg("-I")
        .arg(root().join("include"))
        .arg(root().join(source))
        .args(libraries)
        .arg(format!("-Wl,-rpath,{}", built::folder().display()))
        .arg("-o")
        .arg(&program)
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    program
}

fn run(program: &Path, arguments: &[&str]) -> Output {
    Command::new(program).args(arguments).output().unwrap()
}

fn text(bytes: &[u8]) -> &str {
    std::str::from_utf8(bytes).unwrap()
}

const POLICY: &str = r#"[{"id": "public-map", "token": "s3cret", "allowed_apis": ["maps"],
    "grants": [{"connection_name": "carto_dw", "source": "carto.shared.CARTO_*"}],
    "referers": ["https://app.example.com/"]}]"#;

/// Runs both examples for allowed, denied and invalid requests.
fn check_examples(flags: &[&str]) {
    let folder = tempfile::tempdir().unwrap();
    let policy = folder.path().join("policy.json");
    std::fs::write(&policy, POLICY).unwrap();
    let policy = policy.to_str().unwrap();
    let decide = compiled("examples/decide.c", folder.path(), flags);
    let referer = "https://app.example.com/";
    for (arguments, code, printed) in [
        (&[policy, "s3cret", "maps", "carto_dw", "carto.shared.CARTO_roads", referer][..], 0, "allow public-map\n"),
        (&[policy, "s3cret", "maps", "carto_dw", "carto.shared.roads", referer], 1, "deny source_not_granted 403\n"),
        (&[policy, "s3cret", "maps", "carto_dw", "carto.shared.CARTO_roads"], 1, "deny referer_missing 403\n"),
        (&[policy, "", "maps", "carto_dw", "carto.shared.CARTO_roads"], 1, "deny token_missing 401\n"),
        (&["/missing", "", "maps", "carto_dw", "x"], 2, ""),
        (&[], 2, ""),
    ] {
        let output = run(&decide, arguments);
        let found = (output.status.code(), text(&output.stdout));
        assert_eq!(found, (Some(code), printed), "{arguments:?}\n{}", text(&output.stderr));
    }
    let decide = compiled("examples/decide_http.c", folder.path(), flags);
    let target = "/v3/maps/carto_dw/table?name=carto.shared.CARTO_roads";
    let (token, referer) = ("Authorization: Bearer s3cret", "Referer: https://app.example.com/");
    for (arguments, code, parts) in [
        (
            &[policy, "GET", target, token, referer, "X-Portcullis-Token-Id: forged"][..],
            0,
            &["200\n", "remove X-Portcullis-Token-Id\n", "set x-portcullis-token-id: public-map\n"][..],
        ),
        (&[policy, "GET", target, token], 1, &["403\n", "content-type: application/json\n", "\"referer_missing\"}"]),
        (&[policy, "GET", target], 1, &["401\n", "www-authenticate: Bearer\n", "\"token_missing\"}"]),
        (&[policy, "GET", "/v3/other", token], 1, &["403\n", "\"request_not_understood\"}"]),
        (&["/missing", "GET", target], 2, &["cannot read `/missing`"]),
    ] {
        let output = run(&decide, arguments);
        let found = text(&output.stdout);
        assert_eq!(output.status.code(), Some(code), "{arguments:?}\n{found}{}", text(&output.stderr));
        for part in parts {
            assert!(found.contains(part), "{arguments:?}: expected {part:?}, found\n{found}");
        }
    }
}

#[test]
fn examples_decide() {
    check_examples(&[]);
}

/// The sanitizers see the reads and writes of the C program, all allocations of the process, and leaks at its end.
#[test]
fn examples_decide_without_findings_of_the_sanitizers() {
    check_examples(SANITIZED);
}

/// The libraries are those of `Libs.private` in `portcullis.pc.in`.
#[test]
fn example_links_the_static_library() {
    let template = std::fs::read_to_string(root().join("portcullis.pc.in")).unwrap();
    let private = template.lines().find_map(|line| line.strip_prefix("Libs.private: ")).unwrap();
    let archive = built::folder().join("libportcullis_c.a").display().to_string();
    let libraries: Vec<&str> = std::iter::once(&*archive).chain(private.split(' ')).collect();
    let folder = tempfile::tempdir().unwrap();
    let decide = linked("examples/decide.c", folder.path(), &[], &libraries);
    let policy = folder.path().join("policy.json");
    std::fs::write(&policy, POLICY).unwrap();
    let output = run(&decide, &[policy.to_str().unwrap(), "s3cret", "maps", "carto_dw", "x"]);
    assert_eq!((output.status.code(), text(&output.stdout)), (Some(1), "deny referer_missing 403\n"));
}

#[test]
fn forked_workers_follow_the_file() {
    let folder = tempfile::tempdir().unwrap();
    let fork = compiled("tests/c/fork.c", folder.path(), &[]);
    let output = run(&fork, &[folder.path().join("policy.json").to_str().unwrap()]);
    assert_eq!(output.status.code(), Some(0), "{}", text(&output.stderr));
}

/// A change applies in the parent and in the child. If the registry is gone, both keep the last policy.
#[test]
#[cfg(feature = "registry")]
fn forked_workers_follow_the_registry() {
    use portcullis_registry::{Actor, Location, NewToken, Registry};
    use std::io::{BufRead, BufReader};

    let folder = tempfile::tempdir().unwrap();
    let program = compiled("tests/c/registry.c", folder.path(), SANITIZED);
    let path = folder.path().join("registry.db");
    let mut registry = Registry::open(&Location::file(&path), true).unwrap();
    let ana = Actor::new("ana", "2026-11-30T12:00:00Z".parse().unwrap()).unwrap();
    let mut create = || {
        let created =
            registry.create_token(&ana, &NewToken { apis: vec!["lds".into()], ..NewToken::default() }).unwrap();
        (created.token.id.clone(), created.secret.expose().to_owned())
    };
    let ((removed_id, removed), (_, kept)) = (create(), create());
    let mut child = Command::new(&program)
        .args([&format!("sqlite:{}", path.display()), &removed, &kept])
        .stdout(std::process::Stdio::piped())
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines().map(Result::unwrap);
    assert_eq!([lines.next(), lines.next()], [Some("allowed".to_owned()), Some("allowed".to_owned())]);
    registry.delete_token(&ana, &removed_id, true).unwrap();
    assert_eq!([lines.next(), lines.next()], [Some("denied".to_owned()), Some("denied".to_owned())]);
    drop(registry);
    std::fs::rename(&path, folder.path().join("gone.db")).unwrap();
    assert_eq!(child.wait().unwrap().code(), Some(0));
}

/// The header is also valid C++, and may be included twice.
#[test]
fn header_compiles_as_cpp() {
    let folder = tempfile::tempdir().unwrap();
    let source = folder.path().join("version.cpp");
    std::fs::write(
        &source,
        "#include <portcullis.h>\n#include <portcullis.h>\n\
        int main() { return pcl_version().length == 0 || pcl_text_of(\"a\").length != 1; }\n",
    )
    .unwrap();
    let output = Command::new("c++")
        .args(["-Wall", "-Werror", "-fsyntax-only", "-I"])
        .arg(root().join("include"))
        .arg(&source)
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", text(&output.stderr));
}

/// As a package installs them: `portcullis.pc` is written from its template, and `pkg-config` gives the flags.
#[test]
fn example_compiles_with_the_flags_of_pkg_config() {
    let folder = tempfile::tempdir().unwrap();
    let prefix = folder.path();
    for part in ["lib/pkgconfig", "include"] {
        std::fs::create_dir_all(prefix.join(part)).unwrap();
    }
    std::os::unix::fs::symlink(built::library(), prefix.join("lib/libportcullis_c.so")).unwrap();
    std::fs::copy(root().join("include/portcullis.h"), prefix.join("include/portcullis.h")).unwrap();
    let template = std::fs::read_to_string(root().join("portcullis.pc.in")).unwrap();
    let written =
        template.replace("@PREFIX@", prefix.to_str().unwrap()).replace("@VERSION@", env!("CARGO_PKG_VERSION"));
    std::fs::write(prefix.join("lib/pkgconfig/portcullis.pc"), written).unwrap();
    let program = prefix.join("decide");
    let line = format!(
        "cc {} $(pkg-config --cflags --libs portcullis) -o {}",
        root().join("examples/decide.c").display(),
        program.display()
    );
    let output =
        Command::new("sh").args(["-c", &line]).env("PKG_CONFIG_PATH", prefix.join("lib/pkgconfig")).output().unwrap();
    assert!(output.status.success(), "{}", text(&output.stderr));
    let output = Command::new(program).env("LD_LIBRARY_PATH", prefix.join("lib")).output().unwrap();
    assert_eq!(output.status.code(), Some(2), "{}", text(&output.stderr));
}

//! Secrets are found once, wherever and however they are written; other texts are not secrets.
#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::panic,
    reason = "a helper of tests fails as a test does"
)]

mod written;

use std::fs;
use std::io::{Cursor, Read, Write};

use portcullis_scan::{Detector, Encoding, Limits, Prefixes, Report, Scanner};
use portcullis_secret::{Secret, SecretKind};
use proptest::prelude::*;
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;

use written::{FORMS, Form};

fn detector() -> Detector {
    Detector::new(&Prefixes::default()).unwrap()
}

fn scanned(bytes: &[u8]) -> Report {
    let detector = detector();
    let mut scanner = Scanner::new(&detector, Limits::default());
    scanner.stream("input", &mut &*bytes);
    scanner.into_report()
}

fn minted() -> Secret {
    Secret::mint(SecretKind::Token).unwrap()
}

/// Text without word characters at its ends, so that a secret beside it is a word of its own.
fn surroundings() -> impl Strategy<Value = Vec<u8>> {
    let noise = proptest::collection::vec(any::<u8>(), 0..200);
    noise.prop_map(|mut bytes| {
        bytes.insert(0, b' ');
        bytes.push(b' ');
        bytes
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]

    #[test]
    fn secret_in_random_bytes_is_found_once(before in surroundings(), after in surroundings(), form in 0..FORMS.len(), seed in any::<u64>()) {
        let secret = minted();
        let form = &FORMS[form];
        let written = (form.write)(secret.expose(), &mut ChaCha8Rng::seed_from_u64(seed));
        let report = scanned(&[&before[..], &written, &after].concat());
        prop_assert_eq!(report.findings.len(), 1, "{}", form.name);
        prop_assert_eq!(report.findings[0].digest, secret.digest());
        prop_assert_eq!(report.findings[0].encoding, form.encoding);
    }

    #[test]
    fn changed_character_is_not_a_secret(at in 7..45_usize, form in 0..FORMS.len(), seed in any::<u64>()) {
        let secret = minted();
        let mut text = secret.expose().as_bytes().to_vec();
        text[at] = if text[at] == b'x' { b'y' } else { b'x' };
        let form = &FORMS[form];
        let written = (form.write)(std::str::from_utf8(&text).unwrap(), &mut ChaCha8Rng::seed_from_u64(seed));
        prop_assert!(scanned(&[b"a ", &written[..], b" b"].concat()).findings.is_empty(), "{}", form.name);
    }

    /// Every kind of boundary between two reads and two blocks.
    #[test]
    fn secret_is_found_once_across_blocks(offset in 0..300_000_usize, form in 0..FORMS.len(), piece in 1..100_000_usize) {
        let secret = minted();
        let form = &FORMS[form];
        let written = (form.write)(secret.expose(), &mut ChaCha8Rng::seed_from_u64(1));
        let mut bytes = vec![b' '; 262_144 - 2_000 + offset % 20_000];
        bytes.extend_from_slice(&written);
        bytes.extend(std::iter::repeat_n(b'\t', offset));
        let detector = detector();
        let mut scanner = Scanner::new(&detector, Limits::default());
        scanner.stream("input", &mut Pieces { bytes: &bytes, piece });
        let report = scanner.into_report();
        prop_assert_eq!(report.findings.len(), 1, "{}", form.name);
        prop_assert_eq!(report.bytes, bytes.len() as u64);
    }
}

/// A reader that returns few bytes at a time.
struct Pieces<'b> {
    bytes: &'b [u8],
    piece: usize,
}

impl Read for Pieces<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
        let count = self.piece.min(buffer.len()).min(self.bytes.len());
        let (now, later) = self.bytes.split_at(count);
        buffer[..count].copy_from_slice(now);
        self.bytes = later;
        Ok(count)
    }
}

#[test]
fn boundaries_of_words_decide() {
    let secret = minted();
    let text = secret.expose();
    let cases: [(String, usize); 17] = [
        (text.to_owned(), 1),
        (format!("{text}\n"), 1),
        (format!("TOKEN={text}"), 1),
        (format!("\"{text}\""), 1),
        (format!("/{text}/"), 1),
        (format!("é{text}é"), 1),
        (format!("{text}{text}"), 0),
        (format!("{text} {text}"), 2),
        (format!("x{text}"), 0),
        (format!("_{text}"), 0),
        (format!("{text}x"), 0),
        // An escape before the secret is another character.
        (format!("a\\n{text}"), 1),
        (format!("a%20{text}"), 1),
        (format!("a%41{text}"), 0),
        (format!("a\\u0022{text}\\u0022"), 1),
        (format!("token%3D{text}%26a"), 1),
        (format!("\u{1b}[32m{text}\u{1b}[0m"), 1),
    ];
    for (written, expected) in cases {
        assert_eq!(scanned(written.as_bytes()).findings.len(), expected, "{}", written.replace(text, "SECRET"));
    }
}

#[test]
fn positions_are_lines_and_characters() {
    let secret = minted();
    let text = secret.expose();
    for (written, expected) in [
        (text.to_owned(), (1, 1)),
        (format!("a\nbé {text}"), (2, 4)),
        (format!("\r\n\r\n  \"{text}\""), (3, 4)),
        (format!("{}\n{} {text}", "x".repeat(600_000), "é".repeat(600_000)), (2, 600_002)),
        (format!("{}{text}", "\n".repeat(600_000)), (600_001, 1)),
    ] {
        let report = scanned(written.as_bytes());
        assert_eq!((report.findings[0].line, report.findings[0].column), expected);
    }
}

#[test]
fn secret_twice_in_a_long_line_is_found_twice() {
    let secret = minted();
    let filler = "var a=function(b){return b\\u0020+'%20'};".repeat(62_500);
    let line = format!("{filler}\"{0}\"{filler}'{0}'", secret.expose());
    assert!(line.len() > 5_000_000);
    let columns: Vec<_> = scanned(line.as_bytes()).findings.iter().map(|finding| finding.column).collect();
    assert_eq!(columns, [filler.len() as u64 + 2, 2 * filler.len() as u64 + 49]);
}

/// A larger run of this test, over 10⁹ characters, found nothing either.
#[test]
fn random_characters_are_not_secrets() {
    let mut random = ChaCha8Rng::seed_from_u64(7);
    let alphabet = b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz_";
    let count: usize = std::env::var("SCAN_RANDOM_CHARACTERS").map_or(4_000_000, |count| count.parse().unwrap());
    let block: usize = 1_000_000;
    for _ in 0..count.div_ceil(block) {
        let mut text = Vec::with_capacity(block);
        while text.len() < block {
            // Prefixes occur far more often than by chance.
            if random.random_bool(0.001) {
                text.extend_from_slice(b" pcl_tk_");
            }
            text.push(alphabet[random.random_range(0..alphabet.len())]);
        }
        assert!(scanned(&text).findings.is_empty());
    }
}

#[test]
fn added_prefixes_are_found() {
    let mut prefixes = Prefixes::default();
    prefixes.add("acme_").unwrap();
    prefixes.add("pcl_").unwrap();
    let detector = Detector::new(&prefixes).unwrap();
    let ours = minted();
    // The check digits are over the whole text, so a secret of `pcl_tk_` is not one of `pcl_`.
    let body = "0123456789ABCDEFGHIJKLMNOPQRSTUV";
    let check = written::check(&format!("acme_{body}"));
    let theirs = format!("acme_{body}{check}");
    let mut scanner = Scanner::new(&detector, Limits::default());
    scanner.stream("input", &mut format!("{} {theirs}", ours.expose()).as_bytes());
    let report = scanner.into_report();
    let prefixes: Vec<_> = report.findings.iter().map(|finding| (&*finding.prefix, finding.kind())).collect();
    assert_eq!(prefixes, [("pcl_tk_", Some(SecretKind::Token)), ("acme_", None)]);
    for wrong in ["", "abc", "a b c d", "Präfix_", &"a".repeat(33), ours.expose()] {
        let error = Prefixes::default().add(wrong).unwrap_err().to_string();
        assert!(!error.contains(ours.expose()), "{error}");
    }
}

#[test]
fn secrets_in_archives_are_found_once() {
    let secret = minted();
    let file = format!("key: {}\n", secret.expose()).into_bytes();
    let tar = tar(&[("a/config.yaml", &file), ("b.txt", b"nothing")]);
    let gzip = gzip(&tar);
    let zip = zip(&[("deep/backup.tar.gz", &gzip), ("empty", b"")]);
    let zstd = zstd::encode_all(&zip[..], 3).unwrap();
    let two = [written::gzip(b"first "), written::gzip(&file)].concat();
    for (name, bytes, expected) in [
        ("tar", &tar, "input!a/config.yaml"),
        ("tar.gz", &gzip, "input!a/config.yaml"),
        ("zip", &zip, "input!deep/backup.tar.gz!a/config.yaml"),
        ("zip.zst", &zstd, "input!deep/backup.tar.gz!a/config.yaml"),
        ("two gzip members", &two, "input"),
    ] {
        let report = scanned(bytes);
        assert!(report.unread.is_empty(), "{name}: {:?}", report.unread);
        let files: Vec<_> = report.findings.iter().map(|finding| &*finding.file).collect();
        assert_eq!(files, [expected], "{name}");
    }
}

#[test]
fn what_cannot_be_read_is_named() {
    let secret = minted();
    let file = secret.expose().as_bytes();
    let whole = gzip(&[b"a".repeat(100_000), file.to_vec()].concat());
    let encrypted = {
        let mut zip = zip(&[("a", b"text")]);
        // The flag of encryption, in the header of the file and in the directory.
        zip[6] |= 1;
        let directory = zip.windows(4).rposition(|bytes| bytes == b"PK\x01\x02").unwrap();
        zip[directory + 8] |= 1;
        zip
    };
    let mut nested = file.to_vec();
    for _ in 0..9 {
        nested = gzip(&nested);
    }
    for (name, bytes) in [
        ("cut off", &whole[..whole.len() - 9]),
        ("damaged", &[&whole[..30], &b"\xff".repeat(50)].concat()[..]),
        ("xz", b"\xfd7zXZ\0\0\0"),
        ("bzip2", b"BZh91AY&SY\0\0"),
        ("damaged zip", b"PK\x03\x04 and no more"),
        ("encrypted zip", &encrypted),
        ("nested", &nested),
        ("cut off tar", &tar(&[("a", &b"a".repeat(2000))])[..1500]),
    ] {
        let report = scanned(bytes);
        assert_eq!(report.unread.len(), 1, "{name}: {:?}", report.unread);
        assert!(!report.is_complete());
    }
}

#[test]
fn archives_that_expand_without_end_are_bounded() {
    let detector = detector();
    let limits = Limits { expanded_bytes: 1_000_000, ..Limits::default() };
    let zeros = vec![0; 10_000_000];
    for bytes in [
        gzip(&zeros),
        zip(&[("a", &zeros[..])]),
        zip(&[("a", &gzip(&zeros)), ("b", &zeros)]),
        gzip(&tar(&[("a", &zeros)])),
    ] {
        let mut scanner = Scanner::new(&detector, limits);
        scanner.stream("input", &mut &*bytes);
        let report = scanner.into_report();
        assert!(report.bytes <= 2_000_000, "{}", report.bytes);
        assert!(report.unread.iter().any(|unread| unread.reason.contains("limit")), "{:?}", report.unread);
    }
}

#[test]
fn zip_archives_that_hide_members_are_not_complete() {
    let secret = minted();
    let one = zip(&[("b", secret.expose().as_bytes())]);
    let two = [&zip(&[("a", secret.expose().as_bytes())])[..], &one].concat();
    let report = scanned(&two);
    assert!(!report.is_complete(), "concatenated archives");
    // Two members with one name: a library keeps the last of them.
    let mut same = zip(&[("a", secret.expose().as_bytes()), ("b", b"nothing")]);
    while let Some(at) = same.windows(1).position(|byte| byte == b"b").filter(|at| same[*at - 1] != b'P') {
        same[at] = b'a';
    }
    assert!(!scanned(&same).is_complete() || !scanned(&same).findings.is_empty());
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("app.pyz");
    fs::write(&path, [b"#!/usr/bin/env python3\n", &one[..]].concat()).unwrap();
    let detector = detector();
    let mut scanner = Scanner::new(&detector, Limits::default());
    scanner.file("app.pyz", &fs::File::open(&path).unwrap());
    let report = scanner.into_report();
    assert_eq!((&*report.findings[0].file, report.is_complete()), ("app.pyz!b", true), "{:?}", report.unread);
}

#[test]
fn holes_of_archives_are_bounded() {
    // An old GNU header of a sparse member: nothing but a hole of 2^50 bytes.
    let mut header = tar::Header::new_gnu();
    header.set_path("sparse").unwrap();
    header.set_size(0);
    header.set_entry_type(tar::EntryType::GNUSparse);
    let gnu = header.as_gnu_mut().unwrap();
    gnu.realsize = *b"\x80\0\0\0\0\x04\0\0\0\0\0\0";
    gnu.sparse[0].offset = *b"\x80\0\0\0\0\x04\0\0\0\0\0\0";
    gnu.sparse[0].numbytes = *b"00000000000\0";
    header.set_cksum();
    let bytes = [header.as_bytes(), &[0; 1024][..]].concat();
    let detector = detector();
    let mut scanner = Scanner::new(&detector, Limits { expanded_bytes: 1_000_000, ..Limits::default() });
    scanner.stream("input", &mut &*bytes);
    let report = scanner.into_report();
    assert!(report.bytes <= 1_000_000 && !report.is_complete(), "{} {:?}", report.bytes, report.unread);
    // A sparse file that starts as a zip archive.
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("pk");
    let mut file = fs::File::create(&path).unwrap();
    file.write_all(b"PK\x03\x04").unwrap();
    file.set_len(10 << 30).unwrap();
    let mut scanner = Scanner::new(&detector, Limits::default());
    scanner.file("pk", &fs::File::open(&path).unwrap());
    let report = scanner.into_report();
    assert!(report.bytes < 1 << 20 && !report.is_complete());
}

#[test]
fn secret_in_the_name_of_a_file_is_found_and_masked() {
    let secret = minted();
    let archive = tar(&[(&format!("backup-{}.txt", secret.expose()), b"text")]);
    let report = scanned(&archive);
    assert_eq!(report.findings.len(), 1);
    assert_eq!(report.findings[0].file, "input!backup-….txt");
    assert_eq!(report.findings[0].line, 0);
}

fn gzip(bytes: &[u8]) -> Vec<u8> {
    written::gzip(bytes)
}

fn tar(files: &[(&str, &[u8])]) -> Vec<u8> {
    let mut tar = tar::Builder::new(Vec::new());
    for (name, bytes) in files {
        let mut header = tar::Header::new_gnu();
        header.set_size(bytes.len() as u64);
        header.set_mode(0o644);
        tar.append_data(&mut header, name, *bytes).unwrap();
    }
    tar.into_inner().unwrap()
}

fn zip(files: &[(&str, &[u8])]) -> Vec<u8> {
    let mut zip = zip::ZipWriter::new(Cursor::new(Vec::new()));
    for (name, bytes) in files {
        zip.start_file(*name, zip::write::SimpleFileOptions::default()).unwrap();
        zip.write_all(bytes).unwrap();
    }
    zip.finish().unwrap().into_inner()
}

mod files {
    use super::*;
    use portcullis_scan::files::{Globs, Selection, scan};
    use std::os::unix::fs::symlink;
    use std::path::Path;

    fn names(root: &Path, selection: &Selection) -> Vec<String> {
        let report = scan(&detector(), &[root.to_owned()], selection, Limits::default(), 2);
        let name = |file: &str| file.strip_prefix(root.to_str().unwrap()).unwrap().to_owned();
        report.findings.iter().map(|finding| name(&finding.file)).collect()
    }

    #[test]
    fn folder_is_read_by_its_rules() {
        let folder = tempfile::tempdir().unwrap();
        let root = folder.path();
        let secret = minted();
        for file in [".env", "src/a.js", "src/b.min.js", "dist/c.js", "ignored/d.js", ".git/config", "src/.gitignore"] {
            fs::create_dir_all(root.join(file).parent().unwrap()).unwrap();
            fs::write(root.join(file), format!("# {}", secret.expose())).unwrap();
        }
        fs::write(root.join(".gitignore"), "ignored/\n").unwrap();
        symlink(root, root.join("loop")).unwrap();
        symlink(root.join(".env"), root.join("link")).unwrap();
        let all = ["/.env", "/dist/c.js", "/src/.gitignore", "/src/a.js", "/src/b.min.js"];
        assert_eq!(names(root, &Selection::default()), all);
        let selection = Selection { no_ignore: true, ..Selection::default() };
        assert!(names(root, &selection).contains(&"/ignored/d.js".to_owned()));
        let selection = Selection {
            include: Globs::new(["*.js"]).unwrap(),
            exclude: Globs::new(["*.min.js", "dist/"]).unwrap(),
            ..Selection::default()
        };
        assert_eq!(names(root, &selection), ["/src/a.js"]);
    }

    #[test]
    fn special_files_are_not_waited_for() {
        let folder = tempfile::tempdir().unwrap();
        let pipe = folder.path().join("pipe");
        let made = std::process::Command::new("mkfifo").arg(&pipe).status().unwrap();
        assert!(made.success());
        fs::write(folder.path().join("file"), "nothing").unwrap();
        let report = scan(&detector(), &[folder.path().to_owned()], &Selection::default(), Limits::default(), 1);
        assert_eq!((report.skipped, report.unread.len()), (1, 0));
        let report =
            scan(&detector(), &[pipe, folder.path().join("missing")], &Selection::default(), Limits::default(), 1);
        assert_eq!(report.unread.len(), 2);
    }

    #[test]
    fn holes_of_a_sparse_file_are_skipped() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("sparse");
        let secret = minted();
        let mut file = fs::File::create(&path).unwrap();
        writeln!(file, "first\n {}", secret.expose()).unwrap();
        file.set_len(10 << 30).unwrap();
        std::io::Seek::seek(&mut file, std::io::SeekFrom::End(0)).unwrap();
        writeln!(file, "\nlast {}", secret.expose()).unwrap();
        drop(file);
        let report = scan(&detector(), &[path], &Selection::default(), Limits::default(), 1);
        assert_eq!(report.findings.iter().map(|finding| finding.line).collect::<Vec<_>>(), [2, 4]);
        assert!(report.bytes < 1 << 20);
    }
}

mod git {
    use super::*;
    use portcullis_scan::git::{history, staged};
    use std::path::Path;
    use std::process::Command;

    fn git(folder: &Path, args: &[&str]) -> String {
        let output = Command::new("git")
            .current_dir(folder)
            .args(["-c", "user.name=a", "-c", "user.email=a@example.com", "-c", "commit.gpgsign=false"])
            .args(args)
            .env("GIT_CONFIG_GLOBAL", "/dev/null")
            .output()
            .unwrap();
        assert!(output.status.success(), "{args:?}: {}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).unwrap().trim().to_owned()
    }

    fn repository() -> tempfile::TempDir {
        let folder = tempfile::tempdir().unwrap();
        git(folder.path(), &["init", "-q", "-b", "main"]);
        folder
    }

    fn commit(folder: &Path, file: &str, text: &str, message: &str) -> String {
        fs::write(folder.join(file), text).unwrap();
        git(folder, &["add", "-A"]);
        git(folder, &["commit", "-q", "--allow-empty", "-m", message]);
        git(folder, &["rev-parse", "HEAD"])
    }

    #[test]
    fn history_names_commits_and_paths() {
        let folder = repository();
        let root = folder.path();
        let [in_file, in_message, in_tag, in_branch, in_merge] = [minted(), minted(), minted(), minted(), minted()];
        commit(root, "a.txt", "first\n", "first");
        let added = commit(root, "old.txt", &format!("x {}\n", in_file.expose()), "add");
        // A copy has the same object, which is read once.
        let copied = commit(root, "ü copy.txt", &format!("x {}\n", in_file.expose()), "copy");
        fs::remove_file(root.join("old.txt")).unwrap();
        let message = commit(root, "a.txt", "second\n", &format!("remove {}", in_message.expose()));
        git(root, &["tag", "-a", "v1", "-m", in_tag.expose()]);
        git(root, &["checkout", "-q", "-b", "gone"]);
        commit(root, "b.txt", in_branch.expose(), "branch");
        git(root, &["checkout", "-q", "main"]);
        git(root, &["branch", "-q", "-D", "gone"]);
        git(root, &["checkout", "-q", "-b", "side", "HEAD~1"]);
        commit(root, "c.txt", "side", "side");
        git(root, &["checkout", "-q", "main"]);
        git(root, &["merge", "-q", "--no-commit", "--no-ff", "side"]);
        let merge = commit(root, "merge.txt", in_merge.expose(), "merge");
        let report = history(&detector(), root, Limits::default()).unwrap();
        assert!(report.unread.is_empty(), "{:?}", report.unread);
        let found = |secret: &Secret| {
            let found: Vec<_> = report.findings.iter().filter(|finding| finding.digest == secret.digest()).collect();
            assert_eq!(found.len(), 1);
            let history = found[0].history.clone().unwrap();
            (
                history.object_type,
                history.paths,
                history.commits.into_iter().map(|commit| commit.id).collect::<Vec<_>>(),
            )
        };
        let blob = "blob".to_owned();
        assert_eq!(
            found(&in_file),
            (blob.clone(), vec!["old.txt".to_owned(), "ü copy.txt".to_owned()], vec![copied, added])
        );
        assert_eq!(found(&in_message), ("commit".to_owned(), vec![], vec![message]));
        assert_eq!(found(&in_tag), ("tag".to_owned(), vec![], vec![]));
        let (_, paths, _) = found(&in_branch);
        assert_eq!(paths, ["b.txt"]);
        assert_eq!(found(&in_merge), (blob, vec!["merge.txt".to_owned()], vec![merge]));
        assert_eq!(report.findings.len(), 5);
    }

    #[test]
    fn only_staged_content_is_read() {
        let folder = repository();
        let root = folder.path();
        let [staged_secret, unstaged] = [minted(), minted()];
        fs::write(root.join("a b.txt"), staged_secret.expose()).unwrap();
        git(root, &["add", "-A"]);
        fs::write(root.join("a b.txt"), unstaged.expose()).unwrap();
        let report = staged(&detector(), root, Limits::default()).unwrap();
        assert_eq!(report.findings.len(), 1);
        assert_eq!((&*report.findings[0].file, report.findings[0].digest), ("a b.txt", staged_secret.digest()));
        git(root, &["commit", "-q", "-m", "first"]);
        assert!(staged(&detector(), root, Limits::default()).unwrap().findings.is_empty());
    }

    #[test]
    fn shallow_clone_is_not_complete() {
        let folder = repository();
        commit(folder.path(), "a", "1", "first");
        commit(folder.path(), "a", "2", "second");
        let clone = tempfile::tempdir().unwrap();
        let from = format!("file://{}", folder.path().display());
        git(clone.path(), &["clone", "-q", "--depth", "1", &from, "."]);
        let report = history(&detector(), clone.path(), Limits::default()).unwrap();
        assert!(report.unread[0].reason.contains("shallow"));
    }

    #[test]
    fn outside_a_repository_is_an_error() {
        let folder = tempfile::tempdir().unwrap();
        for scan in [history, staged] {
            let error = scan(&detector(), folder.path(), Limits::default()).unwrap_err().to_string();
            assert!(error.contains("not a git repository"), "{error}");
        }
    }

    #[test]
    fn partial_clone_is_not_complete() {
        let folder = repository();
        commit(folder.path(), "a", minted().expose(), "first");
        commit(folder.path(), "a", "2", "second");
        git(folder.path(), &["config", "uploadpack.allowFilter", "true"]);
        let clone = tempfile::tempdir().unwrap();
        let from = format!("file://{}", folder.path().display());
        git(clone.path(), &["clone", "-q", "--filter=blob:none", &from, "."]);
        let report = history(&detector(), clone.path(), Limits::default()).unwrap();
        assert!(report.unread[0].reason.contains("partial"), "{:?}", report.unread);
    }

    /// Settings of a repository that is scanned must not start its programs, or hide a part of it.
    #[test]
    fn settings_of_the_repository_have_no_effect() {
        let folder = repository();
        let root = folder.path();
        let secret = minted();
        let marker = root.join("started");
        let program = root.join("program.sh");
        fs::write(&program, format!("#!/bin/sh\ntouch '{}'\n", marker.display())).unwrap();
        fs::set_permissions(&program, std::os::unix::fs::PermissionsExt::from_mode(0o755)).unwrap();
        commit(root, "a.txt", secret.expose(), "first");
        // A commit that claims to be signed.
        let tree = git(root, &["rev-parse", "HEAD^{tree}"]);
        let signed = format!(
            "tree {tree}\nauthor a <a@example.com> 1700000000 +0000\ncommitter a <a@example.com> 1700000000 +0000\ngpgsig -----BEGIN PGP SIGNATURE-----\n \n -----END PGP SIGNATURE-----\n\nsigned\n"
        );
        fs::write(root.join("commit"), signed).unwrap();
        let signed = git(root, &["hash-object", "-t", "commit", "-w", "commit"]);
        git(root, &["update-ref", "refs/heads/signed", &signed]);
        fs::create_dir(root.join("sub")).unwrap();
        fs::write(root.join("top.txt"), secret.expose()).unwrap();
        git(root, &["add", "top.txt"]);
        // From here on, only the scan runs git.
        let program = program.to_str().unwrap();
        for (name, value) in [
            ("log.showSignature", "true"),
            ("gpg.program", program),
            ("core.fsmonitor", program),
            ("core.pager", program),
            ("diff.external", program),
            ("diff.orderFile", "/nonexistent"),
            ("diff.relative", "true"),
        ] {
            git(root, &["config", name, value]);
        }
        let report = history(&detector(), root, Limits::default()).unwrap();
        assert_eq!((report.findings.len(), report.is_complete()), (1, true), "{:?}", report.unread);
        assert_eq!(staged(&detector(), &root.join("sub"), Limits::default()).unwrap().findings.len(), 1);
        assert!(!marker.exists());
    }

    #[test]
    fn names_of_branches_and_addresses_of_remotes_are_scanned() {
        let folder = repository();
        let root = folder.path();
        let [branch, remote] = [minted(), minted()];
        commit(root, "a.txt", "nothing", "first");
        git(root, &["branch", &format!("fix-{}", branch.expose())]);
        git(root, &["remote", "add", "origin", &format!("https://x:{}@example.com/r.git", remote.expose())]);
        let report = history(&detector(), root, Limits::default()).unwrap();
        let found: std::collections::BTreeSet<_> = report.findings.iter().map(|finding| finding.digest).collect();
        assert_eq!(found, [branch.digest(), remote.digest()].into());
    }
}

#[test]
fn every_encoding_is_tested() {
    for encoding in [Encoding::Plain, Encoding::Utf16, Encoding::Base64, Encoding::Escaped] {
        assert!(FORMS.iter().any(|form: &Form| form.encoding == encoding));
    }
}

/// A format that is not searched completely is named, never skipped silently.
#[test]
fn formats_that_are_not_searched_completely_are_named() {
    const LZMA: &[u8] = b"\x5d\0\0\x80\0\xff\xff\xff\xff\xff\xff\xff\xff\0";
    let parts = "because parts may be compressed";
    let cases: [(&str, &[u8], &str); 27] = [
        ("app.js.br", b"\x8b\x02\x80abc\x03", "archives of the format Brotli are not read"),
        ("APP.JS.BR", b"\x8b\x02\x80abc\x03", "archives of the format Brotli are not read"),
        ("a.lzma", LZMA, "archives of the format lzma are not read"),
        ("lzma", LZMA, "archives of the format lzma are not read"),
        ("a.xz", b"\xfd7zXZ\0\0\0", "archives of the format xz are not read"),
        ("a.7z", b"7z\xbc\xaf\x27\x1c\0", "archives of the format 7-Zip are not read"),
        ("a.rar", b"Rar!\x1a\x07\x01\0", "archives of the format RAR are not read"),
        ("a.bz2", b"BZh91AY&SY\0\0", "archives of the format bzip2 are not read"),
        ("empty.bz2", b"BZh9\x17\x72\x45\x38\x50\x90\0\0\0\0", "archives of the format bzip2 are not read"),
        ("a.lz4", b"\x04\x22\x4d\x18\x64\x40", "archives of the format lz4 are not read"),
        ("a.lzo", b"\x89LZO\0\r\n\x1a\n\x10", "archives of the format lzop are not read"),
        ("a.sz", b"\xff\x06\0\0sNaPpY\0", "archives of the format Snappy are not read"),
        ("object", b"\x78\x9c\x4b\xca", "archives of the format zlib are not read"),
        ("a.parquet", b"PAR1\x15\x04", parts),
        ("a.avro", b"Obj\x01\x04\x14", parts),
        ("a.orc", b"ORC\x08\x03\x12", parts),
        ("a.arrow", b"ARROW1\0\0\xff", parts),
        ("a.h5", b"\x89HDF\r\n\x1a\n\0", parts),
        ("a.dump", b"PGDMP\x01\x0e", parts),
        ("a.age", b"age-encryption.org/v1\n->", "it is encrypted with age"),
        ("a.asc", b"-----BEGIN PGP MESSAGE-----\n", "it is encrypted with OpenPGP"),
        ("secret", b"\0GITCRYPT\0abc", "it is encrypted with git-crypt"),
        ("vault.yml", b"$ANSIBLE_VAULT;1.1;AES256\n", "it is encrypted with Ansible Vault"),
        ("a.enc", b"Salted__abcdefgh", "it is encrypted with OpenSSL"),
        (
            "bad.zst",
            &[&b"\x28\xb5\x2f\xfd"[..], &[0xff; 60]].concat(),
            "it is damaged, or not what its first bytes say",
        ),
        ("skippable.zst", b"\x50\x2a\x4d\x18\x04\0\0\0abcd\x28\xb5\x2f\xfd\xff\xff", "it is cut off"),
        ("a.bvx", b"bvx2\0", "archives of the format LZFSE are not read"),
    ];
    let detector = detector();
    for (name, bytes, expected) in cases {
        // In an archive as well.
        let archive = tar(&[(name, bytes)]);
        for input in [bytes, &archive] {
            let mut scanner = Scanner::new(&detector, Limits::default());
            scanner.stream(name, &mut &*input);
            let report = scanner.into_report();
            assert!(!report.is_complete(), "{name}");
            let reasons: Vec<_> = report.unread.iter().map(|unread| &*unread.reason).collect();
            assert!(reasons.len() == 1 && reasons[0].contains(expected), "{name}: {reasons:?}");
        }
    }
    for (name, bytes) in [
        ("notes.br", &b"text with the end of another format"[..]),
        ("orc.txt", b"ORC is a word"),
        ("empty.lzma", b""),
        ("registry.db", b"SQLite format 3\0\x10"),
        // In the history of a repository, no option could leave them out.
        ("a.pdf", b"%PDF-1.7\n"),
        ("a.doc", b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1"),
        ("x", b"]\0\0 a binary file without a size of lzma"),
    ] {
        let mut scanner = Scanner::new(&detector, Limits::default());
        scanner.stream(name, &mut &*bytes);
        assert!(scanner.into_report().is_complete(), "{name}");
    }
}

/// Parts that are not compressed are searched.
#[test]
fn secrets_in_partly_compressed_files_are_found() {
    let secret = minted();
    for magic in [&b"PAR1"[..], b"Obj\x01"] {
        let report = scanned(&[magic, b" ", secret.expose().as_bytes(), b" "].concat());
        assert_eq!((report.findings.len(), report.unread.len(), report.inputs), (1, 1, 1));
    }
}

#[test]
fn files_that_gitignore_excludes_are_counted() {
    let folder = tempfile::tempdir().unwrap();
    for (path, text) in [(".gitignore", "*.log\ndist/\n"), ("a.js", ""), ("a.log", ""), ("dist/b.js", ""), ("c.md", "")]
    {
        let path = folder.path().join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }
    let globs = |globs: &[&str]| portcullis_scan::files::Globs::new(globs.iter().copied()).unwrap();
    let selected = |no_ignore, include: &[&str], exclude: &[&str]| portcullis_scan::files::Selection {
        no_ignore,
        include: globs(include),
        exclude: globs(exclude),
    };
    for (selection, expected) in [
        (selected(false, &[], &[]), 2),
        (selected(true, &[], &[]), 0),
        (selected(false, &["*.js"], &[]), 2),
        (selected(false, &[], &["dist"]), 1),
    ] {
        let paths = [folder.path().to_owned()];
        let report = portcullis_scan::files::scan(&detector(), &paths, &selection, Limits::default(), 2);
        assert_eq!(report.ignored, expected, "{selection:?}");
    }
}

#[test]
fn malformed_globs_are_explained() {
    for (glob, expected) in [
        ("a[", "`[` is not closed"),
        ("[z-a]", "the range `z-a` ends before it starts"),
        ("a}", "`}` has no `{`"),
        ("{a", "`{` is not closed"),
        ("a\\", "nothing follows the last backslash"),
    ] {
        let error = portcullis_scan::files::Globs::new([glob]).unwrap_err().to_string();
        assert!(error.contains(expected), "{glob}: {error}");
    }
}

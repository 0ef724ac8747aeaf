//! The URI of an input in SARIF: relative to the working directory, as code review tools expect.

use std::path::{Component, Path, PathBuf};

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};

/// The characters of a path that a URI does not escape. A colon is escaped: text before it would be a scheme.
const PATH: &AsciiSet = &NON_ALPHANUMERIC.remove(b'/').remove(b'.').remove(b'-').remove(b'_').remove(b'~');

/// Returns the relative URI of the input `name`, in the working directory `folder`.
///
/// A registry has the URI of its file. The URI of a file outside of `folder` is the name of the file: the folders of
/// one machine mean nothing on another one, and code review tools reject `..`.
pub fn relative_uri(name: &str, folder: &Path) -> String {
    let path = match name {
        "-" | "<stdin>" => "stdin",
        // A pipe of the shell, such as `/dev/fd/63`, or standard input.
        _ if name.starts_with("/dev/") || name.starts_with("/proc/") => "stdin",
        _ => name.strip_prefix("sqlite:").unwrap_or(name),
    };
    let path = Path::new(path);
    let inside = within(path, folder).or_else(|| within(&path.canonicalize().ok()?, folder));
    let relative = inside.unwrap_or_else(|| path.file_name().unwrap_or_default().into());
    let segments = relative.iter().map(|segment| utf8_percent_encode(&segment.to_string_lossy(), PATH).to_string());
    let uri = segments.collect::<Vec<_>>().join("/");
    if uri.is_empty() { "policy".to_owned() } else { uri }
}

/// Returns `path` relative to `folder`, without `.` and `..`; `None` if it is not below `folder`.
fn within(path: &Path, folder: &Path) -> Option<PathBuf> {
    let path = if path.is_absolute() { path.strip_prefix(folder).ok()? } else { path };
    let mut relative = PathBuf::new();
    for component in path.components() {
        match component {
            Component::CurDir => {}
            Component::ParentDir if relative.pop() => {}
            Component::Normal(name) => relative.push(name),
            _ => return None,
        }
    }
    Some(relative).filter(|relative| relative.file_name().is_some())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_input_has_a_relative_uri() {
        for (name, expected) in [
            ("policy.json", "policy.json"),
            ("./policies/a.json", "policies/a.json"),
            ("policies/../a.json", "a.json"),
            ("/home/ana/site/policies/a.json", "policies/a.json"),
            ("/home/ana/site/../other/a.json", "a.json"),
            ("/home/ana/secret plans/a.json", "a.json"),
            ("../../a.json", "a.json"),
            ("a b/ü%#?.json", "a%20b/%C3%BC%25%23%3F.json"),
            ("c:policy.json", "c%3Apolicy.json"),
            ("sqlite:registry.db", "registry.db"),
            ("sqlite:/var/lib/portcullis/registry.db", "registry.db"),
            ("sqlite:///home/ana/site/data/registry.db", "data/registry.db"),
            ("-", "stdin"),
            ("/dev/fd/63", "stdin"),
            ("/dev/stdin", "stdin"),
            ("/proc/self/fd/0", "stdin"),
            ("/proc/4711/fd/63", "stdin"),
            ("dev/fd/63", "dev/fd/63"),
            ("<stdin>", "stdin"),
            ("..", "policy"),
            ("", "policy"),
        ] {
            assert_eq!(relative_uri(name, Path::new("/home/ana/site")), expected, "{name}");
        }
    }
}

//! The words of errors of the operating system.

use std::io;
use std::path::Path;

use super::{nearest, quoted};

/// Returns the words of an error in lower case, without the number of the system. An error that this program made keeps its
/// words.
///
/// ```
/// use std::io;
///
/// use portcullis::base::system_words;
///
/// let missing = std::fs::read("missing").unwrap_err();
/// assert_eq!(system_words(&missing), "no such file or directory");
/// assert_eq!(system_words(&io::Error::other("it is not a regular file")), "it is not a regular file");
/// ```
pub fn system_words(error: &io::Error) -> String {
    let text = error.to_string();
    let Some(number) = error.raw_os_error() else { return text };
    let reason = text.strip_suffix(&format!(" (os error {number})")).unwrap_or(&text);
    let mut characters = reason.chars();
    characters.next().map(|first| first.to_ascii_lowercase()).into_iter().chain(characters).collect()
}

/// Returns why the file at `path` cannot be read, with a fix after `; help: ` for the frequent reasons.
pub fn unreadable_words(path: &Path, error: &io::Error) -> String {
    let reason = system_words(error);
    match error.kind() {
        io::ErrorKind::IsADirectory => "it is a folder; help: name a file in it".to_owned(),
        io::ErrorKind::NotFound => format!("{reason}; help: {}", found_instead(path)),
        io::ErrorKind::PermissionDenied => {
            format!("{reason}; help: let the user of this process read the file and enter its folders")
        }
        _ => reason,
    }
}

/// Returns why the file at `path` cannot be written, with a fix after `; help: ` for the frequent reasons.
pub fn unwritable_words(path: &Path, error: &io::Error) -> String {
    let reason = system_words(error);
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let shown = quoted(&folder.to_string_lossy());
    match error.kind() {
        io::ErrorKind::IsADirectory => "it is a folder; help: name a file in it".to_owned(),
        io::ErrorKind::NotFound => format!("{reason}; help: create the folder {shown}, or name a file in another one"),
        io::ErrorKind::NotADirectory => format!("{reason}; help: {shown} is a file: name a file in a folder"),
        io::ErrorKind::PermissionDenied => {
            format!("{reason}; help: name a file that you may write, in a folder that you may write to")
        }
        _ => reason,
    }
}

/// Returns the fix for a path that does not exist.
fn found_instead(path: &Path) -> String {
    /// The maximum number of files that are compared.
    const MAX_FILES: usize = 1_000;
    if path.is_symlink() {
        return "it is a link to a file that does not exist: change the link".to_owned();
    }
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty());
    let (Ok(files), Some(name)) =
        (folder.unwrap_or(Path::new(".")).read_dir(), path.file_name().and_then(|name| name.to_str()))
    else {
        let folder = folder.map_or_else(|| "its folder".to_owned(), |folder| quoted(&folder.to_string_lossy()));
        return format!("{folder} does not exist or is not readable: check the path");
    };
    let names: Vec<String> =
        files.flatten().take(MAX_FILES).filter_map(|file| file.file_name().into_string().ok()).collect();
    match nearest(name, names.iter().map(String::as_str)) {
        Some(near) => format!("did you mean {}?", quoted(&path.with_file_name(near).to_string_lossy())),
        None => "check the path".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::{system_words, unreadable_words, unwritable_words};

    #[test]
    fn a_missing_file_has_the_nearest_one_and_a_folder_says_so() {
        let dir = tempfile::tempdir().unwrap();
        let folder = dir.path();
        fs::write(folder.join("policy.json"), "").unwrap();
        let words = |name: &str| {
            let path = folder.join(name);
            unreadable_words(&path, &fs::read(&path).unwrap_err()).replace(&folder.display().to_string(), "D")
        };
        for (name, want) in [
            ("polcy.json", "no such file or directory; help: did you mean `D/policy.json`?"),
            ("xyz", "no such file or directory; help: check the path"),
            ("no/xyz", "no such file or directory; help: `D/no` does not exist or is not readable: check the path"),
            (".", "it is a folder; help: name a file in it"),
        ] {
            assert_eq!(words(name), want, "{name}");
        }
    }

    #[test]
    fn a_file_that_cannot_be_written_names_its_folder() {
        let dir = tempfile::tempdir().unwrap();
        let folder = dir.path();
        fs::write(folder.join("file"), "").unwrap();
        let words = |name: &str| {
            let path = folder.join(name);
            unwritable_words(&path, &fs::write(&path, "").unwrap_err()).replace(&folder.display().to_string(), "D")
        };
        for (name, want) in [
            ("no/x", "no such file or directory; help: create the folder `D/no`, or name a file in another one"),
            ("file/x", "not a directory; help: `D/file` is a file: name a file in a folder"),
            ("", "it is a folder; help: name a file in it"),
        ] {
            assert_eq!(words(name), want, "{name}");
        }
    }

    #[test]
    fn words_of_the_system_have_no_number() {
        for number in 1..130 {
            let words = system_words(&std::io::Error::from_raw_os_error(number));
            assert!(!words.contains("os error") && !words.starts_with(char::is_uppercase), "{words}");
        }
    }
}

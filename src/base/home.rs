//! Paths whose home directory the shell did not expand.

/// Returns the error and its fix if `path` starts with a home directory or a variable that the shell did not expand: `~`,
/// `~/…`, `~ana/…`, `$HOME`, `${HOME}` or `$VARIABLE/…`. A file at the path would be in a folder of this name.
///
/// The error calls the path `subject`. The fix is a path with the prefix `scheme`, to `file` if the path is only a
/// directory. `quote` shows a part of the path.
///
/// ```
/// use portcullis::base::{quoted, unexpanded_home};
///
/// let [error, help] = unexpanded_home("~/a.json", "FILE", "", "", quoted).unwrap();
/// assert_eq!(error, "`~` in FILE was not expanded by the shell");
/// assert_eq!(help, "write `\"$HOME/a.json\"`; a folder that is named `~` is `./~/a.json`");
/// assert_eq!(unexpanded_home("a~/b.json", "FILE", "", "", quoted), None);
/// ```
pub fn unexpanded_home(
    path: &str,
    subject: &str,
    scheme: &str,
    file: &str,
    quote: impl Fn(&str) -> String,
) -> Option<[String; 2]> {
    let (start, rest) = path.split_once('/').map_or((path, None), |(start, rest)| (start, Some(rest)));
    let is_home = matches!(start, "~" | "$HOME" | "${HOME}");
    let is_folder = rest.is_some() && (start.starts_with('~') || is_variable(start));
    if !is_home && !is_folder {
        return None;
    }
    let rest = rest.filter(|rest| !rest.is_empty()).unwrap_or(file);
    let rest = if rest.is_empty() { String::new() } else { format!("/{rest}") };
    let fix = match start.strip_prefix('~') {
        Some("") => format!("\"{scheme}$HOME{rest}\""),
        Some(user) => format!("{scheme}/home/{user}{rest}"),
        None => format!("\"{scheme}{start}{rest}\""),
    };
    let name = if is_home { format!("`{start}`") } else { quote(start) };
    Some([
        format!("{name} in {subject} was not expanded by the shell"),
        format!("write {}; a folder that is named {name} is {}", quote(&fix), quote(&format!("{scheme}./{path}"))),
    ])
}

/// Whether `text` is a variable of the shell: `$NAME` or `${NAME}`.
fn is_variable(text: &str) -> bool {
    let Some(name) = text.strip_prefix('$') else { return false };
    let name = name.strip_prefix('{').map_or(Some(name), |name| name.strip_suffix('}'));
    name.is_some_and(|name| {
        name.starts_with(|first: char| first.is_ascii_alphabetic() || first == '_')
            && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_')
    })
}

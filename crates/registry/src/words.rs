//! Texts of users in messages.

use super::secret;
use portcullis::base::{self, is_unsafe};

/// Returns `text` as an argument of a command, quoted where a shell needs it; `placeholder` if it cannot be shown.
pub(super) fn argument(text: &str, placeholder: &str) -> String {
    let is_plain = |character: char| character.is_ascii_alphanumeric() || "_.,:/@+-".contains(character);
    match text {
        _ if text.len() > base::MAX_QUOTED || text.chars().any(is_unsafe) || secret::contains_secret(text) => {
            placeholder.to_owned()
        }
        // An option, or text that would end the backticks around the command.
        _ if text.is_empty() || text.starts_with('-') || text.contains('`') => placeholder.to_owned(),
        _ if text.chars().all(is_plain) => text.to_owned(),
        _ => format!("'{}'", text.replace('\'', r"'\''")),
    }
}

/// Returns `text` as [`base::quoted`] does, or `pcl_…` if it contains a secret of ours.
pub(super) fn quoted(text: &str) -> String {
    if secret::contains_secret(text) { "`pcl_…`".to_owned() } else { base::quoted(text) }
}

/// Returns `did you mean …? ` with the known name that was probably meant, or nothing.
pub(super) fn did_you_mean<'n>(name: &str, known: impl IntoIterator<Item = &'n str>) -> String {
    base::nearest(name, known).map_or_else(String::new, |known| format!("did you mean {}? ", quoted(known)))
}

#[cfg(test)]
mod tests {
    use super::argument;

    #[test]
    fn arguments_are_quoted_for_a_shell() {
        for (text, want) in [
            ("carto_dw", "carto_dw"),
            ("my dw", "'my dw'"),
            ("it's", r"'it'\''s'"),
            ("$HOME", "'$HOME'"),
            ("a\nb", "NAME"),
            ("a\u{202e}b", "NAME"),
            ("--force", "NAME"),
            ("a`b", "NAME"),
            ("", "NAME"),
        ] {
            assert_eq!(argument(text, "NAME"), want, "{text:?}");
        }
    }
}

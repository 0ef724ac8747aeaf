//! A naive implementation of queries and named sources, rule by rule (N4, N5, N6.4), for tests. Decisions do not use
//! it.

/// Returns the normal form of the query `text` (N4.2); `None` if it is malformed: empty, or over 1 MiB.
pub fn normal(text: &str) -> Option<String> {
    if text.len() > 1024 * 1024 {
        return None;
    }
    let trimmed = trimmed(text);
    if trimmed.is_empty() {
        return None;
    }
    Some(folded(trimmed).unwrap_or_else(|| trimmed.to_owned()))
}

fn is_space(character: char) -> bool {
    matches!(character, ' ' | '\t' | '\n' | '\r' | '\x0C')
}

fn trimmed(text: &str) -> &str {
    text.trim_end_matches(|character| is_space(character) || character == ';').trim_start_matches(is_space)
}

/// The lexical context of a character.
enum State {
    Code,
    /// In a run of white space whose replacement is already written.
    Space,
    /// In quotes, up to this quote character.
    Quoted(char),
    LineComment,
    BlockComment,
}

/// Folds each run of white space of `text`; returns `None` if it is not plain (N4.3).
fn folded(text: &str) -> Option<String> {
    if contains_sequence_that_is_not_plain(text) {
        return None;
    }
    let characters: Vec<char> = text.chars().collect();
    let mut out = String::new();
    let mut state = State::Code;
    let mut at = 0;
    while let Some(&character) = characters.get(at) {
        let next = characters.get(at + 1).copied();
        at += 1;
        match state {
            State::Space if is_space(character) => {}
            State::Code | State::Space => {
                state = State::Code;
                match (character, next) {
                    ('-', Some('-')) => {
                        out.push_str("--");
                        at += 1;
                        state = State::LineComment;
                    }
                    ('/', Some('*')) => {
                        out.push_str("/*");
                        at += 1;
                        state = State::BlockComment;
                    }
                    ('\'' | '"' | '`', _) => {
                        out.push(character);
                        state = State::Quoted(character);
                    }
                    _ if is_space(character) => {
                        out.push(' ');
                        state = State::Space;
                    }
                    _ => out.push(character),
                }
            }
            State::Quoted(quote) => {
                out.push(character);
                if character == quote {
                    state = State::Code;
                }
            }
            State::LineComment => match (character, next) {
                ('\n', _) => {
                    out.push('\n');
                    state = State::Space;
                }
                // Some dialects end the comment here.
                ('\r', next) if next != Some('\n') => return None,
                _ => out.push(character),
            },
            State::BlockComment => match (character, next) {
                ('*', Some('/')) => {
                    out.push_str("*/");
                    at += 1;
                    state = State::Code;
                }
                ('/', Some('*')) => return None,
                _ => out.push(character),
            },
        }
    }
    match state {
        State::Quoted(_) | State::BlockComment => None,
        State::Code | State::Space | State::LineComment => Some(out),
    }
}

/// Returns whether `text` contains a sequence that no plain text contains: the part of N4.3 that needs no state.
fn contains_sequence_that_is_not_plain(text: &str) -> bool {
    let name_or_quote = |character: char| character.is_alphabetic() || character == '_' || character == '$';
    let dollar = text.chars().zip(text.chars().skip(1)).any(|(first, second)| first == '$' && name_or_quote(second));
    dollar || ["\\", "#", "//", "'''", "\"\"\""].iter().any(|banned| text.contains(banned))
}

/// Returns whether `text` is a valid named source (N5).
pub fn is_named_source(text: &str) -> bool {
    let alphanumeric = |character: char| matches!(character, 'a'..='z' | '0'..='9');
    let allowed = |character: char| alphanumeric(character) || character == '-' || character == '_';
    (3..=51).contains(&text.chars().count())
        && text.chars().all(allowed)
        && text.starts_with(alphanumeric)
        && text.ends_with(alphanumeric)
}

/// Returns whether a source without a type is read as a query (N6.4).
pub fn looks_like_query(text: &str) -> bool {
    let text = text.trim_matches(is_space);
    let word: String = first_word(text).to_ascii_lowercase();
    text.contains(is_space) && ["select", "with", "from", "call", "values", "table"].contains(&word.as_str())
}

/// Returns the first word after white space, comments and opening parentheses; empty if there is none.
fn first_word(text: &str) -> String {
    let mut text = text;
    loop {
        text = text.trim_start_matches(|character| is_space(character) || character == '(');
        let parts = match (text.strip_prefix("--"), text.strip_prefix("/*")) {
            (Some(comment), _) => comment.split_once('\n'),
            (_, Some(comment)) => comment.split_once("*/"),
            (None, None) => return text.chars().take_while(|&character| in_a_word(character)).collect(),
        };
        match parts {
            Some((_, after)) => text = after,
            None => return String::new(),
        }
    }
}

fn in_a_word(character: char) -> bool {
    character.is_ascii_alphanumeric() || character == '_' || character == '$' || !character.is_ascii()
}

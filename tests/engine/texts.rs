//! Generates names, patterns, queries and referers of small alphabets, and near misses: edited or spelled differently.

use portcullis::name::Dialect;
use portcullis::name::naive::segments;

use crate::choices::Choices;

/// Returns the quotes of a dialect (N2.5).
pub(crate) fn quotes(dialect: Dialect) -> &'static str {
    match dialect {
        Dialect::Generic => "\"`",
        Dialect::BigQuery | Dialect::Databricks => "`",
        _ => "\"",
    }
}

/// Generates a name, or with `stars` a pattern, of `segments` segments. Most results are well-formed.
pub(crate) fn path(choices: &mut Choices<'_>, dialect: Dialect, segments: usize, stars: bool) -> String {
    let starred = choices.below(segments);
    let segment = |index| {
        if stars && (index == starred || choices.one_in(3)) {
            starred_segment(choices)
        } else if choices.one_in(4) {
            quoted(choices, dialect)
        } else {
            bare(choices, 1)
        }
    };
    (0..segments).map(segment).collect::<Vec<_>>().join(".")
}

fn bare(choices: &mut Choices<'_>, min: usize) -> String {
    let length = min + choices.below(3);
    let alphabet = if choices.one_in(8) { "ab_$#-1:é日ıſßÄK" } else { "aabbAB" };
    (0..length).map(|_| choices.character(alphabet)).collect()
}

/// Generates stars with text between them, and sometimes around them.
fn starred_segment(choices: &mut Choices<'_>) -> String {
    let mut segment = bare(choices, 0);
    segment.push('*');
    for _ in 0..choices.below(4) / 2 {
        segment.push_str(&bare(choices, 1));
        segment.push('*');
    }
    segment.push_str(&bare(choices, 0));
    segment
}

fn quoted(choices: &mut Choices<'_>, dialect: Dialect) -> String {
    let quote = choices.character(quotes(dialect));
    let alphabet = if choices.one_in(2) { "ab.A*\"` é:$ſÄ" } else { "abAB" };
    let inside: String = (0..=choices.below(3)).map(|_| choices.character(alphabet)).collect();
    quote_with(&inside, quote)
}

fn quote_with(text: &str, quote: char) -> String {
    let doubled = text.replace(quote, &format!("{quote}{quote}"));
    format!("{quote}{doubled}{quote}")
}

/// Returns the pattern `text` with each star replaced by a short text. The pattern covers most results.
pub(crate) fn filled(choices: &mut Choices<'_>, text: &str) -> String {
    const FILLINGS: [&str; 9] = ["a", "", "b", "ab", "aab", "A", "*", "a.b", "."];
    let count = if choices.one_in(8) { FILLINGS.len() } else { 6 };
    let fill = |character| match character {
        '*' => choices.pick(&FILLINGS[..count]).to_owned(),
        _ => character.to_string(),
    };
    text.chars().map(fill).collect()
}

/// Returns the name `text`, or a near miss.
pub(crate) fn near_name(choices: &mut Choices<'_>, text: &str, dialect: Dialect) -> String {
    let mut text = text.to_owned();
    for _ in 0..edits(choices) {
        text = match choices.below(9) {
            0 => other_case(choices, &text),
            1 | 2 => spelled_otherwise(choices, &text, dialect),
            3 => format!("{text}.{}", choices.character("aAb*")),
            4 => text.split_once('.').map_or_else(|| format!("a.{text}"), |(_, rest)| rest.to_owned()),
            5 => text.rsplit_once('.').map_or_else(String::new, |(rest, _)| rest.to_owned()),
            _ => edited(choices, &text, "abAB.*\"`_:é \u{a0}\u{7}\\@#日$ßıÄK"),
        };
    }
    text
}

/// Returns a number of edits: zero in half of the cases, otherwise one or two.
fn edits(choices: &mut Choices<'_>) -> usize {
    choices.pick(&[0, 0, 0, 0, 1, 1, 1, 2])
}

/// Inserts, removes or replaces one character.
fn edited(choices: &mut Choices<'_>, text: &str, alphabet: &str) -> String {
    let mut characters: Vec<char> = text.chars().collect();
    let at = choices.below(characters.len() + 1);
    let character = choices.character(alphabet);
    match choices.below(3) {
        0 => characters.insert(at, character),
        1 if at < characters.len() => characters[at] = character,
        _ if at < characters.len() => drop(characters.remove(at)),
        _ => characters.push(character),
    }
    characters.into_iter().collect()
}

/// Changes the case of one character, or of all.
fn other_case(choices: &mut Choices<'_>, text: &str) -> String {
    let only = choices.below(text.chars().count() + 1).checked_sub(1);
    let flip = |(index, character): (usize, char)| match character {
        _ if only.is_some_and(|only| only != index) => character,
        'a'..='z' => character.to_ascii_uppercase(),
        _ => character.to_ascii_lowercase(),
    };
    text.chars().enumerate().map(flip).collect()
}

/// Quotes each segment, or in `bigquery` all segments together. Sometimes omits the quotes of a segment.
fn spelled_otherwise(choices: &mut Choices<'_>, text: &str, dialect: Dialect) -> String {
    let Some(segments) = segments(text, dialect) else {
        return text.to_owned();
    };
    let quote = choices.character(quotes(dialect));
    if dialect == Dialect::BigQuery && choices.one_in(2) {
        return quote_with(&segments.join("."), quote);
    }
    let spelled = segments.iter().map(|segment| {
        let bare = choices.one_in(2);
        if bare { segment.clone() } else { quote_with(segment, quote) }
    });
    spelled.collect::<Vec<_>>().join(".")
}

/// The fragments of queries: all syntax that N4 names, complete or unterminated.
const FRAGMENTS: [&str; 48] = [
    "1",
    "a",
    " ",
    "  ",
    "\n",
    "\t ",
    ",",
    "'a  b'",
    "\"a  b\"",
    "`a  b`",
    "--  a\n",
    "--  a\n \t",
    "-- a",
    "/*  a  */",
    ";",
    " ; ",
    "(",
    ")",
    "'it''s  a'",
    "\r\n",
    "\r",
    "\x0C",
    "\u{b}",
    "\u{a0}",
    "--  a\r\n",
    "--  a\rb\n",
    "--a;\n",
    "/* a /* b */",
    "/**/",
    "/*/",
    "*/",
    "/*",
    "'",
    "\"",
    "`",
    "'''",
    "\"\"\"",
    "\\",
    "#",
    "//",
    "$1",
    "$a",
    "$$",
    "$_",
    "$é",
    "$",
    "é",
    "-",
];

/// Generates a query, which is not always plain.
pub(crate) fn query(choices: &mut Choices<'_>) -> String {
    let mut text =
        choices.pick(&["SELECT ", "SELECT  1\n", "with a", "select", "(  FROM t", "-- a\nSELECT "]).to_owned();
    for _ in 0..choices.below(6) {
        text.push_str(fragment(choices));
    }
    text
}

fn fragment(choices: &mut Choices<'_>) -> &'static str {
    // The first 20 fragments keep a plain query plain.
    let count = if choices.one_in(3) { FRAGMENTS.len() } else { 20 };
    choices.pick(&FRAGMENTS[..count])
}

/// Returns the query `text`, or a near miss.
pub(crate) fn near_query(choices: &mut Choices<'_>, text: &str) -> String {
    let mut text = text.to_owned();
    for _ in 0..edits(choices) {
        text = match choices.below(8) {
            0 => format!("{text}{}", choices.pick(&[" ", ";", "\n;", " ; \t", " 1"])),
            1 => format!("{}{text}", choices.pick(&[" ", "\n", ";", "\x0C", "\u{b}"])),
            2..=4 => respaced(choices, &text),
            5 => other_case(choices, &text),
            6 => {
                let at = choices.below(text.chars().count() + 1);
                let (before, after): (String, String) =
                    (text.chars().take(at).collect(), text.chars().skip(at).collect());
                format!("{before}{}{after}", fragment(choices))
            }
            _ => edited(choices, &text, " \n;'-/*a\r"),
        };
    }
    text
}

/// Replaces one white space character with other white space, or removes it.
fn respaced(choices: &mut Choices<'_>, text: &str) -> String {
    let spaces: Vec<usize> =
        text.char_indices().filter(|(_, found)| found.is_ascii_whitespace()).map(|(at, _)| at).collect();
    if spaces.is_empty() {
        return format!("{text} ");
    }
    let at = choices.pick(&spaces);
    let replacement = choices.pick(&["  ", "\n", "\t", " \r\n", "\x0C", "", "\u{a0}"]);
    format!("{}{replacement}{}", &text[..at], &text[at + 1..])
}

/// Generates a named source, which is not always valid.
pub(crate) fn named_source(choices: &mut Choices<'_>) -> String {
    let length = choices.pick(&[3, 4, 5, 51, 52, 2, 0]);
    (0..length).map(|_| choices.character("aab1-_aab1aab1A")).collect()
}

pub(crate) fn near_named_source(choices: &mut Choices<'_>, text: &str) -> String {
    if choices.one_in(3) { edited(choices, text, "ab1-_A é") } else { text.to_owned() }
}

/// Generates an entry of a token's referers, which is not always valid.
pub(crate) fn entry(choices: &mut Choices<'_>) -> String {
    let scheme =
        choices.pick(&["https://", "https://", "https://", "http://", "HTTPS://", "https:", "ftp://", "https:/\\"]);
    let host = choices.pick(&[
        "carto.com",
        "*.carto.com",
        "a.carto.com",
        "CARTO.com",
        "*.b.carto.com",
        "bücher.example",
        "[::1]",
        "127.0.0.1",
        "localhost",
        "*.com",
        "xn--bcher-kva.example",
        "carto.com.",
        "*.bücher.example",
        "*carto.com",
        "a.*.com",
        "*.",
        "*",
        "*..com",
        "%63arto.com",
        "u@carto.com",
        "@carto.com",
        "1.2",
        "*.1.2.3.4",
        "car_to.com",
        "",
    ]);
    let port = choices.pick(&["", "", "", "", ":443", ":80", ":8080", ":"]);
    let path = choices.pick(&[
        "",
        "/",
        "/*",
        "/a",
        "/a/",
        "/a/*",
        "/a/b?q=1",
        "/?",
        "/a?",
        "/a b",
        "/a%20b",
        "/*?q",
        "/*/b",
        "/a*",
        "/a/*/*",
        "/a/../b",
        "/a/./*",
        "/é/*",
        "/%C3%A9/*",
        "#",
        "/#a",
        "?q",
        "/a//*",
        "/A/*",
        "/%61/*",
        "/a/%2a",
        "\\a\\*",
    ]);
    format!("{scheme}{host}{port}{path}")
}

/// Generates a valid entry of a few hosts and paths, so that many entries overlap.
pub(crate) fn common_entry(choices: &mut Choices<'_>) -> String {
    let host = choices.pick(&["a.com", "*.a.com", "a.a.com", "*.a.a.com", "b.com", "*.com"]);
    let port = choices.pick(&["", "", "", "", ":80", ":81"]);
    let path = choices.pick(&["/a", "/a/*", "/a/a/*", "/a?a", "/a/", "/a/a", "/a-", "/*", "", "/a/?a", "/b/*", "/*?a"]);
    format!("{}{host}{port}{path}", choices.pick(&["https://", "https://", "http://"]))
}

/// Returns a `Referer` header that `entry` matches, or a near miss.
pub(crate) fn near_referer(choices: &mut Choices<'_>, entry: &str) -> String {
    let mut text = entry.replace("//*.", choices.pick(&["//a.", "//a.b.", "//", "//*.", "//.", "//a..", "//evil"]));
    if let Some(front) = text.strip_suffix("/*") {
        text = format!("{front}{}", choices.pick(&["/", "/b", "", "/b/c?q=1", "/*", "?/", "/#/"]));
    }
    for _ in 0..edits(choices) {
        text = match choices.below(12) {
            0 => format!("{text}{}", choices.pick(&["#f", "?q", "?", "/", "b", "#", " ", "%20"])),
            1 => text.replacen("https", "http", 1),
            2 => text.replacen("//", choices.pick(&["//a.", "//u@", "//@", "///", "/", "//evil", "//u:p@", "\\\\"]), 1),
            3 => text.replacen(
                ".com",
                choices.pick(&[".com:443", ".com:80", ".com:8080", ".com.", ".com.evil.org", ".org"]),
                1,
            ),
            4 => other_case(choices, &text),
            5 => text.replacen("/a", choices.pick(&["/A", "/%61", "/b", "/a/../a", "/./a", "/a%2f", "//a"]), 1),
            6 => text.split_inclusive('/').take(3).collect(),
            _ => edited(choices, &text, "a./@:?#*% \\\té"),
        };
    }
    text
}

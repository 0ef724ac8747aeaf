//! Names of users that people cannot tell apart.

use portcullis::base::is_unsafe;
use unicode_normalization::UnicodeNormalization as _;
use unicode_security::skeleton;

/// Whether people may take one name for the other: the names differ in case, spaces, invisible characters, or characters
/// that look alike.
pub(super) fn look_alike(one: &str, other: &str) -> bool {
    let (one, other) = (looks(one), looks(other));
    one.iter().zip(&other).any(|(one, other)| one == other)
}

/// Returns texts of which one is equal for names that look alike. `I` looks like `l`, and is `i` in another case: so case is
/// removed before look-alikes are, and after that.
fn looks(name: &str) -> [String; 2] {
    // The compatibility form: a wide or a raised letter is that letter, and a no-break space is a space.
    let plain: String = name.nfkc().filter(|character| !is_unsafe(*character)).collect();
    let plain = plain.split_whitespace().collect::<Vec<_>>().join(" ");
    let lower = plain.to_lowercase();
    [skeleton(&lower).collect(), skeleton(&plain).collect::<String>().to_lowercase()]
}

#[cfg(test)]
mod tests {
    use super::look_alike;

    #[test]
    fn names_that_people_confuse_look_alike() {
        for (one, other, why) in [
            ("ana", "ana", "equal names"),
            ("ana", "Ana", "case"),
            ("ANITA", "anita", "case of a letter that looks like another one"),
            ("ana", "\u{430}n\u{430}", "Cyrillic letters"),
            ("ana", "\u{410}na", "a Cyrillic capital"),
            ("ana", "\u{ff41}na", "a wide letter"),
            ("ana", "ana ", "a space at the end"),
            ("ana", "\u{a0}ana", "a no-break space"),
            ("ana b", "ana  b", "two spaces"),
            ("ana", "an\u{200b}a", "a zero-width space"),
            ("ana", "\u{202e}ana", "a change of direction"),
            ("ana", "a\u{ad}na", "a soft hyphen"),
            ("paul@example.com", "pauI@example.com", "a capital I for l"),
            ("paul@example.com", "pau1@example.com", "a digit for l"),
            ("jos\u{e9}", "jose\u{301}", "a composed letter"),
            ("ana@example.com", "ana@ex\u{430}mple.com", "another domain"),
        ] {
            assert!(look_alike(one, other) && look_alike(other, one), "{why}: {one:?} {other:?}");
        }
        for (one, other) in
            [("ana", "anna"), ("ana", "ana2"), ("ana", "ana@example.com"), ("ana b", "anab"), ("jose", "jos\u{e9}")]
        {
            assert!(!look_alike(one, other), "{one:?} {other:?}");
        }
    }
}

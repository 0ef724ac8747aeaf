//! Inlined comparisons of short texts, for which a call of `memcmp` costs more than the comparison.

/// Returns whether `a` and `b` are equal.
#[inline]
pub(crate) fn is_same(a: &[u8], b: &[u8]) -> bool {
    fn ends<const N: usize>(a: &[u8], b: &[u8]) -> Option<bool> {
        Some(a.first_chunk::<N>()? == b.first_chunk()? && a.last_chunk::<N>()? == b.last_chunk()?)
    }
    if a.len() != b.len() {
        return false;
    }
    // The chunk at the start and the chunk at the end overlap, so together they cover the whole text.
    match a.len() {
        0 => true,
        1..4 => a.first() == b.first() && a.last() == b.last() && a.get(a.len() / 2) == b.get(b.len() / 2),
        4..8 => ends::<4>(a, b) == Some(true),
        8..16 => ends::<8>(a, b) == Some(true),
        16..=32 => ends::<16>(a, b) == Some(true),
        _ => a == b,
    }
}

/// Returns whether `text` starts with `prefix`.
#[inline]
pub(crate) fn starts_with(text: &[u8], prefix: &[u8]) -> bool {
    text.get(..prefix.len()).is_some_and(|text| is_same(text, prefix))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn comparison_depends_on_every_byte_and_the_length() {
        for length in 0..70 {
            let text: Vec<u8> = (0..length).collect();
            assert!(is_same(&text, &text.clone()));
            assert!(starts_with(&[&text[..], b"x"].concat(), &text));
            assert!(!is_same(&text, &[&text[..], b"x"].concat()) && !starts_with(&text, &[&text[..], b"x"].concat()));
            for at in 0..text.len() {
                let mut other = text.clone();
                other[at] ^= 1;
                assert!(!is_same(&text, &other) && !starts_with(&other, &text), "byte {at} of {length}");
            }
        }
    }
}

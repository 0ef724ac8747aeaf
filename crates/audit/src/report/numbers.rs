//! Numbers, as the page writes and scales them.

/// A count with its thousands apart.
pub(super) fn grouped(count: u64) -> String {
    let digits = count.to_string();
    let mut text = String::with_capacity(digits.len() + digits.len() / 3);
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// A count and its noun: `1 token`, `2 tokens`.
pub(super) fn counted(count: u64, noun: &str) -> String {
    let plural = if count == 1 { "" } else { "s" };
    format!("{} {noun}{plural}", grouped(count))
}

/// Part `of`, 0 to 1.
#[expect(clippy::cast_precision_loss, reason = "to be drawn")]
pub(super) fn share(part: u64, of: u64) -> f64 {
    if of == 0 { 0.0 } else { part as f64 / of as f64 }
}

/// A share as a percentage: `0 %`, `< 0.1 %`, `3.4 %`, `42 %`.
pub(super) fn percent(share: f64) -> String {
    let percent = share * 100.0;
    if percent <= 0.0 {
        "0 %".to_owned()
    } else if percent < 0.1 {
        "< 0.1 %".to_owned()
    } else if percent < 10.0 {
        format!("{percent:.1} %")
    } else if percent < 100.0 {
        // All is said of nothing less.
        format!("{:.0} %", percent.min(99.0))
    } else {
        "100 %".to_owned()
    }
}

/// The end of an axis: the least of 1, 2 and 5 times a power of ten, or 4 times one, that is not below `most`.
pub(super) fn nice(most: f64) -> f64 {
    let mut power = 1e-6;
    while power < 1e15 {
        for factor in [1.0, 2.0, 4.0, 5.0] {
            if power * factor >= most * (1.0 - 1e-9) {
                return power * factor;
            }
        }
        power *= 10.0;
    }
    most
}

/// `text` in at most so many characters; what is left out is in the middle, since names differ at both ends.
pub(super) fn shortened(text: &str, most: usize) -> String {
    let count = text.chars().count();
    if count <= most {
        return text.to_owned();
    }
    let before = most.div_ceil(2).saturating_sub(1);
    let behind = most - before - 1;
    text.chars().take(before).chain(['…']).chain(text.chars().skip(count - behind)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_short_and_never_round_to_all_or_nothing() {
        assert_eq!(
            [0.0, 0.0001, 0.034, 0.42, 0.999_9, 1.0].map(percent),
            ["0 %", "< 0.1 %", "3.4 %", "42 %", "99 %", "100 %"]
        );
        let ends = [0.3, 1.0, 3.0, 42.0, 100.0, 101.0].map(|most| format!("{:.1}", nice(most)));
        assert_eq!(ends, ["0.4", "1.0", "4.0", "50.0", "100.0", "200.0"]);
        assert_eq!(shortened("acme.tiles.roads_2024", 11), "acme.…_2024");
        assert_eq!(shortened("short", 11), "short");
    }
}

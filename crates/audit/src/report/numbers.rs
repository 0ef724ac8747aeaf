//! Formats and scales numbers for the page.

/// Formats a count with separated thousands.
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

/// Formats a count and its noun: `1 token`, `2 tokens`.
pub(super) fn counted(count: u64, noun: &str) -> String {
    let plural = if count == 1 { "" } else { "s" };
    format!("{} {noun}{plural}", grouped(count))
}

/// Returns the share of `part` in `of`, 0 to 1.
#[expect(clippy::cast_precision_loss, reason = "to be drawn")]
pub(super) fn share(part: u64, of: u64) -> f64 {
    if of == 0 { 0.0 } else { part as f64 / of as f64 }
}

/// Formats a share as a percentage: `0 %`, `< 0.1 %`, `3.4 %`, `42 %`.
pub(super) fn percent(share: f64) -> String {
    let percent = share * 100.0;
    if percent <= 0.0 {
        "0 %".to_owned()
    } else if percent < 0.1 {
        "< 0.1 %".to_owned()
    } else if percent < 10.0 {
        format!("{percent:.1} %")
    } else if percent < 100.0 {
        // Only a complete share is 100 %.
        format!("{:.0} %", percent.min(99.0))
    } else {
        "100 %".to_owned()
    }
}

/// Returns the end of an axis: the smallest of 1, 2, 4 and 5 times a power of ten that is at least `max`.
pub(super) fn nice(max: f64) -> f64 {
    let mut power = 1e-6;
    while power < 1e15 {
        for factor in [1.0, 2.0, 4.0, 5.0] {
            if power * factor >= max * (1.0 - 1e-9) {
                return power * factor;
            }
        }
        power *= 10.0;
    }
    max
}

/// Shortens `text` to so many characters. Omits the middle, because names differ at both ends.
pub(super) fn shortened(text: &str, max: usize) -> String {
    let count = text.chars().count();
    if count <= max {
        return text.to_owned();
    }
    let before = max.div_ceil(2).saturating_sub(1);
    let after = max - before - 1;
    text.chars().take(before).chain(['…']).chain(text.chars().skip(count - after)).collect()
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
        let ends = [0.3, 1.0, 3.0, 42.0, 100.0, 101.0].map(|max| format!("{:.1}", nice(max)));
        assert_eq!(ends, ["0.4", "1.0", "4.0", "50.0", "100.0", "200.0"]);
        assert_eq!(shortened("acme.tiles.roads_2024", 11), "acme.…_2024");
        assert_eq!(shortened("short", 11), "short");
    }
}

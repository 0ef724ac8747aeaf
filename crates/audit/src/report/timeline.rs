//! Draws the expiry of tokens by month.

use maud::{Markup, html};

use super::data::{Lives, Month};
use super::numbers::{counted, grouped, share};

const HEIGHT: f64 = 190.0;
const TOP: f64 = 18.0;
const BOTTOM: f64 = 26.0;

const NAMES: [&str; 12] = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];

pub(super) fn name(month: &Month) -> String {
    let index = usize::try_from(month.month).unwrap_or(1).saturating_sub(1);
    format!("{} {}", NAMES.get(index).copied().unwrap_or("?"), month.year)
}

/// Draws one column for each month, from the current one.
pub(super) fn chart(lives: &Lives) -> Markup {
    let max = lives.months.iter().map(|month| month.ends).max().unwrap_or(0);
    let end = whole_ticks(max);
    let plot = HEIGHT - TOP - BOTTOM;
    let count = lives.months.len().max(1);
    let step = 100.0 / to_f64(count);
    let about = format!(
        "{} in the next {}; {} expired, {} later, {} never",
        counted(lives.months.iter().map(|month| month.ends).sum(), "token"),
        counted(count as u64, "month"),
        grouped(lives.expired),
        grouped(lives.later),
        grouped(lives.never)
    );
    html! {
        svg.chart width="100%" height=(HEIGHT) role="img" aria-labelledby="lives-t lives-d" {
            title id="lives-t" { "Tokens that end, by month" }
            desc id="lives-d" { (about) }
            @for tick in [0_u8, 1, 2] {
                @let y = TOP + plot * (1.0 - f64::from(tick) / 2.0);
                line.grid x1="0" x2="100%" y1=(y) y2=(y) {}
                text.tick x="0" y=(y - 4.0) { (grouped(end / 2 * u64::from(tick))) }
            }
            @for (at, month) in lives.months.iter().enumerate() {
                @let x = step * to_f64(at);
                @let height = (share(month.ends, end) * plot).max(if month.ends > 0 { 2.0 } else { 0.0 });
                @if month.ends > 0 {
                    rect class=(if at == 0 { "bar soon" } else { "bar" }) x={(format!("{:.3}", x + step * 0.12)) "%"}
                        y=(format!("{:.1}", TOP + plot - height)) width={(format!("{:.3}", step * 0.76)) "%"} height=(format!("{height:.1}")) rx="2" {
                        title { (name(month)) ": " (counted(month.ends, "token")) }
                    }
                }
                // Few enough labels that they do not overlap on a phone.
                @if at % 6 == 0 {
                    line.grid x1={(format!("{x:.3}")) "%"} x2={(format!("{x:.3}")) "%"} y1=(TOP + plot) y2=(TOP + plot + 6.0) {}
                    text.tick x={(format!("{x:.3}")) "%"} dx="3" y=(HEIGHT - 8.0) { (name(month)) }
                }
            }
        }
    }
}

/// Returns an even end of an axis for counts up to `max`, so that its middle is a whole number.
fn whole_ticks(max: u64) -> u64 {
    let mut power = 1_u64;
    loop {
        for factor in [2, 4, 6, 8, 10] {
            if power.saturating_mul(factor) >= max {
                return power.saturating_mul(factor);
            }
        }
        power = power.saturating_mul(10);
    }
}

fn to_f64(count: usize) -> f64 {
    u32::try_from(count).map_or(f64::MAX, f64::from)
}

#[cfg(test)]
mod tests {
    use super::whole_ticks;

    #[test]
    fn axes_of_counts_have_whole_middles() {
        assert_eq!([0, 1, 3, 5, 11, 25, 99, 150].map(whole_ticks), [2, 2, 4, 6, 20, 40, 100, 200]);
        assert_eq!(whole_ticks(u64::MAX), u64::MAX);
    }
}

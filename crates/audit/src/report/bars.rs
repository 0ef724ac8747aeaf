//! Draws shares as horizontal bars, each under its label, legible on a phone.

use maud::{Markup, html};

use super::numbers::{nice, percent, shortened};

/// Heights in pixels. Widths are percentages, so that text keeps its size in narrow charts.
const ROW: usize = 42;
const BAR: usize = 12;
const AXIS: usize = 26;

/// Max characters of a label that fit beside its value on a phone.
const LABEL: usize = 30;

pub(super) struct Bar {
    pub(super) label: String,
    pub(super) value: String,
    /// The share, 0 to 1.
    pub(super) share: f64,
    /// A further share, 0 to 1, drawn after the first one in a lighter shade.
    pub(super) more: f64,
    /// Whether the bar is highlighted.
    pub(super) marked: bool,
}

/// Draws bars on a common axis from 0 to a round share.
pub(super) fn chart(id: &str, title: &str, about: &str, bars: &[Bar]) -> Markup {
    let most = bars.iter().map(|bar| bar.share + bar.more).fold(0.0, f64::max);
    let end = if most > 0.0 { nice(most * 100.0).min(100.0) / 100.0 } else { 1.0 };
    let height = bars.len() * ROW + AXIS;
    let ticks = [0_u8, 1, 2, 3, 4].map(|tick| f64::from(tick) / 4.0);
    html! {
        svg.chart width="100%" height=(height) role="img" aria-labelledby={(id) "-t " (id) "-d"} {
            title id={(id) "-t"} { (title) }
            desc id={(id) "-d"} { (about) }
            @for tick in ticks {
                line.grid x1={(tick * 100.0) "%"} x2={(tick * 100.0) "%"} y1="0" y2=(bars.len() * ROW + 4) {}
                @let anchor = if tick <= 0.0 { "start" } else if tick >= 1.0 { "end" } else { "middle" };
                text.tick x={(tick * 100.0) "%"} y=(height - 6) text-anchor=(anchor) { (percent(tick * end)) }
            }
            @for (at, bar) in bars.iter().enumerate() {
                @let y = at * ROW;
                g {
                    title { (bar.label) ": " (bar.value) }
                    text.label x="0" y=(y + 16) { (shortened(&bar.label, LABEL)) }
                    text.value x="100%" y=(y + 16) text-anchor="end" { (bar.value) }
                    rect.track x="0" y=(y + 23) width="100%" height=(BAR) rx="3" {}
                    // A share above 0 is always visible.
                    @let width = |share: f64| if share > 0.0 { (share / end * 100.0).clamp(0.4, 100.0) } else { 0.0 };
                    @let class = if bar.marked { "bar marked" } else { "bar" };
                    @if bar.more > 0.0 {
                        rect class={(class) " more"} x="0" y=(y + 23) width={(format!("{:.2}", width(bar.share + bar.more))) "%"} height=(BAR) rx="3" {}
                    }
                    rect class=(class) x="0" y=(y + 23) width={(format!("{:.2}", width(bar.share))) "%"} height=(BAR) rx="3" {}
                }
            }
        }
    }
}

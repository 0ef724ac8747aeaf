//! Draws the exposure of tokens by schema as a heat map.

use maud::{Markup, html};

use super::data::Matrix;
use super::numbers::{counted, grouped, percent, share, shortened};

/// The pixels of a row, and of the headings.
const ROW: usize = 24;
const HEAD: usize = 132;

/// The number of shades for shares above 0.
const SHADES: u8 = 6;

/// Max characters of a schema's name that fit above its column.
const HEADING: usize = 19;

pub(super) fn chart(matrix: &Matrix) -> Markup {
    let columns = u32::try_from(matrix.schemas.len()).unwrap_or(u32::MAX).max(1);
    let step = 100.0 / f64::from(columns);
    let height = HEAD + matrix.rows.len() * ROW;
    let about = format!(
        "{} by {}; the darker a cell, the more of the schema the token can read",
        counted(matrix.rows.len() as u64, "token"),
        counted(matrix.schemas.len() as u64, "schema")
    );
    html! {
        div.matrix {
            ol.rows aria-hidden="true" {
                @for row in &matrix.rows { li title=(row.token) { (row.token) } }
            }
            svg.chart width="100%" height=(height) role="img" aria-labelledby="matrix-t matrix-d" {
                title id="matrix-t" { "What each token can read of each schema" }
                desc id="matrix-d" { (about) }
                @for (at, (schema, names)) in (0_u32..).zip(&matrix.schemas) {
                    svg.turned x={(format!("{:.3}", step * (f64::from(at) + 0.5))) "%"} y=(HEAD - 8) {
                        text.label transform="rotate(-90)" dy="4" {
                            title { (schema) ", " (counted(*names, "name")) }
                            (shortened(schema, HEADING))
                        }
                    }
                }
                @for (down, row) in matrix.rows.iter().enumerate() {
                    @for (at, (count, (schema, names))) in (0_u32..).zip(row.names.iter().zip(&matrix.schemas)) {
                        @let class = format!("cell h{}", shade(share(*count, *names)));
                        rect class=(class) x={(format!("{:.3}", step * f64::from(at))) "%"} y=(HEAD + down * ROW)
                            width={(format!("{step:.3}")) "%"} height=(ROW) {
                            title { (row.token) " reads " (grouped(*count)) " of " (grouped(*names)) " of " (schema) }
                        }
                    }
                }
            }
        }
        (legend())
    }
}

/// Returns 0 for nothing; otherwise a shade by the root of the share, so that small shares are visible.
#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "1 to the number of shades")]
fn shade(share: f64) -> u8 {
    if share <= 0.0 { 0 } else { (share.min(1.0).sqrt() * f64::from(SHADES)).ceil().max(1.0) as u8 }
}

fn legend() -> Markup {
    html! {
        p.legend {
            @for step in 0..=SHADES {
                @let most = (f64::from(step) / f64::from(SHADES)).powi(2);
                span {
                    svg width="14" height="14" aria-hidden="true" { rect class={"cell h" (step)} width="14" height="14" {} }
                    @if step == 0 { "none" } @else { "to " (percent(most)) }
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{SHADES, shade};

    #[test]
    fn only_nothing_has_no_shade() {
        assert_eq!([0.0, 1e-9, 0.02, 0.25, 0.5, 1.0].map(shade), [0, 1, 1, 3, 5, SHADES]);
    }
}

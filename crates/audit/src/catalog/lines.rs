//! Reads JSON Lines: one object for each line.

use std::io::{BufRead, Read};
use std::ops::ControlFlow;

use super::object::Objects;
use super::{Broken, CatalogError, MAX_ROW_BYTES, Row, Skipped};

pub(super) fn read(
    mut input: impl BufRead,
    skipped: &mut Skipped,
    mut see: impl FnMut(Result<Row<'_>, Broken>) -> ControlFlow<()>,
) -> Result<(), CatalogError> {
    let (mut text, mut objects) = (Vec::new(), Objects::default());
    for line in 1.. {
        let unreadable = |error| CatalogError::Unreadable { line: line - 1, error };
        text.clear();
        let read = input.by_ref().take(MAX_ROW_BYTES as u64 + 1).read_until(b'\n', &mut text).map_err(unreadable)?;
        let next = if read == 0 {
            return Ok(());
        } else if read > MAX_ROW_BYTES {
            // The last byte may have been the line end.
            if text.last() != Some(&b'\n') {
                input.skip_until(b'\n').map_err(unreadable)?;
            }
            see(Err(Broken { line, why: format!("more than {MAX_ROW_BYTES} bytes") }))
        } else if text.trim_ascii().is_empty() {
            continue;
        } else {
            objects.row(line, &text, skipped, &mut see)
        };
        if next.is_break() {
            return Ok(());
        }
    }
    Ok(())
}

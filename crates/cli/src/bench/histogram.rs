//! A text histogram; each bar covers twice the latency of the previous one.

use hdrhistogram::Histogram;

use crate::output::nanoseconds;

/// The length of the longest bar.
const WIDTH: u64 = 40;

/// Returns one line for each doubling of the latency, from the fastest to the slowest decision.
pub(super) fn lines(latency: &Histogram<u64>, block: char) -> Vec<String> {
    let bins: Vec<_> = bins(latency).collect();
    let most = bins.iter().map(|(_, count)| *count).max().unwrap_or_default().max(1);
    let total = latency.len().max(1);
    let line = |(below, count): &(u64, u64)| {
        let bar: String = (0..(count * WIDTH).div_ceil(most)).map(|_| block).collect();
        let (percent, rest) = (count * 100 / total, count * 10_000 / total % 100);
        let line = format!("{:>12}  {percent:>3}.{rest:02} %  {bar}", format!("< {}", nanoseconds(*below)));
        line.trim_end().to_owned()
    };
    bins.iter().map(line).collect()
}

/// Returns the number of decisions between each power of two and the next.
fn bins(latency: &Histogram<u64>) -> impl Iterator<Item = (u64, u64)> {
    let first = latency.min().max(1).ilog2();
    let last = latency.max().max(1).ilog2();
    (first..=last).map(|power| (2_u64 << power, latency.count_between(1 << power, (2 << power) - 1)))
}

#[cfg(test)]
mod tests {
    use super::{Histogram, lines};

    #[test]
    fn bar_lengths_are_proportional_to_counts() {
        let mut latency = Histogram::new_with_bounds(1, 1_000_000, 3).unwrap();
        latency.record_n(100, 30).unwrap();
        latency.record_n(300, 10).unwrap();
        let expected = [
            format!("    < 128 ns   75.00 %  {}", "#".repeat(40)),
            "    < 256 ns    0.00 %".to_owned(),
            format!("    < 512 ns   25.00 %  {}", "#".repeat(14)),
        ];
        assert_eq!(lines(&latency, '#'), expected);
    }
}

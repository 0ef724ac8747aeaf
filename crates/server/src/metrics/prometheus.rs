//! Converts `OpenMetrics` text to the text format of Prometheus, version 0.0.4.
//!
//! The samples are equal in both. The descriptions differ: here they name the metric as its samples do, with `_total` or
//! `_info`, an `info` is a gauge, and there are neither units nor an end.

/// Returns the text in the format of Prometheus.
pub(super) fn converted(text: &str) -> String {
    let mut converted = String::with_capacity(text.len());
    // `HELP` comes before `TYPE`, which gives the name.
    let mut help = None;
    for line in text.lines() {
        let mut words = line.splitn(4, ' ');
        match (words.next(), words.next(), words.next(), words.next()) {
            (Some("#"), Some("HELP"), Some(name), text) => help = Some((name, text.unwrap_or_default())),
            (Some("#"), Some("TYPE"), Some(name), Some(kind)) => {
                let (suffix, kind) = match kind {
                    "counter" => ("_total", "counter"),
                    "info" => ("_info", "gauge"),
                    kind => ("", kind),
                };
                if let Some((_, text)) = help.take().filter(|(described, _)| *described == name) {
                    converted.extend(["# HELP ", name, suffix, " ", text, "\n"]);
                }
                converted.extend(["# TYPE ", name, suffix, " ", kind, "\n"]);
            }
            (Some("#"), ..) => {}
            _ => converted.extend([line, "\n"]),
        }
    }
    converted
}

#[cfg(test)]
mod tests {
    use super::converted;

    #[test]
    fn descriptions_have_the_names_of_their_samples() {
        let text = "# HELP a Some text, with a space.\n# TYPE a counter\na_total{x=\"# HELP\"} 1\n# HELP b_seconds B\n\
                    # TYPE b_seconds histogram\n# UNIT b_seconds seconds\nb_seconds_bucket{le=\"+Inf\"} 2\n\
                    # HELP c C\n# TYPE c info\nc_info{version=\"1\"} 1\n# EOF\n";
        let expected = "# HELP a_total Some text, with a space.\n# TYPE a_total counter\na_total{x=\"# HELP\"} 1\n\
                        # HELP b_seconds B\n# TYPE b_seconds histogram\nb_seconds_bucket{le=\"+Inf\"} 2\n\
                        # HELP c_info C\n# TYPE c_info gauge\nc_info{version=\"1\"} 1\n";
        assert_eq!(converted(text), expected);
    }
}

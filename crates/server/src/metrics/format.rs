//! The text formats of metrics, and which of them a client asks for.

/// A text format of metrics.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Format {
    /// `OpenMetrics` 1.0.
    #[default]
    OpenMetrics,
    /// The text format of Prometheus, version 0.0.4.
    Prometheus,
}

impl Format {
    /// Returns the content type of the format.
    pub const fn content_type(self) -> &'static str {
        match self {
            Self::OpenMetrics => "application/openmetrics-text; version=1.0.0; charset=utf-8",
            Self::Prometheus => "text/plain; version=0.0.4; charset=utf-8",
        }
    }

    /// Returns the format that the `Accept` headers prefer; `OpenMetrics` unless they prefer plain text.
    ///
    /// ```
    /// use portcullis_server::metrics::Format;
    ///
    /// assert_eq!(Format::accepted(["text/plain"]), Format::Prometheus);
    /// assert_eq!(Format::accepted(["application/openmetrics-text, text/plain;q=0.5"]), Format::OpenMetrics);
    /// ```
    pub fn accepted<'a>(headers: impl IntoIterator<Item = &'a str>) -> Self {
        let (mut open, mut plain, mut any) = (None, None, None);
        for range in headers.into_iter().flat_map(|header| header.split(',')) {
            let mut parts = range.split(';').map(str::trim);
            let kind = parts.next().unwrap_or_default().to_ascii_lowercase();
            let preferred = match &*kind {
                "application/openmetrics-text" => &mut open,
                "text/plain" | "text/*" => &mut plain,
                "*/*" | "application/*" => &mut any,
                _ => continue,
            };
            let quality = parts.find_map(quality).unwrap_or(MOST);
            *preferred = Some(preferred.map_or(quality, |before: u16| before.max(quality)));
        }
        // A quality of 0 refuses a format.
        if open == Some(0) && plain.is_none() {
            return Self::Prometheus;
        }
        let open = open.or(any).unwrap_or(0);
        if plain.is_some_and(|plain| plain > open) { Self::Prometheus } else { Self::OpenMetrics }
    }
}

/// The highest quality, in thousandths.
const MOST: u16 = 1_000;

/// Returns the quality of a parameter `q`, in thousandths (RFC 9110, 12.4.2); 0 if it is not one.
fn quality(parameter: &str) -> Option<u16> {
    let (name, value) = parameter.split_once('=')?;
    if !name.trim().eq_ignore_ascii_case("q") {
        return None;
    }
    let (whole, decimals) = value.trim().split_once('.').unwrap_or((value.trim(), ""));
    let is_decimal = decimals.len() <= 3 && decimals.bytes().all(|byte| byte.is_ascii_digit());
    let thousandths = format!("{decimals:0<3}").parse().ok().filter(|_| is_decimal);
    Some(match (whole, thousandths) {
        ("0", Some(thousandths)) => thousandths,
        ("1", Some(0)) => MOST,
        _ => 0,
    })
}

#[cfg(test)]
mod tests {
    use super::Format;

    #[test]
    fn plain_text_is_answered_only_if_it_is_preferred() {
        for (accept, format) in [
            // Prometheus 2 and 3.
            (
                "application/openmetrics-text;version=1.0.0,application/openmetrics-text;version=0.0.1;q=0.75,text/plain;version=0.0.4;q=0.5,*/*;q=0.1",
                Format::OpenMetrics,
            ),
            (
                "application/vnd.google.protobuf;proto=io.prometheus.client.MetricFamily;encoding=delimited;q=0.6,text/plain;version=0.0.4;q=0.5,*/*;q=0.1",
                Format::Prometheus,
            ),
            ("text/plain;version=0.0.4", Format::Prometheus),
            ("TEXT/Plain; Q=0.3, */*; q=0.2", Format::Prometheus),
            ("text/*", Format::Prometheus),
            ("text/plain;q=0.5, application/openmetrics-text;q=0.4", Format::Prometheus),
            ("text/plain;q=0.5, application/openmetrics-text;q=0", Format::Prometheus),
            ("application/openmetrics-text;q=0", Format::Prometheus),
            ("text/plain, application/openmetrics-text", Format::OpenMetrics),
            ("text/plain;q=0", Format::OpenMetrics),
            ("text/plain;q=nonsense", Format::OpenMetrics),
            ("text/plain;q=1.1", Format::OpenMetrics),
            ("text/plain;q=0.5, */*", Format::OpenMetrics),
            ("text/html, */*;q=0.8", Format::OpenMetrics),
            ("*/*", Format::OpenMetrics),
            ("", Format::OpenMetrics),
        ] {
            assert_eq!(Format::accepted([accept]), format, "{accept}");
        }
        assert_eq!(Format::accepted([]), Format::OpenMetrics);
        assert_eq!(Format::accepted(["text/plain;q=0.4", "application/openmetrics-text;q=0.3"]), Format::Prometheus);
    }
}

//! Finds the line of a program in a JSON record of a log collector.

use std::borrow::Cow;

use super::prefix::is_ours;
use serde::de::{IgnoredAny, MapAccess, Visitor};
use serde::{Deserialize, Deserializer};
use serde_json::value::RawValue;

/// The members of records that contain the line: of journald, Google Cloud, Loki, Fluent Bit, `stern`, Azure, Splunk,
/// OpenTelemetry and others.
const LINES: [&str; 13] = [
    "MESSAGE",
    "jsonPayload",
    "textPayload",
    "line",
    "log",
    "log_processed",
    "message",
    "msg",
    "LogMessage",
    "LogEntry",
    "_raw",
    "body",
    "stringValue",
];

/// The members with the program that wrote the line, if journald recorded it.
const IDENTIFIER: &str = "SYSLOG_IDENTIFIER";

/// Members with which a gateway records an HTTP request: a line beside them is the text of a client. So is a line beside a
/// [`STATUS`] that is a number.
const OF_REQUESTS: [&str; 11] = [
    "client_ip",
    "httpRequest",
    "http_user_agent",
    "remote_addr",
    "remote_ip",
    "request",
    "requestMethod",
    "request_method",
    "request_uri",
    "upstream_addr",
    "user_agent",
];

/// The member with the status of an HTTP response, or the level of a message.
const STATUS: &str = "status";

/// The member with the time of a record of Google Cloud, which removes the time from the line.
const TIMESTAMP: &str = "timestamp";

/// A record: the JSON of the members that contain a line.
#[derive(Debug, Default)]
pub(super) struct Record<'t> {
    /// In the order of [`LINES`].
    members: Vec<(&'static str, &'t RawValue)>,
    identifier: Option<&'t RawValue>,
    timestamp: Option<&'t RawValue>,
    /// Whether a gateway recorded an HTTP request.
    is_of_request: bool,
}

/// A line in a record.
pub(super) enum Line<'t> {
    Text(Cow<'t, [u8]>),
    /// The record lacks the line because it is long.
    LeftOut,
}

impl<'t> Record<'t> {
    /// Reads a record; `None` for text that is not a record with a line.
    pub(super) fn read(text: &'t [u8]) -> Option<Self> {
        if !text.starts_with(b"{") {
            return None;
        }
        let mut record: Self = serde_json::from_slice(text).ok()?;
        record.members.sort_by_key(|(name, _)| LINES.iter().position(|known| known == name));
        // A decision has a number in this member, and texts of clients in other ones.
        let is_decision = record.members.iter().any(|(name, value)| *name == "log" && is_number(value));
        (!record.members.is_empty() && !is_decision).then_some(record)
    }

    /// Whether the service manager wrote the line, about the service itself.
    pub(super) fn is_of_manager(&self) -> bool {
        self.identifier.is_some_and(|identifier| identifier.get() == "\"systemd\"")
    }

    /// Whether a program other than Portcullis wrote the line. Its text may be that of a client.
    pub(super) fn is_of_another_program(&self) -> bool {
        let is_foreign = |identifier: &RawValue| {
            serde_json::from_str::<Text<'_>>(identifier.get()).is_ok_and(|name| !is_ours(name.0.as_bytes()))
        };
        self.is_of_request || self.identifier.is_some_and(is_foreign)
    }

    /// Whether the record is one of journald.
    pub(super) fn is_of_journal(&self) -> bool {
        self.members.iter().any(|(name, _)| *name == "MESSAGE")
    }

    /// Returns the lines of the record: several if members repeat the line in different forms.
    pub(super) fn lines(&self) -> impl Iterator<Item = Line<'t>> {
        self.members.iter().filter_map(|&(name, value)| {
            let json = value.get();
            match json.bytes().next()? {
                b'"' => {
                    let text: Text<'t> = serde_json::from_str(json).ok()?;
                    Some(Line::Text(match text.0 {
                        Cow::Borrowed(text) => Cow::Borrowed(text.as_bytes()),
                        Cow::Owned(text) => Cow::Owned(text.into_bytes()),
                    }))
                }
                // journald writes lines with control characters as a list of bytes.
                b'[' => Some(Line::Text(Cow::Owned(serde_json::from_str(json).ok()?))),
                b'{' => Some(Line::Text(self.with_time(name, json))),
                b'n' if name == "MESSAGE" => Some(Line::LeftOut),
                _ => None,
            }
        })
    }

    /// Returns the object of a line, with the time of the record if the object has none.
    fn with_time(&self, name: &str, json: &'t str) -> Cow<'t, [u8]> {
        let has_time = || serde_json::from_str::<Time>(json).is_ok_and(|Time { time }| time.is_some());
        match (self.timestamp, json.strip_prefix('{')) {
            (Some(time), Some(rest)) if name == "jsonPayload" && !has_time() => {
                Cow::Owned(format!("{{\"time\":{},{rest}", time.get()).into_bytes())
            }
            _ => Cow::Borrowed(json.as_bytes()),
        }
    }
}

fn is_number(value: &RawValue) -> bool {
    value.get().starts_with(|character: char| character.is_ascii_digit() || character == '-')
}

#[derive(Deserialize)]
struct Text<'t>(#[serde(borrow)] Cow<'t, str>);

/// The time of a decision.
#[derive(Deserialize)]
struct Time {
    #[serde(default)]
    time: Option<IgnoredAny>,
}

impl<'t> Deserialize<'t> for Record<'t> {
    fn deserialize<D: Deserializer<'t>>(deserializer: D) -> Result<Self, D::Error> {
        struct Members;

        impl<'t> Visitor<'t> for Members {
            type Value = Record<'t>;

            fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str("an object")
            }

            fn visit_map<A: MapAccess<'t>>(self, mut map: A) -> Result<Record<'t>, A::Error> {
                let mut record = Record::default();
                while let Some(Text(name)) = map.next_key()? {
                    if let Some(known) = LINES.iter().find(|known| **known == name) {
                        record.members.push((known, map.next_value()?));
                    } else if name == IDENTIFIER {
                        record.identifier = Some(map.next_value()?);
                    } else if name == STATUS {
                        let status: &RawValue = map.next_value()?;
                        record.is_of_request |= is_number(status);
                    } else if OF_REQUESTS.contains(&&*name) {
                        record.is_of_request = true;
                        map.next_value::<IgnoredAny>()?;
                    } else if name == TIMESTAMP {
                        record.timestamp = Some(map.next_value()?);
                    } else {
                        map.next_value::<IgnoredAny>()?;
                    }
                }
                Ok(record)
            }
        }

        deserializer.deserialize_map(Members)
    }
}

//! The names and values of all metrics.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, EncodeMetric, MetricEncoder, NoLabelSet};
use prometheus_client::metrics::MetricType;
use prometheus_client::metrics::counter::ConstCounter;
use prometheus_client::metrics::gauge::ConstGauge;
use prometheus_client::registry::Unit;

use super::{Connections, Listening, Metrics, Scrape};
use crate::decided::PreflightEnd;
use crate::policy::{Origin, Outcome, Report};
use crate::tls::CertificateReport;
use portcullis::base::Timestamp;

/// One scrape.
#[derive(Debug)]
pub(super) struct Exposition {
    pub(super) metrics: Arc<Metrics>,
    pub(super) scrape: Scrape,
}

impl Collector for Exposition {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> fmt::Result {
        let Scrape { now, policy, shadow, log, listening } = &self.scrape;
        let Listening { load, connections, certificates } = listening;
        let mut to = Writer(&mut encoder);
        to.0.encode_descriptor("build", "The running version", None, MetricType::Info)?
            .encode_info(&[("version", env!("CARGO_PKG_VERSION"))])?;
        let mut decisions = to.0.encode_descriptor("decisions", "Decisions", None, MetricType::Counter)?;
        for (api, outcome, reason, count) in self.metrics.counters.each() {
            let labels = [("api", api), ("outcome", outcome), ("reason", reason)];
            ConstCounter::new(count).encode(decisions.encode_family(&labels)?)?;
        }
        let (sum, count, buckets) = self.metrics.counters.latency();
        let help = "Time from reading a request to its decision";
        to.0.encode_descriptor("decision_duration", help, Some(&Unit::Seconds), MetricType::Histogram)?
            .encode_histogram::<NoLabelSet>(sum, count, &buckets, None)?;
        let counts = PreflightEnd::ALL.iter().zip(&self.metrics.preflights);
        let ends: Vec<_> = counts.map(|(end, count)| (end.as_str(), count.load(Ordering::Relaxed))).collect();
        to.counters("preflights", "Preflights, by result", "end", &ends)?;
        to.policies(*now, policy, shadow.as_ref().map(|(report, _)| report))?;
        if let Some((_, counts)) = shadow {
            to.counters("shadow_decisions", "Decisions of the shadow policy, by difference", "difference", counts)?;
        }
        if let Some(log) = log {
            let ends = [
                ("written", log.written),
                ("dropped", log.dropped),
                ("failed", log.failed),
                ("left_out", log.left_out),
            ];
            to.counters("log_lines", "Lines of the decision log, by result", "end", &ends)?;
        }
        if let Some(load) = load {
            to.gauge("requests_in_flight", "Requests that are being answered", float(load.in_flight))?;
            let shed = to.0.encode_descriptor(
                "requests_shed",
                "Requests refused because there were too many, or too many bytes of them",
                None,
                MetricType::Counter,
            )?;
            ConstCounter::new(load.shed).encode(shed)?;
        }
        to.connections(connections)?;
        to.certificates(certificates)
    }
}

struct Writer<'w, 'e>(&'w mut DescriptorEncoder<'e>);

/// Reads a number from the report of a policy.
type Number = fn(Timestamp, &Report) -> f64;

/// Reads a number from the report of a certificate.
type OfCertificate = fn(&CertificateReport) -> f64;

/// Reads a number from the connections of a listener.
type Count = fn(&Connections) -> u64;

impl Writer<'_, '_> {
    /// Encodes the metrics of the policy and of the shadow policy.
    fn policies(&mut self, now: Timestamp, policy: &Report, shadow: Option<&Report>) -> fmt::Result {
        let policies: Vec<(&str, &Report)> =
            [("live", policy)].into_iter().chain(shadow.map(|it| ("shadow", it))).collect();
        let gauges: [(&str, &str, Number); 11] = [
            ("policy_generation", "The active generation; 0 without a policy", |_, policy| float(policy.generation)),
            (
                "policy_age_seconds",
                "Time since the policy became active or, if it is a saved one, since it was saved",
                age,
            ),
            ("policy_stale", "Whether the source cannot be read, and the last good policy stays", |_, policy| {
                flag(policy.failure.is_some() || policy.stalled_since.is_some())
            }),
            (
                "policy_stale_seconds",
                "How long the source has not been a readable and valid policy; 0 while it is",
                stale_for,
            ),
            ("policy_from_state", "Whether the policy was saved by an earlier run", |_, policy| {
                flag(policy.origin == Some(Origin::Saved))
            }),
            ("policy_read_stalled", "Whether reading the source takes longer than it should", |_, policy| {
                flag(policy.stalled_since.is_some())
            }),
            ("policy_not_saved", "Whether the last good policy could not be saved", |_, policy| {
                flag(policy.not_saved.is_some())
            }),
            ("policy_tokens", "Tokens of the policy, expired ones included", |_, policy| {
                float(policy.snapshot.tokens as u64)
            }),
            ("policy_tokens_left_out", "Tokens left out of the policy for their errors", |_, policy| {
                float(policy.left_out as u64)
            }),
            ("policy_grants", "Grants of the policy", |_, policy| float(policy.snapshot.grant_count() as u64)),
            ("policy_bytes", "Memory of the compiled policy", |_, policy| float(policy.snapshot.bytes() as u64)),
        ];
        for (name, help, number) in gauges {
            let mut gauge = self.0.encode_descriptor(name, help, None, MetricType::Gauge)?;
            for (which, report) in &policies {
                ConstGauge::new(number(now, report)).encode(gauge.encode_family(&[("policy", *which)])?)?;
            }
        }
        let mut count = self.0.encode_descriptor("reloads", "Reloads of the policy", None, MetricType::Counter)?;
        reloads(&policies, |report, outcome, labels| {
            ConstCounter::new(report.reloads.count(outcome)).encode(count.encode_family(labels)?)
        })?;
        let help = "Time that reloads of the policy took";
        let mut took = self.0.encode_descriptor("reload", help, Some(&Unit::Seconds), MetricType::Counter)?;
        reloads(&policies, |report, outcome, labels| {
            ConstCounter::new(report.reloads.took(outcome).as_secs_f64()).encode(took.encode_family(labels)?)
        })
    }

    fn connections(&mut self, listeners: &[(&'static str, Connections)]) -> fmt::Result {
        if listeners.is_empty() {
            return Ok(());
        }
        let gauges: [(&str, &str, Count); 2] = [
            ("connections_open", "Connections that are open", |it| it.open),
            ("buffered_bytes", "Bytes of requests and of unread answers in memory", |it| it.buffered_bytes),
        ];
        for (name, help, count) in gauges {
            let mut gauge = self.0.encode_descriptor(name, help, None, MetricType::Gauge)?;
            for (listener, connections) in listeners {
                let labels = [("listener", *listener)];
                ConstGauge::new(float(count(connections))).encode(gauge.encode_family(&labels)?)?;
            }
        }
        let counters: [(&str, &str, Count); 2] = [
            ("connections_refused", "Connections refused because there were too many", |it| it.refused),
            ("accept_failures", "Attempts to accept a connection that the system failed", |it| it.not_accepted),
        ];
        for (name, help, count) in counters {
            let mut counter = self.0.encode_descriptor(name, help, None, MetricType::Counter)?;
            for (listener, connections) in listeners {
                let labels = [("listener", *listener)];
                ConstCounter::new(count(connections)).encode(counter.encode_family(&labels)?)?;
            }
        }
        let help = "Connections closed by the server";
        let mut closed = self.0.encode_descriptor("connections_closed", help, None, MetricType::Counter)?;
        for (listener, connections) in listeners {
            for (cause, count) in connections.closed {
                let labels = [("listener", *listener), ("cause", cause)];
                ConstCounter::new(count).encode(closed.encode_family(&labels)?)?;
            }
        }
        Ok(())
    }

    fn certificates(&mut self, listeners: &[(&'static str, CertificateReport)]) -> fmt::Result {
        if listeners.is_empty() {
            return Ok(());
        }
        let gauges: [(&str, &str, OfCertificate); 2] = [
            (
                "certificate_expiry_timestamp_seconds",
                "When the first certificate of the chain expires, in seconds since 1970",
                |it| float(u64::try_from(it.expires).unwrap_or(0)),
            ),
            ("certificate_stale", "Whether the files of the certificate cannot be used, and earlier ones are", |it| {
                flag(it.is_stale)
            }),
        ];
        for (name, help, value) in gauges {
            let mut gauge = self.0.encode_descriptor(name, help, None, MetricType::Gauge)?;
            for (listener, report) in listeners {
                let labels = [("listener", *listener)];
                ConstGauge::new(value(report)).encode(gauge.encode_family(&labels)?)?;
            }
        }
        Ok(())
    }

    fn gauge(&mut self, name: &str, help: &str, value: f64) -> fmt::Result {
        ConstGauge::new(value).encode(self.0.encode_descriptor(name, help, None, MetricType::Gauge)?)
    }

    fn counters(&mut self, name: &str, help: &str, label: &str, counts: &[(&'static str, u64)]) -> fmt::Result {
        let mut family: MetricEncoder<'_> = self.0.encode_descriptor(name, help, None, MetricType::Counter)?;
        for (value, count) in counts {
            ConstCounter::new(*count).encode(family.encode_family(&[(label, *value)])?)?;
        }
        Ok(())
    }
}

/// Visits the reloads of each policy, by outcome.
fn reloads(
    policies: &[(&str, &Report)],
    mut visit: impl FnMut(&Report, Outcome, &[(&'static str, String); 2]) -> fmt::Result,
) -> fmt::Result {
    for (which, report) in policies {
        for outcome in Outcome::ALL {
            visit(report, outcome, &[("policy", (*which).to_owned()), ("outcome", outcome.to_string())])?;
        }
    }
    Ok(())
}

fn age(now: Timestamp, policy: &Report) -> f64 {
    policy.since.map_or(0.0, |since| float(u64::try_from(now.seconds() - since.seconds()).unwrap_or(0)))
}

fn stale_for(now: Timestamp, policy: &Report) -> f64 {
    let failed = policy.failure.as_ref().map(|failure| failure.since);
    let since = failed.into_iter().chain(policy.stalled_since).min();
    since.map_or(0.0, |since| float(u64::try_from(now.seconds() - since.seconds()).unwrap_or(0)))
}

fn flag(is: bool) -> f64 {
    f64::from(u8::from(is))
}

#[expect(clippy::cast_precision_loss, reason = "Prometheus reads every number as a double")]
fn float(count: u64) -> f64 {
    count as f64
}

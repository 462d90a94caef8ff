//! What became of calls, counted: the numbers behind [`Host::metrics`](crate::Host::metrics).

use std::time::{Duration, Instant};

use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::encoding::text::encode;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::{Family, MetricConstructor};
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::registry::{Registry, Unit};

use crate::bindings::Outputs;
use crate::error::CallError;
use crate::json::reason;

/// The counters of a host.
pub(crate) struct Metrics {
    registry: Registry,
    calls: Family<Ending, Counter>,
    durations: Family<DurationLabels, Histogram, Buckets>,
    in_flight: Gauge,
    waiting: Gauge,
    requests: Family<RequestLabels, Counter>,
    instances: Family<InstanceLabels, Counter>,
}

/// How a call ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
pub(crate) struct Ending {
    /// See [`Host::metrics`](crate::Host::metrics).
    pub outcome: &'static str,
    /// The contract's reason of a failure, else empty.
    pub reason: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct DurationLabels {
    outcome: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct RequestLabels {
    host: String,
    status: String,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct InstanceLabels {
    kind: &'static str,
}

/// Whether an instance was made for a call or had served one before.
#[derive(Clone, Copy)]
pub(crate) enum InstanceKind {
    Fresh,
    Reused,
}

#[derive(Clone)]
struct Buckets;

impl MetricConstructor<Histogram> for Buckets {
    fn new_metric(&self) -> Histogram {
        // In seconds: from an answer on the same machine to the longest deadline.
        Histogram::new([
            0.0005, 0.002, 0.01, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 60.0, 600.0,
        ])
    }
}

impl Metrics {
    pub fn new() -> Metrics {
        let mut registry = Registry::with_prefix("operations");
        let calls = Family::default();
        let durations = Family::new_with_constructor(Buckets);
        let (in_flight, waiting) = (Gauge::default(), Gauge::default());
        let (requests, instances) = (Family::default(), Family::default());
        registry.register("calls", "Calls that ended, by how", calls.clone());
        registry.register_with_unit(
            "call_duration",
            "From the call to its end, waiting for its turn included",
            Unit::Seconds,
            durations.clone(),
        );
        registry.register("calls_in_flight", "Calls that run", in_flight.clone());
        registry.register(
            "calls_waiting",
            "Calls that wait for their turn",
            waiting.clone(),
        );
        registry.register(
            "requests",
            "Requests that left the sandbox",
            requests.clone(),
        );
        registry.register("instances", "Instances that calls got", instances.clone());
        Metrics {
            registry,
            calls,
            durations,
            in_flight,
            waiting,
            requests,
            instances,
        }
    }

    /// A call has begun, and waits for its turn.
    pub fn waiting(&self) -> ObservedCall<'_> {
        self.waiting.inc();
        ObservedCall {
            metrics: self,
            since: Instant::now(),
            phase: Phase::Waiting,
        }
    }

    /// A request was answered, or ended without an answer.
    pub fn request(&self, host: &str, status: Option<u16>) {
        let labels = RequestLabels {
            host: host.to_owned(),
            status: status.map_or_else(|| "none".to_owned(), |status| status.to_string()),
        };
        self.requests.get_or_create(&labels).inc();
    }

    /// A call got an instance.
    pub fn instance(&self, kind: InstanceKind) {
        let kind = match kind {
            InstanceKind::Fresh => "fresh",
            InstanceKind::Reused => "reused",
        };
        self.instances.get_or_create(&InstanceLabels { kind }).inc();
    }

    /// All counters, as text.
    pub fn text(&self) -> String {
        let mut text = String::new();
        encode(&mut text, &self.registry).expect("writing to a string cannot fail");
        text
    }

    fn count(&self, ending: Ending, took: Duration) {
        self.calls.get_or_create(&ending).inc();
        let labels = DurationLabels {
            outcome: ending.outcome,
        };
        let durations = self.durations.get_or_create(&labels);
        durations.observe(took.as_secs_f64());
    }
}

/// A call that is observed. If it is dropped before its end, it counts as cancelled.
pub(crate) struct ObservedCall<'a> {
    metrics: &'a Metrics,
    since: Instant,
    phase: Phase,
}

#[derive(PartialEq)]
enum Phase {
    Waiting,
    InFlight,
    Ended,
}

impl ObservedCall<'_> {
    /// Its turn has come.
    pub fn started(&mut self) {
        self.metrics.waiting.dec();
        self.metrics.in_flight.inc();
        self.phase = Phase::InFlight;
    }

    /// It ended.
    pub fn ended(&mut self, result: &Result<Outputs, CallError>) -> Ending {
        let ending = ending(result);
        self.finish(ending);
        ending
    }

    /// How long it has taken.
    pub fn took(&self) -> Duration {
        self.since.elapsed()
    }

    fn finish(&mut self, ending: Ending) {
        match std::mem::replace(&mut self.phase, Phase::Ended) {
            Phase::Waiting => self.metrics.waiting.dec(),
            Phase::InFlight => self.metrics.in_flight.dec(),
            Phase::Ended => return,
        };
        self.metrics.count(ending, self.took());
    }
}

impl Drop for ObservedCall<'_> {
    fn drop(&mut self) {
        self.finish(Ending {
            outcome: "cancelled",
            reason: "",
        });
    }
}

fn ending(result: &Result<Outputs, CallError>) -> Ending {
    let (outcome, reason) = match result {
        // `done` alone says whether it is over.
        Ok(outputs) if !outputs.done => ("running", ""),
        Ok(outputs) if outputs.error.is_some() => ("failed", ""),
        Ok(_) => ("succeeded", ""),
        Err(CallError::Permanent(failure)) => ("permanent", reason(failure)),
        Err(CallError::Transient(failure)) => ("transient", reason(failure)),
        Err(CallError::Access(_)) => ("access", ""),
        Err(CallError::Overran | CallError::Aborted(_) | CallError::InvalidResult { .. }) => {
            ("aborted", "")
        }
        Err(
            CallError::UnknownSetting(_)
            | CallError::HoldsCredential(_)
            | CallError::InTheClear(_)
            | CallError::Stopped,
        ) => ("refused", ""),
    };
    Ending { outcome, reason }
}

//! What is traced while a test runs.

use std::collections::BTreeMap;
use std::fmt::Debug;
use std::sync::{Arc, Mutex, MutexGuard, Once};

use tracing::field::{Field, Visit};
use tracing::span::{Attributes, Id, Record};
use tracing::subscriber::DefaultGuard;
use tracing::{Event, Metadata, Subscriber};
use tracing_subscriber::layer::{Context, Layer, SubscriberExt};
use tracing_subscriber::registry::LookupSpan;

/// Keeps everything that is traced, as text, and the fields of spans.
#[derive(Clone)]
pub struct Captured {
    kept: Arc<Mutex<Kept>>,
    /// Whether the crates below the host are kept, too: wasmtime's trace every chunk of a body.
    below: bool,
}

impl Captured {
    /// All that is traced on this thread for as long as the guard lives, at every level.
    pub fn everything() -> (Captured, DefaultGuard) {
        Captured::start(true)
    }

    /// The same, of what the host itself traces.
    pub fn ours() -> (Captured, DefaultGuard) {
        Captured::start(false)
    }

    fn start(below: bool) -> (Captured, DefaultGuard) {
        // While there is one subscriber alone, tracing never looks again at what a thread without one met
        // first. This one keeps nothing.
        static EVERY_THREAD: Once = Once::new();
        EVERY_THREAD.call_once(|| {
            tracing::subscriber::set_global_default(tracing_subscriber::registry()).unwrap();
        });
        let captured = Captured {
            kept: Arc::default(),
            below,
        };
        let subscriber = tracing_subscriber::registry().with(captured.clone());
        (captured, tracing::subscriber::set_default(subscriber))
    }

    pub fn kept(&self) -> MutexGuard<'_, Kept> {
        self.kept.lock().unwrap()
    }

    /// The call that ended last.
    pub fn last_call(&self) -> TracedCall {
        let kept = self.kept();
        let mut calls = kept.closed.iter().filter(|(name, _)| *name == "call");
        let (_, span) = calls.next_back().expect("a call has ended");
        TracedCall {
            attempts: span.0["attempts"].parse().unwrap(),
            reason: span.0.get("reason").cloned().unwrap_or_default(),
            memory: span.0["memory"].parse().unwrap(),
        }
    }
}

/// What the span of a call tells.
#[derive(Clone, Debug)]
pub struct TracedCall {
    pub attempts: u32,
    /// As the contract spells it; empty where the span has none.
    pub reason: String,
    /// Of the sandbox, in bytes.
    pub memory: usize,
}

#[derive(Default)]
pub struct Kept {
    pub all: String,
    /// What the host itself traces, of it.
    pub ours: String,
    pub events: Vec<String>,
    spans: BTreeMap<u64, (&'static str, Fields)>,
    pub closed: Vec<(&'static str, Fields)>,
}

#[derive(Clone, Debug, Default)]
pub struct Fields(pub BTreeMap<&'static str, String>);

impl Visit for Fields {
    fn record_debug(&mut self, field: &Field, value: &dyn Debug) {
        self.0.insert(field.name(), format!("{value:?}"));
    }

    fn record_str(&mut self, field: &Field, value: &str) {
        self.0.insert(field.name(), value.to_owned());
    }
}

impl Kept {
    /// Says whether it is the host's own.
    fn note(&mut self, metadata: &Metadata<'_>, fields: &Fields) -> bool {
        let text = format!("{} {fields:?}\n", metadata.name());
        self.all.push_str(&text);
        let is_ours = metadata.target().starts_with("operations_host");
        if is_ours {
            self.ours.push_str(&text);
        }
        is_ours
    }
}

impl<S: Subscriber + for<'a> LookupSpan<'a>> Layer<S> for Captured {
    fn enabled(&self, metadata: &Metadata<'_>, _: Context<'_, S>) -> bool {
        self.below || metadata.target().starts_with("operations_host")
    }

    fn on_new_span(&self, attributes: &Attributes<'_>, id: &Id, _: Context<'_, S>) {
        let mut fields = Fields::default();
        attributes.record(&mut fields);
        let mut kept = self.kept();
        kept.note(attributes.metadata(), &fields);
        kept.spans
            .insert(id.into_u64(), (attributes.metadata().name(), fields));
    }

    fn on_record(&self, id: &Id, values: &Record<'_>, _: Context<'_, S>) {
        let mut kept = self.kept();
        let (_, fields) = kept.spans.get_mut(&id.into_u64()).unwrap();
        values.record(fields);
        let text = format!("{fields:?}\n");
        // None but the host records a field later.
        kept.all.push_str(&text);
        kept.ours.push_str(&text);
    }

    fn on_event(&self, event: &Event<'_>, _: Context<'_, S>) {
        let mut fields = Fields::default();
        event.record(&mut fields);
        let mut kept = self.kept();
        if kept.note(event.metadata(), &fields) {
            kept.events
                .push(fields.0.get("message").cloned().unwrap_or_default());
        }
    }

    fn on_close(&self, id: Id, _: Context<'_, S>) {
        let mut kept = self.kept();
        let closed = kept.spans.remove(&id.into_u64()).unwrap();
        kept.closed.push(closed);
    }
}

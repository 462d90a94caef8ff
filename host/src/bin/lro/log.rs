//! What `-v` shows: each request with its answer, and each call with its end. It holds no credential, no
//! name and nothing of an answer. Built with the feature `otel`, the command sends the same spans to an
//! OpenTelemetry collector, where `OTEL_EXPORTER_OTLP_ENDPOINT` names one.

use std::io::{self, IsTerminal};

use tracing::Level;
use tracing_subscriber::filter::Targets;
use tracing_subscriber::layer::{Layer, SubscriberExt};
use tracing_subscriber::util::SubscriberInitExt;

use crate::Stop;

/// What has to be ended before the command ends.
#[derive(Default)]
pub struct Log {
    #[cfg(feature = "otel")]
    exporter: Option<opentelemetry_sdk::trace::SdkTracerProvider>,
}

/// Writes events of the host and of this command to standard error; without `-v` warnings alone. It is
/// called outside of the runtime, which an exporter has no use for.
pub fn start(verbose: bool) -> Result<Log, Stop> {
    let level = match verbose {
        true => Level::DEBUG,
        false => Level::WARN,
    };
    let lines = tracing_subscriber::fmt::layer()
        .with_writer(io::stderr)
        .with_ansi(io::stderr().is_terminal())
        .with_target(false)
        .with_filter(ours(level));
    let registry = tracing_subscriber::registry().with(lines);
    #[cfg(feature = "otel")]
    {
        let exporter = otel::exporter()?;
        let spans = exporter
            .as_ref()
            .map(|exporter| otel::layer(exporter).with_filter(ours(Level::INFO)));
        registry.with(spans).init();
        Ok(Log { exporter })
    }
    #[cfg(not(feature = "otel"))]
    {
        registry.init();
        Ok(Log::default())
    }
}

impl Log {
    /// Sends what has not been sent. A collector that is not there is a warning: it changes nothing of
    /// what the command came to.
    pub fn end(self) {
        #[cfg(feature = "otel")]
        if let Some(exporter) = self.exporter {
            // `shutdown` does not tell what became of the last spans, `force_flush` does.
            if let Err(error) = exporter.force_flush().and(exporter.shutdown()) {
                crate::print::error_line(&format!(
                    "warning: the spans could not be sent to OTEL_EXPORTER_OTLP_ENDPOINT: {error}"
                ));
            }
        }
    }
}

/// Of no other crate: what they log has not been looked through for secrets.
fn ours(level: Level) -> Targets {
    Targets::new()
        .with_target("operations_host", level)
        .with_target("lro", level)
}

#[cfg(feature = "otel")]
mod otel {
    use opentelemetry::trace::TracerProvider;
    use opentelemetry_otlp::SpanExporter;
    use opentelemetry_sdk::Resource;
    use opentelemetry_sdk::trace::{SdkTracer, SdkTracerProvider};
    use tracing::Subscriber;
    use tracing_opentelemetry::OpenTelemetryLayer;
    use tracing_subscriber::registry::LookupSpan;

    use crate::Stop;

    /// By OTLP over HTTP, as the variables of the OpenTelemetry specification say; none without them.
    pub fn exporter() -> Result<Option<SdkTracerProvider>, Stop> {
        let variables = [
            "OTEL_EXPORTER_OTLP_ENDPOINT",
            "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT",
        ];
        if variables
            .iter()
            .all(|variable| std::env::var_os(variable).is_none())
        {
            return Ok(None);
        }
        // The exporter's HTTP client takes the process's own; where one is set already, that one is used.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let exporter = SpanExporter::builder()
            .with_http()
            .build()
            .map_err(|error| {
                Stop::usage(format!(
                    "OTEL_EXPORTER_OTLP_ENDPOINT cannot be used: {error}"
                ))
            })?;
        let resource = Resource::builder().with_service_name("lro").build();
        let provider = SdkTracerProvider::builder()
            .with_resource(resource)
            .with_batch_exporter(exporter)
            .build();
        Ok(Some(provider))
    }

    /// Hands the spans of `tracing` to it.
    pub fn layer<S: Subscriber + for<'a> LookupSpan<'a>>(
        provider: &SdkTracerProvider,
    ) -> OpenTelemetryLayer<S, SdkTracer> {
        tracing_opentelemetry::layer().with_tracer(provider.tracer("lro"))
    }
}

//! Traces by OpenTelemetry: spans leave this process in the background, over OTLP, and never keep its work waiting.
//!
//! Off unless an endpoint is named, in leasehold.toml or by the standard environment variables, which win.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use leasehold_reconcile::trace::SPANS;
use opentelemetry::KeyValue;
use opentelemetry::trace::TracerProvider as _;
use opentelemetry_http::{HttpClient, HttpError};
use opentelemetry_otlp::{Protocol, SpanExporter, WithExportConfig as _, WithHttpConfig as _};
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::trace::{Sampler, SdkTracerProvider};
use tokio::runtime::Handle;
use tracing::Subscriber;
use tracing_subscriber::Layer;
use tracing_subscriber::filter::filter_fn;
use tracing_subscriber::registry::LookupSpan;

/// What spans are called by unless something else is said.
const SERVICE_NAME: &str = "leasehold";
/// A collector has this long for each batch.
const EXPORT_WITHIN: Duration = Duration::from_secs(10);
/// When the process ends, what is left has this long to leave.
const FLUSH_WITHIN: Duration = Duration::from_secs(5);
/// What a collector answers is shorter.
const ANSWER_BYTES_MAX: usize = 64 << 10;

/// `[server.traces]`.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct TraceSettings {
    /// The collector's address, without `/v1/traces`; none where the environment says where to.
    pub endpoint: Option<String>,
    /// Which share of all traces is kept; all of them where nothing is said.
    pub share: Option<f64>,
}

/// The traces of this process.
pub struct Traces {
    provider: SdkTracerProvider,
}

fn is_set(name: &str) -> bool {
    std::env::var(name).is_ok_and(|value| !value.is_empty())
}

fn says(name: &str, word: &str) -> bool {
    std::env::var(name).is_ok_and(|value| value.trim().eq_ignore_ascii_case(word))
}

impl Traces {
    /// Begins to collect spans; `None` where nobody said where to send them.
    ///
    /// # Errors
    /// Where the endpoint cannot be one, or this machine's certificates cannot be loaded.
    pub fn begin(settings: &TraceSettings) -> anyhow::Result<Option<Self>> {
        let named_outside =
            is_set("OTEL_EXPORTER_OTLP_ENDPOINT") || is_set("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT");
        let is_off = says("OTEL_SDK_DISABLED", "true") || says("OTEL_TRACES_EXPORTER", "none");
        if is_off || !(named_outside || settings.endpoint.is_some()) {
            return Ok(None);
        }
        let mut exporter = SpanExporter::builder()
            .with_http()
            .with_http_client(Exporter::new()?)
            .with_protocol(Protocol::HttpBinary);
        if let Some(endpoint) = settings.endpoint.as_ref().filter(|_| !named_outside) {
            exporter = exporter.with_endpoint(format!("{}/v1/traces", endpoint.trim_end_matches('/')));
        }
        let mut resource =
            Resource::builder().with_attribute(KeyValue::new("service.version", env!("CARGO_PKG_VERSION")));
        let named = std::env::var("OTEL_RESOURCE_ATTRIBUTES").unwrap_or_default().contains("service.name=");
        if !named && !is_set("OTEL_SERVICE_NAME") {
            resource = resource.with_service_name(SERVICE_NAME);
        }
        let mut provider = SdkTracerProvider::builder()
            // A bounded queue with a thread of its own: what does not fit is dropped.
            .with_batch_exporter(exporter.build()?)
            .with_resource(resource.build());
        if let Some(share) = settings.share.filter(|_| !is_set("OTEL_TRACES_SAMPLER")) {
            let root = Box::new(Sampler::TraceIdRatioBased(share));
            provider = provider.with_sampler(Sampler::ParentBased(root));
        }
        Ok(Some(Self { provider: provider.build() }))
    }

    /// Takes the spans that are made to be seen, and nothing that is logged: a line of the log can hold what a span must not.
    pub fn layer<S>(&self) -> impl Layer<S> + use<S>
    where
        S: Subscriber + for<'span> LookupSpan<'span> + Send + Sync,
    {
        tracing_opentelemetry::layer()
            .with_tracer(self.provider.tracer(SERVICE_NAME))
            .with_location(false)
            .with_threads(false)
            .with_target(false)
            .with_tracked_inactivity(false)
            .with_filter(filter_fn(|metadata| metadata.is_span() && metadata.target() == SPANS))
    }

    /// Sends what is left, within limits.
    pub async fn end(self) {
        // It waits for the thread that exports, which waits for this runtime.
        let ended =
            tokio::task::spawn_blocking(move || self.provider.shutdown_with_timeout(FLUSH_WITHIN)).await;
        if let Ok(Err(error)) = ended {
            tracing::warn!(%error, "the last spans did not reach the collector");
        }
    }
}

/// Sends batches with the client that the rest of the program uses. The library's own thread waits for it.
#[derive(Debug)]
struct Exporter {
    client: reqwest::Client,
    runtime: Handle,
    /// A collector that fails is told of once, and once when it is well again.
    is_failing: AtomicBool,
}

impl Exporter {
    fn new() -> anyhow::Result<Self> {
        let client = reqwest::Client::builder()
            .redirect(reqwest::redirect::Policy::none())
            .timeout(EXPORT_WITHIN)
            .build()?;
        Ok(Self { client, runtime: Handle::current(), is_failing: AtomicBool::new(false) })
    }

    fn note(&self, failure: Option<&str>) {
        let was_failing = self.is_failing.swap(failure.is_some(), Ordering::Relaxed);
        match failure {
            Some(why) if !was_failing => {
                tracing::warn!(%why, "spans do not reach the collector; what does not fit into the queue is dropped");
            }
            None if was_failing => tracing::info!("spans reach the collector again"),
            _ => {}
        }
    }
}

async fn send(
    client: reqwest::Client,
    request: http::Request<Bytes>,
) -> Result<http::Response<Bytes>, HttpError> {
    // The address can carry a secret.
    let mut answer = client.execute(request.try_into()?).await.map_err(reqwest::Error::without_url)?;
    let mut response = http::Response::builder().status(answer.status());
    if let Some(headers) = response.headers_mut() {
        headers.extend(answer.headers().clone());
    }
    let mut body = Vec::new();
    while let Some(piece) = answer.chunk().await.map_err(reqwest::Error::without_url)? {
        if body.len() + piece.len() > ANSWER_BYTES_MAX {
            return Err("the collector's answer is too long".into());
        }
        body.extend_from_slice(&piece);
    }
    Ok(response.body(body.into())?)
}

#[async_trait]
impl HttpClient for Exporter {
    async fn send_bytes(&self, request: http::Request<Bytes>) -> Result<http::Response<Bytes>, HttpError> {
        let answer = self.runtime.spawn(send(self.client.clone(), request)).await?;
        match &answer {
            Ok(answer) if answer.status().is_success() => self.note(None),
            Ok(answer) => self.note(Some(&format!("it answered {}", answer.status()))),
            Err(error) => self.note(Some(&error.to_string())),
        }
        answer
    }
}

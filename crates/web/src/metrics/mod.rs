//! Metrics in the Prometheus text format: what was counted as it happened, and what is so at the instant of asking.

mod state;
mod text;

use std::sync::OnceLock;

use axum::extract::{MatchedPath, Request, State};
use axum::http::header;
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use metrics_exporter_prometheus::{Matcher, PrometheusBuilder, PrometheusHandle};

use crate::error::WebError;
use crate::state::App;
use crate::webhook::deliverer::ATTEMPTS;

/// Bounds of the buckets of a request's duration, in seconds.
const DURATION_BOUNDS_SECONDS: &[f64] =
    &[0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0];
const DURATION: &str = "http_server_request_duration_seconds";

/// What was counted so far.
#[derive(Clone)]
pub struct Metrics(Option<PrometheusHandle>);

impl Metrics {
    /// The recorder of this process: installed by whoever asks first, since a process has one.
    pub fn installed() -> Self {
        static RECORDER: OnceLock<Option<PrometheusHandle>> = OnceLock::new();
        let handle = RECORDER.get_or_init(|| {
            let builder = PrometheusBuilder::new()
                .set_buckets_for_metric(Matcher::Full(DURATION.to_owned()), DURATION_BOUNDS_SECONDS)
                .ok()?;
            let recorder = builder.build_recorder();
            let handle = recorder.handle();
            metrics::set_global_recorder(recorder).ok()?;
            metrics::describe_counter!(ATTEMPTS, "Messages sent to webhooks, by what came of it");
            metrics::describe_histogram!(DURATION, metrics::Unit::Seconds, "Time to answer a request");
            Some(handle)
        });
        Self(handle.clone())
    }

    fn text(&self) -> String {
        self.0
            .as_ref()
            .map(|handle| {
                handle.run_upkeep();
                handle.render()
            })
            .unwrap_or_default()
    }
}

/// The metrics as text.
pub(crate) async fn show(State(app): State<App>) -> Result<Response, WebError> {
    const TYPE: &str = "text/plain; version=0.0.4; charset=utf-8";
    let mut text = text::Text::default();
    state::write(&app, &mut text).await?;
    let all = format!("{}{}", text.finish(), app.metrics.text());
    Ok(([(header::CONTENT_TYPE, TYPE), (header::CACHE_CONTROL, "no-store")], all).into_response())
}

/// Counts a request by its route, never by its path: a path can name people, and there is no end of them.
pub(crate) async fn count(request: Request, next: Next) -> Response {
    let begun = std::time::Instant::now();
    let method = request.method().as_str().to_owned();
    let route = request.extensions().get::<MatchedPath>().map(|path| path.as_str().to_owned());
    let response = next.run(request).await;
    let labels = [
        ("http_request_method", method),
        ("http_route", route.unwrap_or_else(|| "none".to_owned())),
        ("http_response_status_code", response.status().as_u16().to_string()),
    ];
    metrics::histogram!(DURATION, &labels).record(begun.elapsed().as_secs_f64());
    response
}

//! Metrics in the Prometheus text format: what was counted as it happened, and what is so at the instant of asking.

mod state;
mod text;

use std::collections::HashMap;
use std::sync::{LazyLock, OnceLock, PoisonError, RwLock};
use std::time::Instant;

use axum::extract::{MatchedPath, Request, State};
use axum::http::{Method, StatusCode, header};
use axum::response::{IntoResponse, Response};
use metrics::Histogram;
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

    /// Sums up what was recorded since the last time. Until then each record takes memory, so that this is done now and then
    /// also where nobody reads the metrics.
    pub(crate) fn sum_up(&self) {
        if let Some(handle) = &self.0 {
            handle.run_upkeep();
        }
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

/// A request while it is answered. It is counted by its route, never by its path: a path can name people, and there is no end
/// of them; and by its method only where that is one of the few, since anybody can write another for each request.
pub(crate) struct Counted {
    begun: Instant,
    method: &'static str,
    route: CountedRoute,
}

enum CountedRoute {
    Matched(MatchedPath),
    Known(&'static str),
}

impl Counted {
    /// Begins the count of a request that the router has found a route for, or none.
    pub(crate) fn matched(request: &Request) -> Self {
        let route = request.extensions().get::<MatchedPath>().cloned();
        Self::begin(request, route.map_or(CountedRoute::Known("none"), CountedRoute::Matched))
    }

    /// Begins the count of a request to this route.
    pub(crate) fn to(request: &Request, route: &'static str) -> Self {
        Self::begin(request, CountedRoute::Known(route))
    }

    fn begin(request: &Request, route: CountedRoute) -> Self {
        Self { begun: Instant::now(), method: known(request.method()), route }
    }

    /// Counts it, once its status is known.
    pub(crate) fn end(self, status: StatusCode) {
        let route = match &self.route {
            CountedRoute::Matched(path) => path.as_str(),
            CountedRoute::Known(path) => path,
        };
        duration(route, self.method, status.as_u16()).record(self.begun.elapsed().as_secs_f64());
    }
}

/// The histogram of these labels. It is looked up by them once: putting labels together costs more than counting.
fn duration(route: &str, method: &'static str, status: u16) -> Histogram {
    type Durations = HashMap<String, Vec<((&'static str, u16), Histogram)>>;
    static DURATIONS: LazyLock<RwLock<Durations>> = LazyLock::new(RwLock::default);
    let of = |known: &[((&'static str, u16), Histogram)]| {
        known.iter().find(|(labels, _)| *labels == (method, status)).map(|(_, histogram)| histogram.clone())
    };
    let known = DURATIONS.read().unwrap_or_else(PoisonError::into_inner);
    if let Some(histogram) = known.get(route).and_then(|known| of(known)) {
        return histogram;
    }
    drop(known);
    let labels = [
        ("http_request_method", method.to_owned()),
        ("http_route", route.to_owned()),
        ("http_response_status_code", status.to_string()),
    ];
    let histogram = metrics::histogram!(DURATION, &labels);
    let mut known = DURATIONS.write().unwrap_or_else(PoisonError::into_inner);
    known.entry(route.to_owned()).or_default().push(((method, status), histogram.clone()));
    histogram
}

/// The method's name, where it is one of the few.
pub(crate) fn known(method: &Method) -> &'static str {
    match *method {
        Method::GET => "GET",
        Method::HEAD => "HEAD",
        Method::POST => "POST",
        Method::PUT => "PUT",
        Method::PATCH => "PATCH",
        Method::DELETE => "DELETE",
        Method::OPTIONS => "OPTIONS",
        _ => "_OTHER",
    }
}

//! Each request as a span: its route and how it ended, never its path, which can name people.

use std::net::SocketAddr;

use axum::extract::{ConnectInfo, MatchedPath, Request, State};
use axum::http::HeaderMap;
use axum::middleware::Next;
use axum::response::Response;
use leasehold_reconcile::trace::SPANS;
use opentelemetry::Context;
use opentelemetry::trace::{SpanContext, SpanId, TraceContextExt as _, TraceFlags, TraceId, TraceState};
use tracing::Instrument as _;
use tracing::field::Empty;
use tracing_opentelemetry::OpenTelemetrySpanExt as _;

use crate::metrics::known;
use crate::state::App;

/// Asked for every few seconds by machines, and the same each time.
const UNTOLD: [&str; 4] = ["/healthz", "/readyz", "/metrics", "/static/{file}"];

/// Runs a request within a span of its own, below the one of a trusted proxy where it names one.
pub(crate) async fn follow(State(app): State<App>, request: Request, next: Next) -> Response {
    let route = request.extensions().get::<MatchedPath>().map(|path| path.as_str().to_owned());
    let route = route.unwrap_or_else(|| "none".to_owned());
    if UNTOLD.contains(&route.as_str()) {
        return next.run(request).await;
    }
    let method = known(request.method());
    let span = tracing::info_span!(
        target: SPANS,
        "request",
        "otel.name" = format!("{method} {route}"),
        "otel.kind" = "server",
        "otel.status_code" = Empty,
        "http.request.method" = method,
        "http.route" = route,
        "http.response.status_code" = Empty,
    );
    if !span.is_disabled()
        && is_from_proxy(&app, &request)
        && let Some(parent) = parent(request.headers())
    {
        // An error only says that the span has begun already, which it has not.
        let _ = span.set_parent(Context::new().with_remote_span_context(parent));
    }
    let response = next.run(request).instrument(span.clone()).await;
    span.record("http.response.status_code", i64::from(response.status().as_u16()));
    if response.status().is_server_error() {
        span.record("otel.status_code", "ERROR");
    }
    response
}

/// Only a trusted proxy's word about the trace counts: others could join or flood what is not theirs.
fn is_from_proxy(app: &App, request: &Request) -> bool {
    let peer = request.extensions().get::<ConnectInfo<SocketAddr>>();
    let peer = peer.map(|ConnectInfo(address)| address.ip().to_canonical());
    peer.is_some_and(|peer| app.settings.trusted_proxies.iter().any(|network| network.contains(&peer)))
}

/// The span of whoever calls (W3C Trace Context, level 1, section 3.2).
fn parent(headers: &HeaderMap) -> Option<SpanContext> {
    let mut lines = headers.get_all("traceparent").iter();
    let (line, None) = (lines.next()?, lines.next()) else { return None };
    let line = line.to_str().ok()?.trim();
    let is_hex = |text: &str, digits: usize| {
        text.len() == digits && text.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'))
    };
    let mut parts = line.split('-');
    let (version, trace, span, flags) = (parts.next()?, parts.next()?, parts.next()?, parts.next()?);
    let is_form = is_hex(version, 2) && is_hex(trace, 32) && is_hex(span, 16) && is_hex(flags, 2);
    // Later versions may say more; this one may not, and there is none of this number.
    if !is_form || version == "ff" || (version == "00" && parts.next().is_some()) {
        return None;
    }
    let flags = TraceFlags::new(u8::from_str_radix(flags, 16).ok()?) & TraceFlags::SAMPLED;
    let (trace, span) = (TraceId::from_hex(trace).ok()?, SpanId::from_hex(span).ok()?);
    let parent = SpanContext::new(trace, span, flags, true, TraceState::default());
    parent.is_valid().then_some(parent)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(lines: &[&str]) -> Option<SpanContext> {
        let mut headers = HeaderMap::new();
        for line in lines {
            headers.append("traceparent", line.parse().unwrap());
        }
        parent(&headers)
    }

    #[test]
    fn a_parent_is_read_as_the_standard_says_and_nothing_else_is_one() {
        let known = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";
        let parent = read(&[known]).unwrap();
        assert_eq!(parent.trace_id().to_string(), "4bf92f3577b34da6a3ce929d0e0e4736");
        assert_eq!(parent.span_id().to_string(), "00f067aa0ba902b7");
        assert!(parent.is_sampled() && parent.is_remote());
        assert!(!read(&["00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-00"]).unwrap().is_sampled());
        assert!(read(&["01-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01-more"]).is_some());
        assert_eq!(read(&[known, known]), None);
        for wrong in [
            "",
            "00",
            "ff-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
            "00-4BF92F3577B34DA6A3CE929D0E0E4736-00f067aa0ba902b7-01",
            "00-00000000000000000000000000000000-00f067aa0ba902b7-01",
            "00-4bf92f3577b34da6a3ce929d0e0e4736-0000000000000000-01",
            "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01-more",
            "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7",
        ] {
            assert_eq!(read(&[wrong]), None, "{wrong}");
        }
    }
}

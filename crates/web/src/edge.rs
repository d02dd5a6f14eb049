//! What is done about every request and about every answer, whichever way leads from the one to the other.

use std::any::Any;
use std::panic::AssertUnwindSafe;
use std::pin::pin;
use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;

use axum::extract::{DefaultBodyLimit, Request, State};
use axum::http::{HeaderValue, StatusCode};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use futures::FutureExt as _;

use crate::context::{Context, REQUEST_ID};
use crate::error::WebError;
use crate::faces::{self, Asked};
use crate::metrics::Counted;
use crate::security;
use crate::state::App;

/// A policy with all its files is the largest thing that anybody sends.
const BODY_BYTES_MAX: usize = 8 << 20;
/// A handler that takes longer has lost somebody's patience; long work is a task.
const ANSWER_WITHIN: Duration = Duration::from_secs(30);

/// Does it about a request that the router answers.
pub(crate) async fn pass(State(app): State<App>, mut request: Request, next: Next) -> Response {
    let counted = Counted::matched(&request);
    DefaultBodyLimit::max(BODY_BYTES_MAX).apply(&mut request);
    around(&app, counted, request, |request| next.run(request)).await
}

/// A request gets an id, and it is found out who asks. Its answer comes in time, an error gets its face, whoever reads it is protected
/// by headers, and it is counted.
pub(crate) async fn around<Answering: Future<Output = Response>>(
    app: &App,
    counted: Counted,
    mut request: Request,
    answer: impl FnOnce(Request) -> Answering,
) -> Response {
    let asked = Asked::of(&request);
    let mut context = Context::of(app, &request);
    let identified = context.identify(app, request.method(), request.headers()).await;
    let context = Arc::new(context);
    request.extensions_mut().insert(context.clone());
    if let Err(error) = identified {
        request.extensions_mut().insert(Arc::new(error));
    }
    let response = {
        // What is late is given up before anything else is done. Nobody looks at the clock for what is there at once.
        let mut answering = pin!(AssertUnwindSafe(answer(request)).catch_unwind());
        let answered = match futures::poll!(answering.as_mut()) {
            Poll::Ready(answered) => Ok(answered),
            Poll::Pending => tokio::time::timeout(ANSWER_WITHIN, answering).await,
        };
        match answered {
            Ok(answered) => answered.unwrap_or_else(|cause| panicked(&*cause).into_response()),
            Err(_) => StatusCode::REQUEST_TIMEOUT.into_response(),
        }
    };
    let mut response = faces::give(app, &asked, &context, response).await;
    let status = response.status();
    let headers = response.headers_mut();
    context.settle(app, headers);
    security::protect(headers, &app.settings, asked.face());
    if let Some(id) = context.request_id.as_deref().and_then(|id| HeaderValue::from_str(id).ok()) {
        headers.insert(REQUEST_ID, id);
    }
    counted.end(status);
    response
}

/// A handler that panicked has failed, and takes nobody else with it.
fn panicked(cause: &(dyn Any + Send)) -> WebError {
    let text =
        cause.downcast_ref::<&str>().copied().or_else(|| cause.downcast_ref::<String>().map(String::as_str));
    WebError::internal(format!("a handler panicked: {}", text.unwrap_or("no message")))
}

//! How the provider is called: few bytes, little time, and never somewhere else than was said.

use std::time::Duration;

use openidconnect::{HttpRequest, HttpResponse};

/// Connecting takes no longer than this.
const CONNECT_WITHIN: Duration = Duration::from_secs(5);
/// A call takes no longer than this.
const ANSWER_WITHIN: Duration = Duration::from_secs(10);
/// Documents, keys and tokens are far smaller.
const ANSWER_BYTES_MAX: usize = 1 << 20;

/// Why a call failed. What was sent is no part of it.
#[derive(Debug, thiserror::Error)]
pub(crate) enum CallError {
    /// It did not come to an answer.
    #[error("no answer: {0}")]
    Failed(#[from] reqwest::Error),
    /// The answer is too long.
    #[error("an answer of more than {ANSWER_BYTES_MAX} bytes")]
    TooLarge,
    /// The answer cannot be passed on.
    #[error("an answer that cannot be read")]
    Unreadable,
}

/// Makes the client. Redirects are not followed: a provider that sends us elsewhere is not set up as it says.
///
/// # Errors
/// Where this machine's certificates cannot be loaded.
pub(crate) fn client() -> Result<reqwest::Client, CallError> {
    let client = reqwest::Client::builder()
        .redirect(reqwest::redirect::Policy::none())
        .connect_timeout(CONNECT_WITHIN)
        .timeout(ANSWER_WITHIN)
        .build()?;
    Ok(client)
}

/// Calls once.
///
/// # Errors
/// [`CallError`].
pub(crate) async fn call(client: reqwest::Client, request: HttpRequest) -> Result<HttpResponse, CallError> {
    // The address may carry nothing secret, but a failure is no reason to repeat it.
    let mut answer = client.execute(request.try_into()?).await.map_err(reqwest::Error::without_url)?;
    let mut response = axum::http::Response::builder().status(answer.status());
    for (name, value) in answer.headers() {
        response = response.header(name, value);
    }
    let mut body = Vec::new();
    while let Some(part) = answer.chunk().await.map_err(reqwest::Error::without_url)? {
        if body.len() + part.len() > ANSWER_BYTES_MAX {
            return Err(CallError::TooLarge);
        }
        body.extend_from_slice(&part);
    }
    response.body(body).map_err(|_| CallError::Unreadable)
}

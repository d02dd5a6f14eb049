//! One sign-in by the provider, from the button to the claims that are believed.

use jiff::{SignedDuration, Timestamp};
use openidconnect::core::{CoreAuthPrompt, CoreResponseType};
use openidconnect::{
    AuthenticationFlow, AuthorizationCode, CsrfToken, Nonce, OAuth2TokenResponse as _, PkceCodeChallenge,
    PkceCodeVerifier, Scope, TokenResponse as _,
};
use serde::{Deserialize, Serialize};
use url::Url;

use crate::error::WebError;
use crate::security::secret_text;
use crate::sign_in::openid::http;
use crate::sign_in::openid::provider::{self, ALGORITHMS, IdClaims, Provider, UserClaims, said};
use crate::state::App;

/// The way to the provider and back takes no longer than this.
const WITHIN: SignedDuration = SignedDuration::from_mins(10);
/// Clocks of servers differ by no more than this.
pub(crate) const SKEW: SignedDuration = SignedDuration::from_mins(1);
/// What the cookie is sealed for.
const SEALED_FOR: &str = "openid sign-in";

/// What a sign-in is for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Purpose {
    /// To sign in.
    SignIn,
    /// To show again that it is them: the provider must ask.
    Confirm,
    /// To connect this user, who is signed in, with who they are there.
    Connect {
        /// Whom.
        user: String,
    },
}

/// What the browser keeps, sealed, until it comes back: an answer counts in the browser that asked for it.
#[derive(Serialize, Deserialize)]
pub(crate) struct Flow {
    state: String,
    nonce: String,
    verifier: String,
    /// The page to go to afterwards.
    pub(crate) next: String,
    /// What it is for.
    pub(crate) purpose: Purpose,
    begun_at: Timestamp,
}

/// What the provider sends along with the browser.
#[derive(Debug, Default, Deserialize)]
pub(crate) struct Returned {
    code: Option<String>,
    state: Option<String>,
    iss: Option<String>,
    error: Option<String>,
}

/// What is believed of whoever signed in.
pub(crate) struct Told {
    /// From the ID token.
    pub(crate) id: IdClaims,
    /// From the user info endpoint, where the ID token says too little.
    pub(crate) user: Option<UserClaims>,
}

impl Flow {
    /// Begins: gives the provider's address to send the browser to, and what the browser keeps meanwhile.
    ///
    /// # Errors
    /// Where the provider cannot be reached.
    pub(crate) async fn begin(app: &App, next: String, purpose: Purpose) -> Result<(Url, String), WebError> {
        let settings = provider::settings(app)?;
        let provider = provider::reach(app).await?;
        let flow = Self {
            state: secret_text()?,
            nonce: secret_text()?,
            verifier: secret_text()?,
            next,
            purpose,
            begun_at: app.now(),
        };
        let verifier = PkceCodeVerifier::new(flow.verifier.clone());
        let (state, nonce) = (CsrfToken::new(flow.state.clone()), Nonce::new(flow.nonce.clone()));
        let mut request = provider
            .client
            .authorize_url(
                AuthenticationFlow::<CoreResponseType>::AuthorizationCode,
                move || state,
                move || nonce,
            )
            .set_pkce_challenge(PkceCodeChallenge::from_code_verifier_sha256(&verifier));
        for scope in &settings.scopes {
            request = request.add_scope(Scope::new(scope.clone()));
        }
        if flow.purpose == Purpose::Confirm {
            request = request.add_prompt(CoreAuthPrompt::Login).set_max_age(std::time::Duration::ZERO);
        }
        let (address, ..) = request.url();
        Ok((address, app.settings.seal_key.seal(SEALED_FOR, &flow)?))
    }

    /// What the browser kept, where it is this server's and not too old.
    ///
    /// # Errors
    /// [`WebError::Refused`].
    pub(crate) fn kept(app: &App, sealed: Option<&str>) -> Result<Self, WebError> {
        let flow = sealed.and_then(|sealed| app.settings.seal_key.open::<Self>(SEALED_FOR, sealed));
        flow.filter(|flow| app.now() < flow.begun_at + WITHIN).ok_or_else(|| {
            WebError::Refused(
                "this sign-in was begun in another browser, or too long ago: go back to the sign-in page and begin anew"
                    .to_owned(),
            )
        })
    }

    /// Turns what came back into what is believed.
    ///
    /// # Errors
    /// [`WebError::Refused`] where it is not an answer of this provider to this browser; the log has the reason.
    pub(crate) async fn finish(&self, app: &App, returned: Returned) -> Result<Told, WebError> {
        let settings = provider::settings(app)?;
        if returned.state.as_deref() != Some(self.state.as_str()) {
            return Err(refused("the answer belongs to another sign-in"));
        }
        let provider = provider::reach(app).await?;
        // Another provider may have been asked in its place and its code sent here (RFC 9207).
        let of_another = returned.iss.as_ref().is_some_and(|issuer| *issuer != settings.issuer);
        if of_another || (returned.iss.is_none() && provider.names_itself) {
            return Err(refused("the answer is not from the provider that was asked"));
        }
        if let Some(error) = returned.error {
            let error: String = error.chars().filter(|c| c.is_ascii_graphic()).take(60).collect();
            tracing::info!(issuer = %settings.issuer, %error, "the OpenID provider signed nobody in");
            return Err(WebError::Refused(format!(
                "{} did not sign you in: go back to the sign-in page and begin anew",
                settings.name
            )));
        }
        let code = returned.code.ok_or_else(|| refused("the answer holds no code"))?;
        let calls = |request| http::call(provider.http.clone(), request);
        let answer = provider
            .client
            .exchange_code(AuthorizationCode::new(code))
            .map_err(WebError::internal)?
            .set_pkce_verifier(PkceCodeVerifier::new(self.verifier.clone()))
            .request_async(&calls)
            .await
            .map_err(|error| refused(&format!("the code was not accepted: {}", said(error))))?;
        let token = answer.id_token().ok_or_else(|| refused("the answer holds no ID token"))?;
        let nonce = Nonce::new(self.nonce.clone());
        let id = match token.claims(&verifier(app, &provider), &nonce) {
            Ok(claims) => claims.clone(),
            // The provider may have new keys by now.
            Err(openidconnect::ClaimsVerificationError::SignatureVerification(_)) => {
                let provider = provider::reach_again(app).await?;
                let claims = token.claims(&verifier(app, &provider), &nonce);
                claims
                    .map_err(|error| refused(&format!("the ID token does not hold: {}", said(error))))?
                    .clone()
            }
            Err(error) => return Err(refused(&format!("the ID token does not hold: {}", said(error)))),
        };
        if self.purpose == Purpose::Confirm && !self.was_asked(&id) {
            return Err(refused("the provider did not ask again who it is"));
        }
        let is_missing =
            id.email().is_none() || !id.additional_claims().all.contains_key(&settings.groups_claim);
        let mut user = None;
        if is_missing && provider.client.user_info_url().is_some() {
            let request = provider
                .client
                .user_info(answer.access_token().clone(), Some(id.subject().clone()))
                .map_err(WebError::internal)?;
            let claims: UserClaims = request
                .request_async(&calls)
                .await
                .map_err(|error| refused(&format!("the user info does not hold: {}", said(error))))?;
            user = Some(claims);
        }
        Ok(Told { id, user })
    }

    /// Whether somebody was asked for who they are since this began.
    fn was_asked(&self, claims: &IdClaims) -> bool {
        authenticated_at(claims).is_some_and(|at| at >= self.begun_at - SKEW)
    }
}

/// When somebody last showed the provider who they are, where it says so.
pub(crate) fn authenticated_at(claims: &IdClaims) -> Option<Timestamp> {
    Timestamp::from_second(claims.auth_time()?.timestamp()).ok()
}

/// What an ID token must be: of this issuer, for this client alone, in time, signed by a key of the provider.
fn verifier<'a>(
    app: &'a App,
    provider: &'a Provider,
) -> openidconnect::IdTokenVerifier<'a, openidconnect::core::CoreJsonWebKey> {
    let clock = app.clone();
    let time = move || chrono::DateTime::from_timestamp(clock.now().as_second(), 0).unwrap_or_default();
    let clock = app.clone();
    let issued = move |issued: chrono::DateTime<chrono::Utc>| {
        let latest = (clock.now() + SKEW).as_second();
        if issued.timestamp() <= latest { Ok(()) } else { Err("it was issued in the future".to_owned()) }
    };
    provider
        .client
        .id_token_verifier()
        .set_allowed_algs(ALGORITHMS)
        .set_time_fn(time)
        .set_issue_time_verifier_fn(issued)
}

/// The answer does not count. Why is in the log: it says more to whoever runs the server than to whoever wants in.
fn refused(why: &str) -> WebError {
    tracing::warn!(why, "a sign-in by the OpenID provider was refused");
    WebError::Refused(
        "the provider's answer cannot be believed: go back to the sign-in page and begin anew; \
         if it stays, the server's log says why"
            .to_owned(),
    )
}

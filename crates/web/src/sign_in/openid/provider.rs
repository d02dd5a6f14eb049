//! The provider as it describes itself: its addresses and keys, fetched when first needed and again now and then.

use std::sync::Arc;

use jiff::{SignedDuration, Timestamp};
use openidconnect::core::{
    CoreAuthDisplay, CoreAuthPrompt, CoreClaimName, CoreClaimType, CoreClientAuthMethod,
    CoreErrorResponseType, CoreGenderClaim, CoreGrantType, CoreJsonWebKey, CoreJweContentEncryptionAlgorithm,
    CoreJweKeyManagementAlgorithm, CoreJwsSigningAlgorithm, CoreResponseMode, CoreResponseType,
    CoreRevocableToken, CoreRevocationErrorResponse, CoreSubjectIdentifierType,
    CoreTokenIntrospectionResponse, CoreTokenType,
};
use openidconnect::{
    AdditionalClaims, AdditionalProviderMetadata, AuthType, ClientId, ClientSecret, EmptyExtraTokenFields,
    EndpointMaybeSet, EndpointNotSet, EndpointSet, IdTokenClaims, IdTokenFields, IssuerUrl, ProviderMetadata,
    RedirectUrl, StandardErrorResponse, StandardTokenResponse, UserInfoClaims,
};
use secrecy::ExposeSecret as _;
use serde::{Deserialize, Serialize};
use tokio::sync::Mutex;

use crate::error::WebError;
use crate::sign_in::openid::{CALLBACK, OpenIdSettings, http};
use crate::state::App;

/// What a provider says of itself is asked for again after this long.
const FRESH: SignedDuration = SignedDuration::from_hours(1);
/// A token that none of its keys fits is no reason to ask more often than this.
const ASK_AGAIN_AFTER: SignedDuration = SignedDuration::from_mins(1);

/// Algorithms with a key that only the provider has. None of them is `none`, and none is made with the client's secret.
pub(crate) const ALGORITHMS: [CoreJwsSigningAlgorithm; 9] = [
    CoreJwsSigningAlgorithm::RsaSsaPkcs1V15Sha256,
    CoreJwsSigningAlgorithm::RsaSsaPkcs1V15Sha384,
    CoreJwsSigningAlgorithm::RsaSsaPkcs1V15Sha512,
    CoreJwsSigningAlgorithm::RsaSsaPssSha256,
    CoreJwsSigningAlgorithm::RsaSsaPssSha384,
    CoreJwsSigningAlgorithm::RsaSsaPssSha512,
    CoreJwsSigningAlgorithm::EcdsaP256Sha256,
    CoreJwsSigningAlgorithm::EcdsaP384Sha384,
    CoreJwsSigningAlgorithm::EdDsa,
];

/// What the library does not know of a provider's description.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct MoreMetadata {
    /// Whether it names itself when it sends the browser back (RFC 9207).
    #[serde(default)]
    authorization_response_iss_parameter_supported: bool,
}

impl AdditionalProviderMetadata for MoreMetadata {}

/// The claims that the library does not know: groups, the provider's session.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub(crate) struct MoreClaims {
    #[serde(flatten)]
    pub(crate) all: serde_json::Map<String, serde_json::Value>,
}

impl AdditionalClaims for MoreClaims {}

type Metadata = ProviderMetadata<
    MoreMetadata,
    CoreAuthDisplay,
    CoreClientAuthMethod,
    CoreClaimName,
    CoreClaimType,
    CoreGrantType,
    CoreJweContentEncryptionAlgorithm,
    CoreJweKeyManagementAlgorithm,
    CoreJsonWebKey,
    CoreResponseMode,
    CoreResponseType,
    CoreSubjectIdentifierType,
>;
type Fields = IdTokenFields<
    MoreClaims,
    EmptyExtraTokenFields,
    CoreGenderClaim,
    CoreJweContentEncryptionAlgorithm,
    CoreJwsSigningAlgorithm,
>;
/// The client for a provider's addresses.
pub(crate) type Client = openidconnect::Client<
    MoreClaims,
    CoreAuthDisplay,
    CoreGenderClaim,
    CoreJweContentEncryptionAlgorithm,
    CoreJsonWebKey,
    CoreAuthPrompt,
    StandardErrorResponse<CoreErrorResponseType>,
    StandardTokenResponse<Fields, CoreTokenType>,
    CoreTokenIntrospectionResponse,
    CoreRevocableToken,
    CoreRevocationErrorResponse,
    EndpointSet,
    EndpointNotSet,
    EndpointNotSet,
    EndpointNotSet,
    EndpointMaybeSet,
    EndpointMaybeSet,
>;
/// What an ID token says.
pub(crate) type IdClaims = IdTokenClaims<MoreClaims, CoreGenderClaim>;
/// What the user info endpoint says.
pub(crate) type UserClaims = UserInfoClaims<MoreClaims, CoreGenderClaim>;

/// A provider that was reached.
pub(crate) struct Provider {
    pub(crate) client: Client,
    pub(crate) http: reqwest::Client,
    pub(crate) keys: Vec<CoreJsonWebKey>,
    /// Whether an answer without its name is not its answer.
    pub(crate) names_itself: bool,
    fetched_at: Timestamp,
}

/// The provider as it was last fetched.
#[derive(Default)]
pub(crate) struct Providers {
    newest: Mutex<Option<Arc<Provider>>>,
}

/// The settings of the provider, for whoever cannot do without one.
///
/// # Errors
/// [`WebError::NotFound`] where none is set up.
pub(crate) fn settings(app: &App) -> Result<&OpenIdSettings, WebError> {
    app.settings.openid.as_ref().ok_or_else(|| WebError::NotFound("sign-in by an OpenID provider".to_owned()))
}

/// The provider.
///
/// # Errors
/// [`WebError::Unavailable`] where it does not answer, or answers as somebody else.
pub(crate) async fn reach(app: &App) -> Result<Arc<Provider>, WebError> {
    reach_within(app, FRESH).await
}

/// The provider, asked again because none of its keys fitted: it may have new ones.
///
/// # Errors
/// As [`reach`].
pub(crate) async fn reach_again(app: &App) -> Result<Arc<Provider>, WebError> {
    reach_within(app, ASK_AGAIN_AFTER).await
}

async fn reach_within(app: &App, fresh: SignedDuration) -> Result<Arc<Provider>, WebError> {
    let settings = settings(app)?;
    let now = app.now();
    // Held while it is fetched: whoever else needs it waits for the same answer.
    let mut newest = app.providers.newest.lock().await;
    if let Some(provider) = newest.as_ref().filter(|known| now.duration_since(known.fetched_at) < fresh) {
        return Ok(provider.clone());
    }
    match fetch(app, settings).await {
        Ok(provider) => {
            let provider = Arc::new(provider);
            *newest = Some(provider.clone());
            Ok(provider)
        }
        Err(error) => {
            tracing::warn!(issuer = %settings.issuer, %error, "the OpenID provider cannot be used");
            Err(WebError::Unavailable(format!(
                "{} does not answer as an OpenID provider should",
                settings.name
            )))
        }
    }
}

async fn fetch(app: &App, settings: &OpenIdSettings) -> Result<Provider, String> {
    let http = http::client().map_err(said)?;
    let issuer = IssuerUrl::new(settings.issuer.clone()).map_err(said)?;
    // The library refuses a description that names another issuer.
    let calls = |request| http::call(http.clone(), request);
    let metadata = Metadata::discover_async(issuer, &calls).await.map_err(said)?;
    if metadata.token_endpoint().is_none() {
        return Err("it names no token endpoint".to_owned());
    }
    let redirect = app.settings.url.join(CALLBACK).map_err(said)?;
    let methods = metadata.token_endpoint_auth_methods_supported();
    let basic = methods.is_none_or(|methods| methods.contains(&CoreClientAuthMethod::ClientSecretBasic));
    let keys = metadata.jwks().keys().clone();
    let names_itself = metadata.additional_metadata().authorization_response_iss_parameter_supported;
    let secret = ClientSecret::new(settings.client_secret.expose_secret().to_owned());
    let client =
        Client::from_provider_metadata(metadata, ClientId::new(settings.client_id.clone()), Some(secret))
            .set_redirect_uri(RedirectUrl::from_url(redirect))
            .set_auth_type(if basic { AuthType::BasicAuth } else { AuthType::RequestBody });
    Ok(Provider { client, http, keys, names_itself, fetched_at: app.now() })
}

/// An error with all its causes.
pub(crate) fn said(error: impl std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        text = format!("{text}: {error}");
        cause = error.source();
    }
    text
}

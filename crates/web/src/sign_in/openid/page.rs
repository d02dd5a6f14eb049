//! The pages around a sign-in by the provider: on the way there, on the way back, and connecting a user with it.

use std::sync::Arc;

use askama::Template;
use axum::Extension;
use axum::extract::{Query, State};
use axum::http::{HeaderMap, Method};
use axum::response::{IntoResponse, Redirect, Response};
use axum::routing::{get, post};
use leasehold_decide::authority::Action;
use leasehold_store::ProviderSession;
use serde::Deserialize;

use crate::context::Context;
use crate::error::WebError;
use crate::frame::{self, Frame};
use crate::pages::theme::own_address;
use crate::person::Person;
use crate::route::{Access, Route};
use crate::security::{self, Cookie};
use crate::sign_in::openid::flow::{self, Flow, Purpose, Returned};
use crate::sign_in::openid::{CALLBACK, provider, who};
use crate::sign_in::session::{self, Shown};
use crate::sign_in::throttle::Try;
use crate::state::App;

/// The routes of this file.
pub(crate) const ROUTES: &[Route] = &[
    Route::page(Method::GET, "/sign-in/openid", Access::Open, || get(go)),
    Route::page(Method::GET, CALLBACK, Access::Open, || get(come_back)),
    Route::page(Method::POST, "/account/openid", Access::Needs(Action::ManageOwnSignIn), || post(connect)),
];

/// How a session of this kind was begun.
const METHOD: &str = "openid";

/// What a page shows of the provider.
pub(crate) struct Button {
    /// What people call it.
    pub(crate) name: String,
    /// Where it begins.
    pub(crate) address: String,
}

/// The button that leads to the provider, where one is set up.
pub(crate) fn button(app: &App, next: &str, confirm: bool) -> Option<Button> {
    let settings = app.settings.openid.as_ref()?;
    let mut query = url::form_urlencoded::Serializer::new(String::new());
    query.append_pair("next", next);
    if confirm {
        query.append_pair("confirm", "true");
    }
    Some(Button { name: settings.name.clone(), address: format!("/sign-in/openid?{}", query.finish()) })
}

#[derive(Template)]
#[template(path = "openid_connect.html")]
struct ConnectPage {
    frame: Frame,
    name: String,
    address: String,
}

#[derive(Deserialize)]
struct Begun {
    #[serde(default)]
    next: String,
    #[serde(default)]
    confirm: bool,
}

/// Sends the browser to the provider. A link and no form: pages of ours send forms to this server only.
async fn go(State(app): State<App>, Query(begun): Query<Begun>) -> Result<Response, WebError> {
    let purpose = if begun.confirm { Purpose::Confirm } else { Purpose::SignIn };
    let (address, sealed) = Flow::begin(&app, own_address(&begun.next).to_owned(), purpose).await?;
    let mut response = Redirect::to(address.as_str()).into_response();
    security::remember(response.headers_mut(), &app.settings, &Cookie::OPENID, &sealed);
    Ok(response)
}

/// Begins to connect the user with who they are at the provider. Only their own page can send this, and the provider's
/// answer counts in their session only.
async fn connect(State(app): State<App>, person: Person, frame: Frame) -> Result<Response, WebError> {
    let name = provider::settings(&app)?.name.clone();
    person.session()?;
    person.require_confirmed(app.now())?;
    let purpose = Purpose::Connect { user: person.user().to_owned() };
    let (address, sealed) = Flow::begin(&app, "/account".to_owned(), purpose).await?;
    let frame = frame.titled("Connect with your provider");
    let mut response = frame::show(&ConnectPage { frame, name, address: address.into() })?;
    security::remember(response.headers_mut(), &app.settings, &Cookie::OPENID, &sealed);
    Ok(response)
}

async fn come_back(
    State(app): State<App>,
    Extension(context): Extension<Arc<Context>>,
    headers: HeaderMap,
    Query(returned): Query<Returned>,
) -> Result<Response, WebError> {
    let settings = provider::settings(&app)?;
    let kept = security::cookie(&headers, &app.settings, &Cookie::OPENID);
    let flow = Flow::kept(&app, kept.as_deref())?;
    // Each try costs the provider a call.
    let tried = Try::begin(&app, METHOD, &context.source.network(), &context.source, None).await?;
    let told = flow.finish(&app, returned).await?;
    let subject = who::subject(settings, &told);
    if let Purpose::Connect { user } = &flow.purpose {
        let person = context.person.as_ref().filter(|person| person.user() == user);
        let person = person.ok_or(WebError::SignedOut)?;
        if !app.store.connect_provider_user(&subject, user, person.actor(), app.now()).await? {
            let message = format!("whom {} signed in belongs to another user here", settings.name);
            return Err(WebError::Conflict(message));
        }
    }
    let user = match who::user(&app, settings, &told).await {
        Ok(user) => user,
        Err(error) => {
            if matches!(error, WebError::Refused(_)) {
                let known = app.store.provider_user(&subject).await?.map(|user| user.id);
                let source = context.source.0.to_string();
                app.store.record_failed_sign_in(known.as_deref(), "", &source, METHOD, app.now()).await?;
            }
            return Err(error);
        }
    };
    tried.succeeded(&app).await?;
    let mut response = Redirect::to(&flow.next).into_response();
    let session = told.id.additional_claims().all.get("sid").and_then(serde_json::Value::as_str);
    let shown = Shown {
        method: METHOD,
        provider: Some(ProviderSession { of: subject, session: session.map(str::to_owned) }),
        // A provider that signs in without asking has shown nothing anew.
        confirmed_at: flow::authenticated_at(&told.id).unwrap_or(jiff::Timestamp::UNIX_EPOCH).min(app.now()),
    };
    session::begin_shown(&app, &context, &headers, &user, shown, &mut response).await?;
    security::forget(response.headers_mut(), &app.settings, &Cookie::OPENID);
    Ok(response)
}

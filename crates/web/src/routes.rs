//! The registry: every route of the server, and what each takes. A route that is not here does not exist.

use crate::route::Route;
use crate::sign_in::{link, openid, page, passkey, step_up};
use crate::{api, pages};
use crate::{health, static_files};

/// Every table of routes: one line for each file that brings some.
const TABLES: &[&[Route]] = &[
    health::ROUTES,
    static_files::ROUTES,
    page::ROUTES,
    step_up::ROUTES,
    link::ROUTES,
    openid::page::ROUTES,
    openid::back_channel::ROUTES,
    passkey::page::ROUTES,
    passkey::step_up::ROUTES,
    api::accounts::ROUTES,
    api::actions::ROUTES,
    api::baselines::ROUTES,
    api::checks::ROUTES,
    api::connectors::ROUTES,
    api::document::ROUTES,
    api::drift::ROUTES,
    api::entitlements::ROUTES,
    api::events::ROUTES,
    api::grants::ROUTES,
    api::identities::ROUTES,
    api::ledger::ROUTES,
    api::me::ROUTES,
    api::passkeys::ROUTES,
    api::plans::ROUTES,
    api::policy::ROUTES,
    api::sessions::ROUTES,
    api::systems::ROUTES,
    api::tasks::ROUTES,
    api::tokens::ROUTES,
    api::users::ROUTES,
    pages::account::ROUTES,
    pages::account_passkeys::ROUTES,
    pages::connect::ROUTES,
    pages::entitlement::ROUTES,
    pages::entitlements::ROUTES,
    pages::home::ROUTES,
    pages::drift::ROUTES,
    pages::identities::ROUTES,
    pages::identity::ROUTES,
    pages::ledger::ROUTES,
    pages::me::ROUTES,
    pages::policy::ROUTES,
    pages::search::ROUTES,
    pages::settings::ROUTES,
    pages::settings::users::ROUTES,
    pages::settings::user::ROUTES,
    pages::settings::sessions::ROUTES,
    pages::settings::tokens::ROUTES,
    pages::system::ROUTES,
    pages::systems::ROUTES,
    pages::plans::ROUTES,
    pages::plan::ROUTES,
    pages::plan_approval::ROUTES,
    pages::actions::ROUTES,
    pages::action::ROUTES,
    pages::tasks::ROUTES,
    pages::events::ROUTES,
    pages::theme::ROUTES,
];

/// Every route there is.
pub fn routes() -> impl Iterator<Item = &'static Route> {
    TABLES.iter().copied().flatten()
}

//! The registry: every route of the server, and what each takes. A route that is not here does not exist.

use crate::pages;
use crate::route::Route;
use crate::sign_in::{link, page, step_up};
use crate::{health, static_files};

/// Every table of routes: one line for each file that brings some.
const TABLES: &[&[Route]] = &[
    health::ROUTES,
    static_files::ROUTES,
    page::ROUTES,
    step_up::ROUTES,
    link::ROUTES,
    pages::account::ROUTES,
    pages::home::ROUTES,
    pages::drift::ROUTES,
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

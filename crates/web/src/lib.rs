//! People and programs: pages, sign-in, authority and the REST API, on one port.
//!
//! A page or call records intent, and a task acts: this crate cannot see a connector. Every way in is one line of the
//! registry in [`routes`], with what it takes to use it; nothing else is reachable.

mod access;
mod api;
mod catalogue;
mod connections;
mod context;
mod current;
mod directory;
mod drawing;
mod drift_index;
mod error;
mod faces;
mod fields;
mod first_log_ins;
mod flash;
mod form;
mod frame;
mod health;
mod heavy;
mod kept_plans;
mod leavers;
mod metrics;
mod owners;
mod pages;
mod parts;
mod person;
mod present;
mod problem;
mod proof;
mod receipts;
mod resource;
mod route;
mod routes;
mod scim;
mod seal;
mod security;
mod seen;
mod server;
mod sight;
mod sign_in;
mod source;
mod state;
mod static_files;
mod trace;
mod trend;
mod users;
mod webhook;

pub use connections::{ConnectedSystem, Connections, ConnectorForm, NewSystem, NoConnections, NotConnected};
pub use current::Current;
pub use error::{FieldError, WebError};
pub use owners::{OwnersBySystem, SystemOwners};
pub use pages::credential_link::make_credential_link;
pub use route::{Access, Face, Route};
pub use routes::routes;
pub use seal::SealKey;
pub use server::{Server, ServerError, Settings, router, serve};
pub use sign_in::link::{setup_link, user_link};
pub use sign_in::openid::OpenIdSettings;
pub use sign_in::scope::Scope;
pub use sign_in::token::{CreatedToken, DAYS_DEFAULT, DAYS_MAX, create_token};
pub use webhook::WebhookSettings;
pub use webhook::deliverer::Deliverer;
pub use webhook::notice::{NoticeSecret, NoticeSecrets, SecretsBySystem};

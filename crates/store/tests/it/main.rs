//! The store as others use it; every test runs on SQLite and on a real PostgreSQL server.

mod actions;
mod claims;
mod common;
mod credential_links;
mod credentials;
mod departures;
mod epochs;
mod history;
mod ledger;
mod lists;
mod migrations;
mod provider_users;
mod read_backs;
mod receipts;
mod revocations;
mod scim;
mod sign_in;
mod tasks;
mod timeline;
mod webhooks;

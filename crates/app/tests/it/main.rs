//! The binary as people run it: against real servers, with bad input, and with what programs rely on.

mod answers;
mod bad_input;
mod browser;
mod credential;
mod demo;
mod external;
mod installation;
mod killed;
mod ledger;
mod login;
mod metrics;
mod names;
mod offboard;
mod oidc;
mod passkey;
mod processes;
mod real;
mod remote;
mod schemathesis;
mod scim;
mod steward;
mod surroundings;
mod traces;
mod users;
mod webhooks;

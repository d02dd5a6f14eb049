//! Connectors against real systems on loopback, checked with the systems' own clients.

mod harness;
mod ldap;
mod postgres;

//! The connectors from outside: the contract suite, and real systems on loopback checked with their own clients.

mod contract;
mod csv;
mod harness;
mod ldap;
mod mariadb;
mod postgres;
mod simulated;
mod ssh;
mod support;

//! The connectors from outside: the contract suite, and real systems on loopback checked with their own clients.

mod aws_iam;
mod contract;
mod csv;
mod harness;
mod ldap;
mod openbao;
mod postgres;
mod simulated;
mod support;

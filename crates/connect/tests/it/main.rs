//! The connectors from outside: the contract suite, and real systems on loopback checked with their own clients.

mod aws_iam;
mod between;
mod contract;
mod csv;
mod external;
mod harness;
mod ldap;
mod mariadb;
mod openbao;
mod postgres;
mod scim;
mod simulated;
mod ssh;
mod support;

//! The connectors from outside: the contract suite, and real systems on loopback checked with their own clients.

mod aws_iam;
mod contract;
mod csv;
mod external;
mod harness;
mod jupyterhub;
mod ldap;
mod mariadb;
mod openbao;
mod postgres;
mod rest;
mod scim;
mod simulated;
mod ssh;
mod support;

//! Target systems behind one contract: [`connector::Connector`] says what a connector is, [`registry`] which there are.

mod aws_iam;
pub mod connector;
pub mod contract;
pub mod csv;
mod effective;
pub mod error;
mod external;
mod http_client;
mod issue;
mod jupyterhub;
mod ldap;
mod log_in;
mod mariadb;
mod openbao;
mod person;
mod plain;
mod postgres;
pub mod registry;
mod rest;
mod scim;
pub mod scim_push;
pub mod seen;
pub mod settings;
pub mod simulated;
mod ssh;
mod tls;

pub use leasehold_model as model;

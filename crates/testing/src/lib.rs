//! Development support: real target systems, started on loopback by the test that needs them.
//!
//! Each server lives in its own temporary folder and ends with its guard, and also when the test's process dies
//! without dropping it. A program that is not installed is a panic that names the Debian package: nothing is skipped.
//! Values are read and changed with the target's own clients (`psql`, `ldapsearch`, …), so that a test never checks
//! Leasehold's code with itself. Everything here panics on failure: it is test support.

pub mod aws;
pub mod between;
pub mod browser;
pub mod certificates;
pub mod jupyterhub;
pub mod lie;
pub mod mariadb;
pub mod oidc;
pub mod openbao;
pub mod openldap;
pub mod postgres;
pub mod process;
pub mod programs;
pub mod proxy;
pub mod rest;
pub mod samba;
pub mod scim;
pub mod ssh;
pub mod tools;
pub mod webhook;

pub use aws::{AwsKey, AwsServer};
pub use between::Between;
pub use certificates::{Certificate, CertificateAuthority};
pub use jupyterhub::JupyterHubServer;
pub use lie::Lie;
pub use mariadb::MariadbServer;
pub use oidc::OpenIdProvider;
pub use openbao::OpenBaoServer;
pub use openldap::OpenLdapServer;
pub use postgres::PostgresServer;
pub use proxy::{Manner, Proxy};
pub use rest::RestServer;
pub use samba::SambaServer;
pub use scim::ScimServer;
pub use ssh::SshServer;
pub use webhook::WebhookReceiver;

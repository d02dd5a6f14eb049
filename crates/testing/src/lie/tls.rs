//! The two ends of a TLS connection for somebody in the middle who has the server's own certificate and key.

use std::io::{Error, Read, Result, Write};
use std::net::{IpAddr, TcpStream};
use std::sync::Arc;

use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use rustls::{ClientConfig, ClientConnection, RootCertStore, ServerConfig, ServerConnection, StreamOwned};

use crate::certificates::{Certificate, CertificateAuthority};

/// What is needed for both.
#[derive(Debug)]
pub struct BothEnds {
    as_server: Arc<ServerConfig>,
    as_client: Arc<ClientConfig>,
    name: ServerName<'static>,
}

impl BothEnds {
    /// # Panics
    /// Where the files cannot be used.
    pub(super) fn new(certificate: &Certificate, authority: &CertificateAuthority, address: IpAddr) -> Self {
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let chain: Vec<_> = CertificateDer::pem_file_iter(&certificate.certificate)
            .expect("read the certificate")
            .collect::<std::result::Result<_, _>>()
            .expect("certificates");
        let key = PrivateKeyDer::from_pem_file(&certificate.key).expect("read the key");
        let as_server = ServerConfig::builder_with_provider(Arc::clone(&provider))
            .with_safe_default_protocol_versions()
            .expect("versions of TLS")
            .with_no_client_auth()
            .with_single_cert(chain, key)
            .expect("a certificate with its key");
        let mut trusted = RootCertStore::empty();
        let authority = CertificateDer::from_pem_file(authority.certificate()).expect("read the authority");
        trusted.add(authority).expect("an authority");
        let as_client = ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .expect("versions of TLS")
            .with_root_certificates(trusted)
            .with_no_client_auth();
        Self { as_server: Arc::new(as_server), as_client: Arc::new(as_client), name: address.into() }
    }

    /// The end towards the client, to whom it is the server.
    pub(super) fn with_client<'stream>(
        &self,
        stream: &'stream TcpStream,
    ) -> Result<impl Read + Write + 'stream> {
        let connection = ServerConnection::new(Arc::clone(&self.as_server)).map_err(Error::other)?;
        Ok(StreamOwned::new(connection, stream))
    }

    /// The end towards the server, to which it is the client.
    pub(super) fn with_server<'stream>(
        &self,
        stream: &'stream TcpStream,
    ) -> Result<impl Read + Write + 'stream> {
        let name = self.name.clone();
        let connection = ClientConnection::new(Arc::clone(&self.as_client), name).map_err(Error::other)?;
        Ok(StreamOwned::new(connection, stream))
    }
}

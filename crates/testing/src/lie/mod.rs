//! A liar in front of a real server: what changes the server is said to be done and never is, or is done and never said to be;
//! everything else passes. It knows just enough of the server's protocol to tell the one from the other.

pub(crate) mod host;
mod http;
mod ldap;
mod mariadb;
mod postgres;
mod tls;

use std::io::Read;
use std::net::{IpAddr, Shutdown, TcpStream};
use std::sync::atomic::AtomicBool;

pub use self::tls::BothEnds;
use crate::certificates::{Certificate, CertificateAuthority};

/// What becomes of a change.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Way {
    /// It is said to be made and is not.
    Undone,
    /// It is made, and the connection breaks instead of an answer.
    Unanswered,
}

/// Which protocol the server speaks.
#[derive(Debug)]
pub enum Lie {
    /// SCIM 2.0: changes are PATCH, PUT and DELETE.
    Scim,
    /// The query API of AWS: changes are told by the name of the action.
    AwsQuery,
    /// OpenBao's API: everything that writes and is no look-up.
    OpenBao,
    /// The same API, where everything is done and the token of this accessor is said to be unknown.
    OpenBaoHiding(String),
    /// LDAP within TLS: adding, deleting, modifying and renaming. The liar has the server's own certificate.
    Ldap(Box<BothEnds>),
    /// PostgreSQL without TLS: what is committed is taken back, and who asks for the end of sessions is told that it came.
    Postgres,
    /// MariaDB without TLS: statements that are put together and executed are not.
    Mariadb,
}

impl Lie {
    /// LDAP within TLS, with what the server has and the authority that signed it.
    ///
    /// # Panics
    /// Where the files cannot be used.
    pub fn ldap(certificate: &Certificate, authority: &CertificateAuthority, address: IpAddr) -> Self {
        Self::Ldap(Box::new(BothEnds::new(certificate, authority, address)))
    }

    /// Over HTTP: the answer to a request that would change something.
    pub(crate) fn answer(&self, request: &[u8]) -> Option<String> {
        let request = String::from_utf8_lossy(request);
        match self {
            Self::Scim => http::scim(&request),
            Self::AwsQuery => http::aws_query(&request),
            Self::OpenBao => http::open_bao(&request),
            Self::OpenBaoHiding(accessor) => http::open_bao_hiding(&request, accessor),
            Self::Ldap(_) | Self::Postgres | Self::Mariadb => None,
        }
    }

    /// Whether a connection is one request and its answer, or else a conversation.
    pub(crate) fn is_over_http(&self) -> bool {
        matches!(self, Self::Scim | Self::AwsQuery | Self::OpenBao | Self::OpenBaoHiding(_))
    }

    /// Passes a conversation on until either side ends it.
    pub(crate) fn converse(&self, way: Way, client: &TcpStream, server: &TcpStream) {
        // Said by whoever passes questions on to whoever passes answers on: what comes now is lost.
        let lost = AtomicBool::new(false);
        // Whoever leaves in the middle of a message ends the conversation, as does whoever leaves after one.
        let _ = match self {
            Self::Ldap(ends) => ldap::converse(ends, way, client, server),
            Self::Postgres => {
                both_ways(
                    client,
                    server,
                    || postgres::pass_questions(way, &lost, client, server),
                    || postgres::pass_answers(&lost, server, client),
                );
                Ok(())
            }
            Self::Mariadb => {
                both_ways(
                    client,
                    server,
                    || mariadb::pass_questions(way, &lost, client, server),
                    || mariadb::pass_answers(&lost, server, client),
                );
                Ok(())
            }
            Self::Scim | Self::AwsQuery | Self::OpenBao | Self::OpenBaoHiding(_) => {
                unreachable!("each request is answered by itself")
            }
        };
        let _ = (client.shutdown(Shutdown::Both), server.shutdown(Shutdown::Both));
    }
}

/// Passes both directions on at the same time, until one of them ends.
fn both_ways(
    client: &TcpStream,
    server: &TcpStream,
    there: impl FnOnce() -> std::io::Result<()>,
    back: impl FnOnce() -> std::io::Result<()> + Send,
) {
    std::thread::scope(|scope| {
        scope.spawn(move || {
            let _ = (back(), client.shutdown(Shutdown::Both), server.shutdown(Shutdown::Both));
        });
        let _ = (there(), server.shutdown(Shutdown::Both), client.shutdown(Shutdown::Both));
    });
}

/// Reads exactly so many bytes.
fn exactly(mut from: impl Read, count: usize) -> std::io::Result<Vec<u8>> {
    let mut bytes = vec![0; count];
    from.read_exact(&mut bytes)?;
    Ok(bytes)
}

//! LDAP (RFC 4511): one request after another, of which those that would change the directory are answered with success, or made
//! and answered by nothing.

use std::io::{Error, ErrorKind, Read, Result, Write};
use std::net::TcpStream;

use super::tls::BothEnds;
use super::{Way, exactly};

/// The tags of operations (RFC 4511, 4.2 and following).
mod tag {
    pub const UNBIND: u8 = 0x42;
    pub const MODIFY: u8 = 0x66;
    pub const ADD: u8 = 0x68;
    pub const DELETE: u8 = 0x4a;
    pub const MODIFY_DN: u8 = 0x6c;
    pub const ABANDON: u8 = 0x50;
    pub const SEARCH_ENTRY: u8 = 0x64;
    pub const SEARCH_REFERENCE: u8 = 0x73;
    pub const INTERMEDIATE: u8 = 0x79;
}

/// An `LDAPResult` of nothing but success: a result code of 0, no matched name and no message.
const SUCCESS: [u8; 7] = [0x0a, 1, 0, 4, 0, 4, 0];

/// One message: a sequence that begins with a number and goes on with an operation.
struct Message {
    bytes: Vec<u8>,
    /// The number, as it is encoded.
    id: Vec<u8>,
    operation: u8,
}

fn wrong() -> Error {
    Error::new(ErrorKind::InvalidData, "not a message of LDAP")
}

fn read_message(mut from: impl Read) -> Result<Message> {
    let mut bytes = exactly(&mut from, 2)?;
    let length = match bytes[1] {
        short @ 0..0x80 => usize::from(short),
        // The long form: how many bytes of length follow.
        long => {
            let more = exactly(&mut from, usize::from(long & 0x7f))?;
            bytes.extend_from_slice(&more);
            more.iter().fold(0, |length, byte| length << 8 | usize::from(*byte))
        }
    };
    let content = exactly(from, length)?;
    let id_length = usize::from(*content.get(1).ok_or_else(wrong)?) + 2;
    let id = content.get(..id_length).ok_or_else(wrong)?.to_vec();
    let operation = *content.get(id_length).ok_or_else(wrong)?;
    bytes.extend(content);
    Ok(Message { bytes, id, operation })
}

/// What says that a change was made; `None` where nothing is to be changed.
fn lie(request: &Message) -> Option<Vec<u8>> {
    let changes = [tag::MODIFY, tag::ADD, tag::MODIFY_DN, tag::DELETE];
    if !changes.contains(&request.operation) {
        return None;
    }
    // The answer's tag is the next of the application's tags, and is always a constructed one.
    let answer = (request.operation | 0x20) + 1;
    let operation = [&[answer, 7][..], &SUCCESS].concat();
    let length = u8::try_from(request.id.len() + operation.len()).ok()?;
    Some([&[0x30, length][..], &request.id, &operation].concat())
}

/// Passes a conversation on until the client takes leave. A connector has one request under way on a connection.
pub(super) fn converse(ends: &BothEnds, way: Way, client: &TcpStream, server: &TcpStream) -> Result<()> {
    let mut client = ends.with_client(client)?;
    let mut server = ends.with_server(server)?;
    loop {
        let request = read_message(&mut client)?;
        let change = lie(&request);
        if let Some(lie) = change.as_ref().filter(|_| way == Way::Undone) {
            client.write_all(lie)?;
            continue;
        }
        server.write_all(&request.bytes)?;
        match request.operation {
            tag::UNBIND => return Ok(()),
            tag::ABANDON => continue,
            _ => {}
        }
        loop {
            let answer = read_message(&mut server)?;
            if change.is_some() {
                return Ok(());
            }
            client.write_all(&answer.bytes)?;
            let more = [tag::SEARCH_ENTRY, tag::SEARCH_REFERENCE, tag::INTERMEDIATE];
            if answer.id == request.id && !more.contains(&answer.operation) {
                break;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_deletion_is_answered_and_a_search_is_not() {
        // Number 5 wants `cn=a` deleted; the answer is a `DelResponse` with the same number.
        let deletion = [0x30, 9, 2, 1, 5, 0x4a, 4, b'c', b'n', b'=', b'a'];
        let lie_about = |bytes: &[u8]| lie(&read_message(bytes).expect("a message"));
        let done = [0x30, 12, 2, 1, 5, 0x6b, 7, 0x0a, 1, 0, 4, 0, 4, 0];
        assert_eq!(lie_about(&deletion).expect("a lie"), done);
        assert_eq!(lie_about(&[0x30, 0x81, 5, 2, 1, 6, 0x63, 0]), None);
    }
}

//! MariaDB's protocol (its documentation, "Client/Server Protocol"), as far as a liar has to know it.
//!
//! Changes are statements that the server puts together and executes (`execute immediate`), alone or after what they need of the
//! session. In the place of each, one that does nothing is sent, which the server answers with success.

use std::io::{Error, Result, Write};
use std::net::TcpStream;

use super::{exactly, pass};

const QUERY: u8 = 3;
const CHANGE: &[u8] = b"execute immediate";
const NOTHING: &[u8] = b"do 0";

/// What is sent in the place of a packet. A command is the first packet of its exchange, which log-ins never begin.
fn harmless(sequence: u8, content: Vec<u8>) -> Vec<u8> {
    let is_question = sequence == 0 && content.first() == Some(&QUERY);
    let change = content.windows(CHANGE.len()).position(|found| found.eq_ignore_ascii_case(CHANGE));
    match change.filter(|_| is_question) {
        Some(change) => [&content[..change], NOTHING].concat(),
        None => content,
    }
}

/// Passes on what the client says: packets of a length (three bytes, the lowest first), a number in their exchange, and a content.
pub(super) fn pass_questions(client: &TcpStream, mut server: &TcpStream) -> Result<()> {
    loop {
        let head = exactly(client, 4)?;
        let length = u32::from_le_bytes([head[0], head[1], head[2], 0]);
        let content = exactly(client, usize::try_from(length).map_err(Error::other)?)?;
        let content = harmless(head[3], content);
        let length = u32::try_from(content.len()).map_err(Error::other)?.to_le_bytes();
        server.write_all(&[&length[..3], &head[3..], &content].concat())?;
    }
}

/// Passes on what the server says.
pub(super) fn pass_answers(server: &TcpStream, client: &TcpStream) -> Result<()> {
    pass(server, client)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_executed_is_not() {
        assert_eq!(harmless(0, b"\x03execute immediate concat('drop user ', @a)".to_vec()), b"\x03do 0");
        assert_eq!(harmless(0, b"\x03set @a = 1; EXECUTE IMMEDIATE @b".to_vec()), b"\x03set @a = 1; do 0");
        assert_eq!(harmless(0, b"\x03select 1".to_vec()), b"\x03select 1");
        assert_eq!(harmless(1, b"\x03execute immediate".to_vec()), b"\x03execute immediate");
    }
}

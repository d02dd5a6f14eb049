//! MariaDB's protocol (its documentation, "Client/Server Protocol"), as far as a liar has to know it.
//!
//! Changes are statements that the server puts together and executes (`execute immediate`), alone or after what they need of the
//! session. In the place of each, one that does nothing is sent, which the server answers with success; or it is executed, and
//! answered by nothing.

use std::io::{Error, Read, Result, Write};
use std::net::TcpStream;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use super::{Way, exactly};

const QUERY: u8 = 3;
const CHANGE: &[u8] = b"execute immediate";
const NOTHING: &[u8] = b"do 0";
/// The first of several statements is answered before the last is executed, which takes less than this.
const EXECUTES_WITHIN: Duration = Duration::from_millis(200);

/// Where a packet says that something is executed. A command is the first packet of its exchange, which log-ins never begin.
fn change(sequence: u8, content: &[u8]) -> Option<usize> {
    let is_question = sequence == 0 && content.first() == Some(&QUERY);
    let change = content.windows(CHANGE.len()).position(|found| found.eq_ignore_ascii_case(CHANGE));
    change.filter(|_| is_question)
}

/// What is sent in the place of a packet.
fn harmless(sequence: u8, content: Vec<u8>) -> Vec<u8> {
    match change(sequence, &content) {
        Some(change) => [&content[..change], NOTHING].concat(),
        None => content,
    }
}

/// Passes on what the client says: packets of a length (three bytes, the lowest first), a number in their exchange, and a content.
pub(super) fn pass_questions(
    way: Way,
    lost: &AtomicBool,
    client: &TcpStream,
    mut server: &TcpStream,
) -> Result<()> {
    loop {
        let head = exactly(client, 4)?;
        let length = u32::from_le_bytes([head[0], head[1], head[2], 0]);
        let content = exactly(client, usize::try_from(length).map_err(Error::other)?)?;
        let content = match way {
            Way::Undone => harmless(head[3], content),
            Way::Unanswered => {
                lost.fetch_or(change(head[3], &content).is_some(), Ordering::SeqCst);
                content
            }
        };
        let length = u32::try_from(content.len()).map_err(Error::other)?.to_le_bytes();
        server.write_all(&[&length[..3], &head[3..], &content].concat())?;
    }
}

/// Passes on what the server says, until that is lost.
pub(super) fn pass_answers(lost: &AtomicBool, mut server: &TcpStream, mut client: &TcpStream) -> Result<()> {
    let mut part = [0; 16 * 1024];
    loop {
        let read = server.read(&mut part)?;
        if lost.load(Ordering::SeqCst) {
            std::thread::sleep(EXECUTES_WITHIN);
            return Ok(());
        }
        if read == 0 {
            return Ok(());
        }
        client.write_all(&part[..read])?;
    }
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

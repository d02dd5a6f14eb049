//! PostgreSQL's protocol (its manual, "Frontend/Backend Protocol"), as far as a liar has to know it.
//!
//! Within its transaction a change shows, as whoever made it looks at once. It is the commit that becomes a rollback, and is
//! answered as a commit; or that is made, and answered by nothing.

use std::io::{Error, ErrorKind, Result, Write};
use std::net::TcpStream;
use std::sync::atomic::{AtomicBool, Ordering};

use super::{Way, exactly};

const QUERY: u8 = b'Q';
const PARSE: u8 = b'P';
const READY_FOR_QUERY: u8 = b'Z';
const COMMAND_COMPLETE: u8 = b'C';

/// What ends a session, and what only says so.
const ENDING: (&str, &str) = ("pg_terminate_backend(pid)", "pid is not null");

/// A message with a type: the length counts itself and what follows.
fn read_typed(from: &TcpStream) -> Result<(u8, Vec<u8>)> {
    let head = exactly(from, 5)?;
    Ok((head[0], exactly(from, content_length(&head[1..])?)?))
}

fn content_length(length: &[u8]) -> Result<usize> {
    let length = length.iter().fold(0, |length, byte| length << 8 | usize::from(*byte));
    length.checked_sub(4).ok_or_else(|| Error::new(ErrorKind::InvalidData, "a length below its own"))
}

fn write_typed(mut to: &TcpStream, kind: u8, content: &[u8]) -> Result<()> {
    let length = u32::try_from(content.len() + 4).map_err(Error::other)?;
    to.write_all(&[&[kind][..], &length.to_be_bytes(), content].concat())
}

fn commits(kind: u8, content: &[u8]) -> bool {
    kind == QUERY && content.eq_ignore_ascii_case(b"commit\0")
}

/// A question that changes nothing.
fn harmless(kind: u8, content: Vec<u8>) -> Vec<u8> {
    match kind {
        _ if commits(kind, &content) => b"rollback\0".to_vec(),
        // What follows the text are the types of its parameters, in which no text is.
        PARSE => replaced(content, ENDING),
        _ => content,
    }
}

fn replaced(content: Vec<u8>, (old, new): (&str, &str)) -> Vec<u8> {
    let old = old.as_bytes();
    match content.windows(old.len()).position(|window| window == old) {
        Some(at) => [&content[..at], new.as_bytes(), &content[at + old.len()..]].concat(),
        None => content,
    }
}

/// Passes on what the client says.
pub(super) fn pass_questions(
    way: Way,
    lost: &AtomicBool,
    client: &TcpStream,
    mut server: &TcpStream,
) -> Result<()> {
    // The first message has no type.
    let length = exactly(client, 4)?;
    let greeting = exactly(client, content_length(&length)?)?;
    server.write_all(&[length, greeting].concat())?;
    loop {
        let (kind, content) = read_typed(client)?;
        let content = match way {
            Way::Undone => harmless(kind, content),
            Way::Unanswered => {
                lost.fetch_or(commits(kind, &content), Ordering::SeqCst);
                content
            }
        };
        write_typed(server, kind, &content)?;
    }
}

/// Passes on what the server says, until that is lost.
pub(super) fn pass_answers(lost: &AtomicBool, server: &TcpStream, client: &TcpStream) -> Result<()> {
    loop {
        let (kind, content) = read_typed(server)?;
        if lost.load(Ordering::SeqCst) {
            if kind == READY_FOR_QUERY {
                return Ok(());
            }
            continue;
        }
        let content = match (kind, content.as_slice()) {
            (COMMAND_COMPLETE, b"ROLLBACK\0") => b"COMMIT\0".to_vec(),
            _ => content,
        };
        write_typed(client, kind, &content)?;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_commit_is_taken_back_and_no_session_ends() {
        assert_eq!(harmless(QUERY, b"commit\0".to_vec()), b"rollback\0");
        assert_eq!(harmless(QUERY, b"begin\0".to_vec()), b"begin\0");
        let ending = b"\0select pg_terminate_backend(pid) from pg_stat_activity\0\0\0".to_vec();
        assert_eq!(harmless(PARSE, ending), b"\0select pid is not null from pg_stat_activity\0\0\0");
    }
}

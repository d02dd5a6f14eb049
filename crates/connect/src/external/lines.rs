//! Lines of bounded length out of a pipe.

use tokio::io::{AsyncBufRead, AsyncBufReadExt};

/// No message is longer. A program that writes more without a line break is not talking to us.
pub(super) const LINE_BYTES_MAX: usize = 1 << 20;

/// What came out of the pipe.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Line {
    /// A whole line is in the buffer, without its line break.
    Whole,
    /// The pipe was closed after the last whole line.
    End,
    /// The pipe was closed in the middle of a line.
    Cut,
    /// The line is longer than [`LINE_BYTES_MAX`]; what came of it is dropped.
    TooLong,
}

/// Reads a line into the buffer, which is emptied first. Memory stays within the longest line.
///
/// # Errors
/// Where the pipe cannot be read.
pub(super) async fn read(
    pipe: &mut (impl AsyncBufRead + Unpin),
    buffer: &mut Vec<u8>,
) -> std::io::Result<Line> {
    buffer.clear();
    loop {
        let chunk = pipe.fill_buf().await?;
        if chunk.is_empty() {
            return Ok(if buffer.is_empty() { Line::End } else { Line::Cut });
        }
        let end = memchr::memchr(b'\n', chunk);
        let taken = end.unwrap_or(chunk.len());
        if buffer.len() + taken > LINE_BYTES_MAX {
            buffer.clear();
            return Ok(Line::TooLong);
        }
        buffer.extend_from_slice(&chunk[..taken]);
        pipe.consume(taken + usize::from(end.is_some()));
        if end.is_some() {
            if buffer.last() == Some(&b'\r') {
                buffer.pop();
            }
            return Ok(Line::Whole);
        }
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::BufReader;

    use super::*;

    #[tokio::test]
    async fn a_line_is_whole_or_it_is_none() {
        let longest = "x".repeat(LINE_BYTES_MAX);
        let cases: [(&str, Vec<Line>); 6] = [
            ("", vec![Line::End]),
            ("a\n\nb\r\n", vec![Line::Whole, Line::Whole, Line::Whole, Line::End]),
            ("a\nb", vec![Line::Whole, Line::Cut]),
            (&format!("{longest}\n"), vec![Line::Whole, Line::End]),
            (&format!("{longest}y\n"), vec![Line::TooLong]),
            (&format!("{longest}{longest}"), vec![Line::TooLong]),
        ];
        for (text, expected) in cases {
            // A buffer smaller than the lines, so that they come in pieces.
            let mut pipe = BufReader::with_capacity(7, text.as_bytes());
            let mut buffer = Vec::new();
            for line in expected {
                let of = text.len().min(20);
                assert_eq!(read(&mut pipe, &mut buffer).await.unwrap(), line, "{:?}", &text[..of]);
            }
        }
    }
}

//! The floor under everything over HTTP: a server that reads a request and writes the same answer, and does nothing else.

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};

/// Serves answers with a body of `bytes` bytes until the process is ended.
pub async fn serve(bytes: usize) -> anyhow::Result<()> {
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    println!("raw responder serves http://{}", listener.local_addr()?);
    let body = "x".repeat(bytes);
    let answer =
        format!("HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: {bytes}\r\n\r\n{body}");
    let answer: &'static [u8] = Box::leak(answer.into_bytes().into_boxed_slice());
    loop {
        let (stream, _) = listener.accept().await?;
        stream.set_nodelay(true)?;
        tokio::spawn(converse(stream, answer));
    }
}

async fn converse(mut stream: TcpStream, answer: &'static [u8]) -> std::io::Result<()> {
    let mut buffer = Vec::with_capacity(4096);
    loop {
        // A request without a body ends with an empty line.
        while let Some(end) = buffer.windows(4).position(|four| four == b"\r\n\r\n") {
            buffer.drain(..end + 4);
            stream.write_all(answer).await?;
        }
        if stream.read_buf(&mut buffer).await? == 0 {
            return Ok(());
        }
    }
}

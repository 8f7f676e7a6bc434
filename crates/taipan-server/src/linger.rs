//! The end of a connection on which the client may still be sending.
//!
//! Whoever answers before all of a request is there and closes has the kernel tell the client that nobody listens ("connection reset"),
//! which takes the answer away from it if it has not read that yet. So our side is closed first, and what comes is read and
//! thrown away: until the client closes, too, for a while and up to a size.

use std::io;
use std::mem::MaybeUninit;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::{Sleep, sleep};

use crate::conduct::Conduct;

/// So much is thrown away.
const MOST: usize = 64 << 20;
/// The time that it has.
const TIME: Duration = Duration::from_secs(2);

pub(crate) struct Lingering<S> {
    stream: S,
    conduct: Arc<Conduct>,
    end: Option<End>,
}

/// Our side is closed.
struct End {
    /// Something is to come.
    is_waiting: bool,
    thrown_away: usize,
    time: Pin<Box<Sleep>>,
}

impl<S> Lingering<S> {
    pub(crate) fn new(stream: S, conduct: Arc<Conduct>) -> Self {
        Self { stream, conduct, end: None }
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> AsyncRead for Lingering<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_read(cx, buf)
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> AsyncWrite for Lingering<S> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(cx, buf)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write_vectored(cx, bufs)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let Self { stream, conduct, end } = &mut *self;
        let end = match end {
            Some(end) => end,
            None => {
                ready!(Pin::new(&mut *stream).poll_shutdown(cx))?;
                end.insert(End {
                    is_waiting: conduct.has_unread(),
                    thrown_away: 0,
                    time: Box::pin(sleep(TIME)),
                })
            }
        };
        let mut bytes = [MaybeUninit::uninit(); 16 << 10];
        while end.thrown_away < MOST && end.time.as_mut().poll(cx).is_pending() {
            let mut buffer = ReadBuf::uninit(&mut bytes);
            match Pin::new(&mut *stream).poll_read(cx, &mut buffer) {
                Poll::Ready(Ok(())) if !buffer.filled().is_empty() => {
                    // What hyper has refused: there may be more of it.
                    end.is_waiting = true;
                    end.thrown_away += buffer.filled().len();
                }
                Poll::Pending if end.is_waiting => return Poll::Pending,
                _ => break,
            }
        }
        Poll::Ready(Ok(()))
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

    use super::*;

    #[tokio::test]
    async fn a_client_that_is_sending_is_heard_out_and_others_are_not_waited_for() {
        let (mut client, server) = tokio::io::duplex(1000);
        let conduct = Arc::new(Conduct::default());
        conduct.note_unread(true);
        let mut server = Lingering::new(server, conduct.clone());
        server.write_all(b"answer").await.unwrap();
        let closed = tokio::spawn(async move { server.shutdown().await });
        client.write_all(&[0; 100_000]).await.unwrap();
        let mut answer = String::new();
        client.read_to_string(&mut answer).await.unwrap();
        assert_eq!(answer, "answer");
        drop(client);
        closed.await.unwrap().unwrap();

        let (_client, server) = tokio::io::duplex(1000);
        conduct.note_unread(false);
        Lingering::new(server, conduct).shutdown().await.unwrap();
    }

    #[tokio::test]
    async fn neither_silence_nor_a_flood_lasts_for_ever() {
        for floods in [false, true] {
            let (mut client, server) = tokio::io::duplex(1 << 20);
            let conduct = Arc::new(Conduct::default());
            conduct.note_unread(true);
            let flood = tokio::spawn(async move {
                while floods && client.write_all(&[0; 1 << 20]).await.is_ok() {}
                // Stays open until then.
                client
            });
            Lingering::new(server, conduct).shutdown().await.unwrap();
            drop(flood.await.unwrap());
        }
    }
}

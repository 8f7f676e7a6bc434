//! A part of a file on its way out, read as it is taken.

use std::io::{self, Read as _, Seek as _};
use std::ops::Range;
use std::task::{Context, Poll, ready};
use std::{future::Future as _, pin::Pin};

use bytes::Bytes;
use fs_err as fs;
use taipan_bindings::BodySource;
use tokio::runtime::Handle;
use tokio::task::JoinHandle;

/// So much is read at a time.
pub(super) const PIECE: u64 = 256 << 10;

type Step = io::Result<(fs::File, Bytes)>;

pub(crate) struct FileBody {
    executor: Handle,
    /// Here while nothing is being read.
    file: Option<fs::File>,
    reading: Option<JoinHandle<Step>>,
    left: u64,
    length: u64,
}

impl FileBody {
    pub(super) fn new(mut file: fs::File, range: Range<u64>, executor: Handle) -> io::Result<Self> {
        file.seek(io::SeekFrom::Start(range.start))?;
        let length = range.end - range.start;
        Ok(Self { executor, file: Some(file), reading: None, left: length, length })
    }
}

/// Reads so many bytes, all of them.
pub(super) fn read(file: &mut fs::File, length: u64) -> io::Result<Bytes> {
    let mut bytes = Vec::with_capacity(usize::try_from(length).unwrap_or_default());
    file.take(length).read_to_end(&mut bytes)?;
    if bytes.len() as u64 != length {
        return Err(io::Error::new(
            io::ErrorKind::UnexpectedEof,
            "the file became shorter while it was read",
        ));
    }
    Ok(bytes.into())
}

impl BodySource for FileBody {
    fn poll_chunk(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Bytes, String>>> {
        if let Some(mut file) = self.file.take() {
            if self.left == 0 {
                return Poll::Ready(None);
            }
            let length = self.left.min(PIECE);
            self.reading = Some(self.executor.spawn_blocking(move || {
                let bytes = read(&mut file, length)?;
                Ok((file, bytes))
            }));
        }
        let Some(reading) = &mut self.reading else { return Poll::Ready(None) };
        let step = ready!(Pin::new(reading).poll(cx));
        self.reading = None;
        match step {
            Ok(Ok((file, bytes))) => {
                self.file = Some(file);
                self.left -= bytes.len() as u64;
                Poll::Ready(Some(Ok(bytes)))
            }
            Ok(Err(error)) => Poll::Ready(Some(Err(error.to_string()))),
            Err(_) => Poll::Ready(Some(Err("the process is about to end".to_owned()))),
        }
    }

    fn length(&self) -> Option<u64> {
        Some(self.length)
    }
}

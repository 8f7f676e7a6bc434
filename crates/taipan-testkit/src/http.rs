//! A blocking HTTP/1.1 client over one kept-alive connection.

use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::thread;
use std::time::Duration;

use anyhow::{Context, Result, bail};

/// Bodies below this size fit into any socket buffer and need no thread of their own while they are sent.
const SMALL: usize = 16 << 10;

/// One request.
#[derive(Clone, Debug, Default)]
pub struct Request {
    /// The method.
    pub method: String,
    /// Path and query.
    pub path: String,
    /// Header names and values, beside those that frame the body; `host` is the server's address when it is not among them.
    pub headers: Vec<(String, String)>,
    /// The body, if any.
    pub body: Vec<u8>,
    /// Whether the body is sent in chunks instead of with its length.
    pub chunked: bool,
}

impl Request {
    /// A `GET` request without headers or body.
    pub fn get(path: &str) -> Self {
        Self { method: "GET".into(), path: path.into(), ..Self::default() }
    }

    fn write(&self, to: &mut TcpStream) -> io::Result<()> {
        let host = to.peer_addr()?;
        let mut head = format!("{} {} HTTP/1.1\r\n", self.method, self.path);
        if !self.headers.iter().any(|(name, _)| name == "host") {
            head += &format!("host: {host}\r\n");
        }
        for (name, value) in &self.headers {
            head += &format!("{name}: {value}\r\n");
        }
        if self.chunked {
            head += "transfer-encoding: chunked\r\n\r\n";
            to.write_all(head.as_bytes())?;
            for chunk in self.body.chunks(SMALL) {
                to.write_all(format!("{:x}\r\n", chunk.len()).as_bytes())?;
                to.write_all(chunk)?;
                to.write_all(b"\r\n")?;
            }
            to.write_all(b"0\r\n\r\n")
        } else {
            if !self.body.is_empty() || self.method == "POST" || self.method == "PUT" {
                head += &format!("content-length: {}\r\n", self.body.len());
            }
            head += "\r\n";
            to.write_all(head.as_bytes())?;
            to.write_all(&self.body)
        }
    }
}

/// One response, read to its end.
#[derive(Clone, Debug)]
pub struct Response {
    /// The status code.
    pub status: u16,
    /// Header names, in lower case, and values, in the order received.
    pub headers: Vec<(String, String)>,
    /// The body.
    pub body: Vec<u8>,
}

impl Response {
    /// The first value of a header; `name` in lower case.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(n, _)| n == name).map(|(_, value)| value.as_str())
    }

    /// The body as text, with replacement characters where it is not UTF-8.
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }
}

/// A client that keeps its connection for the next request, and reconnects when the server closed it.
pub struct Client {
    server: SocketAddr,
    timeout: Duration,
    connection: Option<BufReader<TcpStream>>,
}

impl Client {
    /// A client of the server on this port of the loopback interface; `timeout` bounds every read and write.
    pub fn new(port: u16, timeout: Duration) -> Self {
        Self { server: SocketAddr::from(([127, 0, 0, 1], port)), timeout, connection: None }
    }

    fn connect(&self) -> Result<BufReader<TcpStream>> {
        let stream = TcpStream::connect_timeout(&self.server, self.timeout)
            .with_context(|| format!("cannot connect to {}", self.server))?;
        stream.set_read_timeout(Some(self.timeout))?;
        stream.set_write_timeout(Some(self.timeout))?;
        stream.set_nodelay(true)?;
        Ok(BufReader::new(stream))
    }

    /// Sends a request and reads its response.
    pub fn send(&mut self, request: &Request) -> Result<Response> {
        let mut connection = match self.connection.take() {
            Some(connection) => connection,
            None => self.connect()?,
        };
        let (response, reusable) = exchange(&mut connection, request)
            .with_context(|| format!("request failed: {} {}", request.method, request.path))?;
        if reusable {
            self.connection = Some(connection);
        }
        Ok(response)
    }

    /// Sends bytes as they are, on a connection of their own, and reads what comes back as a response.
    pub fn send_raw(&self, bytes: &[u8]) -> Result<Response> {
        let mut connection = self.connect()?;
        connection.get_mut().write_all(bytes)?;
        Ok(read_response(&mut connection, false)?.0)
    }

    /// Sends bytes as they are, on a connection of their own, and gives the head of the answer, and what follows it when
    /// that is another protocol.
    pub fn upgrade(&self, bytes: &[u8]) -> Result<(Response, BufReader<TcpStream>)> {
        let mut connection = self.connect()?;
        connection.get_mut().write_all(bytes)?;
        Ok((read_response(&mut connection, false)?.0, connection))
    }

    /// Sends bytes as they are, on a connection of their own, and reads until the answer has the text in it.
    pub fn send_until(&self, bytes: &[u8], text: &str) -> Result<BufReader<TcpStream>> {
        let mut connection = self.connect()?;
        connection.get_mut().write_all(bytes)?;
        read_until(&mut connection, text)?;
        Ok(connection)
    }

    /// Sends bytes as they are, on a connection of their own, and closes it.
    pub fn send_and_leave(&self, bytes: &[u8]) -> Result<()> {
        Ok(self.connect()?.get_mut().write_all(bytes)?)
    }
}

/// Reads until the text has come.
pub fn read_until(from: &mut impl Read, text: &str) -> Result<()> {
    let mut received = Vec::new();
    let mut byte = [0];
    while !received.ends_with(text.as_bytes()) {
        if from.read(&mut byte).with_context(|| format!("this does not come: {text}"))? == 0 {
            bail!("the answer ended without {text}: {}", String::from_utf8_lossy(&received));
        }
        received.extend(byte);
    }
    Ok(())
}

/// Reads a response to something else than `HEAD`.
pub fn read_answer(from: &mut impl BufRead) -> Result<Response> {
    Ok(read_response(from, false)?.0)
}

/// A server may stream its answer while it still reads, so a large body is sent beside the reading.
fn exchange(connection: &mut BufReader<TcpStream>, request: &Request) -> Result<(Response, bool)> {
    let head_only = request.method == "HEAD";
    if request.body.len() < SMALL {
        request.write(connection.get_mut())?;
        return read_response(connection, head_only);
    }
    let mut writer = connection.get_ref().try_clone()?;
    thread::scope(|scope| {
        let sending = scope.spawn(move || request.write(&mut writer));
        let received = read_response(connection, head_only);
        if received.is_err() {
            // Wakes a writer that waits for a server that has stopped reading.
            let _ = connection.get_ref().shutdown(std::net::Shutdown::Both);
        }
        let sent = sending.join().map_err(|_| anyhow::anyhow!("the sending thread panicked"))?;
        let (response, reusable) = received?;
        // A server may answer and close without reading the rest of the body; the connection is then spent.
        Ok((response, reusable && sent.is_ok()))
    })
}

fn read_response(from: &mut impl BufRead, head_only: bool) -> Result<(Response, bool)> {
    loop {
        let (status, headers) = read_head(from)?;
        if (100..200).contains(&status) && status != 101 {
            continue;
        }
        let mut response = Response { status, headers, body: Vec::new() };
        let has = |name: &str, token: &str| {
            response.header(name).is_some_and(|v| v.split(',').any(|t| t.trim().eq_ignore_ascii_case(token)))
        };
        let mut reusable = !has("connection", "close");
        if head_only || status == 101 || status == 204 || status == 304 {
        } else if has("transfer-encoding", "chunked") {
            response.body = read_chunks(from)?;
        } else if let Some(length) = response.header("content-length") {
            let length: usize = length.parse().with_context(|| format!("wrong content-length: {length}"))?;
            response.body = vec![0; length];
            from.read_exact(&mut response.body).context("the body ended early")?;
        } else {
            from.read_to_end(&mut response.body).context("cannot read the body")?;
            reusable = false;
        }
        return Ok((response, reusable));
    }
}

fn read_head(from: &mut impl BufRead) -> Result<(u16, Vec<(String, String)>)> {
    let mut head = Vec::new();
    loop {
        let length = from.read_until(b'\n', &mut head).context("no response")?;
        if length == 0 {
            bail!("the server closed the connection instead of answering");
        }
        if length <= 2 && head.ends_with(b"\n\r\n") {
            break;
        }
    }
    let mut headers = [httparse::EMPTY_HEADER; 100];
    let mut parsed = httparse::Response::new(&mut headers);
    parsed.parse(&head).context("not an HTTP response")?;
    let status = parsed.code.context("no status code")?;
    let headers = parsed
        .headers
        .iter()
        .map(|h| (h.name.to_ascii_lowercase(), String::from_utf8_lossy(h.value).into_owned()))
        .collect();
    Ok((status, headers))
}

fn read_chunks(from: &mut impl BufRead) -> Result<Vec<u8>> {
    let mut body = Vec::new();
    loop {
        let mut line = String::new();
        from.read_line(&mut line).context("the body ended early")?;
        let size = line.trim_end().split(';').next().unwrap_or_default();
        let size = u64::from_str_radix(size, 16).with_context(|| format!("wrong chunk size: {line:?}"))?;
        if size == 0 {
            // No trailers are expected: one empty line ends the body.
            from.read_line(&mut line).context("the body ended early")?;
            return Ok(body);
        }
        let before = body.len() as u64;
        from.by_ref().take(size).read_to_end(&mut body).context("the body ended early")?;
        from.read_line(&mut line).context("the body ended early")?;
        if body.len() as u64 != before + size {
            bail!("the body ended inside a chunk");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(bytes: &str) -> Result<(Response, bool)> {
        read_response(&mut bytes.as_bytes(), false)
    }

    #[test]
    fn reads_each_framing() {
        let (r, reusable) = read("HTTP/1.1 200 OK\r\nContent-Length: 2\r\nX-A: 1\r\n\r\nhiHTTP/1.1").unwrap();
        assert_eq!((r.status, r.text().as_str(), r.header("x-a"), reusable), (200, "hi", Some("1"), true));
        let (r, reusable) =
            read("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n2;x=y\r\nde\r\n0\r\n\r\n")
                .unwrap();
        assert_eq!((r.text().as_str(), reusable), ("abcde", true));
        let (r, reusable) = read("HTTP/1.1 200 OK\r\nConnection: close\r\n\r\nrest").unwrap();
        assert_eq!((r.text().as_str(), reusable), ("rest", false));
        let (r, _) = read("HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 204 No Content\r\n\r\n").unwrap();
        assert_eq!(r.status, 204);
    }

    #[test]
    fn a_truncated_response_is_an_error() {
        for bytes in [
            "",
            "HTTP/1.1 200 OK\r\n",
            "HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nab",
            "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nab",
            "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n",
            "nonsense\r\n\r\n",
        ] {
            assert!(read(bytes).is_err(), "{bytes:?}");
        }
    }
}

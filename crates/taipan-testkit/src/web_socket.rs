//! A WebSocket client that says exactly what a test tells it to.

use std::io::{BufReader, Read, Write};
use std::net::TcpStream;

use anyhow::{Context, Result, bail};

use crate::case::{SocketStep, Talk};
use crate::check;
use crate::http::Client;

const TEXT: u8 = 1;
const CLOSE: u8 = 8;
const PING: u8 = 9;
const PONG: u8 = 10;

/// Holds the step's conversation.
pub fn converse(client: &Client, step: &SocketStep) -> Result<()> {
    let mut head = format!(
        "GET {} HTTP/1.1\r\nhost: localhost\r\nconnection: keep-alive, Upgrade\r\nupgrade: websocket\r\n\
         sec-websocket-version: 13\r\nsec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==\r\n",
        step.socket
    );
    for (name, value) in &step.headers {
        head += &format!("{name}: {value}\r\n");
    }
    let (response, mut connection) = client.upgrade((head + "\r\n").as_bytes())?;
    check::response(&response, &step.expect, &[])?;
    if response.status == 101
        && response.header("sec-websocket-accept") != Some("s3pPLMBiTxaQ9kYGzzhZRbK+xOo=")
    {
        bail!("the handshake's answer is wrong: {:?}", response.header("sec-websocket-accept"));
    }
    for (index, talk) in step.talk.iter().enumerate() {
        one(&mut connection, talk).with_context(|| format!("talk {}: {talk:?}", index + 1))?;
    }
    Ok(())
}

fn one(connection: &mut BufReader<TcpStream>, talk: &Talk) -> Result<()> {
    match talk {
        Talk::Send(text) => send(connection, TEXT, text.as_bytes()),
        Talk::SendHex(frame) => Ok(connection.get_mut().write_all(&unhex(frame)?)?),
        Talk::SendDrip(frame) => {
            for byte in unhex(frame)? {
                connection.get_mut().write_all(&[byte])?;
            }
            Ok(())
        }
        Talk::SendRepeat(repeat) => send(connection, 2, &repeat.bytes()),
        Talk::Ping(text) => send(connection, PING, text.as_bytes()),
        Talk::Close(code, reason) => {
            send(connection, CLOSE, &[&code.to_be_bytes(), reason.as_bytes()].concat())
        }
        Talk::Receive(text) => check::text(&expect(connection, TEXT)?, text, &[]),
        Talk::ReceiveRepeat(repeat) => {
            if expect(connection, 2)? != repeat.bytes() {
                bail!("other bytes");
            }
            Ok(())
        }
        Talk::ReceiveHex(frame) => {
            let expected = unhex(frame)?;
            let mut found = vec![0; expected.len()];
            connection.read_exact(&mut found).context("too little came")?;
            if found != expected {
                bail!("other bytes: {found:02x?}");
            }
            Ok(())
        }
        Talk::Pong(text) => {
            if expect(connection, PONG)? != text.as_bytes() {
                bail!("another pong");
            }
            Ok(())
        }
        Talk::Closed(code, reason) => {
            let payload = expect(connection, CLOSE)?;
            let (found, why) = payload.split_at_checked(2).unwrap_or_default();
            let found = found.try_into().map_or(1005, u16::from_be_bytes);
            if found != *code || why != reason.as_bytes() {
                bail!("closed with {found}: {}", String::from_utf8_lossy(why));
            }
            Ok(())
        }
        Talk::End => {
            if connection.read(&mut [0])? != 0 {
                bail!("there is more");
            }
            Ok(())
        }
    }
}

/// Sends a frame whose mask is 0, which changes nothing.
fn send(connection: &mut BufReader<TcpStream>, opcode: u8, payload: &[u8]) -> Result<()> {
    let mut frame = vec![0x80 | opcode];
    match (u8::try_from(payload.len()), u16::try_from(payload.len())) {
        (Ok(short @ 0..=125), _) => frame.push(0x80 | short),
        (_, Ok(length)) => {
            frame.push(0x80 | 126);
            frame.extend(length.to_be_bytes());
        }
        _ => {
            frame.push(0x80 | 127);
            frame.extend((payload.len() as u64).to_be_bytes());
        }
    }
    frame.extend([0; 4]);
    frame.extend(payload);
    Ok(connection.get_mut().write_all(&frame)?)
}

/// The payload of the next frame, which must be whole, plain and of this kind.
fn expect(connection: &mut BufReader<TcpStream>, opcode: u8) -> Result<Vec<u8>> {
    let mut head = [0; 2];
    connection.read_exact(&mut head).context("no frame")?;
    let [first, second] = head;
    let length = match second {
        126 => {
            let mut length = [0; 2];
            connection.read_exact(&mut length)?;
            usize::from(u16::from_be_bytes(length))
        }
        127 => {
            let mut length = [0; 8];
            connection.read_exact(&mut length)?;
            usize::try_from(u64::from_be_bytes(length))?
        }
        short => usize::from(short),
    };
    let mut payload = vec![0; length];
    connection.read_exact(&mut payload).context("half a frame")?;
    if first != 0x80 | opcode {
        bail!("another frame: first byte {first:#x}, {}", String::from_utf8_lossy(&payload));
    }
    Ok(payload)
}

fn unhex(text: &str) -> Result<Vec<u8>> {
    let digits: Vec<char> = text.chars().filter(|c| !c.is_whitespace()).collect();
    digits
        .chunks(2)
        .map(|pair| u8::from_str_radix(&String::from_iter(pair), 16).context("not hexadecimal"))
        .collect()
}

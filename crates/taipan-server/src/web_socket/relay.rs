//! A WebSocket between two isolates of this process: neither handshake nor frames.

use std::future::poll_fn;
use std::task::{Context, Poll};

use taipan_bindings::{Closed, Connection, Outgoing};

/// What one side has said last.
enum End {
    Close { code: Option<u16>, reason: String },
    Abandoned,
}

/// Carries messages in both directions until a side says goodbye or is gone. A side that does not keep up holds the other one back.
pub(crate) async fn relay(mut one: Connection, mut other: Connection) {
    let (is_one, end) = poll_fn(|cx| {
        loop {
            let moved = [carry(cx, &mut one, &mut other), carry(cx, &mut other, &mut one)];
            match moved {
                [Poll::Ready(Some(end)), _] => return Poll::Ready((true, end)),
                [_, Poll::Ready(Some(end))] => return Poll::Ready((false, end)),
                [Poll::Pending, Poll::Pending] => return Poll::Pending,
                _ => {}
            }
        }
    })
    .await;
    let (from, mut to) = if is_one { (one, other) } else { (other, one) };
    // Dropped, a connection has broken off.
    if let End::Close { code, reason } = end {
        let closed = Closed { code: code.unwrap_or(1005), reason, was_clean: true };
        answer(&mut to, from, closed.clone()).await;
        to.end(closed);
    }
}

/// Moves what `from` has for `to`, as far as that has room. Ready without an end: something has changed.
fn carry(cx: &mut Context<'_>, from: &mut Connection, to: &mut Connection) -> Poll<Option<End>> {
    match from.poll_outgoing(cx, to.has_room(), !from.has_room()) {
        Poll::Pending => Poll::Pending,
        // The guest of `from` keeps up again, which `to` waits for.
        Poll::Ready(None) => Poll::Ready(None),
        Poll::Ready(Some(Outgoing::Message(message))) => {
            to.deliver(message);
            Poll::Ready(None)
        }
        Poll::Ready(Some(Outgoing::Close { code, reason })) => Poll::Ready(Some(End::Close { code, reason })),
        Poll::Ready(Some(Outgoing::Abandoned)) => Poll::Ready(Some(End::Abandoned)),
    }
}

/// The side that closes gets what was sent to it before, then the same goodbye.
async fn answer(to: &mut Connection, mut from: Connection, closed: Closed) {
    poll_fn(|cx| {
        while let Poll::Ready(Some(Outgoing::Message(message))) = to.poll_outgoing(cx, true, false) {
            from.deliver(message);
        }
        Poll::Ready(())
    })
    .await;
    from.end(closed);
}

"""The host's operations on requests, responses and WebSockets; `taipan-guest/src/ops.rs` says what they take and give."""

from __future__ import annotations

from _taipan_loop import async_op, op

respond = op("http.respond")
read = async_op("http.read")
write = async_op("http.write")
close = op("http.close")
abort = op("http.abort")
fail = op("http.fail")
done = op("http.done")
gone = async_op("http.gone")

upgrade = op("ws.upgrade")
receive = async_op("ws.receive")
send = op("ws.send")
drained = async_op("ws.drained")
close_socket = op("ws.close")

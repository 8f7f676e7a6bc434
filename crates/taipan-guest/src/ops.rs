//! The table of operations that the guest can ask of the host.
//!
//! An operation has a number, which is its position in [`OPS`]; guest JavaScript finds the number by
//! name once, at start. Appending is compatible, reordering is not: snapshots hold the numbers.

/// One operation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct OpDecl {
    /// The name that guest code uses, `module.verb`.
    pub name: &'static str,
    /// Whether the guest waits for the answer as a promise (`true`) or on the spot (`false`).
    pub is_async: bool,
}

const fn sync(name: &'static str) -> OpDecl {
    OpDecl { name, is_async: false }
}

const fn later(name: &'static str) -> OpDecl {
    OpDecl { name, is_async: true }
}

/// Every operation, in the order of its number. The comment gives fields in → fields out.
pub const OPS: &[OpDecl] = &[
    // href, base or null → href, protocol, username, password, host, hostname, port, pathname, search, hash, origin
    sync("url.parse"),
    // href, part ("href" | "protocol" | "username" | …), value → as `url.parse`
    sync("url.set"),
    // label → the encoding's canonical lower-case name; fails with RangeError for an unknown label
    sync("text.label"),
    // canonical name, bytes, fatal (0 | 1), keep byte order mark (0 | 1) → string; fails with TypeError when fatal. With a further field, how many
    // bytes at the end are no whole character yet, too
    sync("text.decode"),
    // request, status, status text, body (null | bytes | number: -1 = stream follows, else the fetch whose body it is), then
    // name, value, … → nothing
    sync("http.respond"),
    // request → bytes, or nothing at the end of the body
    later("http.read"),
    // request, bytes → nothing, once the client's connection has room for more
    later("http.write"),
    // request, then name, value, … of trailers → nothing; ends a streamed body
    sync("http.close"),
    // request, message → nothing; breaks a streamed body off
    sync("http.abort"),
    // request, report as JSON (see `protocol::Failure`) → nothing; the handler failed before it responded
    sync("http.fail"),
    // request → nothing; the handler has returned and everything given to waitUntil has settled
    sync("http.done"),
    // volume, path below it → kind (1 file, 2 folder), size in bytes, milliseconds since the epoch; fails when there is none
    sync("files.stat"),
    // volume, path of a folder → names
    sync("files.list"),
    // Nothing performs it any more, as files are read without a message (`read_at`); the number stays taken
    sync("files.read"),
    // most bytes → bytes from standard input, none at its end. Only for programs, which may wait
    sync("program.input"),
    // 1 (standard output) or 2 (standard error), bytes → nothing
    sync("program.output"),
    // status → nothing; the program has ended
    sync("program.exit"),
    // request, then name, value, … of headers → socket; the answer to the request is a WebSocket
    sync("ws.upgrade"),
    // URL, then name, value, … of headers → socket, then name, value, … of the response's headers
    later("ws.connect"),
    // socket → string or bytes (a message), or code, reason, was clean (the end, after which the number means nothing)
    later("ws.receive"),
    // socket, string or bytes → how many bytes wait for the peer; nothing when the socket is closed
    sync("ws.send"),
    // socket → how many bytes wait for the peer
    sync("ws.buffered"),
    // socket, code or null, reason → nothing; begins the closing handshake
    sync("ws.close"),
    // binding, key, "text" | "bytes" → value (string | bytes), metadata as JSON or null; nothing when the key is not there
    later("kv.get"),
    // binding, key → blob, its length, metadata as JSON or null; nothing when the key is not there
    later("kv.open"),
    // binding, key, … → for each: value as text or null, metadata as JSON or null
    later("kv.many"),
    // binding, key, value (string | bytes | number of a blob), metadata as JSON or null, "at" | "after" | null, seconds → nothing
    later("kv.put"),
    // binding, key, … → nothing
    later("kv.delete"),
    // binding, prefix, limit or null, cursor or null → cursor or null, then key, end in seconds or null, metadata or null, …
    later("kv.list"),
    // binding, JSON list of [SQL, parameters] → JSON list of what each gave (see `taipan-bindings/src/ops/d1.rs`)
    later("d1.run"),
    // binding, SQL → count of statements, milliseconds
    later("d1.script"),
    // binding → bookmark
    sync("d1.bookmark"),
    // nothing → blob: bytes that the guest writes piece by piece and does not keep
    sync("blob.new"),
    // blob, bytes → nothing, once there is room for more
    later("blob.write"),
    // blob → bytes, or nothing at its end
    later("blob.read"),
    // blob → nothing; it is not needed any more
    sync("blob.drop"),
    // request it is made for, method, URL, redirect ("follow" | "manual" | "error"), decode (0 | 1), body (null | bytes |
    // number -1 = stream follows), then name, value, … of headers → fetch
    sync("fetch.open"),
    // fetch → status, status text, URL, redirected (0 | 1), body's length (null no body, -1 unknown), then name, value, …
    later("fetch.response"),
    // fetch → bytes, or nothing at the end of the response's body
    later("fetch.read"),
    // fetch, bytes → nothing, once there is room for more of the request's body
    later("fetch.write"),
    // fetch, null or a message → nothing; ends the request's body, or breaks it off
    sync("fetch.end"),
    // fetch → nothing; whatever is left of it is not wanted
    sync("fetch.cancel"),
    // request → nothing, once its client has gone away or the request is over
    later("http.gone"),
    // socket → nothing, once the peer has taken most of what was sent, or the connection has ended
    later("ws.drained"),
    // host, port, secure (0 | 1) → connection, peer's address and port, own address and port
    later("tcp.connect"),
    // connection → bytes, or nothing at their end
    later("tcp.read"),
    // connection, bytes → nothing, once there is room for more
    later("tcp.write"),
    // connection → nothing; no more will be written
    sync("tcp.end"),
    // connection → nothing; what was written is sent all the same
    sync("tcp.close"),
    // host → address, …
    later("dns.resolve"),
    // server's name, check chain (0 | 1), check name (0 | 1), trusted certificates (PEM) or null, trust the system's too (0 | 1),
    // the client's certificate and its key (PEM) or null, then protocols → TLS session
    sync("tls.open"),
    // TLS session, bytes from the peer, bytes for it, say goodbye (0 | 1) → bytes for the guest, bytes for the peer, handshaking
    // (0 | 1), ended (0 | 1), error or null
    sync("tls.step"),
    // TLS session → version, cipher, protocol, certificate; each null when not known
    sync("tls.facts"),
    // TLS session → nothing
    sync("tls.drop"),
    // prompt → a line as a person typed it, null at the end of input, or 0 when it was interrupted. Only for programs, which may wait
    sync("program.line"),
    // bytes, bytes → 1 when they are equal, else 0; takes as long either way
    sync("crypto.equal"),
    // The others of `crypto` have the same fields, though none uses all of them: algorithm, hash, curve, key, data, then bytes or
    // null (vector, label, salt, signature, peer), bytes or null (additional data, info), size, rounds, then a JSON Web Key's
    // numbers. What they mean is said where they are used (`taipan-bindings/src/ops/crypto`). → bytes
    later("crypto.hash"),
    later("crypto.encrypt"),
    later("crypto.decrypt"),
    later("crypto.sign"),
    // → 1 when the signature is good, else 0
    later("crypto.verify"),
    later("crypto.derive"),
    // → private key, public key
    later("crypto.generate"),
    // → key; bits and public exponent of an RSA key
    later("crypto.import"),
    // → bytes, or the numbers of a JSON Web Key
    later("crypto.export"),
    // format ("gzip" | "deflate" | "deflate-raw"), expands (0 | 1) → stream
    sync("compress.open"),
    // stream, bytes → bytes, 1 when there is more of the answer, which comes for no further bytes
    later("compress.write"),
    // stream → bytes; it is gone then
    later("compress.finish"),
    // stream → nothing
    sync("compress.drop"),
    // selector or null (of the document), which handlers (see `taipan-bindings/src/ops/html.rs`), … → rewriter
    sync("html.open"),
    // rewriter, bytes → what is wanted, bytes, then what it is about
    later("html.write"),
    // rewriter → as `html.write`
    later("html.end"),
    // rewriter, then change, text, text, … → as `html.write`
    later("html.reply"),
    // rewriter → nothing
    sync("html.drop"),
    // cache, URL, then name, value, … of the request's headers → status, status text, bytes or null, then name, value, … of the
    // response's; nothing when there is none
    sync("cache.match"),
    // cache, URL, status, status text, bytes or null, name, value, … of the request's headers, null, name, value, … of the response's
    sync("cache.put"),
    // cache, URL → 1 when there was a response, else 0
    sync("cache.delete"),
    // binding → blob: a file that the guest writes
    later("r2.begin"),
    // binding, key, value (string | bytes | blob), metadata, conditions, checksum's name or null, its value → object; nothing when
    // the conditions do not hold. What is not a key is JSON, here and below (see `taipan-bindings/src/ops/r2.rs`)
    later("r2.put"),
    // binding, key → object; nothing when there is none
    later("r2.head"),
    // binding, key, conditions or null, range or null → object, blob; without blob when the conditions do not hold
    later("r2.get"),
    // binding, options → objects, prefixes, where the next list begins
    later("r2.list"),
    // binding, key, … → nothing
    later("r2.delete"),
    // binding, key, metadata → upload
    later("r2.create"),
    // binding, key, upload, number, value (string | bytes | blob) → ETag
    later("r2.part"),
    // binding, key, upload, list of [number, ETag] → object
    later("r2.complete"),
    // binding, key, upload → nothing
    later("r2.abort"),
    // blob → fetch, whose body it is; as long as nobody has read from it
    sync("blob.pass"),
    // request, blob → nothing, once all that is left of the request's body has been written to the blob
    later("http.save"),
    // binding, then as for `fetch.open` → fetch; what the binding stands for answers
    sync("fetcher.open"),
    // binding, then for each message: kind ("json" | "text" | "bytes" | "v8"), body (string | bytes), delay in seconds or null → nothing
    later("queue.send"),
    // binding, request it is made for, method, arguments (see `js/src/web/serialize.ts`), number of the call → result
    later("service.call"),
    // nothing → token of a function that others may call
    sync("rpc.export"),
    // nothing → "call", number, token, arguments; "piped", number, number of what is kept, arguments; "release", token; or "settled",
    // number of what is kept
    later("rpc.next"),
    // number of a call, result → number under which the result is to be kept, or null
    sync("rpc.reply"),
    // token, arguments, number of the call or null → result
    later("rpc.invoke"),
    // token → nothing
    sync("rpc.release"),
    // binding, key → 1 when that is within the limit, else 0
    sync("ratelimit.limit"),
    // binding, data point as JSON (see `taipan-bindings/src/ops/measures.rs`) → nothing
    sync("analytics.note"),
    // token → nothing; it is good for once more
    sync("rpc.retain"),
    // binding, request it is made for, URL, then headers → as for `ws.connect`; what the binding stands for answers
    later("service.socket"),
    // request → fetch, whose body its own is; as long as nobody has read from it
    sync("http.pass"),
    // Of Python's, which tells integers and reals apart: binding, what is wanted (0 the first row, 1 all rows, 2 what was done, too),
    // then for each statement, of which there is one unless 2 is wanted: SQL, number of parameters, parameters → for each: when 2 is
    // wanted, milliseconds, changes, last row's id, changed (0 | 1), size, rows read, rows written, number of values; then number of
    // columns, their names, the rows' values
    later("d1.query"),
    // number of a call → 1 when more may be asked of its result, else 0
    sync("rpc.reserve"),
    // number of a call that was reserved, arguments, number of this call → result of this one
    later("rpc.ask"),
    // number of a call that was reserved → nothing; it has been answered
    sync("rpc.settled"),
    // request that is a call → number under which the result is to be kept, or null
    sync("rpc.claim"),
    // token → nothing; this isolate holds it
    sync("rpc.hold"),
    // token, number of the watch → 1 when what the token stands for is gone, or nothing when the watch was given up
    later("rpc.watch"),
    // number of the watch → nothing
    sync("rpc.unwatch"),
    // module of the standard library that the release lacks → nothing; it is among the packages now. Only for programs, which may wait
    sync("program.obtain"),
];

/// The number of the operation called `name`.
pub fn number(name: &str) -> Option<u32> {
    OPS.iter().position(|op| op.name == name).and_then(|i| u32::try_from(i).ok())
}

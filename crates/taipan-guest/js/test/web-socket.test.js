import assert from "node:assert/strict";
import test from "node:test";
import { drain, web } from "./support/platform.js";

/** What happens to a socket, as a list that grows. */
function watch(socket) {
  const seen = [];
  socket.addEventListener("message", ({ data }) => seen.push(data instanceof ArrayBuffer ? [...new Uint8Array(data)] : data));
  socket.addEventListener("close", ({ code, reason, wasClean }) => seen.push([code, reason, wasClean]));
  return seen;
}

function pair() {
  const { 0: a, 1: b } = new web.WebSocketPair();
  return [a, b];
}

test("messages of a pair, in order, from before they were accepted too", async () => {
  const [a, b] = pair();
  a.accept();
  a.send("one");
  const bytes = new Uint8Array([1, 2]);
  a.send(bytes);
  bytes[0] = 9;
  b.accept();
  const seen = watch(b);
  a.send("three");
  await drain();
  a.send(new web.Blob(["A"]));
  await drain();
  assert.deepEqual(seen, ["one", [1, 2], "three", [65]]);
});
test("binaryType", async () => {
  const [a, b] = pair();
  a.accept();
  b.accept();
  assert.equal(b.binaryType, "arraybuffer");
  b.binaryType = "blob";
  b.binaryType = "nonsense";
  const got = new Promise((resolve) => (b.onmessage = ({ data }) => resolve(data)));
  a.send(new Uint8Array([65, 66]));
  assert.equal(await (await got).text(), "AB");
});
test("closing is answered", async () => {
  const [a, b] = pair();
  a.accept();
  b.accept();
  const [atA, atB] = [watch(a), watch(b)];
  a.close(3001, "enough");
  assert.equal(a.readyState, web.WebSocket.CLOSING);
  a.send("too late");
  await drain();
  assert.deepEqual([atA, atB], [[[3001, "enough", true]], [[3001, "enough", true]]]);
  assert.deepEqual([a.readyState, b.readyState], [3, 3]);
});
test("closing without a code", async () => {
  const [a, b] = pair();
  a.accept();
  b.accept();
  const seen = watch(b);
  a.close();
  await drain();
  assert.deepEqual(seen, [[1005, "", true]]);
});
test("what is refused", () => {
  const [a] = pair();
  assert.throws(() => a.send("x"), /accept/);
  a.accept();
  for (const code of [999, 1004, 1005, 1006, 1015, 2999, 5000]) {
    assert.throws(() => a.close(code), { name: "InvalidAccessError" }, String(code));
  }
  assert.throws(() => a.close(1000, "ä".repeat(62)), { name: "SyntaxError" });
  for (const url of ["nonsense", "ftp://a/", "ws://a/#b"]) {
    assert.throws(() => new web.WebSocket(url), { name: "SyntaxError" }, url);
  }
  assert.throws(() => new web.WebSocket("ws://a/", ["x", "x"]), { name: "SyntaxError" });
  assert.throws(() => new web.WebSocket("ws://a/", "a b"), { name: "SyntaxError" });
});
test("a listener's promise is waited for", async () => {
  const target = new web.EventTarget();
  let started = 0;
  // As Python's coroutines are.
  target.addEventListener("x", () => ({ then: (resolve) => (started++, resolve()) }));
  target.dispatchEvent(new web.Event("x"));
  await drain();
  assert.equal(started, 1);
});
test("responses", () => {
  const [client] = pair();
  const response = new web.Response(null, { webSocket: client });
  assert.equal(response.status, 101);
  assert.equal(response.webSocket, client);
  assert.equal(new web.Response().webSocket, null);
  assert.throws(() => response.clone(), TypeError);
  assert.throws(() => new web.Response(null, { status: 200, webSocket: client }), RangeError);
  assert.throws(() => new web.Response(null, { status: 101 }), RangeError);
  assert.throws(() => new web.Response(null, { webSocket: {} }), TypeError);
});

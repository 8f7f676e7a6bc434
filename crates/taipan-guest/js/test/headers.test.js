import assert from "node:assert/strict";
import test from "node:test";
import { internals, outcome, web } from "./support/platform.js";

const Theirs = Headers;
const same = (what, run) =>
  test(what, () =>
    assert.deepEqual(
      outcome(() => run(web.Headers)),
      outcome(() => run(Theirs)),
    ),
  );
const list = (headers) => [...headers];

for (const [what, init] of Object.entries({
  nothing: undefined,
  null: null,
  number: 5,
  string: "a",
  record: { b: "2", A: "1" },
  pairs: [
    ["b", "2"],
    ["a", "1"],
    ["A", "3"],
  ],
  "pair of one": [["a"]],
  "pair of three": [["a", "b", "c"]],
  "list of strings": ["ab"],
  map: new Map([["x-y", "z"]]),
  "bad name": { "a b": "1" },
  "empty name": { "": "1" },
  "name beyond Latin-1": { ā: "1" },
  "name in Latin-1": { ä: "1" },
  "value with a line break": { a: "1\n2" },
  "value with NUL": { a: "1\0" },
  "value to trim": { a: " \t\r\n1 2\t " },
  "value beyond Latin-1": { a: "ā" },
  "value in Latin-1": { a: "ä" },
  "value that is no string": { a: 1, b: null, c: undefined, d: [1, 2] },
  symbol: { [Symbol("s")]: "1" },
  "symbol value": { a: Symbol("s") },
  "every token character": { "!#$%&'*+-.^_`|~09azAZ": "1" },
}))
  same(`init: ${what}`, (H) => list(new H(init)));

test("not enumerable members of a record do not count", () => {
  const init = Object.defineProperty({ a: "1" }, "b", { value: "2" });
  assert.deepEqual(list(new web.Headers(init)), [["a", "1"]]); // Node 20 takes b too
});
same("a copy is independent", (H) => {
  const first = new H({ a: "1" });
  const second = new H(first);
  first.append("a", "2");
  second.set("b", "3");
  return [list(first), list(second)];
});
same("append combines and get joins", (H) => {
  const h = new H([
    ["Accept", "a"],
    ["accept", "b"],
  ]);
  return [h.get("ACCEPT"), h.has("aCCept"), h.get("none"), h.has("none")];
});
same("set replaces all", (H) => {
  const h = new H([
    ["a", "1"],
    ["a", "2"],
  ]);
  h.set("A", "3");
  return list(h);
});
same("delete", (H) => {
  const h = new H({ a: "1", b: "2" });
  h.delete("A");
  h.delete("none");
  return list(h);
});
same("cookies stay apart", (H) => {
  const h = new H([
    ["set-cookie", "a=1, b"],
    ["b", "x"],
    ["Set-Cookie", "c=2"],
    ["a", "y"],
  ]);
  return [h.getSetCookie(), h.get("set-cookie"), list(h), [...h.keys()], [...h.values()]];
});
same("no cookies", (H) => new H().getSetCookie());
for (const name of ["", "a b", "ä", "a:"]) {
  for (const method of ["get", "has", "delete"])
    same(`${method}(${JSON.stringify(name)})`, (H) => new H()[method](name));
}
same("set with a bad value", (H) => new H().set("a", "\n1\n2\n"));
for (const [method, args] of [
  ["get", []],
  ["has", []],
  ["delete", []],
  ["append", ["a"]],
  ["set", ["a"]],
  ["forEach", []],
]) {
  same(`${method} with too few arguments`, (H) => new H()[method](...args));
}
same("forEach", (H) => {
  const seen = [];
  new H({ b: "2", a: "1" }).forEach(
    function (value, name, h) {
      seen.push([value, name, h instanceof H, this.x]);
    },
    { x: 1 },
  );
  return seen;
});
same("changes show during iteration", (H) => {
  const h = new H({ a: "1", b: "2", c: "3" });
  const seen = [];
  for (const [name] of h) {
    seen.push(name);
    if (name === "a") h.delete("b");
    if (name === "c") h.set("d", "4");
  }
  return seen;
});
same("the iterator's class string", (H) => String(new H().entries()));
same("the class string", (H) => String(new H()));
same("members are enumerable", (H) => Object.keys(H.prototype).sort().includes("append"));

test("immutable headers", () => {
  const h = internals.makeHeaders(["Host", "x", "Cookie", "a", "cookie", "b"], true);
  assert.deepEqual(
    [...h],
    [
      ["cookie", "a, b"],
      ["host", "x"],
    ],
  );
  for (const change of [() => h.set("a", "1"), () => h.append("a", "1"), () => h.delete("host")])
    assert.throws(change, TypeError);
  const copy = new web.Headers(h);
  copy.set("a", "1");
  assert.equal(copy.get("a"), "1");
  assert.deepEqual(internals.flattenHeaders(h), ["host", "x", "cookie", "a", "cookie", "b"]);
});

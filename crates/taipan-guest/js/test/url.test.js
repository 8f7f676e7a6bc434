import assert from "node:assert/strict";
import test from "node:test";
import { outcome, web } from "./support/platform.js";

const same = (what, run) =>
  test(what, () =>
    assert.deepEqual(
      outcome(() => run(web)),
      outcome(() => run(globalThis)),
    ),
  );
const PARTS = [
  "href",
  "origin",
  "protocol",
  "username",
  "password",
  "host",
  "hostname",
  "port",
  "pathname",
  "search",
  "hash",
];
const show = (url) => [...PARTS.map((p) => url[p]), String(url), JSON.stringify(url)];

for (const args of [
  ["https://u:p@h.example:8080/a/b?c=d#e"],
  ["HTTP://ÄÖ.example/%zz ?q"],
  ["../x?y", "https://h/a/b/c"],
  ["//other/x", "https://h/"],
  ["relative"],
  ["x", "also relative"],
  ["data:text/plain,hi"],
  [undefined],
  ["https://h/\ud800"],
  [{ toString: () => "https://h/" }],
]) {
  const what = JSON.stringify(args);
  same(`new URL: ${what}`, ({ URL }) => show(new URL(...args)));
  same(`canParse: ${what}`, ({ URL }) => URL.canParse(...args));
}
test("URL.parse", () => {
  assert.equal(web.URL.parse("nope"), null);
  assert.ok(web.URL.parse("x", "https://h/") instanceof web.URL);
  assert.equal(web.URL.parse("x", "https://h/").href, "https://h/x");
});
for (const [part, value] of [
  ["href", "http://other/"],
  ["href", "nope"],
  ["protocol", "http"],
  ["protocol", "data:"],
  ["username", "a b"],
  ["password", "x:y"],
  ["host", "n:99"],
  ["hostname", "n"],
  ["hostname", "a b"],
  ["port", "443"],
  ["port", "81x"],
  ["port", "x"],
  ["pathname", "a b?"],
  ["search", "?x=y"],
  ["search", ""],
  ["hash", "h i"],
  ["hash", ""],
  ["origin", "x"],
]) {
  same(`set ${part} = ${value}`, ({ URL }) => {
    const url = new URL("https://u@h:8080/p?q=1#f");
    const params = url.searchParams;
    if (part === "origin") return Reflect.set(url, part, value);
    url[part] = value;
    return [show(url), [...params], params === url.searchParams];
  });
}
same("parameters change the URL", ({ URL }) => {
  const url = new URL("https://h/?a=1&b=%20x");
  const steps = [];
  const params = url.searchParams;
  params.append("c", "ä&");
  steps.push(url.href);
  params.set("a", "2");
  steps.push(url.search);
  params.delete("b");
  steps.push(url.href);
  params.sort();
  steps.push(url.href);
  params.delete("a");
  params.delete("c");
  steps.push(url.href, url.search);
  return steps;
});
same("search changes the parameters", ({ URL }) => {
  const url = new URL("https://h/?a=1");
  const params = url.searchParams;
  url.search = "?b=2&b=3";
  const first = [...params];
  url.href = "https://i/?c=4";
  return [first, [...params], params.size];
});

for (const init of [
  undefined,
  "",
  "?",
  "??a",
  "a",
  "a=",
  "=b",
  "a=b=c",
  "a&&b",
  "&",
  "a=1&a=2",
  "a+b=c+d",
  "%41=%42",
  "%=%4",
  "%zz=%f",
  "%ff%fe=%c3",
  "a=%F0%9F%92%A9",
  "💩=ü",
  "\ud800=1",
  "a=%EF%BB%BFx",
  "x=%2B+%26%3D",
  { a: 1, b: [2, 3] },
  [
    ["a", "b"],
    ["a", "c"],
  ],
  [["a"]],
  [["a", "b", "c"]],
  ["ab"],
  ["abc"],
  new Map([["k", "v"]]),
  { [Symbol("s")]: 1 },
  5,
  [],
  {},
  () => 1,
  "a=%00",
  "a=!'()*~-._",
  'a="<>\\^`{|}',
]) {
  const what =
    typeof init === "string"
      ? JSON.stringify(init)
      : Array.isArray(init)
        ? `list ${JSON.stringify(init)}`
        : typeof init;
  same(`URLSearchParams: ${what}`, ({ URLSearchParams }) => {
    const p = new URLSearchParams(init);
    return [[...p], String(p), p.size];
  });
}
test("null is a string here", () => {
  assert.equal(String(new web.URLSearchParams(null)), "null="); // Node takes it for nothing
});
same("every ASCII character, and back", ({ URLSearchParams }) => {
  const all = Array.from({ length: 128 }, (_, i) => String.fromCharCode(i)).join("");
  const text = String(new URLSearchParams([[all, all]]));
  return [text, new URLSearchParams(text).get(all) === all];
});
same("get, getAll, has", ({ URLSearchParams }) => {
  const p = new URLSearchParams("a=1&b=2&a=3");
  return [
    p.get("a"),
    p.get("x"),
    p.getAll("a"),
    p.getAll("x"),
    p.has("a"),
    p.has("a", "3"),
    p.has("a", "9"),
    p.has("a", undefined),
  ];
});
same("delete with a value", ({ URLSearchParams }) => {
  const p = new URLSearchParams("a=1&a=2&b=3");
  p.delete("a", "2");
  p.delete("b", undefined);
  return String(p);
});
same("set keeps the first place", ({ URLSearchParams }) => {
  const p = new URLSearchParams("a=1&b=2&a=3&c=4");
  p.set("a", "9");
  p.set("z", "0");
  return String(p);
});
same("sort by code units, stable", ({ URLSearchParams }) => {
  const p = new URLSearchParams("ﬃ=1&🌈=2&a=2&a=1&=x");
  p.sort();
  return [...p];
});
same("iteration is live", ({ URLSearchParams }) => {
  const p = new URLSearchParams("a=1&b=2&c=3");
  const seen = [];
  for (const [name] of p) {
    seen.push(name);
    if (name === "a") p.delete("b");
  }
  return [seen, [...p.keys()], [...p.values()]];
});
same("forEach", ({ URLSearchParams }) => {
  const seen = [];
  new URLSearchParams("a=1&b=2").forEach((v, k) => seen.push(k, v));
  return seen;
});
same("too few arguments", ({ URLSearchParams }) => outcome(() => new URLSearchParams().append("a")));
same("class strings", ({ URL, URLSearchParams }) => [
  Object.prototype.toString.call(new URL("https://h/")),
  Object.prototype.toString.call(new URLSearchParams()),
  Object.prototype.toString.call(new URLSearchParams().keys()),
]);

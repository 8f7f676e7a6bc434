import assert from "node:assert/strict";
import test from "node:test";
import { outcomeAsync, web } from "./support/platform.js";

const same = (what, run) =>
  test(what, async () =>
    assert.deepEqual(await outcomeAsync(() => run(web)), await outcomeAsync(() => run(globalThis))),
  );
const bytes = (...values) => new Uint8Array(values);
const show = (form) =>
  Promise.all(
    [...form].map(async ([name, v]) => [
      name,
      typeof v === "string" ? v : [v.name, v.type, v.size, [...new Uint8Array(await v.arrayBuffer())]],
    ]),
  );

same("Blob of many parts", async ({ Blob }) => {
  const blob = new Blob(["ä", bytes(1, 2), bytes(3).buffer, new Blob(["z"]), 5, "\ud800"], { type: "A/B;C=D" });
  return [blob.size, blob.type, [...new Uint8Array(await blob.arrayBuffer())]];
});
for (const type of ["text/plain", "TEXT", "ä", "a\nb", "", null, undefined])
  same(`Blob type ${type}`, ({ Blob }) => new Blob([], { type }).type);
for (const parts of [undefined, [], "text", 5, null, {}, new Set(["a"])])
  same(`Blob of ${typeof parts} ${parts}`, ({ Blob }) => new Blob(parts).size);
for (const args of [[], [1], [1, 3], [-2], [0, -1], [3, 1], [0, 99], [1, 2, "X/Y"]]) {
  same(`slice(${args})`, async ({ Blob }) => {
    const part = new Blob(["abcd"], { type: "a/b" }).slice(...args);
    return [await part.text(), part.type];
  });
}
same("Blob as a stream", async ({ Blob }) => {
  const all = [];
  for await (const chunk of new Blob(["abc"]).stream()) all.push(...chunk);
  return all;
});
same("line endings", ({ Blob }) => new Blob(["a\r\nb\nc"], { endings: "transparent" }).size);
same("wrong line endings", ({ Blob }) => new Blob([], { endings: "x" }).size);
same("File", ({ File, Blob }) => {
  const f = new File(["x"], "näme", { type: "a/b", lastModified: 5 });
  return [f.name, f.size, f.type, f.lastModified, f instanceof Blob, String(f)];
});
same("FormData", ({ FormData }) => {
  const f = new FormData();
  f.append("a", "1");
  f.append("b", 2);
  f.append("a", null);
  f.set("b", "3");
  f.set("c", "4");
  return [
    [...f],
    f.get("a"),
    f.getAll("a"),
    f.get("x"),
    f.getAll("x"),
    f.has("a"),
    f.has("x"),
    [...f.keys()],
    [...f.values()],
  ];
});
same("FormData: set and delete", ({ FormData }) => {
  const f = new FormData();
  for (const [k, v] of [
    ["a", "1"],
    ["b", "2"],
    ["a", "3"],
  ])
    f.append(k, v);
  f.set("a", "9");
  f.delete("b");
  return [...f];
});
same("FormData with files", ({ FormData, Blob }) => {
  const f = new FormData();
  f.append("a", new Blob(["x"], { type: "a/b" }));
  f.append("b", new Blob(["yy"]), "name.txt");
  return show(f);
});
same("a file name for text", ({ FormData }) => new FormData().append("a", "text", "name"));
same("too few arguments", ({ FormData }) => new FormData().append("a"));
same("an argument", ({ FormData }) => new FormData({}));

const form = ({ FormData, Blob }) => {
  const f = new FormData();
  f.append('na"me\r\nx', "vä\nl\rue");
  f.append("file", new Blob([bytes(0, 13, 10, 45, 45, 255)], { type: "image/x" }), 'a"b\n.bin');
  f.append("plain", new Blob(["t"]), "ü");
  f.append("", "");
  return f;
};
same("multipart round trip", async (w) => show(await new w.Response(form(w)).formData()));
same("multipart, the bytes", async (w) => {
  const response = new w.Response(form(w));
  const boundary = /boundary=(.*)$/.exec(response.headers.get("content-type"))[1];
  return (await response.text()).replaceAll(boundary, "BOUNDARY");
});
test("multipart made here is read by Node, and the other way", async () => {
  const ours = new web.Response(form(web));
  const theirs = new Response(form(globalThis));
  const [a, b] = [await ours.arrayBuffer(), await theirs.arrayBuffer()];
  const readByNode = await new Response(a, {
    headers: { "content-type": ours.headers.get("content-type") },
  }).formData();
  const readHere = await new web.Response(b, {
    headers: { "content-type": theirs.headers.get("content-type") },
  }).formData();
  assert.deepEqual(await show(readHere), await show(readByNode));
});

const part = (head, body) => `--B\r\n${head}\r\n\r\n${body}\r\n`;
const MULTIPART = {
  simple: `${part('Content-Disposition: form-data; name="a"', "1")}--B--\r\n`,
  "without a last line break": `${part('content-disposition: form-data; name="a"', "1")}--B--`,
  "empty value": `${part('Content-Disposition: form-data; name="a"', "")}--B--\r\n`,
  "file without a type": `${part('Content-Disposition: form-data; name="a"; filename="x"', "1")}--B--\r\n`,
  "file with a type": `${part('Content-Disposition: form-data; name="a"; filename="x%22y"\r\nContent-Type: a/b', "1")}--B--\r\n`,
  "no name": `${part("Content-Disposition: form-data", "1")}--B--\r\n`,
  "no disposition": `${part("Content-Type: a/b", "1")}--B--\r\n`,
  "no end": part('Content-Disposition: form-data; name="a"', "1"),
  "no boundary": "hello",
};
for (const [what, text] of Object.entries(MULTIPART)) {
  same(`multipart: ${what}`, async ({ Response }) =>
    show(await new Response(text, { headers: { "content-type": "multipart/form-data; boundary=B" } }).formData()),
  );
}
test("multipart: quotes and backslashes in names", async () => {
  for (const [written, name] of [
    ['"a\\"', "a\\"],
    ['"a\\"b"', 'a"b'],
    ['"C:\\d\\e.txt"', "C:\\d\\e.txt"],
    ['"a%22b"', 'a"b'],
    ["plain", "plain"],
    ['"x; name=y"', "x; name=y"],
  ]) {
    const text = `${part(`Content-Disposition: form-data; filename=${written}; name="f"`, "1")}--B--\r\n`;
    const response = new web.Response(text, { headers: { "content-type": "multipart/form-data; boundary=B" } });
    assert.equal((await response.formData()).get("f").name, name, written);
  }
});
test("multipart: endless headers of a part", async () => {
  const text = `${part(`Content-Disposition: form-data; name="${"x".repeat(20000)}"`, "1")}--B--\r\n`;
  const response = new web.Response(text, { headers: { "content-type": "multipart/form-data; boundary=B" } });
  await assert.rejects(response.formData(), /longer than 16384 bytes/);
});
test("multipart: a boundary is at the beginning of a line", async () => {
  const text = `${part('Content-Disposition: form-data; name="a"', "x--B\r\n-By\r\n--")}--B--\r\n`;
  const response = new web.Response(text, { headers: { "content-type": "multipart/form-data; boundary=B" } });
  assert.deepEqual([...(await response.formData())], [["a", "x--B\r\n-By\r\n--"]]); // Node 20 refuses it
});
test("multipart: what is before the first boundary does not count", async () => {
  const response = new web.Response(`hello\r\n${MULTIPART.simple}`, {
    headers: { "content-type": 'Multipart/Form-Data; x=y; boundary="B"' },
  });
  assert.deepEqual([...(await response.formData())], [["a", "1"]]);
});
for (const type of [
  "multipart/form-data",
  "text/plain",
  "application/json",
  "application/x-www-form-urlencoded; charset=x",
]) {
  same(`form data of ${type}`, async ({ Response }) => [
    ...(await new Response("a=1&b=%20+", { headers: { "content-type": type } }).formData()),
  ]);
}

import assert from "node:assert/strict";
import test from "node:test";
import { drain, outcome, web } from "./support/platform.js";

const same = (what, run) =>
  test(what, () =>
    assert.deepEqual(
      outcome(() => run(web)),
      outcome(() => run(globalThis)),
    ),
  );
const TEXTS = [
  "",
  "abc",
  "äöü",
  "€uro",
  "💩",
  "a💩",
  "💩💩",
  "\ud800",
  "a\udc00b",
  "\ud83d",
  "x".repeat(50) + "é",
  "\ufeffbom",
];

for (const text of TEXTS) {
  same(`encode ${JSON.stringify(text)}`, ({ TextEncoder }) => [...new TextEncoder().encode(text)]);
  same(`encodeInto ${JSON.stringify(text)}`, ({ TextEncoder }) =>
    [0, 1, 2, 3, 4, 5, 7, 9, 60, 200].map((room) => {
      const bytes = new Uint8Array(room);
      const { read, written } = new TextEncoder().encodeInto(text, bytes);
      return [read, written, [...bytes]];
    }),
  );
}
same("encode() without an argument", ({ TextEncoder }) => [...new TextEncoder().encode()]);
same("encodeInto something else", ({ TextEncoder }) => new TextEncoder().encodeInto("a", []));

const LABELS = [
  undefined,
  "utf8",
  " UTF-8 ",
  "unicode-1-1-utf-8",
  "latin1",
  "ascii",
  "utf-16",
  "utf-16be",
  "UTF-16LE",
  "shift_jis",
  "gb18030",
  "big5",
  "euc-kr",
  "windows-1252",
  "koi8-r",
  "iso-8859-2",
  "nope",
  "utf-7",
  "",
];
for (const label of LABELS) same(`label ${label}`, ({ TextDecoder }) => new TextDecoder(label).encoding);

const BYTES = {
  empty: [],
  ascii: [0x61, 0x62],
  umlaut: [0xc3, 0xa4],
  "mark first": [0xef, 0xbb, 0xbf, 0x61],
  "two marks": [0xef, 0xbb, 0xbf, 0xef, 0xbb, 0xbf, 0x61],
  "part of a mark": [0xef, 0xbb],
  truncated: [0x61, 0xf0, 0x9f, 0x92],
  overlong: [0xc0, 0xaf, 0xe0, 0x80, 0xaf],
  surrogate: [0xed, 0xa0, 0x80],
  "beyond Unicode": [0xf4, 0x90, 0x80, 0x80, 0xf8, 0xff],
  "lone continuation": [0x80, 0x61, 0xbf],
  emoji: [0xf0, 0x9f, 0x92, 0xa9, 0x21],
  "bad inside": [0xe2, 0x82, 0x61, 0xe2, 0x82, 0xac],
};
const WIDE = {
  "16: ab": [0x61, 0, 0x62, 0],
  "16: mark": [0xff, 0xfe, 0x61, 0],
  "16: mark the other way": [0xfe, 0xff, 0, 0x61],
  "16: pair": [0x3d, 0xd8, 0xa9, 0xdc, 0x21, 0],
  "16: lone high": [0x3d, 0xd8, 0x61, 0],
  "16: lone high at the end": [0x61, 0, 0x3d, 0xd8],
  "16: lone low": [0xa9, 0xdc, 0x61, 0],
  "16: odd": [0x61, 0, 0x62],
  "16: high and odd": [0x3d, 0xd8, 0x61],
};
function decodings(what, encoding, bytes) {
  for (const options of [{}, { fatal: true }, { ignoreBOM: true }]) {
    const how = `${what} as ${encoding} ${JSON.stringify(options)}`;
    same(how, ({ TextDecoder }) => new TextDecoder(encoding, options).decode(new Uint8Array(bytes)));
    for (const size of [1, 2, 3]) {
      same(`${how}, ${size} at a time`, ({ TextDecoder }) => {
        const decoder = new TextDecoder(encoding, options);
        let text = "";
        for (let i = 0; i < bytes.length; i += size)
          text += decoder.decode(new Uint8Array(bytes.slice(i, i + size)), { stream: true });
        return text + decoder.decode();
      });
    }
  }
}
for (const [what, bytes] of Object.entries(BYTES)) decodings(what, "utf-8", bytes);
for (const [what, bytes] of Object.entries(WIDE)) {
  decodings(what, "utf-16le", bytes);
  decodings(what, "utf-16be", bytes);
}
decodings("Japanese", "shift_jis", [0x93, 0xfa, 0x96, 0x7b, 0x41, 0x93]);
decodings("Cyrillic", "koi8-r", [0xf0, 0xd2, 0xc9]);

same("a decoder begins anew after its end", ({ TextDecoder }) => {
  const decoder = new TextDecoder();
  const mark = new Uint8Array([0xef, 0xbb, 0xbf, 0x61]);
  return [decoder.decode(mark), decoder.decode(mark), decoder.decode(mark, { stream: true }), decoder.decode(mark)];
});
same("a decoder begins anew after an error", ({ TextDecoder }) => {
  const decoder = new TextDecoder("utf-8", { fatal: true });
  const first = outcome(() => decoder.decode(new Uint8Array([0xff]), { stream: true }));
  return [first, decoder.decode(new Uint8Array([0x61]))];
});
same("chunks do not change what was left over", ({ TextDecoder }) => {
  const decoder = new TextDecoder();
  const chunk = new Uint8Array([0xc3]);
  decoder.decode(chunk, { stream: true });
  chunk[0] = 0x61;
  return decoder.decode(new Uint8Array([0xa4]));
});
same("views and buffers", ({ TextDecoder }) => {
  const { buffer } = new Uint8Array([0x61, 0x62, 0x63, 0x64]);
  return [
    new TextDecoder().decode(buffer),
    new TextDecoder().decode(new DataView(buffer, 1, 2)),
    new TextDecoder().decode(new Uint16Array(buffer, 2)),
  ];
});
same("not bytes", ({ TextDecoder }) => new TextDecoder().decode("text"));
same("long UTF-16", ({ TextDecoder }) => {
  const bytes = new Uint8Array(40000).map((_, i) => (i % 2 ? 0 : 65 + (i % 26)));
  return new TextDecoder("utf-16le").decode(bytes);
});

test("text streams", async () => {
  const { ReadableStream, TextDecoderStream, TextEncoderStream } = web;
  const chunks = ["a\ud83d", "\udca9b", "", "\ud83d"];
  const stream = ReadableStream.from(chunks).pipeThrough(new TextEncoderStream()).pipeThrough(new TextDecoderStream());
  let text = "";
  for await (const chunk of stream) text += chunk;
  assert.equal(text, "a💩b\ufffd");
  const failing = ReadableStream.from([new Uint8Array([0xff])]).pipeThrough(
    new TextDecoderStream("utf-8", { fatal: true }),
  );
  await assert.rejects(failing.getReader().read(), TypeError);
  await drain();
});

import fc from "fast-check";
import assert from "node:assert/strict";
import { test } from "node:test";
import { quote, unquote } from "./zodbdump_quoting.ts";

const encoder = new TextEncoder();

const cases: { what: string; bytes: number[] | string; quoted: string }[] = [
  { what: "nothing", bytes: "", quoted: '""' },
  { what: "ASCII", bytes: "eva ~!", quoted: '"eva ~!"' },
  { what: "double quotes, not single ones", bytes: `"it's"`, quoted: `"\\"it's\\""` },
  { what: "a backslash", bytes: "\\n", quoted: '"\\\\n"' },
  { what: "LF, CR and tab", bytes: "\n\r\t", quoted: '"\\n\\r\\t"' },
  { what: "other control characters", bytes: "\0\x07\x1f\x7f", quoted: '"\\x00\\x07\\x1f\\x7f"' },
  { what: "letters of two bytes", bytes: "ä", quoted: '"ä"' },
  { what: "signs of three and four bytes", bytes: "€😀", quoted: '"€😀"' },
  { what: "a combining mark", bytes: "e\u0301", quoted: '"e\u0301"' },
  { what: "U+FFFD that is there as itself", bytes: "\ufffd", quoted: '"\ufffd"' },
  { what: "C1 control characters", bytes: "\u0085", quoted: '"\\xc2\\x85"' },
  { what: "a no-break space", bytes: "\u00a0", quoted: '"\\xc2\\xa0"' },
  { what: "a zero-width space", bytes: "\u200b", quoted: '"\\xe2\\x80\\x8b"' },
  { what: "a line separator", bytes: "\u2028", quoted: '"\\xe2\\x80\\xa8"' },
  { what: "a byte order mark", bytes: "\ufeff", quoted: '"\\xef\\xbb\\xbf"' },
  { what: "private use", bytes: "\ue000", quoted: '"\\xee\\x80\\x80"' },
  { what: "unassigned", bytes: "\uffff", quoted: '"\\xef\\xbf\\xbf"' },
  { what: "a lone continuation byte", bytes: [0x80], quoted: '"\\x80"' },
  { what: "a sequence cut off", bytes: [0xe2, 0x82], quoted: '"\\xe2\\x82"' },
  { what: "a sequence broken by a letter", bytes: [0xe2, 0x41, 0xac], quoted: '"\\xe2A\\xac"' },
  { what: "an overlong slash", bytes: [0xc0, 0xaf], quoted: '"\\xc0\\xaf"' },
  { what: "an overlong sequence of three", bytes: [0xe0, 0x80, 0xaf], quoted: '"\\xe0\\x80\\xaf"' },
  { what: "a surrogate", bytes: [0xed, 0xa0, 0x80], quoted: '"\\xed\\xa0\\x80"' },
  { what: "beyond U+10FFFF", bytes: [0xf4, 0x90, 0x80, 0x80], quoted: '"\\xf4\\x90\\x80\\x80"' },
  { what: "bytes that begin nothing", bytes: [0xf8, 0xff, 0xfe], quoted: '"\\xf8\\xff\\xfe"' },
];
for (const { what, bytes, quoted } of cases) {
  test(`quote() writes ${what} as ${quoted}, and unquote() reads it back`, () => {
    const raw = typeof bytes === "string" ? encoder.encode(bytes) : Uint8Array.from(bytes);

    assert.equal(quote(raw), quoted);
    assert.deepEqual(unquote(encoder.encode(quoted)), raw);
  });
}

test("unquote() reads what quote() writes of any bytes, on one line", () => {
  fc.assert(fc.property(fc.uint8Array({ maxLength: 60, size: "max" }), (bytes) => {
    const quoted = quote(bytes);
    assert.ok(!quoted.includes("\n"));
    assert.deepEqual(unquote(encoder.encode(quoted)), bytes);
  }));
});

test("quote() keeps text readable: its UTF-8 bytes come back from any string", () => {
  fc.assert(fc.property(fc.string({ unit: "grapheme", maxLength: 20 }), (text) => {
    assert.deepEqual(unquote(encoder.encode(quote(encoder.encode(text)))), encoder.encode(text));
  }));
});

for (
  const wrong of [
    "",
    '"',
    "eva",
    '"eva',
    'eva"',
    '"a"b"',
    '"\\"',
    '"\\q"',
    '"\\x4"',
    '"\\x"',
    '"\\xg0"',
    '"a" ',
  ]
) {
  test(`unquote() refuses ${JSON.stringify(wrong)}`, () => {
    assert.equal(unquote(encoder.encode(wrong)), undefined);
  });
}

test("unquote() takes hexadecimal digits of either case", () => {
  assert.deepEqual(unquote(encoder.encode('"\\xFf\\xfF"')), Uint8Array.of(0xff, 0xff));
});

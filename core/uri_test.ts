import fc from "fast-check";
import assert from "node:assert/strict";
import { test } from "node:test";
import { DatabaseError } from "./errors.ts";
import { formatUri, parseUri, UriError } from "./uri.ts";
import type { ClusterUri } from "./uri.ts";

const readable: readonly (Omit<ClusterUri, "options"> & { uri: string; options?: ClusterUri["options"] })[] =
  [
    { uri: "neo://wiki@db1:9200", cluster: "wiki", masters: ["db1:9200"] },
    { uri: "NEO://wiki@DB1.Example.org", cluster: "wiki", masters: ["db1.example.org:9100"] },
    {
      uri: "neo://a@127.0.0.1,[::1],[FE80::0:1]:1",
      cluster: "a",
      masters: ["127.0.0.1:9100", "[::1]:9100", "[fe80::1]:1"],
    },
    { uri: "neo://a@[0:0:0:0:0:0:0:1]:65535", cluster: "a", masters: ["[::1]:65535"] },
    { uri: "neo://a@[::ffff:10.0.0.1]", cluster: "a", masters: ["[::ffff:a00:1]:9100"] },
    { uri: "neo://a@[fe80::1%25eth0]", cluster: "a", masters: ["[fe80::1%eth0]:9100"] },
    { uri: "neo://a@[FE80::1%eth0.1]:1", cluster: "a", masters: ["[fe80::1%eth0.1]:1"] },
    { uri: "neo://a@[fe80::1%2525]:1", cluster: "a", masters: ["[fe80::1%25]:1"] },
    { uri: "neo://a@my_host-1", cluster: "a", masters: ["my_host-1:9100"] },
    { uri: "neo://caf%C3%A9%20%40%2f%3f%23%25@h", cluster: "café @/?#%", masters: ["h:9100"] },
    { uri: "neo://a+b,c:d=e&f@h", cluster: "a+b,c:d=e&f", masters: ["h:9100"] },
    { uri: "neo://%F0%9F%90%98@h", cluster: "🐘", masters: ["h:9100"] },
    { uri: "neo://a@h?read_only", cluster: "a", masters: ["h:9100"], options: { "read-only": "true" } },
    {
      uri: "neo://a@h?x=&y=1=2&z=a+b%26@/?",
      cluster: "a",
      masters: ["h:9100"],
      options: { x: "", y: "1=2", z: "a+b&@/?" },
    },
    { uri: "neo://a@h?constructor=1", cluster: "a", masters: ["h:9100"], options: { constructor: "1" } },
  ];
for (const { uri, cluster, masters, options } of readable) {
  test(`parseUri() reads ${uri} (N14)`, () => {
    assert.deepEqual(parseUri(uri), { cluster, masters, options: options ?? {} });
  });
}

/** A `^` stands before the first character that is wrong. */
const unreadable = [
  { marked: "^neos://a@h", expected: /"neo:\/\/"/ },
  { marked: "^", expected: /"neo:\/\/"/ },
  { marked: "neo://^", expected: /the cluster's name/ },
  { marked: "neo://^@h", expected: /the cluster's name/ },
  { marked: "neo://a^", expected: /"@"/ },
  { marked: "neo://a^ b@h", expected: /"@" after the cluster's name.*%XX/ },
  { marked: "neo://^é@h", expected: /the cluster's name/ },
  { marked: "neo://a^%@h", expected: /two hexadecimal digits/ },
  { marked: "neo://a^%4@h", expected: /two hexadecimal digits/ },
  { marked: "neo://a%41^%zz@h", expected: /two hexadecimal digits/ },
  { marked: "neo://ab^%C3@h", expected: /UTF-8/ },
  { marked: "neo://a@^", expected: /a host's name/ },
  { marked: "neo://a@b^@c", expected: /no more than/ },
  { marked: "neo://a@h,^", expected: /a host's name/ },
  { marked: "neo://a@h,^,h", expected: /a host's name/ },
  { marked: "neo://a@^.h", expected: /a host's name/ },
  { marked: "neo://a@h:^", expected: /a port from 1 to 65535/ },
  { marked: "neo://a@h:^0", expected: /a port from 1 to 65535/ },
  { marked: "neo://a@h:^65536", expected: /a port/ },
  { marked: "neo://a@h:^100000", expected: /a port/ },
  { marked: "neo://a@h,^10.0.0.256:1", expected: /four numbers/ },
  { marked: "neo://a@^1.2.3", expected: /four numbers/ },
  { marked: "neo://a@^::1", expected: /a host's name/ },
  { marked: "neo://a@[::1^", expected: /"\]"/ },
  { marked: "neo://a@[^:::1]", expected: /an IPv6 address/ },
  { marked: "neo://a@[^]", expected: /an IPv6 address/ },
  { marked: "neo://a@[fe80::1^%]", expected: /"\]"/ },
  { marked: "neo://a@[fe80::1%25eth0^/]", expected: /"\]"/ },
  { marked: "neo://a@h^/", expected: /no more than masters and options/ },
  { marked: "neo://a@h^/db?x=1", expected: /no more than/ },
  { marked: "neo://a@h^#x", expected: /no more than/ },
  { marked: "neo://a@h?x=1^#y", expected: /no more than/ },
  { marked: "neo://a@h?^", expected: /an option's name/ },
  { marked: "neo://a@h?x=1&^", expected: /an option's name/ },
  { marked: "neo://a@h?^=1", expected: /an option's name/ },
  { marked: "neo://a@h?x=^%GG", expected: /two hexadecimal digits/ },
  { marked: "neo://a@h?a-b=1&^a_b=2", expected: /each option once/ },
  { marked: "neo://a@h?^name=b", expected: /stand before/ },
  { marked: "neo://a@h?^master_nodes=b", expected: /stand before/ },
];
for (const { marked, expected } of unreadable) {
  test(`parseUri() names the offset of the mark in ${marked} (N14)`, () => {
    const position = marked.indexOf("^");
    assert.throws(() => parseUri(marked.replace("^", "")), (error) => {
      assert.ok(error instanceof UriError && error instanceof DatabaseError && error.code === "badUri");
      assert.equal(error.position, position);
      assert.match(error.message, new RegExp(`expected .*at offset ${position}, found`));
      assert.match(error.message, expected);
      return true;
    });
  });
}

const unicode = fc.string({ unit: "binary", maxLength: 20 });
const port = fc.integer({ min: 1, max: 65_535 });
const label = fc.stringMatching(/^[a-z0-9_][a-z0-9_-]{0,9}$/);
const hostName = fc.array(label, { maxLength: 3 }).map((labels) => [...labels, "host"].join("."));
const zone = fc.oneof(fc.constant(""), fc.stringMatching(/^%[\w.-]{1,9}$/));
const ipv6 = fc.tuple(fc.ipV6(), zone).map(([address, zone]) => `[${address}${zone}]`);
const host = fc.oneof(hostName, fc.ipV4(), ipv6);
const option = fc.stringMatching(/^[a-z][a-z0-9-]{0,9}$/).filter((name) =>
  !/^(name|cluster|masters|master-nodes)$/.test(name)
);
const anyUri = fc.record({
  cluster: unicode.filter((name) => name !== ""),
  masters: fc.array(fc.tuple(host, port).map(([name, number]) => `${name}:${number}`), {
    minLength: 1,
    maxLength: 4,
  }),
  options: fc.dictionary(option, unicode, { maxKeys: 4, noNullPrototype: true }),
});

/** The eight numbers of an IPv6 address. */
function groupsOf(address: string): number[] {
  const plain = address.replace(/(\d+)\.(\d+)\.(\d+)\.(\d+)$/, (_, a, b, c, d) => {
    return `${(a * 256 + Number(b)).toString(16)}:${(c * 256 + Number(d)).toString(16)}`;
  });
  const [head = [], tail = []] = plain.split("::").map((half) =>
    half.split(":").filter((group) => group !== "")
  );
  const zeros = Array.from({ length: 8 - head.length - tail.length }, () => "0");
  return [...head, ...zeros, ...tail].map((group) => parseInt(group, 16));
}

/** A master with its IPv6 address spelled out. */
function spelled(master: string): string {
  return master.replace(/\[([^%]*)(.*)\]/, (_, address, zone) => `${groupsOf(address).join(".")}${zone}`);
}

test("parseUri() reads back what formatUri() writes: names, hosts, IPv6, escapes, options (N14)", () => {
  fc.assert(fc.property(anyUri, (uri) => {
    const read = parseUri(formatUri(uri));

    assert.equal(read.cluster, uri.cluster);
    assert.deepEqual(read.masters.map(spelled), uri.masters.map(spelled));
    assert.deepEqual(read.options, uri.options);
    assert.deepEqual(parseUri(formatUri(read)), read);
  }));
});

/** Nearly right ones: pieces of URIs in any order, and URIs with one character changed. */
const nearly = fc.oneof(
  fc.string({ unit: fc.constantFrom(..."neo://@:,[]?=&%#.+-_19aZ é\u{1f418}") }).map((rest) =>
    `neo://${rest}`
  ),
  fc.tuple(anyUri.map(formatUri), fc.nat(), fc.string({ maxLength: 2 })).map(([uri, at, piece]) =>
    uri.slice(0, at % uri.length) + piece + uri.slice((at % uri.length) + 1)
  ),
);

test("parseUri() reads any text or names an offset within it, and writes again what it read (N14)", () => {
  let [read, refused] = [0, 0];
  fc.assert(
    fc.property(fc.oneof(fc.string(), fc.string({ unit: "binary" }), nearly), (text) => {
      try {
        const uri = parseUri(text);
        read += 1;
        assert.deepEqual(parseUri(formatUri(uri)), uri);
      } catch (error) {
        refused += 1;
        assert.ok(error instanceof UriError, String(error));
        assert.ok(Number.isInteger(error.position) && 0 <= error.position && error.position <= text.length);
      }
    }),
    { numRuns: 500 },
  );
  assert.ok(read > 0 && refused > 0, "both kinds of text were tried");
});

test("formatUri() refuses what it couldn't read back (N14)", () => {
  const good = { cluster: "a", masters: ["h:1"], options: {} };
  assert.throws(() => formatUri({ ...good, cluster: "" }), UriError);
  assert.throws(() => formatUri({ ...good, masters: [] }), UriError);
  assert.throws(() => formatUri({ ...good, masters: ["h:1/x"] }), UriError);
  assert.throws(() => formatUri({ ...good, options: { "a b": "" } }), UriError);
  assert.throws(() => formatUri({ ...good, cluster: "\ud800" }), RangeError);
});

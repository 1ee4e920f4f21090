import assert from "node:assert/strict";
import { test } from "node:test";
import { MAGIC, PROTOCOL_VERSION_MAX, PROTOCOL_VERSION_MIN } from "../core/messages.ts";
import type { Hello, Role } from "../core/messages.ts";
import { helloOf, mismatchOf } from "./hello.ts";

const ours = helloOf({ role: "master", cluster: "shop", clusterId: "c-1", name: "m1" });
const theirs = helloOf({ role: "client", cluster: "shop", clusterId: "c-1", name: "web" });
const serves: readonly Role[] = ["storage", "client"];

/** What the message must name: a value of this side, and one of the other. */
interface Mismatch {
  readonly what: string;
  readonly theirs: Partial<Hello>;
  readonly code: string;
  readonly names: readonly string[];
}
const mismatches: readonly Mismatch[] = [
  { what: "another magic", theirs: { magic: "http" }, code: "wrongVersion", names: [MAGIC, "http"] },
  {
    what: "only newer versions",
    theirs: { versionMin: 7, versionMax: 9 },
    code: "wrongVersion",
    names: [`${PROTOCOL_VERSION_MIN} to ${PROTOCOL_VERSION_MAX}`, "7 to 9"],
  },
  {
    what: "only older versions",
    theirs: { versionMin: 0, versionMax: 0 },
    code: "wrongVersion",
    names: [`${PROTOCOL_VERSION_MIN} to ${PROTOCOL_VERSION_MAX}`, "0 to 0"],
  },
  {
    what: "a storage whose name a shell or a terminal would obey",
    theirs: { role: "storage", name: "s1; reboot" },
    code: "malformed",
    names: ['"s1; reboot"'],
  },
  {
    what: "a client whose name moves the cursor",
    theirs: { name: "web\u001b[2J" },
    code: "malformed",
    names: ['"web\\u001b[2J"'],
  },
  {
    what: "an address of two lines",
    theirs: { address: "a:1\nb:2" },
    code: "malformed",
    names: ['"a:1\\nb:2"'],
  },
  {
    what: "another cluster",
    theirs: { cluster: "bank", clusterId: "" },
    code: "wrongCluster",
    names: ['"shop"', '"bank"'],
  },
  {
    what: "another cluster of the same name",
    theirs: { clusterId: "c-2" },
    code: "wrongCluster",
    names: ["c-1", "c-2"],
  },
  {
    what: "a role that isn't served",
    theirs: { role: "admin" },
    code: "wrongRole",
    names: ["master", "admin"],
  },
  {
    what: "a role that doesn't exist",
    theirs: { role: "boss" },
    code: "wrongRole",
    names: ["master", "boss"],
  },
];
for (const { what, theirs: wrong, code, names } of mismatches) {
  test(`mismatchOf() refuses ${what} as ${code}, and names both sides (T16)`, () => {
    const error = mismatchOf(ours, { ...theirs, ...wrong }, serves);
    assert.equal(error?.code, code);
    for (const name of names) assert.ok(error?.message.includes(name), `${error?.message} names ${name}`);
  });
}

const matches: readonly { what: string; theirs: Partial<Hello>; serves?: readonly Role[] }[] = [
  { what: "the same cluster and version", theirs: {} },
  { what: "a client that knows no cluster id yet", theirs: { clusterId: "" } },
  { what: "a peer that knows neither name nor id", theirs: { cluster: "", clusterId: "" } },
  { what: "a range of versions that overlaps ours", theirs: { versionMin: 0, versionMax: 99 } },
  { what: "trailing capabilities that we don't know", theirs: { capabilities: ["time-travel"] } },
];
for (const { what, theirs: other } of matches) {
  test(`mismatchOf() takes ${what} (T16)`, () => {
    assert.equal(mismatchOf(ours, { ...theirs, ...other }, serves), undefined);
  });
}

test("mismatchOf() doesn't ask for a role where we went to the peer ourselves (T16)", () => {
  assert.equal(mismatchOf(ours, { ...theirs, role: "storage" }, undefined), undefined);
  assert.equal(mismatchOf(ours, theirs, [])?.code, "wrongRole");
});

test("helloOf() fills in what a node doesn't say", () => {
  const hello = helloOf({ role: "storage", name: "s1" });
  assert.deepEqual([hello.magic, hello.role, hello.name, hello.clusterId, hello.session], [
    MAGIC,
    "storage",
    "s1",
    "",
    0,
  ]);
  assert.ok(hello.patienceMs > 0);
});

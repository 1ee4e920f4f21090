import assert from "node:assert/strict";
import process from "node:process";
import { test } from "node:test";
import { growthOf, useOf, Uses } from "./resources.ts";

const MIB = 1024 * 1024;
const flat = { start: 100 * MIB, min: 90 * MIB, max: 400 * MIB, end: 180 * MIB };

test("Uses.course() begins when the warm-up is over", () => {
  const uses = new Uses();
  [90, 50, 70, 20, 60].forEach((memory, at) => uses.add(10 * at, { memory, files: at }));

  assert.deepEqual(uses.course("memory", 10), { start: 50, min: 20, max: 70, end: 60 });
  assert.deepEqual(uses.course("files", 0), { start: 0, min: 0, max: 4, end: 4 });
  assert.equal(uses.course("files", 50), undefined);
});

test("growthOf() tells what is beyond its bound at the end, however high it was between", () => {
  const files = { start: 10, min: 10, max: 99, end: 47 };
  assert.deepEqual(growthOf("s1", flat, files), []);
  assert.deepEqual(growthOf("s1", undefined, undefined), []);
  assert.match(
    growthOf("s1", { ...flat, end: 183 * MIB }, files).join(),
    /^s1 used 100 MiB .* 183 MiB at the end$/,
  );
  assert.match(growthOf("s1", flat, { ...files, end: 48 }).join(), /^s1 had 10 files .* 48 at the end$/);
});

test("useOf() finds what a process uses, and nothing where none is", {
  skip: process.platform === "linux" ? false : "needs /proc",
}, () => {
  const use = useOf(process.pid);
  assert.ok(use !== undefined && use.memory > MIB && use.files > 0);
  assert.equal(useOf(2 ** 22 + 1), undefined);
});

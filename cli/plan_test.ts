import assert from "node:assert/strict";
import { test } from "node:test";
import { seededRandom } from "../adapters/system.ts";
import { NAME_PATTERN } from "./config.ts";
import { CliError } from "./exit.ts";
import { generateName } from "./names.ts";
import { evenDeals, inWords, planCluster, storagesMax } from "./plan.ts";
import type { Wishes } from "./plan.ts";

const NONE: Wishes = {
  name: undefined,
  masters: undefined,
  storages: undefined,
  replicas: undefined,
  partitions: undefined,
  single: false,
};

test("planCluster() plans 1 master, 2 storages, 1 replica, 240 partitions and an admin unless told", () => {
  const plan = planCluster(NONE);

  assert.deepEqual([plan.storages, plan.replicas, plan.partitions], [2, 1, 240]);
  assert.deepEqual(plan.nodes.map(({ name, process }) => [name, process]), [
    ["m1", "m1"],
    ["s1", "s1"],
    ["s2", "s2"],
    ["a1", "a1"],
  ]);
});

test("planCluster() puts master, storage and admin into one process with single (T59)", () => {
  const plan = planCluster({ ...NONE, single: true });

  assert.deepEqual(plan.nodes.map(({ role, process }) => [role, process]), [
    ["master", "single"],
    ["storage", "single"],
    ["admin", "single"],
  ]);
  assert.equal(plan.replicas, 0);
});

const wrong: readonly { wishes: Partial<Wishes>; says: RegExp }[] = [
  { wishes: { masters: 2 }, says: /--masters 2: expected 1, 3 or 5: with 3 one may fail, with 5 two may/ },
  { wishes: { masters: 0 }, says: /--masters 0/ },
  { wishes: { storages: 0 }, says: /--storages 0/ },
  { wishes: { storages: 2, replicas: 2 }, says: /--replicas 2: .*less than the number of storages, 2/ },
  { wishes: { single: true, replicas: 1 }, says: /--replicas 1/ },
  { wishes: { partitions: 0 }, says: /--partitions 0: expected 1 to 65536/ },
  { wishes: { partitions: 65_537 }, says: /--partitions 65537/ },
  { wishes: { name: "a/b" }, says: /--name "a\/b": expected 1 to 63 letters/ },
];
for (const { wishes, says } of wrong) {
  test(`planCluster() refuses ${JSON.stringify(wishes)}`, () => {
    assert.throws(
      () => planCluster({ ...NONE, ...wishes }),
      (error) => error instanceof CliError && error.outcome === "usage" && says.test(error.message),
    );
  });
}

test("evenDeals() lists the numbers of storages that get the same number of cells each", () => {
  assert.equal(storagesMax(240, 1), 480);
  assert.deepEqual(evenDeals(6, 0), [1, 2, 3, 6]);
  assert.deepEqual(evenDeals(6, 1), [2, 3, 4, 6, 12]);
  assert.equal(inWords(evenDeals(240, 1)), "2 to 6, 8, 10, 12, 15, 16, 20, 24, ...");
  assert.equal(inWords([7]), "7");
});

test("generateName() makes names that a cluster may have, and hardly ever the same (T50)", () => {
  const random = seededRandom(7);
  const names = Array.from({ length: 1000 }, () => generateName(random));

  assert.ok(names.every((name) => NAME_PATTERN.test(name) && /^[a-z]+-[a-z]+-\d{4}$/.test(name)));
  assert.ok(new Set(names).size > 995);
});

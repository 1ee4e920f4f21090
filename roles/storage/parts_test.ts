/** Values in parts, as a storage takes them (T19). */
import assert from "node:assert/strict";
import { test } from "node:test";
import { sha256 } from "../../adapters/system.ts";
import { toOid, ttidOf, ZERO_TID } from "../../core/ids.ts";
import type { ClientSession } from "../../core/ids.ts";
import { PART_BYTES_MAX, PARTS_MAX, RESERVE_BYTES } from "../../core/limits.ts";
import type { Body } from "../../core/messages.ts";
import { COMPRESSION_PARTS } from "../../core/parts.ts";
import { answersOf, asTid, errorsOf, only } from "../../tests/machines.ts";
import {
  codeOf,
  loadedParts,
  manifestOf,
  other,
  partOf,
  publish,
  scene,
  sendParts,
  storeOf,
  texts,
  ttid,
  wholeOf,
} from "../../tests/parts_hand.ts";

test("StorageMachine keeps the parts of a value, and gives them once it is published (T19)", () => {
  const stage = scene();
  assert.deepEqual(sendParts(stage), []);
  assert.deepEqual(loadedParts(stage, asTid(40)), []);
  assert.deepEqual(answersOf(stage.bench.asked(stage.client, "store", storeOf(2)), "store"), [{
    lockless: false,
  }]);
  publish(stage, storeOf(2), 40);

  const [loaded] = answersOf(
    stage.bench.asked(stage.rival, "load", { oid: toOid(2), at: asTid(40), version: 1 }),
    "load",
  );
  assert.deepEqual(loaded?.revision, { tid: asTid(40), next: null, ...manifestOf(texts), link: null });
  assert.deepEqual(loadedParts(stage, asTid(40)), texts);
});

test("StorageMachine answers a part behind its save, which may be lazy, and takes no lock for it", () => {
  const { bench, client, rival } = scene();
  const effects = bench.asked(client, "part", partOf(2, 0));
  assert.deepEqual(effects.map((effect) => effect.do), ["save", "answer"]);
  assert.deepEqual(only(effects, "save").map(({ write, durable }) => [write.op, durable]), [["part", false]]);

  const theirs = bench.asked(rival, "store", wholeOf(2, { ttid: other }));
  assert.equal(answersOf(theirs, "store").length, 1, "another transaction locks the object");
});

const refusedParts: { what: string; part: Body<"part">; code: string; names: RegExp }[] = [
  {
    what: "of another client's transaction",
    part: partOf(2, 0, { ttid: other }),
    code: "denied",
    names: /another client session/,
  },
  {
    what: "of a partition that it has no cell of",
    part: partOf(3, 0),
    code: "notAssigned",
    names: /object 3.*partition 3/,
  },
  {
    what: "that its checksum doesn't fit",
    part: partOf(2, 0, { checksum: sha256() }),
    code: "badChecksum",
    names: /object 2.*checksum/,
  },
  {
    what: "that is too large",
    part: partOf(2, 0, { text: "x".repeat(PART_BYTES_MAX + 1) }),
    code: "tooLarge",
    names: /524289 bytes are more than 524288/,
  },
  {
    what: "beyond all values",
    part: partOf(2, PARTS_MAX),
    code: "tooLarge",
    names: /at most 32768/,
  },
  {
    what: "that is a manifest itself",
    part: partOf(2, 0, { compression: COMPRESSION_PARTS }),
    code: "malformed",
    names: /part 0 of object 2.*manifest/,
  },
  { what: "that follows nothing", part: partOf(2, 1), code: "lacks", names: /part 1 of object 2.*0/ },
];
for (const { what, part, code, names } of refusedParts) {
  test(`StorageMachine refuses a part ${what} as ${code}, and keeps nothing of it (T56)`, () => {
    const { bench, client } = scene();
    const effects = bench.asked(client, "part", part);
    assert.deepEqual(effects.map((effect) => effect.do), ["refuse"]);
    const [error] = errorsOf(effects);
    assert.equal(error?.code, code);
    assert.match(error?.message ?? "", names);
  });
}

test("StorageMachine takes parts in their order only, each once, or from the first one again", () => {
  const { bench, client } = scene();
  const codes = [0, 1, 1, 3, 2, 0, 2, 1].map((seq) => codeOf(bench.asked(client, "part", partOf(2, seq))));
  const [taken, lacks] = [undefined, "lacks"];
  assert.deepEqual(codes, [taken, taken, lacks, lacks, taken, taken, lacks, taken]);
});

test("StorageMachine counts parts against the room that it knows of, and refuses them when it is short", () => {
  const { bench, client } = scene();
  bench.give({ type: "room", freeBytes: RESERVE_BYTES + 10 });
  const codes = [0, 1, 2].map((seq) =>
    codeOf(bench.asked(client, "part", partOf(2, seq, { text: "12345" })))
  );
  assert.deepEqual(codes, [undefined, undefined, "noSpace"]);
  bench.give({ type: "room", freeBytes: RESERVE_BYTES - 1 });
  assert.equal(codeOf(bench.asked(client, "part", partOf(4, 0))), "noSpace");
});

const refusedStores: { what: string; parts: readonly string[]; store: Body<"store">; code: string }[] = [
  { what: "no parts came", parts: [], store: storeOf(2), code: "lacks" },
  { what: "a part is missing", parts: texts.slice(0, 2), store: storeOf(2), code: "lacks" },
  { what: "a part too many came", parts: [...texts, "more"], store: storeOf(2), code: "lacks" },
  { what: "other parts came", parts: ["first", "other", "end"], store: storeOf(2), code: "lacks" },
  {
    what: "the parts came in another order",
    parts: ["secnd", "first", "end"],
    store: storeOf(2),
    code: "lacks",
  },
  { what: "the parts came for another object", parts: texts, store: storeOf(4), code: "lacks" },
  {
    what: "the manifest is damaged",
    parts: texts,
    store: storeOf(2, texts, { checksum: sha256() }),
    code: "badChecksum",
  },
  {
    what: "the manifest is none",
    parts: texts,
    store: wholeOf(2, { compression: COMPRESSION_PARTS }),
    code: "malformed",
  },
];
for (const { what, parts, store, code } of refusedStores) {
  test(`StorageMachine refuses a store of a manifest as ${code} when ${what}, and takes the right one then (T19, T56)`, () => {
    const stage = scene();
    sendParts(stage, 2, parts);
    const effects = stage.bench.asked(stage.client, "store", store);
    assert.deepEqual(effects.map((effect) => effect.do), ["refuse"]);
    assert.equal(codeOf(effects), code);

    assert.deepEqual(sendParts(stage), []);
    assert.equal(codeOf(stage.bench.asked(stage.client, "store", storeOf(2))), undefined);
    publish(stage, storeOf(2), 40);
    assert.deepEqual(loadedParts(stage, asTid(40)), texts);
  });
}

test("StorageMachine gives parts to one store: the next one needs its own, and so does the next part", () => {
  const stage = scene();
  const { bench, client } = stage;
  sendParts(stage);
  assert.equal(codeOf(bench.asked(client, "store", storeOf(2))), undefined);
  assert.equal(codeOf(bench.asked(client, "part", partOf(2, 3))), "lacks");
  assert.equal(codeOf(bench.asked(client, "store", storeOf(2))), "lacks");
  publish(stage, storeOf(2), 40);
  assert.deepEqual(loadedParts(stage, asTid(40)), texts, "the first store stands");
});

test("StorageMachine drops parts whose object is stored as a whole, or checked", () => {
  const stage = scene();
  const { bench, client } = stage;
  sendParts(stage);
  bench.asked(client, "store", wholeOf(2));
  assert.equal(codeOf(bench.asked(client, "store", storeOf(2))), "lacks");
  sendParts(stage);
  bench.asked(client, "check", { ttid, version: 1, ageMs: 5, oid: toOid(2), base: ZERO_TID });
  assert.equal(codeOf(bench.asked(client, "part", partOf(2, 3))), "lacks");
  assert.equal(codeOf(bench.asked(client, "store", storeOf(2))), "lacks");
});

test("StorageMachine keeps parts until the lock of their object is free (T19)", () => {
  const stage = scene();
  const { bench, client, rival } = stage;
  bench.asked(rival, "store", wholeOf(2, { ttid: other, ageMs: 1 }));
  sendParts(stage);
  assert.deepEqual(bench.asked(client, "store", storeOf(2)), []);
  const effects = bench.told(rival, "abort", { ttid: other, epoch: 0, nodes: [] });
  assert.equal(answersOf(effects, "store").length, 1);
  publish(stage, storeOf(2), 40);
  assert.deepEqual(loadedParts(stage, asTid(40)), texts);
});

for (
  const { title, waits } of [{ title: "in parts", waits: storeOf(2) }, {
    title: "as a whole",
    waits: wholeOf(2),
  }]
) {
  test(`StorageMachine gives up a store ${title} that waits for its lock when parts of another value come`, () => {
    const stage = scene();
    const { bench, client, rival } = stage;
    bench.asked(rival, "store", wholeOf(2, { ttid: other, ageMs: 1 }));
    sendParts(stage);
    assert.deepEqual(bench.asked(client, "store", waits), []);

    const first = bench.asked(client, "part", partOf(2, 0, { text: "other" }));
    assert.deepEqual([codeOf(first), answersOf(first, "part").length], ["aborted", 1]);
    const freed = bench.told(rival, "abort", { ttid: other, epoch: 0, nodes: [] });
    assert.deepEqual(answersOf(freed, "store"), []);
    assert.equal(codeOf(bench.asked(client, "part", partOf(2, 1, { text: "value" }))), undefined);
    assert.equal(codeOf(bench.asked(client, "store", storeOf(2, ["other", "value"]))), undefined);
    publish(stage, storeOf(2, ["other", "value"]), 40);
    assert.deepEqual(loadedParts(stage, asTid(40)), ["other", "value"]);
  });
}

test("StorageMachine keeps a refused object's lock while its client sends the parts of another value", () => {
  const stage = scene();
  const { bench, client, rival } = stage;
  sendParts(stage);
  bench.asked(client, "store", storeOf(2));
  publish(stage, storeOf(2), 40);
  const next = ttidOf(1 as ClientSession, 2);
  const parts = texts.map((_, seq) => partOf(2, seq, { ttid: next }));
  for (const part of parts) bench.asked(client, "part", part);
  assert.equal(codeOf(bench.asked(client, "store", storeOf(2, texts, { ttid: next }))), "conflict");
  assert.deepEqual(bench.asked(rival, "store", wholeOf(2, { ttid: other, base: asTid(40) })), []);

  for (const part of parts) assert.equal(codeOf(bench.asked(client, "part", part)), undefined);
  const resolved = storeOf(2, texts, { ttid: next, base: asTid(40) });
  assert.equal(answersOf(bench.asked(client, "store", resolved), "store").length, 1);
  publish(stage, resolved, 50);
  assert.deepEqual(loadedParts(stage, asTid(50)), texts);
});

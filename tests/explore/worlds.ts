/** The worlds that are walked. Small ones to the end in every run of the tests, the others by `deno task explore`. */
import type { WorldSpec } from "./spec.ts";

const ONE_ROW = { storages: 2, clients: 1, partitions: 1, replicas: 1 } as const;
const TWO_ROWS = { storages: 2, clients: 1, partitions: 2, replicas: 0 } as const;
const ALONE = [{ client: 1, writes: [1] }] as const;
/** Two clients, one object. */
const SAME = [{ client: 1, writes: [1] }, { client: 2, writes: [1] }] as const;
/** Two clients, two objects, in opposite order. */
const CROSSED = [{ client: 1, writes: [1, 2] }, { client: 2, writes: [2, 1] }] as const;

/** A copy is lost when a transaction has just begun, and is started again. */
export const BACK: readonly string[] = [
  "c1 begins T1",
  "s2 crashes",
  "m1 hears that m1-s2 is over",
  "s2 starts again",
];

const TWEAK = { name: "tweak", body: { ignored: [], dryRun: false } } as const;
const replicas = (count: number) => ({ name: "setReplicas", body: { replicas: count } }) as const;

/** All of them, by name. */
export const worlds: readonly WorldSpec[] = [
  {
    name: "alone",
    about: "one transaction on two copies; messages arrive one by one, or several in one round",
    ...ONE_ROW,
    calls: ALONE,
    faults: {},
    split: true,
    gather: 3,
  },
  {
    name: "same in pieces",
    about: "two clients write one object; messages arrive one by one, or two in one round",
    ...ONE_ROW,
    clients: 2,
    calls: SAME,
    faults: {},
    split: true,
    gather: 2,
  },
  { name: "same", about: "two clients write one object", ...ONE_ROW, clients: 2, calls: SAME, faults: {} },
  {
    name: "crossed",
    about: "two clients write two objects in opposite order, and must not wait for each other",
    ...ONE_ROW,
    clients: 2,
    calls: CROSSED,
    faults: {},
  },
  {
    name: "apart",
    about: "two clients write different objects: order of publication",
    ...ONE_ROW,
    clients: 2,
    calls: [{ client: 1, writes: [1] }, { client: 2, writes: [2] }],
    faults: {},
  },
  {
    name: "checked",
    about: "one client writes what the other one checks",
    ...ONE_ROW,
    clients: 2,
    calls: [{ client: 1, writes: [1] }, { client: 2, writes: [2], checks: [1] }],
    faults: {},
  },
  {
    name: "storage crashes",
    about: "one of two copies is lost once, at any moment",
    ...ONE_ROW,
    calls: ALONE,
    faults: { crash: { s1: 1, s2: 1 }, total: 1 },
  },
  {
    name: "client's line breaks",
    about:
      "the connection from a client to a storage breaks once, either direction losing what is on its way or not",
    ...ONE_ROW,
    calls: ALONE,
    faults: { cuts: 1, cutPairs: ["s1-c1"] },
  },
  {
    name: "client's line breaks often",
    about: "the same, until the client gives the storage up",
    ...ONE_ROW,
    calls: ALONE,
    faults: { cuts: 4, cutPairs: ["s1-c1"] },
  },
  {
    name: "primary's line breaks",
    about: "the connection from the primary to a storage breaks once",
    ...ONE_ROW,
    calls: ALONE,
    faults: { cuts: 1, cutPairs: ["m1-s1"] },
  },
  {
    name: "session breaks",
    about:
      "the connection from a client to the primary breaks once: it asks for the outcome under its next session",
    ...ONE_ROW,
    calls: ALONE,
    faults: { cuts: 1, cutPairs: ["m1-c1"] },
  },
  {
    name: "client dies",
    about: "a client dies at any moment, another one wants the same object",
    ...ONE_ROW,
    clients: 2,
    calls: SAME,
    faults: { crash: { c1: 1 } },
  },
  {
    name: "rows apart",
    about:
      "a transaction over two partitions, each with one copy, one of which is lost with what isn't flushed",
    ...TWO_ROWS,
    before: [3],
    calls: [{ client: 1, writes: [2, 3] }],
    faults: { crash: { s1: 1, s2: 1 }, total: 1, timers: 1 },
  },
  {
    name: "primary changes",
    about: "the primary crashes at any moment, its successor verifies",
    ...ONE_ROW,
    calls: ALONE,
    faults: { crash: { m1: 1 }, timers: 1 },
  },
  {
    name: "storage crashes between two",
    about: "two clients want one object while a copy is lost",
    ...ONE_ROW,
    clients: 2,
    calls: SAME,
    faults: { crash: { s1: 1 } },
  },
  {
    name: "copy catches up",
    about: "a copy that came back catches up while a client writes",
    ...ONE_ROW,
    calls: ALONE,
    faults: { crash: { s2: 1 } },
    path: BACK,
  },
  {
    name: "copy is added",
    about: "a tweak gives a second storage a copy while a client writes",
    ...ONE_ROW,
    table: [[0, 2, "discarded"]],
    calls: ALONE,
    faults: {},
    orders: [TWEAK],
  },
  {
    name: "copy moves",
    about: "a copy is taken away and given again while a client writes",
    ...ONE_ROW,
    calls: ALONE,
    faults: { timers: 1 },
    orders: [replicas(0), TWEAK, replicas(1), TWEAK],
  },
  {
    name: "three copies",
    about: "two clients want one object on three storages",
    ...ONE_ROW,
    storages: 3,
    replicas: 2,
    clients: 2,
    calls: SAME,
    faults: {},
  },
  {
    name: "held later",
    about: "what the primary of two proposes is held at any later moment, while a copy comes back",
    ...ONE_ROW,
    masters: 2,
    calls: ALONE,
    faults: { crash: { s2: 1 } },
    path: BACK,
  },
  {
    name: "one copy, another primary",
    about:
      "of two masters the other one is elected at any moment, while a transaction is written to the only copy",
    masters: 2,
    storages: 1,
    clients: 1,
    partitions: 1,
    replicas: 0,
    calls: ALONE,
    faults: { elections: 1 },
  },
  {
    name: "another primary",
    about:
      "of two masters the other one is elected at any moment, and the deposed one hears of it at any later one",
    ...ONE_ROW,
    masters: 2,
    calls: ALONE,
    faults: { elections: 1, timers: 1 },
  },
  {
    name: "another primary, and a loss",
    about: "of three masters another one is elected, and a copy is lost, in any order",
    ...ONE_ROW,
    masters: 3,
    calls: ALONE,
    faults: { elections: 1, crash: { s2: 1 }, timers: 1 },
  },
  {
    name: "primary of two crashes",
    about: "the primary of two masters crashes, with what it had proposed held or not",
    ...ONE_ROW,
    masters: 2,
    calls: ALONE,
    faults: { crash: { m1: 1 }, timers: 1 },
  },
  {
    name: "storage and primary",
    about: "a copy and the primary are lost, in any order",
    ...ONE_ROW,
    calls: ALONE,
    faults: { crash: { m1: 1, s2: 1 }, timers: 1 },
  },
  {
    name: "all lines",
    about: "any two connections break",
    ...ONE_ROW,
    calls: ALONE,
    faults: { cuts: 2 },
  },
  {
    name: "one after the other",
    about: "a client commits twice to the same object while a copy is lost",
    ...ONE_ROW,
    calls: [{ client: 1, writes: [1] }, { client: 1, writes: [1], after: 0 }],
    faults: { crash: { s1: 1 } },
  },
];

/** A world by its name. */
export function worldNamed(name: string): WorldSpec {
  const found = worlds.find((world) => world.name === name);
  if (!found) {
    throw new RangeError(`Cannot walk "${name}": the worlds are ${worlds.map((one) => one.name).join(", ")}`);
  }
  return found;
}

import assert from "node:assert/strict";
import { test } from "node:test";
import type { Conn, NodeIndex } from "../../core/ids.ts";
import { RETRY_DELAY_MS_MAX } from "../../core/limits.ts";
import { helloOf } from "../hello.ts";
import { Circle } from "./circle.ts";
import type { MasterRoster } from "./metadata.ts";

const masterOf = (index: number) => ({
  index: index as NodeIndex,
  name: `m${index}`,
  role: "master" as const,
  address: `m${index}:1`,
  diskId: `disk m${index}`,
  weight: 1,
  path: [],
  draining: false,
});
const rosterOf = (...indexes: number[]): MasterRoster => {
  return { masters: indexes.map(masterOf), voters: indexes as NodeIndex[] };
};

test("Circle doesn't dial a master whose removal isn't held yet, and dials it again if that comes to nothing", () => {
  let roster = rosterOf(1, 2);
  const dialed: string[] = [];
  const circle = new Circle({
    hello: () => helloOf({ role: "master", name: "m1", cluster: "c" }),
    rosters: () => (roster ? [roster] : []),
    leader: () => 1,
    self: () => 1,
    connected: () => {},
    disconnected: () => {},
    emit: (...effects) => {
      for (const effect of effects) if (effect.do === "connect") dialed.push(effect.address);
    },
  });
  const at = (monoMs: number) => ({ monoMs, wallMs: monoMs });
  circle.look(at(0));
  circle.lost(1 as never, "master 2", at(0));
  roster = rosterOf(1);

  circle.due(at(RETRY_DELAY_MS_MAX));
  assert.deepEqual(dialed, ["m2:1"]);
  roster = rosterOf(1, 2);
  circle.due(at(circle.dueMs!));

  assert.deepEqual(dialed, ["m2:1", "m2:1"]);
});

test("Circle takes a master by its disk id only if its certificate is that master's (N6)", () => {
  let roster: MasterRoster | undefined = rosterOf(1, 2, 3);
  const connected: number[] = [];
  const circle = new Circle({
    hello: () => helloOf({ role: "master", name: "m1", cluster: "c", clusterId: "id" }),
    rosters: () => (roster ? [roster] : []),
    leader: () => 1,
    self: () => 1,
    connected: (index) => void connected.push(index),
    disconnected: () => {},
    emit: () => {},
  });
  const come = (conn: number, name: string, holder: string, diskId: string): void => {
    const hello = helloOf({ role: "master", name, diskId, clusterId: "id" });
    circle.identified({ type: "identified", conn: conn as Conn, hello, incoming: true, holder });
  };
  come(1, "m3", "master m3", "disk m2");
  assert.deepEqual([connected, circle.indexes], [[], []]);
  come(2, "m3", "master m3", "disk m3");
  assert.deepEqual([connected, circle.indexes], [[3], [3]]);

  roster = undefined; // it has no cluster yet: who comes is judged when it has
  come(3, "m3", "master m3", "disk m2");
  roster = rosterOf(1, 2, 3);
  circle.look({ monoMs: 0, wallMs: 0 });
  assert.deepEqual(circle.indexes, [3]);
});

test("Circle knows a master as long as its removal isn't held, and says that it is none only then (X1, B9)", () => {
  let rosters = [rosterOf(1, 2), rosterOf(1, 2, 3)];
  const rejected: Conn[] = [];
  const circle = new Circle({
    hello: () => helloOf({ role: "master", name: "m1", cluster: "c", clusterId: "id" }),
    rosters: () => rosters,
    leader: () => 1,
    self: () => 1,
    connected: () => {},
    disconnected: () => {},
    emit: (...effects) => {
      for (const effect of effects) if (effect.do === "reject") rejected.push(effect.conn);
    },
  });
  const hello = helloOf({ role: "master", name: "m3", diskId: "disk m3", clusterId: "id" });
  circle.identified({ type: "identified", conn: 1 as Conn, hello, incoming: true } as never);
  assert.deepEqual([circle.indexes, rejected], [[3], []]);
  rosters = [rosterOf(1, 2)];
  circle.look({ monoMs: 0, wallMs: 0 });
  assert.deepEqual([circle.indexes, rejected], [[], [1]]);
});

test("Circle takes a stranger of its cluster while nobody leads, and lets it go when another does (B7)", () => {
  let leader: number | undefined = 2;
  const ended: Conn[] = [];
  const circle = new Circle({
    hello: () => helloOf({ role: "master", name: "m1", cluster: "c", clusterId: "id" }),
    rosters: () => [rosterOf(1, 2)],
    leader: () => leader,
    self: () => 1,
    connected: () => {},
    disconnected: () => {},
    emit: (...effects) => {
      for (const effect of effects) if (effect.do === "reject") ended.push(effect.conn);
    },
  });
  const come = (conn: number, clusterId = "id", diskId = "disk m9"): number[] => {
    const hello = helloOf({ role: "master", name: "m9", diskId, clusterId });
    circle.identified({ type: "identified", conn: conn as Conn, hello, incoming: true } as never);
    return circle.indexes;
  };
  assert.deepEqual(come(1), [], "somebody leads");
  leader = undefined;
  assert.deepEqual(come(2, "another"), []);
  assert.deepEqual(come(3, "id", ""), []);
  assert.deepEqual(come(4), [-4]);
  leader = -4;
  circle.sift();
  assert.deepEqual(circle.indexes, [-4], "it leads itself");
  leader = 2;
  circle.sift();
  assert.deepEqual([circle.indexes, ended], [[], [1, 2, 3, 4]]);
});

/**
 * Kills behind each single step of a commit: of its client, of each storage, of the primary, of everything. Whatever the moment, the
 * transaction is then whole on every readable copy or on none, what was acknowledged is there, nothing is done twice, and
 * nobody else is kept from the same objects.
 */
import assert from "node:assert/strict";
import { test } from "node:test";
import { LOCK_TIMEOUT_MS, RETRY_DELAY_MS_MAX, STARTUP_GRACE_MS } from "../../core/limits.ts";
import type { Stage, StageShape } from "../hazards/kit.ts";
import {
  assertText,
  COPIES,
  opened,
  PAIR,
  readersOf,
  SINGLE,
  storedAt,
  timesCommitted,
  trying,
  writeOver,
} from "./failures_kit.ts";
import type { Play, Try } from "./failures_kit.ts";
import { connectWarm } from "./kit.ts";

/** What becomes of what a dying process has said, and of what its disk wasn't told to flush. */
const WAYS = [
  { said: "arrives", disk: "loses what wasn't flushed" },
  { said: "is lost", disk: "keeps what was written" },
] as const;
type Way = (typeof WAYS)[number];

function heard(stage: Stage): number {
  return ["m1", "c1", "c2", ...stage.names].reduce((sum, name) => sum + stage.actor(name).heard.length, 0);
}

/** A new cluster and a commit in it, stopped behind its nth step; undefined: it hasn't as many. */
async function stoppedAt(
  shape: StageShape,
  n: number,
  signal?: AbortSignal,
): Promise<{ play: Play; result: Try } | undefined> {
  const play = await opened(shape);
  const { stage } = play;
  let first = 0;
  const result = await trying(play, {
    withinMs: 10 * LOCK_TIMEOUT_MS,
    before: () => (first = heard(stage)),
    ...(signal && { signal }),
  });
  let last = -1;
  await stage.until(() => {
    const isOver = result.tid !== undefined && last === heard(stage);
    last = heard(stage);
    return isOver || last >= first + n;
  }).catch(() => undefined); // it was over before
  return heard(stage) >= first + n ? { play, result } : undefined;
}

function kill(stage: Stage, names: readonly string[], { said, disk }: Way): void {
  const all = ["m1", "c1", "c2", ...stage.names];
  for (const name of names) {
    if (said === "is lost") { for (const to of all) stage.wires.lose(name, to); }
    if (disk === "keeps what was written" && name.startsWith("s")) stage.disk(name).crash(Infinity);
    stage.actor(name).kill();
  }
}

/** All copies of both objects say the same of it; gives what. */
function wholeOrNot(stage: Stage, result: Try): string {
  const texts = PAIR.flatMap((oid, partition) =>
    readersOf(stage, partition).map((name) => storedAt(stage, name, oid))
  );
  const [text] = texts;
  assert.ok(text !== undefined && texts.every((one) => one === text), `all or nothing: ${texts}`);
  if (result.tid !== undefined) assert.equal(text, "new", "it was acknowledged");
  return text;
}

/** Runs a test behind each step of a commit; gives how many there were. */
async function everywhere(
  shape: StageShape,
  then: (play: Play, result: Try) => Promise<string | void>,
): Promise<Map<string, number>> {
  const ends = new Map<string, number>();
  for (let n = 1;; n++) {
    const stopped = await stoppedAt(shape, n);
    if (!stopped) break;
    const { play, result } = stopped;
    try {
      const end = await then(play, result) ?? "";
      ends.set(end, (ends.get(end) ?? 0) + 1);
    } catch (error) {
      throw new Error(`Behind step ${n}: ${play.stage.problems ?? ""} ${(error as Error).message}`, {
        cause: error,
      });
    }
  }
  return ends;
}

test("5.8 its caller gives it up behind any step: nothing of it stays, or it is committed and the caller is told", async () => {
  const ends = { committed: 0, given: 0 };
  for (let n = 1;; n++) {
    const controller = new AbortController();
    const stopped = await stoppedAt(COPIES, n, controller.signal);
    if (!stopped) break;
    const { play: { stage, other }, result } = stopped;
    controller.abort(new Error("enough"));
    await stage.run();
    assert.equal(wholeOrNot(stage, result), result.tid === undefined ? "old" : "new", `behind step ${n}`);
    if (result.tid === undefined) assert.equal(result.error?.message, "enough");
    ends[result.tid === undefined ? "given" : "committed"] += 1;
    await writeOver(stage, other);
  }
  assert.ok(ends.given > 5 && ends.committed > 5);
});

for (const way of WAYS) {
  test(`5.8 its client dies behind any step, and what it said ${way.said}: whole or nowhere, nothing stays locked`, async () => {
    const ends = await everywhere(COPIES, async ({ stage, other }, result) => {
      kill(stage, ["c1"], way);
      await stage.run();
      const end = wholeOrNot(stage, result);
      await assertText(stage, other.client, end);
      await writeOver(stage, other);
      return end;
    });
    assert.ok(ends.get("old")! > 5 && ends.get("new")! > 5, `${[...ends]}`);
  });

  for (const victim of ["s1", "s2"]) {
    test(`5.8 storage ${victim} dies behind any step, what it said ${way.said}, its disk ${way.disk}: the commit goes on, and it catches up`, async () => {
      await everywhere(COPIES, async ({ stage, other }, result) => {
        kill(stage, [victim], way);
        await stage.pass(2 * LOCK_TIMEOUT_MS);
        assert.ok(result.tid, result.error?.message);
        assert.equal(wholeOrNot(stage, result), "new");
        stage.startStorage(victim);
        await stage.pass(STARTUP_GRACE_MS);
        assert.equal(readersOf(stage, 0).length + readersOf(stage, 1).length, 4, "all copies are readable");
        assert.equal(wholeOrNot(stage, result), "new");
        assert.equal(await timesCommitted(stage, other.client), 1);
        await writeOver(stage, other);
      });
    });

    test(`5.8 storage ${victim} dies behind any step, without another copy, its disk ${way.disk}: the commit goes on when it is back`, async () => {
      await everywhere(SINGLE, async ({ stage, other }, result) => {
        kill(stage, [victim], way);
        await stage.run();
        stage.startStorage(victim);
        await stage.pass(2 * LOCK_TIMEOUT_MS);
        assert.ok(result.tid, result.error?.message);
        assert.equal(wholeOrNot(stage, result), "new");
        assert.equal(await timesCommitted(stage, other.client), 1);
        await writeOver(stage, other);
      });
    });
  }

  test(`5.8 the primary dies behind any step, what it said ${way.said}: its client learns the end, nothing is done twice`, async () => {
    for (const shape of [COPIES, SINGLE]) {
      await everywhere(shape, async ({ stage, other }, result) => {
        kill(stage, ["m1"], way);
        await stage.run();
        stage.startMaster();
        await stage.pass(STARTUP_GRACE_MS);
        assert.ok(result.tid, result.error?.message);
        assert.equal(wholeOrNot(stage, result), "new");
        assert.equal(await timesCommitted(stage, other.client), 1);
        await writeOver(stage, other);
      });
    }
  });

  for (const victim of ["s1", "s2"]) {
    test(`5.8 the primary and ${victim} die behind any step, what they said ${way.said}, and ${victim} stays away: nothing is lost`, async () => {
      await everywhere(COPIES, async ({ stage }, result) => {
        kill(stage, ["m1", "c1", victim], way);
        await stage.run();
        stage.startMaster();
        await stage.pass(STARTUP_GRACE_MS + RETRY_DELAY_MS_MAX);
        const later = await connectWarm(stage, "c3");
        const end = wholeOrNot(stage, result);
        assert.equal(await timesCommitted(stage, later.client), end === "new" ? 1 : 0);
        await writeOver(stage, later);
        stage.startStorage(victim);
        await stage.pass(STARTUP_GRACE_MS);
        assert.equal(readersOf(stage, 0).length + readersOf(stage, 1).length, 4);
        await assertText(stage, later.client, "over");
      });
    });
  }

  test(`5.8 everything is killed behind any step, what was said ${way.said}, disks ${way.disk}: whole or nowhere, and never lost`, async () => {
    for (const shape of [COPIES, SINGLE]) {
      const ends = await everywhere(shape, async ({ stage }, result) => {
        kill(stage, ["m1", "c1", "c2", ...stage.names], way);
        await stage.run();
        stage.startMaster();
        for (const name of stage.names) stage.startStorage(name);
        await stage.pass(STARTUP_GRACE_MS);
        const later = await connectWarm(stage, "c3");
        const end = wholeOrNot(stage, result);
        assert.equal(await timesCommitted(stage, later.client), end === "new" ? 1 : 0);
        await writeOver(stage, later);
        return end;
      });
      assert.ok(ends.get("old")! > 5 && ends.get("new")! > 5, `${[...ends]}`);
    }
  });
}

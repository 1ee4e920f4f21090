/** The agreement of masters under everything that can happen to it, without a cluster around it. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { seededRandom } from "../../adapters/system.ts";
import type { Body } from "../../core/messages.ts";
import { Raft } from "../../roles/master/raft.ts";
import type { RaftMessage } from "../../roles/master/raft.ts";
import type { Voters } from "../../roles/master/raft_log.ts";
import { raftMutants, withMutant } from "./mutants.ts";
import { Schedule } from "./schedule.ts";
import type { RaftClass, Roughness } from "./schedule.ts";

const SEEDS = 60;
/** Seeds that may pass before a mistake is found. */
const MUTANT_SEEDS = 300;

function roughness(seed: number): Roughness {
  return { masters: 5, voters: [1, 3, 3, 5][seed % 4]!, disturbedMs: 20_000 };
}

function passes(RaftOf: RaftClass): void {
  const sum = { held: 0, rosters: 0, leaders: 0, confirmed: 0, installs: 0 };
  for (let seed = 1; seed <= SEEDS; seed++) {
    const { breaches, counts } = new Schedule(seed, RaftOf, roughness(seed)).run();
    assert.deepEqual(breaches, [], `seed ${seed}`);
    for (const [what, count] of Object.entries(counts)) sum[what as keyof typeof sum] += count;
  }
  for (const [what, count] of Object.entries(sum)) assert.ok(count > SEEDS, `${what}: ${count}`);
}

test("Raft holds every promise in schedules of crashes, losses, splits, sleep and changing rosters (X1, T36, T52, B5)", () => {
  passes(Raft);
});

for (const mutant of raftMutants) {
  test(`Schedules find that ${mutant.breaks}`, async () => {
    const { forgets } = mutant;
    const isFound = await withMutant(mutant, (Mutant) => {
      for (let seed = mutant.seed; seed < mutant.seed + MUTANT_SEEDS; seed++) {
        try {
          const rough = { ...roughness(seed), ...(forgets ? { forgets } : {}) };
          if (new Schedule(seed, Mutant, rough).run().breaches.length > 0) return true;
        } catch {
          return true; // a broken invariant stops a master as well
        }
      }
      return false;
    });
    assert.ok(isFound);
  });
}

/** Master 1 of three, which has the entries of these terms, and leads in the next. */
function leaderWith(...terms: readonly number[]): Raft<Voters> {
  const entries = terms.map((term, at) => ({ index: at + 1, term, entry: Uint8Array.of(at) }));
  const raft = new Raft<Voters>({
    state: {
      snapshot: { index: 0, term: 0, image: Uint8Array.of(0) },
      entries,
      ballot: { term: Math.max(...terms), votedFor: null },
      diskId: "",
    },
    random: seededRandom(1),
    reading: { ofImage: () => ({ voters: [1, 2, 3] }), ofEntry: () => undefined, self: () => 1 },
  });
  raft.begin(at(0));
  for (const peer of [2, 3]) raft.connected(peer, at(0));
  raft.due(at(raft.dueMs!));
  const term = Math.max(...terms) + 1;
  raft.receive(2, { name: "ballot", body: { term, trial: true, granted: true } }, at(300));
  raft.saved(at(300));
  raft.receive(2, { name: "ballot", body: { term, trial: false, granted: true } }, at(300));
  raft.saved(at(300));
  assert.equal(raft.role, "leader");
  raft.taken();
  return raft;
}

const at = (monoMs: number) => ({ monoMs, wallMs: 1_000_000 + monoMs });

function appended(
  raft: Raft<Voters>,
  from: number,
  more: Partial<Body<"appended">>,
  nowMs: number = 310,
): void {
  const body = { term: raft.term, ok: true, index: 0, round: 0, wallMs: 1_000_000 + nowMs, ...more };
  raft.receive(from, { name: "appended", body }, at(nowMs));
}

test("Raft doesn't hold an entry of an older term because a majority has it, only with one of its own behind it", () => {
  const raft = leaderWith(1, 2);
  appended(raft, 2, { index: 2 });
  assert.equal(raft.commit, 0);
  assert.equal(raft.isReady, false);

  appended(raft, 2, { index: 3 });
  assert.equal(raft.commit, 3);
  assert.equal(raft.isReady, true);
  assert.deepEqual(raft.held().entries.map(({ index }) => index), [1, 2]);
});

test("Raft.medianMs() follows the majority when one master's clock is a day ahead (B14)", () => {
  const raft = leaderWith(1);
  const day = 86_400_000;
  appended(raft, 2, { index: 2, wallMs: 1_000_310 });
  appended(raft, 3, { index: 2, wallMs: 1_000_320 });
  assert.equal(raft.medianMs({ monoMs: 400, wallMs: 1_000_400 + day }), 1_000_410);
  assert.equal(raft.medianMs({ monoMs: 400, wallMs: 1_000_400 }), 1_000_400);
  appended(raft, 3, { index: 2, wallMs: 1_000_320 + day });
  assert.equal(raft.medianMs(at(400)), 1_000_400);
});

test("Raft stops to lead when no majority answers, and not when it was asleep itself (T7, B5)", () => {
  const raft = leaderWith(1);
  appended(raft, 2, { index: 2 });
  raft.due(at(30_000)); // asleep: it listens first
  assert.equal(raft.role, "leader");
  raft.due(at(31_000));
  assert.equal(raft.role, "leader");
  for (let nowMs = 31_600; nowMs < 32_100; nowMs += 100) raft.due(at(nowMs));
  assert.equal(raft.role, "follower");
});

test("Raft that was asleep listens before it stands for election (T7)", () => {
  const raft = leaderWith(1);
  const term = raft.term + 1;
  const append = { term, prevIndex: 1, prevTerm: 1, entries: [], commit: 1, round: 3 };
  raft.receive(3, { name: "append", body: append }, at(1_000));
  raft.due(at(20_000));
  assert.equal(raft.role, "follower");
  assert.ok(raft.dueMs! > 20_000);
  raft.receive(3, { name: "append", body: append }, at(20_010)); // it waited in the socket
  raft.due(at(20_500));
  assert.equal(raft.role, "follower");
  raft.due(at(raft.dueMs!));
  assert.equal(raft.role, "trial");
});

test("Raft doesn't vote, nor ask for votes, while it hears the leader (T7)", () => {
  const raft = leaderWith(1);
  const term = raft.term + 5;
  const append = { term, prevIndex: 1, prevTerm: 1, entries: [], commit: 1, round: 3 };
  raft.receive(3, { name: "append", body: append }, at(1_000));
  raft.saved(at(1_000));
  raft.taken();
  const trial = { term: term + 1, lastIndex: 9, lastTerm: term, trial: true };
  raft.receive(2, { name: "canvass", body: trial }, at(1_100));
  const said = (): RaftMessage[] => raft.taken().sends.map(({ message }) => message);
  assert.deepEqual(said(), [{ name: "ballot", body: { term, trial: true, granted: false } }]);

  raft.disconnected(3, at(1_200)); // its socket has closed
  raft.receive(2, { name: "canvass", body: trial }, at(1_210));
  assert.deepEqual(said(), [{ name: "ballot", body: { term: term + 1, trial: true, granted: true } }]);
  assert.ok(raft.dueMs! <= 1_200 + 250);
});

test("Raft that steps down asks one that has everything, also what it adds in that round", () => {
  const raft = leaderWith(1);
  for (const peer of [2, 3]) appended(raft, peer, { index: 2 });
  const asked = (): number[] =>
    raft.taken().sends.filter(({ message }) => message.name === "stand").map(({ to }) => to);
  assert.equal(raft.stepDown(), true);
  raft.propose(Uint8Array.of(9));
  raft.saved(at(320));
  assert.deepEqual(asked(), []);
  appended(raft, 3, { index: 2 }, 330);
  assert.deepEqual(asked(), [], "its log lacks what was added: the others wouldn't vote for it");
  appended(raft, 3, { index: 3 }, 340);
  assert.deepEqual(asked(), [3]);
  appended(raft, 2, { index: 3 }, 350);
  assert.deepEqual(asked(), [], "one is enough");
});

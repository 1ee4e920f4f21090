/** Copies of the agreement with one mistake each, to see that the schedules find it. */
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { MetadataWrite } from "../../core/ports.ts";
import type { RaftClass } from "./schedule.ts";

/** A mistake: what stands in a file, and what stands there instead. */
export interface RaftMutant {
  readonly breaks: string;
  /** A seed that finds it; it is tried first, then those behind it. */
  readonly seed: number;
  readonly edits?: readonly { readonly file: string; readonly from: string; readonly to: string }[];
  /** Or the disk is at fault. */
  readonly forgets?: (write: MetadataWrite) => boolean;
}

const FILES = ["raft.ts", "raft_leader.ts", "raft_log.ts"];

/** All of them. */
export const raftMutants: readonly RaftMutant[] = [
  { breaks: "a vote isn't durable", seed: 229, forgets: ({ op }) => op === "ballot" },
  {
    breaks: "entries are acknowledged before they are durable",
    seed: 1,
    forgets: ({ op }) => op === "append",
  },
  {
    breaks: "a vote goes to a log that lacks something",
    seed: 2,
    edits: [{
      file: "raft.ts",
      from: "return lastTerm > own.lastTerm || (lastTerm === own.lastTerm && lastIndex >= own.lastIndex);",
      to: "return lastTerm + lastIndex >= 0;",
    }],
  },
  {
    breaks: "a master votes twice in a term",
    seed: 3,
    edits: [{ file: "raft.ts", from: "this.#votedFor === null || this.#votedFor === from", to: "true" }, {
      file: "raft.ts",
      from: 'this.#role === "follower" && free',
      to: "free",
    }],
  },
  {
    breaks: "a leader counts what isn't durable at itself",
    seed: 165,
    edits: [{
      file: "raft_leader.ts",
      from: "peer === this.#self ? this.#stable : this.#followers",
      to: "peer === this.#self ? this.#log.lastIndex : this.#followers",
    }],
  },
  {
    breaks: "entries are taken behind others than the leader's",
    seed: 41,
    edits: [{
      file: "raft.ts",
      from: "if (prevIndex >= log.first && known !== prevTerm) {",
      to: "if (prevIndex >= log.first && known === undefined) {",
    }],
  },
  {
    breaks: "the roster changes before the change before is held",
    seed: 1,
    edits: [
      { file: "raft.ts", from: "return this.#log.rosterIndex > this.#commit;", to: "return false;" },
      {
        file: "raft.ts",
        from: "const mayChange = this.isReady && !this.isChanging;",
        to: "const mayChange = true;",
      },
    ],
  },
  {
    breaks: "a minority is a majority",
    seed: 15,
    edits: [{
      file: "raft.ts",
      from: "if (2 * voters.filter((voter) => this.#votes.has(voter)).length <= voters.length) return;",
      to: "if (3 * voters.filter((voter) => this.#votes.has(voter)).length <= voters.length) return;",
    }],
  },
  {
    breaks: "a question is confirmed by answers to an older one",
    seed: 46,
    edits: [{
      file: "raft_leader.ts",
      from: "follower.round = Math.max(follower.round, body.round);",
      to: "follower.round = this.#round;",
    }],
  },
  {
    breaks: "a leader that was cut off trusts itself (B5)",
    seed: 27,
    edits: [{
      file: "raft_leader.ts",
      from: "return this.#isAlone ? this.#round : this.#confirmed;",
      to: "return this.#round + 1;",
    }],
  },
  {
    breaks: "a master that was taken out doesn't stand, though only it knows",
    seed: 11,
    edits: [{
      file: "raft.ts",
      from: "return this.#log.rosters(this.#commit).some(({ voters }) => voters.includes(self));",
      to: "return this.roster?.voters.includes(self) ?? false;",
    }],
  },
  {
    breaks: "a master without a snapshot takes entries (B8)",
    seed: 8,
    edits: [{
      file: "raft.ts",
      from: "if (log.snapshot === undefined) return this.#answer(from, false, 0, round, now);",
      to: "",
    }, {
      file: "raft_log.ts",
      from: "if (index === this.#snapshot?.index) return this.#snapshot.term;",
      to: "if (index === this.first) return this.#snapshot?.term ?? 0;",
    }],
  },
];

/** Gives the agreement with the mistakes to `use`. */
export async function withMutant<T>(mutant: RaftMutant, use: (Raft: RaftClass) => T): Promise<T> {
  const folder = mkdtempSync(join(tmpdir(), "neo-raft-"));
  try {
    for (const file of FILES) {
      let source = readFileSync(new URL(`../../roles/master/${file}`, import.meta.url), "utf8");
      for (const edit of mutant.edits ?? []) {
        if (edit.file !== file) continue;
        if (source.split(edit.from).length !== 2) {
          throw new RangeError(`Cannot edit ${file}: "${edit.from}" isn't there once`);
        }
        source = source.replace(edit.from, () => edit.to);
      }
      source = source.replaceAll("../../core/", new URL("../../core/", import.meta.url).href);
      writeFileSync(join(folder, file), source);
    }
    const { Raft } = await import(new URL(`file://${join(folder, "raft.ts")}`).href) as { Raft: RaftClass };
    return use(Raft);
  } finally {
    rmSync(folder, { recursive: true });
  }
}

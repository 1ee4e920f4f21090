/**
 * A process that has a SQLite database open, for tests that trace it, kill it or come second. Commands: `open PATH`
 * says how an attempt to open ends; `rounds PATH` marks and does one round after another; `commit PATH` commits until
 * it is killed, and says each tid when it is promised; `parts PATH` writes and reads a value in parts, and says by how
 * many MiB the process grew for each.
 */
import { writeSync } from "node:fs";
import { openDatabase } from "../../adapters/sqlite.ts";
import { StoreFailedError, StoreOpenError } from "../../adapters/store_errors.ts";
import { PART_BYTES_MAX } from "../../core/limits.ts";
import { COMPRESSION_PARTS } from "../../core/parts.ts";
import type { Database, DatabaseAnswer, DatabaseWrite } from "../../core/ports.ts";
import { commit, dataOf, finish, oidOf, sha256, store, tidAt, ttidOf, vote } from "./database_kit.ts";

const say = (text: string): void => void writeSync(1, `${text}\n`);

/** Opens, and says "opened" or why not. */
function open(path: string): void {
  try {
    openDatabase(path);
    say("opened");
  } catch (error) {
    if (!(error instanceof StoreOpenError)) throw error;
    say(error.reason);
  }
}

/** Each round stands between its own mark and the next one. */
function rounds(path: string): void {
  const planned: { ms: number; task: () => void }[] = [];
  const later = (ms: number, task: () => void) => {
    planned.push({ ms, task });
    return () => {};
  };
  say("MARK open");
  const database = openDatabase(path, { later });
  const apply = (durable: boolean, writes: readonly DatabaseWrite[]) => database.apply(writes, { durable });
  const nobody = { op: "abort", ttid: ttidOf(999) } as const;
  const steps: { readonly [title: string]: () => void } = {
    durable: () => apply(true, [store(ttidOf(1), oidOf(1), "one"), vote(ttidOf(1), null)]),
    lazy: () => apply(false, finish(ttidOf(1), 5)),
    "durable after lazy": () => apply(true, [{ op: "epoch", epoch: 2 }]),
    "lazy again": () => apply(false, commit(6, [[1, "six"]])),
    "empty durable after lazy": () => apply(true, []),
    "durable with nothing to do": () => apply(true, [nobody]),
    "planned flush with nothing to do": () => planned.shift()?.task(),
    "the same epoch lazily": () => apply(false, [{ op: "epoch", epoch: 3 }]),
    "durable that changes no byte": () => apply(true, [{ op: "epoch", epoch: 3 }]),
    "lazy with nothing to do": () => apply(false, [nobody]),
    "two lazy": () => {
      apply(false, commit(7, [[1, "seven"]]));
      apply(false, commit(8, [[1, "eight"]]));
    },
    "planned flush": () => planned.pop()?.task(),
    "lazy before the end": () => apply(false, commit(9, [[1, "nine"]])),
    close: () => void database.close(),
  };
  for (const [title, step] of Object.entries(steps)) {
    say(`MARK ${title}`);
    tell(database, step);
  }
  say(`PLANNED ${planned.map(({ ms }) => ms).join(" ")}`);
}

/** Says how a step failed, and that the database takes no more calls. */
function tell(database: Database, step: () => void): void {
  try {
    step();
  } catch (error) {
    if (!(error instanceof StoreFailedError)) throw error;
    say(`FAILED ${error.code} ${error.message}`);
    try {
      database.apply([], { durable: true });
    } catch (again) {
      say(again === error ? "ENDED" : String(again));
    }
    throw error;
  }
}

function commits(path: string): void {
  const database = openDatabase(path);
  for (let tid = 1;; tid++) {
    const ttid = ttidOf(tid);
    const stores = [1, 2].map((oid) => store(ttid, oidOf(oid), `value ${tid}`));
    const [lock, unlock] = finish(ttid, tid);
    database.apply([...stores, vote(ttid, null)], { durable: true });
    database.apply([lock!], { durable: true });
    say(String(tid));
    database.apply([unlock!], { durable: false });
  }
}

/** A value of 32 MiB goes in, and comes out until it was 512 MiB. */
function parts(path: string): void {
  const database = openDatabase(path);
  const count = (32 * 1024 * 1024) / PART_BYTES_MAX;
  const mib = () => Math.round(process.memoryUsage.rss() / (1024 * 1024));
  const start = mib();
  let most = start;
  const [ttid, oid] = [ttidOf(1), oidOf(1)];
  for (let seq = 0; seq < count; seq++) {
    const data = new Uint8Array(PART_BYTES_MAX).fill(seq);
    const stored = { compression: 0, checksum: sha256(data), data };
    database.apply([{ op: "part", ttid, oid, seq, stored }], { durable: false });
    most = Math.max(most, mib());
  }
  say(`in ${most - start}`);
  const stored = { ...dataOf("manifest"), compression: COMPRESSION_PARTS };
  database.apply([store(ttid, oid, null, { stored }), vote(ttid, null)], { durable: true });
  database.apply(finish(ttid, 5), { durable: true });
  most = 0;
  for (let read = 0; read < 16 * count; read++) {
    const answer = database.read({
      read: "loadPart",
      oid,
      tid: tidAt(5),
      seq: read % count,
    }) as DatabaseAnswer;
    if (answer.read !== "loadPart" || answer.part?.data.length !== PART_BYTES_MAX) throw new Error("no part");
    most = Math.max(most, mib());
  }
  say(`out ${most - start}`);
  database.close();
}

const [command, path = ""] = process.argv.slice(2);
if (command === "open") open(path);
else if (command === "parts") parts(path);
else if (command === "rounds") rounds(path);
else commits(path);

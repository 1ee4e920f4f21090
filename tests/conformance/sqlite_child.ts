/**
 * A process that has a SQLite database open, for tests that trace it, kill it or come second. Commands: `open PATH`
 * says how an attempt to open ends; `rounds PATH` marks and does one round after another; `commit PATH` commits until
 * it is killed, and says each tid when it is promised.
 */
import { writeSync } from "node:fs";
import { openDatabase } from "../../adapters/sqlite.ts";
import { StoreFailedError, StoreOpenError } from "../../adapters/store_errors.ts";
import type { Database, DatabaseWrite } from "../../core/ports.ts";
import { commit, finish, oidOf, store, ttidOf, vote } from "./database_kit.ts";

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

const [command, path = ""] = process.argv.slice(2);
if (command === "open") open(path);
else if (command === "rounds") rounds(path);
else commits(path);

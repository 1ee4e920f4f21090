/** What the machine itself needs: measured beside other numbers, so that they can be compared with those of another one. */
import { once } from "node:events";
import { mkdtempSync, rmSync } from "node:fs";
import { connect, createServer } from "node:net";
import type { AddressInfo } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { DatabaseSync } from "node:sqlite";
import { monoMs } from "../../cli/wait.ts";

/** Times that are measured of each. */
const TIMES = 300;
/** The first of them aren't counted. */
const WARM_UP = 50;
/** Bytes of the row that is written. */
export const ROW_BYTES = 300;

/** Median times in ms. */
export interface Floor {
  /** A byte to a bare TCP echo in this process, and back. */
  readonly roundTripMs: number;
  /** One row into SQLite, flushed to disk. */
  readonly commitMs: number;
}

/** Measures both. */
export async function measureFloor(): Promise<Floor> {
  return { roundTripMs: await roundTrip(), commitMs: durableCommit() };
}

async function roundTrip(): Promise<number> {
  const server = createServer({ noDelay: true }, (socket) => socket.pipe(socket));
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  const socket = connect({ port: (server.address() as AddressInfo).port, host: "127.0.0.1", noDelay: true });
  await once(socket, "connect");
  const times: number[] = [];
  for (let at = 0; at < TIMES; at++) {
    const beganMs = monoMs();
    socket.write("x");
    await once(socket, "data");
    times.push(monoMs() - beganMs);
  }
  socket.destroy();
  server.close();
  return median(times.slice(WARM_UP));
}

function durableCommit(): number {
  const folder = mkdtempSync(join(tmpdir(), "neo-floor-"));
  try {
    const database = new DatabaseSync(join(folder, "floor.sqlite"));
    database.exec(
      "PRAGMA journal_mode=WAL; PRAGMA synchronous=FULL; CREATE TABLE t(id INTEGER PRIMARY KEY, data BLOB)",
    );
    const insert = database.prepare("INSERT INTO t(data) VALUES (?)");
    const times: number[] = [];
    for (let at = 0; at < TIMES; at++) {
      const beganMs = monoMs();
      insert.run(new Uint8Array(ROW_BYTES));
      times.push(monoMs() - beganMs);
    }
    database.close();
    return median(times.slice(WARM_UP));
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

/** The middle one; the higher of two. */
export function median(values: readonly number[]): number {
  return values.toSorted((a, b) => a - b)[Math.floor(values.length / 2)] ?? NaN;
}

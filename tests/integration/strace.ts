/** What a process says to the system and to its peers, as `strace` sees it from outside; and faults that it puts in. */
import { spawn, spawnSync } from "node:child_process";
import { once } from "node:events";
import { readFileSync } from "node:fs";
import process from "node:process";
import { decodePacket, Deframer, Joiner } from "../../core/codec.ts";
import type { Packet } from "../../core/codec.ts";
import { within } from "./kit.ts";

/** Whether this machine lets us look. */
export const HAS_STRACE = {
  met: process.platform === "linux" && spawnSync("strace", ["-o", "/dev/null", "true"]).status === 0,
  reason: "needs strace, and the right to trace processes",
};

const FLUSHES = ["fsync", "fdatasync"];
const RECEIVES = ["read", "readv", "recvfrom", "recvmsg"];
const SENDS = ["write", "writev", "sendto", "sendmsg"];

/** One thing that a traced process did, in the order in which it did them. */
export type Deed =
  /** A file was flushed: the system has said so. */
  | { readonly did: "flush"; readonly path: string; readonly error: string | undefined }
  /** A message arrived or left on a connection. */
  | { readonly did: "receive" | "send"; readonly link: string; readonly packet: Packet };

/** A trace of one process with all its threads, from `attach` until `detach` or its end. */
export class Trace {
  readonly #child;
  readonly #file: string;
  readonly #ended: Promise<unknown>;

  private constructor(child: ReturnType<typeof spawn>, file: string) {
    this.#child = child;
    this.#file = file;
    this.#ended = once(child, "exit");
  }

  /** Attaches to a running process; `inject` are faults as strace names them, such as `fsync:error=EIO`. */
  static async attach(pid: number, file: string, inject: readonly string[] = []): Promise<Trace> {
    const calls = [...FLUSHES, ...RECEIVES, ...SENDS].join(",");
    const options = ["-f", "-yy", "-xx", "-s", `${2 ** 24}`, "-e", `trace=${calls}`, "-o", file];
    const faults = inject.flatMap((fault) => ["-e", `inject=${fault}`]);
    const child = spawn("strace", [...options, ...faults, "-p", `${pid}`], {
      stdio: ["ignore", "ignore", "pipe"],
    });
    const trace = new Trace(child, file);
    let said = "";
    const attached = new Promise<void>((resolve, reject) => {
      child.stderr.setEncoding("utf8").on("data", (text: string) => {
        said += text;
        if (/attached/.test(said)) resolve();
      });
      child.once("exit", () => reject(new Error(`strace ended: ${said}`)));
    });
    await within("strace attaching", attached);
    return trace;
  }

  /** Lets go of the process; gives what it did. */
  async detach(): Promise<Deed[]> {
    if (this.#child.exitCode === null && this.#child.signalCode === null) {
      process.kill(this.#child.pid!, "SIGINT");
    }
    await within("the end of strace", this.#ended);
    return deedsOf(readFileSync(this.#file, "utf8"));
  }

  /** Waits for the end of the process itself; gives what it did. */
  async ended(): Promise<Deed[]> {
    await within("the end of the traced process", this.#ended);
    return deedsOf(readFileSync(this.#file, "utf8"));
  }
}

interface Call {
  readonly name: string;
  /** What the descriptor stands for: a path or a connection. */
  readonly target: string;
  readonly bytes: Uint8Array;
  readonly result: string;
  /** The line that counts: of what is sent the begin, of all else the end. */
  readonly line: number;
}

const CALL = /^(\d+) +(\w+)\(\d+<(TCP\w*:\[[^\]]*(?:\][^\]]*)*?\]|[^>]*)>(.*)$/;
const RESUMED = /^(\d+) +<\.\.\. \w+ resumed>(.*)$/;
const UNFINISHED = /<unfinished \.\.\.>$/;
/** We let go of the process before strace had seen the end of the call. */
const DETACHED = /<detached \.\.\.>$/;

/** System calls of a trace; one that was interrupted by another thread's stands in two lines. */
function callsOf(text: string): Call[] {
  const open = new Map<string, { name: string; target: string; rest: string; line: number }>();
  const calls: Call[] = [];
  text.split("\n").forEach((found, line) => {
    const begun = CALL.exec(found);
    const resumed = RESUMED.exec(found);
    if (begun !== null) {
      const [, thread = "", name = "", target = "", rest = ""] = begun;
      if (UNFINISHED.test(rest)) open.set(thread, { name, target, rest, line });
      else calls.push(callOf({ name, target, rest, begin: line, end: line }));
    } else if (resumed !== null) {
      const [, thread = "", rest = ""] = resumed;
      const start = open.get(thread);
      open.delete(thread);
      if (start === undefined) return;
      const { name, target, line: begin } = start;
      calls.push(callOf({ name, target, rest: start.rest + rest, begin, end: line }));
    }
  });
  return calls.sort((a, b) => a.line - b.line);
}

function callOf(
  found: { name: string; target: string; rest: string; begin: number; end: number },
): Call {
  const { name, target, rest, begin, end } = found;
  const quoted = [...rest.matchAll(/"((?:\\x[0-9a-f]{2})*)"/g)].map(([, text]) => text ?? "").join("");
  const isSend = SENDS.includes(name);
  const bytes = bytesOf(quoted);
  // a peer may have what was sent, and have answered, before strace hears that it is
  const isSentLast = isSend && DETACHED.test(rest);
  const result = isSentLast ? `${bytes.length}` : / = (\S.*)$/.exec(rest)?.[1] ?? "";
  return { name, target, bytes, result, line: isSend ? begin : end };
}

function bytesOf(escaped: string): Uint8Array {
  return Uint8Array.from(escaped.split("\\x").slice(1), (digits) => Number.parseInt(digits, 16));
}

function deedsOf(text: string): Deed[] {
  const streams = new Map<string, Stream>();
  return callsOf(text).flatMap((call): Deed[] => {
    if (FLUSHES.includes(call.name)) {
      const path = new TextDecoder().decode(bytesOf(call.target));
      const error = call.result.startsWith("-1") ? call.result : undefined;
      return [{ did: "flush", path, error }];
    }
    const count = Number.parseInt(call.result, 10);
    if (!call.target.startsWith("TCP") || !(count > 0)) return [];
    const did = SENDS.includes(call.name) ? "send" : "receive";
    const key = `${did} ${call.target}`;
    const stream = streams.get(key) ?? new Stream();
    streams.set(key, stream);
    return stream.take(call.bytes.subarray(0, count)).map((packet) => ({ did, link: call.target, packet }));
  });
}

/** One way of a connection, read from its begin or from between two messages. */
class Stream {
  readonly #deframer = new Deframer();
  readonly #joiner = new Joiner();

  constructor() {
    this.#deframer.widen();
  }

  take(bytes: Uint8Array): Packet[] {
    this.#deframer.push(bytes);
    const packets: Packet[] = [];
    for (let frame = this.#deframer.next(); frame !== undefined; frame = this.#deframer.next()) {
      const packet = decodePacket(frame);
      const whole = packet.kind === "chunk"
        ? this.#joiner.push(packet.stream, packet.last, packet.bytes)
        : undefined;
      if (packet.kind !== "chunk") packets.push(packet);
      else if (whole !== undefined) packets.push(decodePacket(whole));
    }
    return packets;
  }
}

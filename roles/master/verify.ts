/**
 * Compares the copies of partitions for an operator, and has bad ones made anew (N8, X5).
 *
 * `looking`: each storage with a readable copy looks at its data and gives a digest of its rows up to the last tid (`inspect`).
 * Copies whose digests differ are `different`, those with data that isn't what its checksum says are `broken`. With `repair`
 * `mending`: bad cells are outdated together, dropping their broken rows and resuming from the very beginning, while all that
 * stay readable have the digest of a whole one: that of the storage the operator names, or, if the whole ones agree, of
 * these. It is answered when they are readable again. A recovery ends it.
 */
import type { Conn, NodeIndex, Partition, Tid } from "../../core/ids.ts";
import { hexOf, ZERO_TID } from "../../core/ids.ts";
import { INSPECT_TIMEOUT_MS, VERIFY_PARTITIONS_MAX } from "../../core/limits.ts";
import { answer, ask } from "../../core/machine.ts";
import type { Answer, AskMessage, Body, CellFinding, RowName } from "../../core/messages.ts";
import { isReadable } from "../../core/partition_table.ts";
import { tellMend } from "./damage.ts";
import type { Outdate } from "./damage.ts";
import type { Asker, MasterContext, Site } from "./site.ts";
import type { Storages } from "./storages.ts";

/** What is known of a cell. `is` waiting: its storage looks. */
interface Finding {
  readonly partition: Partition;
  readonly name: string;
  readonly node: NodeIndex;
  readonly since: number;
  is: "waiting" | "equal" | "different" | "broken" | "outOfDate" | "unreachable";
  digest: string;
  /** Up to where the storage counted rows as packed. */
  bound: Tid;
  rows: number;
  bytes: number;
  broken: readonly RowName[];
  repaired: boolean;
}

interface Job {
  readonly asker: Asker;
  readonly body: Body<"verifyTable">;
  readonly upTo: Tid;
  readonly next: Partition | null;
  readonly from: NodeIndex | undefined;
  readonly findings: readonly Finding[];
  /** Cells that are made anew. */
  readonly mending: Finding[];
  isJudged: boolean;
  /** Whether those that didn't know of a pack were asked again: once is enough, they have been told before. */
  isAskedAgain: boolean;
}

/** Comparisons that are under way. */
export class Verify {
  #site: Site;
  #storages: Storages;
  #outdate: Outdate;
  #jobs = new Map<number, Job>();
  #mark = 0;

  constructor(parts: { site: Site; storages: Storages; outdate: Outdate }) {
    this.#site = parts.site;
    this.#storages = parts.storages;
    this.#outdate = parts.outdate;
  }

  /** Serves an operator; false: it asks for something else. */
  ask(asker: Asker, message: AskMessage): boolean {
    if (message.name !== "verifyTable") return false;
    const { from, first, count } = message.body;
    const { phase, lastTid: upTo, table } = this.#site;
    const reference = this.#storages.all.find(({ name }) => name === from);
    const why = phase !== "running"
      ? `the cluster is ${phase}; wait until it runs`
      : first >= table.partitions || count === 0
      ? `there are partitions 0 to ${table.partitions - 1}`
      : from !== "" && reference?.state !== "running"
      ? `no storage ${from} runs; name another one with --from`
      : undefined;
    if (why !== undefined) {
      this.#site.refuse(asker, { code: "denied", message: `Cannot verify the table: ${why}` });
      return true;
    }
    const end = Math.min(table.partitions, first + Math.min(count, VERIFY_PARTITIONS_MAX));
    const partitions = Array.from({ length: end - first }, (_, at) => (first + at) as Partition);
    const job: Job = {
      asker,
      body: message.body,
      upTo,
      next: end < table.partitions ? end as Partition : null,
      from: reference?.index,
      findings: partitions.flatMap((partition) => this.#cellsOf(partition)),
      mending: [],
      isJudged: false,
      isAskedAgain: false,
    };
    const number = ++this.#mark;
    this.#jobs.set(number, job);
    for (const finding of job.findings) if (finding.is === "waiting") this.#inspect(number, job, finding);
    this.#advance(number, job);
    return true;
  }

  /** A storage has looked at a cell; undefined: it doesn't answer, or was lost. */
  inspected(
    context: Extract<MasterContext, { of: "inspect" }>,
    found: Answer<"inspect"> | undefined,
  ): void {
    const job = this.#jobs.get(context.job);
    const finding = job?.findings.find(({ partition, node }) =>
      partition === context.partition && node === context.node
    );
    if (!job || finding?.is !== "waiting") return;
    if (!found) finding.is = "unreachable";
    else {
      const { packBound: bound, rows, digest, bytes, broken } = found;
      Object.assign(finding, { bound, rows, bytes, broken, is: broken.length > 0 ? "broken" : "equal" });
      finding.digest = `${rows} ${digest.join(" ")}`;
    }
    this.#advance(context.job, job);
  }

  /** The table or the storages are other than before: cells may be readable again. */
  look(): void {
    for (const [number, job] of this.#jobs) if (job.isJudged) this.#finish(number, job);
  }

  /** A recovery begins. */
  clear(): void {
    for (const { asker } of this.#jobs.values()) {
      const message = "Cannot go on verifying the table: the cluster recovers; ask again when it runs";
      this.#site.refuse(asker, { code: "denied", message });
    }
    this.#jobs.clear();
  }

  /** Nobody waits any more. */
  disconnected(conn: Conn): void {
    for (const [number, { asker }] of this.#jobs) if (asker.conn === conn) this.#jobs.delete(number);
  }

  #cellsOf(partition: Partition): Finding[] {
    return this.#site.table.cells(partition).flatMap((cell) => {
      const { node, since } = cell;
      const storage = this.#storages.node(node);
      if (!storage) return [];
      const serves = storage.state === "running" && storage.conn !== undefined;
      const is = !isReadable(cell) ? "outOfDate" : serves ? "waiting" : "unreachable";
      const { name } = storage;
      const nothing = { digest: "", bound: ZERO_TID, rows: 0, bytes: 0, broken: [], repaired: false };
      return [{ partition, name, node, since, is, ...nothing }];
    });
  }

  #inspect(job: number, { upTo }: Job, { partition, node }: Finding): void {
    const { conn, session } = this.#storages.node(node)!;
    const { epoch } = this.#site;
    const context = { of: "inspect", job, node, session, partition } as const;
    const withinMs = INSPECT_TIMEOUT_MS;
    this.#site.emit(ask(conn!, "inspect", { epoch, partition, upTo }, { context, withinMs }));
  }

  #advance(number: number, job: Job): void {
    if (job.findings.some(({ is }) => is === "waiting")) return;
    if (this.#askAgain(number, job)) return;
    job.isJudged = true;
    for (const partition of new Set(job.findings.map((finding) => finding.partition))) {
      const bad = judge(job.findings.filter((finding) => finding.partition === partition), job.from);
      if (job.body.repair && bad.length > 0) this.#mend(job, partition, bad);
    }
    this.#finish(number, job);
  }

  /** Who didn't know of a pack yet that another one knew of looks again: now it does. */
  #askAgain(number: number, job: Job): boolean {
    const looked = job.findings.filter(({ is }) => is === "equal" || is === "broken");
    const highest = looked.reduce((most, { bound }) => (bound > most ? bound : most), ZERO_TID);
    const late = job.isAskedAgain ? [] : looked.filter(({ bound }) => bound < highest);
    job.isAskedAgain = true;
    for (const finding of late) {
      const storage = this.#storages.node(finding.node);
      finding.is = storage?.conn === undefined ? "unreachable" : "waiting";
      if (finding.is === "waiting") this.#inspect(number, job, finding);
    }
    return late.some(({ is }) => is === "waiting");
  }

  /** Has bad cells made anew, as long as a good copy of the partition stays. */
  #mend(job: Job, partition: Partition, bad: readonly Finding[]): void {
    const { proposed } = this.#site;
    const stays = proposed.cells(partition).filter((cell) =>
      isReadable(cell) && !bad.some(({ node }) => node === cell.node)
    );
    // the table may have changed since they were looked at: a copy that nobody looked at may be a bad one
    const areGood = stays.every(({ node, since }) =>
      job.findings.some((one) =>
        one.partition === partition && one.node === node && one.since === since && one.is === "equal"
      )
    );
    const isThere = stays.some(({ node }) => this.#storages.node(node)?.conn !== undefined);
    const now = bad.filter(({ node, since }) => {
      const cell = proposed.cell(partition, node);
      return isReadable(cell) && cell?.since === since;
    });
    if (!areGood || !isThere || now.length === 0) return;
    job.mending.push(...now);
    const names = now.map(({ name }) => name);
    this.#site.log("recovery", "warning", `Making copies of partition ${partition} anew`, {
      storages: names,
    });
    this.#outdate(new Set(now.map(({ node }) => node)), now, () => {
      for (const { node, since, broken: rows } of now) {
        const storage = this.#storages.node(node);
        if (storage) tellMend(this.#site, storage, { partition, since, after: ZERO_TID, rows });
      }
    });
  }

  #finish(number: number, job: Job): void {
    for (const finding of job.mending) {
      const { partition, node, since } = finding;
      const cell = this.#site.table.cell(partition, node);
      finding.repaired = isReadable(cell) && cell!.since !== since;
    }
    const isOpen = ({ partition, node, repaired }: Finding): boolean =>
      !repaired && this.#site.table.cell(partition, node) !== undefined
      && this.#storages.node(node)?.conn !== undefined;
    if (job.mending.some(isOpen)) return;
    this.#jobs.delete(number);
    const { upTo, next } = job;
    const { partitions } = this.#site.table;
    const cells = job.findings.map(reported);
    this.#site.log("recovery", "info", "Verified the table", { upTo: hexOf(upTo), cells: cells.length });
    this.#site.emit(answer(job.asker, "verifyTable", { partitions, upTo, next, cells }));
  }
}

/** Says what the copies of one partition are, compared, and which of them are bad for sure. */
function judge(cells: readonly Finding[], from: NodeIndex | undefined): Finding[] {
  const looked = cells.filter(({ is }) => is === "equal" || is === "broken");
  const whole = looked.filter(({ is }) => is === "equal");
  const named = looked.find(({ node }) => node === from);
  if (named) {
    for (const one of whole) if (one.digest !== named.digest) one.is = "different";
    return named.is === "broken"
      ? []
      : looked.filter(({ is, digest }) => is !== "equal" || digest !== named.digest);
  }
  if (new Set(whole.map(({ digest }) => digest)).size > 1) {
    for (const one of whole) one.is = "different";
    return [];
  }
  return whole.length === 0 ? [] : looked.filter(({ is }) => is === "broken");
}

function reported({ partition, name, is, rows, bytes, broken, repaired }: Finding): CellFinding {
  return { partition, name, state: is, rows, bytes, broken: broken.length, repaired };
}

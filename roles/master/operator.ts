/**
 * What an operator asks of a primary about storages and the table: one message an action (T22), each judged here and refused
 * with what stands in the way. The table changes while the cluster runs only.
 *
 * Messages: `listNodes showTable` (in any phase), `addNode dropNode killNode drainNode tweak setReplicas`. Nothing is
 * answered before it is held. A storage that holds the only readable copy of something is neither dropped nor ended.
 * Storages that are away and have no cell are forgotten after `master.nodeExpiryMs` (T62), and so are notes of unknown ones.
 */
import type { NodeIndex } from "../../core/ids.ts";
import { PARTITIONS_MAX, PATH_LENGTH_MAX, WEIGHT_MAX } from "../../core/limits.ts";
import { answer, tell } from "../../core/machine.ts";
import type { AskMessage, Body } from "../../core/messages.ts";
import type { Registered } from "./entries.ts";
import { Layout } from "./layout.ts";
import type { LayoutParts } from "./layout.ts";
import { planInWords, storageReports } from "./operator_report.ts";
import type { Asker } from "./site.ts";
import type { StorageNode } from "./storages.ts";

/** Serves operators. */
export class OperatorDesk {
  readonly layout: Layout;
  #parts: LayoutParts;
  #away = new Map<NodeIndex, number>(); // since when

  constructor(parts: LayoutParts) {
    this.#parts = parts;
    this.layout = new Layout(parts);
  }

  /** Serves a question; false: it is none of ours. */
  ask(asker: Asker, message: AskMessage): boolean {
    switch (message.name) {
      case "listNodes":
        this.#parts.site.emit(
          answer(asker, "listNodes", { nodes: storageReports(this.layout, this.#parts) }),
        );
        return true;
      case "showTable": {
        const nodes = this.layout.members.map(({ index, name }) => ({ index, name }));
        const image = this.#parts.site.table.toImage();
        this.#parts.site.emit(answer(asker, "showTable", { image, nodes }));
        return true;
      }
      case "addNode":
        return this.#guarded(asker, "add", () => this.#add(asker, message.body));
      case "dropNode":
        return this.#guarded(asker, "drop", () => this.#drop(asker, message.body.name));
      case "killNode":
        return this.#guarded(asker, "kill", () => this.#kill(asker, message.body.name));
      case "drainNode":
        return this.#guarded(asker, "drain", () => this.#drain(asker, message.body));
      case "tweak":
        return this.#guarded(asker, "tweak", () => this.#tweak(asker, message.body));
      case "setReplicas":
        return this.#guarded(
          asker,
          "change the number of replicas",
          () => this.#setReplicas(asker, message.body.replicas),
        );
      default:
        return false;
    }
  }

  /** A storage tells what its cells were used for. */
  used(node: StorageNode, body: Body<"use">): void {
    this.layout.use.told(node.index, body, this.#parts.site.now.monoMs);
  }

  /** When something expires. */
  get dueMs(): number | undefined {
    const notes = [...this.#parts.storages.strangers.values()].map(({ seenMs }) => seenMs);
    const all = [...this.#away.values(), ...notes];
    return all.length === 0 ? undefined : Math.min(...all) + this.#parts.site.setting("master.nodeExpiryMs");
  }

  /** Time has passed: forgets what has expired. */
  due(): void {
    const { site, storages } = this.#parts;
    const isOver = (sinceMs: number) => site.now.monoMs >= sinceMs + site.setting("master.nodeExpiryMs");
    for (const [name, { seenMs }] of storages.strangers) if (isOver(seenMs)) storages.strangers.delete(name);
    for (const [index, sinceMs] of this.#away) {
      if (!isOver(sinceMs)) continue;
      this.#away.delete(index);
      const member = this.layout.members.find((member) => member.index === index);
      if (member) this.layout.drop(member, "it had no cells and was away for too long", () => {});
    }
  }

  /**
   * Storages have come or gone, the table is another, or a cell has settled: which cells feed nobody any more, who has given
   * all away, and who is away without a cell?
   */
  look(): void {
    const { site, storages } = this.#parts;
    if (site.phase === "running") {
      this.layout.trim();
      this.layout.dropDrained();
    }
    for (const { index, state } of storages.all) {
      if (state !== "unavailable" || site.proposed.cellsOf(index).length > 0) this.#away.delete(index);
      else if (!this.#away.has(index)) this.#away.set(index, site.now.monoMs);
    }
    for (const index of this.#away.keys()) if (!storages.node(index)) this.#away.delete(index);
  }

  /** Runs what may refuse by throwing a sentence. */
  #guarded(asker: Asker, verb: string, run: () => void): true {
    const { site } = this.#parts;
    try {
      if (site.phase !== "running") {
        throw new Refusal(`Cannot ${verb}: the cluster is ${site.phase}; wait until it runs`);
      }
      run();
    } catch (error) {
      if (!(error instanceof Refusal)) throw error;
      site.refuse(asker, { code: "denied", message: error.message });
    }
    return true;
  }

  #member(verb: string, name: string): Registered {
    const member = this.layout.member(name);
    if (member) return member;
    const names = this.layout.members.map(({ name }) => name).join(", ");
    throw new Refusal(`Cannot ${verb} ${name}: no storage has this name; there are ${names}`);
  }

  #add(asker: Asker, { name, weight, path, replaces }: Body<"addNode">): void {
    const { site, storages } = this.#parts;
    const stranger = storages.strangers.get(name);
    const old = replaces === "" ? undefined : this.#member("replace", replaces);
    if (stranger === undefined) {
      throw new Refusal(`Cannot add ${name}: no unknown storage of this name has come; start it first`);
    }
    const namesake = this.layout.member(name);
    if (namesake && namesake !== old) {
      const ways = `add it with --replace ${name}, or give it another name`;
      throw new Refusal(`Cannot add ${name}: a storage of this name is a member, with another disk; ${ways}`);
    }
    if (old && storages.node(old.index as NodeIndex)?.conn !== undefined) {
      throw new Refusal(`Cannot replace ${replaces}: it is connected; stop it first, or drain it`);
    }
    if (old && this.layout.soleOf(old.index as NodeIndex).length > 0) throw this.#sole("replace", old);
    const weightNow = weight > 0 ? weight : old?.weight ?? 1;
    if (weightNow > WEIGHT_MAX || path.length > PATH_LENGTH_MAX) {
      const most = `a weight of ${WEIGHT_MAX} and ${PATH_LENGTH_MAX} names in its path`;
      throw new Refusal(`Cannot add ${name}: the most that a storage may have is ${most}`);
    }
    const member = {
      index: site.takeIndex(),
      name,
      role: "storage",
      address: stranger.address,
      diskId: stranger.diskId,
      weight: weightNow,
      path: path.length > 0 ? path : old?.path ?? [],
      draining: false,
    };
    this.layout.add(member, old, () => {
      storages.strangers.delete(name);
      this.look();
      site.emit(answer(asker, "addNode", { index: member.index }));
    });
  }

  #drop(asker: Asker, name: string): void {
    const { site } = this.#parts;
    const member = this.#member("drop", name);
    if (this.layout.soleOf(member.index as NodeIndex).length > 0) throw this.#sole("drop", member);
    if (this.layout.members.length === 1) {
      throw new Refusal(`Cannot drop ${name}: it is the only storage`);
    }
    this.layout.drop(member, "its operator dropped it", () => {
      site.emit(answer(asker, "dropNode", { version: site.table.version }));
    });
  }

  #kill(asker: Asker, name: string): void {
    const { site, storages } = this.#parts;
    const member = this.#member("kill", name);
    const node = storages.node(member.index as NodeIndex);
    if (node?.conn === undefined) throw new Refusal(`Cannot kill ${name}: it isn't connected`);
    if (this.layout.soleOf(node.index).length > 0) throw this.#sole("kill", member);
    site.emit(tell(node.conn, "leave", { epoch: site.epoch, reason: `the operator ended ${name}` }));
    site.emit(answer(asker, "killNode", {}));
  }

  #drain(asker: Asker, { name, undo }: Body<"drainNode">): void {
    const { site } = this.#parts;
    const found = this.#member("drain", name);
    if (undo && !found.draining) { // a tweak nobody asked for would move cells of others
      const plan = this.layout.unchanged(`storage ${name} isn't being drained: there is nothing to undo`);
      return site.emit(answer(asker, "drainNode", planInWords(this.layout, plan, site.table.version)));
    }
    const member = { ...found, draining: !undo };
    const left =
      this.layout.members.filter(({ index, draining }) => index !== member.index && !draining).length;
    const copies = site.proposed.replicas + 1;
    if (!undo && left < copies) {
      const ways = "add a storage first, or lower the number of replicas";
      throw new Refusal(`Cannot drain ${name}: ${left} storages would be left for ${copies} copies; ${ways}`);
    }
    this.#checkRunning("drain", [name]);
    this.layout.wish(member, () => {
      const plan = this.layout.plan([], { undo });
      this.layout.propose(plan.changes, (version) => {
        site.emit(answer(asker, "drainNode", planInWords(this.layout, plan, version)));
        this.look();
      });
    });
  }

  #tweak(asker: Asker, { ignored, dryRun }: Body<"tweak">): void {
    const { site } = this.#parts;
    for (const name of ignored) this.#member("leave out", name);
    this.#checkRunning("tweak", ignored);
    const plan = this.layout.plan(ignored);
    const done = (version: number): void =>
      site.emit(answer(asker, "tweak", planInWords(this.layout, plan, version)));
    if (dryRun) done(site.table.version);
    else this.layout.propose(plan.changes, done);
  }

  /** Storages that don't run must be named, so that nobody moves everything away from one that restarts. */
  #checkRunning(verb: string, named: readonly string[]): void {
    const away = this.layout.members.filter((member) =>
      !this.layout.isRunning(member) && !member.draining && !named.includes(member.name)
    );
    if (away.length === 0) return;
    const names = away.map(({ name }) => name).join(", ");
    const ways = verb === "tweak" ? "start it, or leave it out with --ignore" : "start it, or drop it";
    throw new Refusal(`Cannot ${verb}: storage ${names} doesn't run; ${ways}`);
  }

  #setReplicas(asker: Asker, replicas: number): void {
    const { site } = this.#parts;
    const storages = this.layout.members.filter(({ draining }) => !draining).length;
    if (replicas >= PARTITIONS_MAX || replicas + 1 > storages) {
      const copies = replicas + 1;
      throw new Refusal(`Cannot keep ${copies} copies: there are ${storages} storages; add some first`);
    }
    const held = (version: number): void => site.emit(answer(asker, "setReplicas", { version }));
    if (replicas === site.proposed.replicas) held(site.table.version);
    else this.layout.proposeReplicas(replicas, held);
  }

  #sole(verb: string, { name, index }: Registered): Refusal {
    const rows = this.layout.soleOf(index as NodeIndex);
    const some = `${rows.slice(0, 5).join(", ")}${rows.length > 5 ? ", ..." : ""}`;
    const ways = "wait until others have caught up, or drain it";
    return new Refusal(
      `Cannot ${verb} ${name}: it has the only readable copy of partitions ${some}; ${ways}`,
    );
  }
}

/** A reason, in one sentence that says what to do. */
class Refusal extends Error {
  override name = "Refusal";
}

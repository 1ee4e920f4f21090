/**
 * Writes down what operators do (T22): each action with who asked for it, when, what for, and what became of it. It goes into
 * the masters' log when it is answered or refused, or when its operator has gone before that. The answer leaves when the entry is held:
 * who has heard it finds it there, whichever masters are lost. What ends this primary, `stop` and `stepDown`, can't wait for that:
 * it is on the primary's own disk. What only looks isn't written down.
 *
 * Messages: `listAudit`.
 */
import { hexOf } from "../../core/ids.ts";
import type { Conn } from "../../core/ids.ts";
import { AUDIT_PAGE, AUDIT_TEXT_LENGTH_MAX } from "../../core/limits.ts";
import { answer } from "../../core/machine.ts";
import type { AskMessage, AskName, Body, Hello } from "../../core/messages.ts";
import { authorIn } from "../hello.ts";
import type { Asker, MasterEffect, Site } from "./site.ts";

/** What an action is done to; undefined: nothing is changed by it. */
type Targets = { readonly [N in AskName]?: (body: Body<N>) => string | undefined };

const targets: Targets = {
  stop: () => "the cluster",
  addNode: ({ name, replaces }) => replaces === "" ? name : `${name} in place of ${replaces}`,
  dropNode: ({ name }) => name,
  killNode: ({ name }) => name,
  drainNode: ({ name, undo }) => undo ? `${name}, not any more` : name,
  tweak: ({ ignored, dryRun }) =>
    dryRun ? undefined : ignored.length === 0 ? "" : `without ${ignored.join(", ")}`,
  setReplicas: ({ replicas }) => String(replicas),
  verifyTable: ({ first, count, from, repair }) =>
    repair
      ? `repairs partitions from ${first}, ${count} at most${from === "" ? "" : `, by ${from}`}`
      : undefined,
  pack: ({ tid, dryRun }) => dryRun ? undefined : `up to ${hexOf(tid)}`,
  truncate: ({ tid }) => `behind ${hexOf(tid)}`,
  setBackup: ({ of }) => of === "" ? "ends" : `of ${of}`,
  copyCells: ({ name, of }) => `${name} as ${of}`,
  addMaster: ({ name }) => name,
  removeMaster: ({ name }) => name,
  stepDown: () => "",
  changeConfig: ({ changes }) =>
    changes.map(({ scope, key, value }) => `${key}=${value ?? "unset"} (${scope})`).join(", "),
  killClient: ({ session }) => `session ${session}`,
};

interface Operator {
  readonly author: string;
  readonly holder: string;
}

interface Open extends Operator {
  readonly asker: Asker;
  readonly action: string;
  readonly target: string;
}

/** Operators, and what they have asked for that isn't answered yet. */
export class Audit {
  #site: Site;
  #operators = new Map<Conn, Operator>();
  #open: Open[] = [];
  #number = 0; // of the latest that was proposed

  constructor(site: Site) {
    this.#site = site;
  }

  /** An operator, or an admin that passes on what operators ask. */
  came(conn: Conn, hello: Hello, holder: string): void {
    const author = authorIn(hello) || (hello.name === "" ? "" : `by admin ${hello.name}`);
    this.#operators.set(conn, { author: shortened(author), holder });
  }

  /** Somebody asks for something; before it is judged. */
  asked(asker: Asker, message: AskMessage): void {
    const operator = this.#operators.get(asker.conn);
    const targetOf = targets[message.name] as ((body: unknown) => string | undefined) | undefined;
    const target = operator && targetOf?.(message.body);
    if (!operator || target === undefined) return;
    const author = message.name === "changeConfig" && operator.author === ""
      ? message.body.author
      : operator.author;
    this.#open.push({
      ...operator,
      author: shortened(author),
      asker,
      action: message.name,
      target: shortened(target),
    });
  }

  /** What a step says: whoever is answered is written down. Gives what may leave before that is held. */
  look(effects: readonly MasterEffect[]): MasterEffect[] {
    if (this.#open.length === 0) return [...effects];
    const isEnd = effects.some((effect) => effect.do === "stop");
    return effects.filter((effect) => {
      if (effect.do !== "answer" && effect.do !== "refuse") return true;
      const open = this.#open.find(({ asker }) => asker.conn === effect.conn && asker.id === effect.id);
      if (!open) return true;
      this.#open = this.#open.filter((one) => one !== open);
      const leavesNow = isEnd || (open.action === "stepDown" && effect.do === "answer");
      const why = effect.do === "refuse" ? effect.error.message : "";
      this.#write(open, why, () => leavesNow ? undefined : this.#site.emit(effect));
      return leavesNow;
    });
  }

  /** An operator has gone. */
  disconnected(conn: Conn): void {
    if (!this.#operators.delete(conn)) return;
    const [gone, left] = [true, false].map((is) =>
      this.#open.filter(({ asker }) => (asker.conn === conn) === is)
    );
    this.#open = left!;
    for (const open of gone!) {
      this.#write(open, "its operator was gone before it was answered; it may be done", () => {});
    }
  }

  /** Serves an operator; false: it asks for something else. */
  ask(asker: Asker, message: AskMessage): boolean {
    if (message.name !== "listAudit") return false;
    const { before, count } = message.body;
    const all = this.#site.metadata.audit.entries.filter(({ number }) => before === null || number < before);
    const entries = all.slice(-Math.max(1, Math.min(count, AUDIT_PAGE))).reverse();
    this.#site.emit(answer(asker, "listAudit", { entries }));
    return true;
  }

  #write({ author, holder, action, target }: Open, why: string, held: () => void): void {
    this.#number = Math.max(this.#number, this.#site.metadata.audit.last) + 1;
    const refusal = shortened(why);
    const entry = {
      number: this.#number,
      atMs: this.#site.now.wallMs,
      author,
      holder,
      action,
      target,
      refusal,
    };
    this.#site.propose({ type: "audit", entry }, held);
  }
}

function shortened(text: string): string {
  return text.length <= AUDIT_TEXT_LENGTH_MAX ? text : `${text.slice(0, AUDIT_TEXT_LENGTH_MAX - 3)}...`;
}

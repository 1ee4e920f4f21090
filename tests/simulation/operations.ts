/** What an operator does to a running cluster: storages are added, drained, dropped and killed, cells move, copies are compared. */
import type { AskMessage, WireError } from "../../core/messages.ts";
import type { Command, CommandEnd } from "./operator.ts";
import type { SimRandom } from "./random.ts";
import type { World } from "./world.ts";

/** Pauses between two commands. */
const PAUSE_MS_MIN = 300;
const PAUSE_MS_MAX = 4_000;
/** Pauses between two attempts at what must succeed. */
const AGAIN_MS = 500;

/** How many commands are about masters, where there are several. */
const MASTERS_SHARE = 0.4;
/** Masters that stay. */
const MASTERS_KEPT = 2;

/** What an operator needs. */
export interface OperationPorts {
  readonly world: World;
  readonly random: SimRandom;
  /** Names of all storages, members or not. */
  readonly storages: readonly string[];
  /** Names of all masters, members or not; none when they are to stay as they are. */
  readonly masters: readonly string[];
  readonly partitions: number;
  readonly call: (command: Command) => void;
}

/** Gives commands, one after the other. */
export class Operations {
  /** Commands that were done, by name. */
  readonly done = new Map<string, number>();
  readonly #ports: OperationPorts;
  #isOn = false;
  #commands = 0;
  /** Masters that somebody wanted to go: their disks aren't taken in again. */
  readonly #goneMasters = new Set<string>();
  #then: ((end: CommandEnd) => void) | undefined;

  constructor(ports: OperationPorts) {
    this.#ports = ports;
  }

  /** The person hears of the end of a command. */
  ended(end: CommandEnd): void {
    if (end.id !== this.#commands) return;
    const then = this.#then;
    this.#then = undefined;
    then?.(end);
  }

  /** Whether no command is under way. */
  get isIdle(): boolean {
    return this.#then === undefined;
  }

  begin(): void {
    this.#isOn = true;
    this.#next();
  }

  /** No more commands. */
  end(): void {
    this.#isOn = false;
  }

  /** Spreads the cells once more, so that no storage leaves and each partition has its copies; then calls `done`. */
  finish(done: () => void): void {
    const undo = this.#ports.storages.map((name) =>
      ({ name: "drainNode", body: { name, undo: true } }) as const
    );
    const all: AskMessage[] = [...undo, { name: "tweak", body: { ignored: [], dryRun: false } }];
    const next = (): void => {
      const [message] = all;
      if (message === undefined) return done();
      this.#give(message, (error) => {
        const isOver = error === undefined || (error.code === "denied" && message.name !== "tweak");
        if (isOver) all.shift();
        this.#ports.world.after(isOver ? 1 : AGAIN_MS, next);
      });
    };
    next();
  }

  #next(): void {
    const { world, random } = this.#ports;
    world.after(random.between(PAUSE_MS_MIN, PAUSE_MS_MAX), () => {
      if (!this.#isOn) return;
      this.#give(this.#draw(), () => this.#next());
    });
  }

  #give(message: AskMessage, then: (error: WireError | undefined) => void): void {
    this.#then = (end) => {
      if ("answer" in end) this.done.set(message.name, (this.done.get(message.name) ?? 0) + 1);
      then("error" in end ? end.error : undefined);
    };
    this.#ports.call({ type: "command", id: ++this.#commands, message });
  }

  #draw(): AskMessage {
    const { random, storages, partitions } = this.#ports;
    const name = random.pick(storages);
    const tweak = (): AskMessage => {
      const ignored = random.chance(0.1) ? [name] : [];
      return { name: "tweak", body: { ignored, dryRun: random.chance(0.1) } };
    };
    const draws: readonly (() => AskMessage)[] = [
      tweak,
      tweak,
      tweak,
      () => ({ name: "addNode", body: { name, weight: random.int(0, 3), path: [], replaces: "" } }),
      () => ({ name: "addNode", body: { name, weight: 0, path: [], replaces: random.pick(storages) } }),
      () => ({
        name: "addNode",
        body: { name, weight: 0, path: ["r", random.pick(["a", "b"])], replaces: "" },
      }),
      () => ({ name: "drainNode", body: { name, undo: random.chance(0.3) } }),
      () => ({ name: "dropNode", body: { name } }),
      () => ({ name: "killNode", body: { name } }),
      () => ({ name: "setReplicas", body: { replicas: random.int(0, 2) } }),
      () => ({ name: "listNodes", body: {} }),
      () => ({ name: "showTable", body: {} }),
      () => {
        const repair = random.chance(0.5);
        return { name: "verifyTable", body: { first: 0 as never, count: partitions, from: "", repair } };
      },
    ];
    if (this.#ports.masters.length > 0 && random.chance(MASTERS_SHARE)) return this.#drawMasters();
    return random.pick(draws)();
  }

  #drawMasters(): AskMessage {
    const { random, masters } = this.#ports;
    const draw = random.pick(["listMasters", "addMaster", "addMaster", "removeMaster", "stepDown"] as const);
    if (draw === "listMasters" || draw === "stepDown") return { name: draw, body: {} };
    const some = masters.filter((name) => !this.#goneMasters.has(name));
    const name = draw === "addMaster" ? some.at(-1)! : random.pick(some);
    const isLast = some.length <= MASTERS_KEPT;
    if (draw === "removeMaster" && isLast) return { name: "listMasters", body: {} };
    if (draw === "addMaster") {
      return { name: draw, body: { name, address: `${name}:1`, diskId: `disk ${name}` } };
    }
    this.#goneMasters.add(name);
    return { name: draw, body: { name } };
  }
}

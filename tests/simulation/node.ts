/**
 * One node of a simulated cluster: what stays (name, address, disk), and the process that runs on it now. A process is a
 * real `Host` with a real machine on simulated ports; it can die at each call that it makes of them.
 */
import type { Effect } from "../../core/machine.ts";
import type { HostedMachine, HostPorts } from "../../roles/host.ts";
import { Host } from "../../roles/host.ts";
import { DiskFailure, READ_FAILED } from "./disk.ts";
import type { Death, NodePlan, PortCall, Surroundings, Trap } from "./node_plan.ts";
import { Died, Process } from "./process.ts";
import type { SimRandom } from "./random.ts";
import { labelOf } from "./trace.ts";
import { SimTransport } from "./transport.ts";
import { SimClock } from "./world.ts";

/** A node and its process. */
export class SimNode<C, W, Q, R, A, E, O, S> {
  readonly plan: NodePlan<C, W, Q, R, A, E, O, S>;
  /** Processes that ran here. */
  starts = 0;
  /** What a mutant makes of the machine's effects. */
  bend: (effects: Effect<C, W, Q, R, O>[]) => Effect<C, W, Q, R, O>[] = (effects) => effects;
  /** What it makes of each machine. */
  wrap: (machine: HostedMachine<C, W, Q, R, A, E, O>) => HostedMachine<C, W, Q, R, A, E, O> = (machine) =>
    machine;
  readonly #around: Surroundings;
  readonly #random: SimRandom;
  #process: Process | undefined;
  #host: Host<C, W, Q, R, A, E, O> | undefined;
  #machine: HostedMachine<C, W, Q, R, A, E, O> | undefined;
  #transport: SimTransport | undefined;
  #clock: SimClock | undefined;
  #isAsked = false;

  constructor(plan: NodePlan<C, W, Q, R, A, E, O, S>, around: Surroundings) {
    this.plan = plan;
    this.#around = around;
    this.#random = around.random.fork(plan.name);
  }

  get name(): string {
    return this.plan.name;
  }

  get role(): string {
    return this.plan.role;
  }

  get isUp(): boolean {
    return this.#process !== undefined;
  }

  get isPaused(): boolean {
    return this.busyUntilMs > this.#around.world.nowMs;
  }

  /** When it goes on. */
  get busyUntilMs(): number {
    return this.#process?.pausedUntilMs ?? 0;
  }

  get hasDisk(): boolean {
    return this.plan.disk !== undefined;
  }

  /** The machine that runs, for checkers. */
  get machine(): HostedMachine<C, W, Q, R, A, E, O> | undefined {
    return this.#machine;
  }

  /** Starts a process, if none runs. */
  start(): void {
    if (this.#process !== undefined) return;
    const { world, network, air } = this.#around;
    const { plan } = this;
    const process = new Process();
    this.#process = process;
    this.starts += 1;
    this.#isAsked = false;
    const random = this.#random.fork(`start ${this.starts}`);
    const border = <T>(what: PortCall, run: () => T): T => this.#cross(process, what, run);
    this.#transport?.wake();
    const transport = new SimTransport(network, plan.name, process, {
      border,
      ended: () => this.#ended(process),
    });
    const store = plan.disk?.open(process, border);
    const clock = new SimClock(world, process, random.fork("clock"), this.#clock?.skewMs ?? plan.skewMs);
    const { machine, peers } = plan.build(store?.state, random.fork("machine"));
    const multicast = air && { multicast: air.optionsFor(plan, process) };
    const ports: HostPorts<W, Q, A, O> = {
      clock,
      transport,
      ...(store ? { store } : {}),
      log: (level, text, facts) => this.#log(process, level, text, facts),
      output: plan.output,
      stopped: () => {},
    };
    this.#around.trace.line(plan.name, "starts");
    this.#clock = clock;
    this.#transport = transport;
    this.#machine = machine;
    this.#host = new Host(this.#watched(process, this.wrap(machine)), ports, { ...peers, ...multicast });
    if (plan.address !== undefined) transport.bind(plan.address);
    plan.begun?.();
  }

  /** Gives the machine an event of its own. */
  call(event: E): void {
    this.#host?.call(event);
  }

  /** Asks the process to end in order. */
  terminate(): void {
    this.#isAsked = true;
    this.#host?.terminate();
  }

  /** The process dies. Gives how many rounds its disk has lost. */
  crash(death: Death): number {
    const process = this.#process;
    if (process === undefined) return 0;
    this.#around.trace.line(this.name, `crashes (${death})`);
    this.#host?.kill();
    this.#leave(process);
    this.#transport?.end(death);
    return this.plan.disk?.crash() ?? 0;
  }

  /** The process doesn't run until then; what arrives for it waits. */
  pause(untilMs: number): void {
    if (this.#process === undefined) return;
    this.#around.trace.line(this.name, `pauses until ${untilMs.toFixed(0)}`);
    this.#process.pausedUntilMs = Math.max(untilMs, this.#process.pausedUntilMs);
  }

  /** The wall clock jumps. */
  jump(byMs: number): void {
    if (this.#clock === undefined) return;
    this.#around.trace.line(this.name, `clock jumps by ${byMs}`);
    this.#clock.skewMs += byMs;
  }

  /** Lets the process die at a call that it will make. */
  trap(plan: Trap): void {
    if (this.#process === undefined) return;
    this.#process.trap = { plan, armed: plan.after === undefined, left: plan.calls };
  }

  disarm(): void {
    if (this.#process !== undefined) this.#process.trap = undefined;
    if (this.#process !== undefined) Object.assign(this.#process, { hangs: undefined, behind: undefined });
    if (this.plan.disk) Object.assign(this.plan.disk.mood, { failNext: false, failRead: false });
  }

  /** Lets the next write fail. */
  failDisk(): void {
    if (this.plan.disk) this.plan.disk.mood.failNext = true;
  }

  /** Lets the next read fail. */
  failRead(): void {
    if (this.plan.disk) this.plan.disk.mood.failRead = true;
  }

  /** Lets the disk take up to this time for each answer; 0: as long as it usually does. */
  slowDisk(forMs: number): void {
    if (this.plan.disk === undefined) return;
    this.#around.trace.line(this.name, `disk takes up to ${forMs.toFixed(0)} ms`);
    this.plan.disk.mood.slowMs = forMs;
  }

  /** Lets each thing that the process does take so long. */
  slow(forMs: number): void {
    if (this.#process === undefined) return;
    this.#around.trace.line(this.name, `takes ${forMs.toFixed(0)} ms for everything`);
    this.#process.slowMs = forMs;
  }

  /** Lets the disk be full, or have room again. */
  fillDisk(isFull: boolean): void {
    this.#around.trace.line(this.name, isFull ? "disk is full" : "disk has room");
    this.plan.disk?.fill(isFull);
  }

  /** Something happens when the next effect of that label is on its way. */
  behind(label: string, run: () => void): void {
    if (this.#process !== undefined) this.#process.behind = { label, run };
  }

  /** A program hangs: the next finish isn't sent, nor anything else about its transaction. */
  hang(hung: () => void): void {
    if (this.#process !== undefined) this.#process.hangs = hung;
  }

  #leave(process: Process): void {
    process.gone = true;
    this.#process = undefined;
    this.#machine = undefined;
    this.#host = undefined;
    this.plan.over?.();
  }

  /** A call of a port: the place where a process may die. */
  #cross<T>(process: Process, what: PortCall, run: () => T): T {
    if (process.gone) throw new Died("the process is dead");
    const { trap } = process;
    const counts = trap?.armed && (trap.plan.at === undefined || trap.plan.at === what);
    if (trap === undefined || !counts || --trap.left > 0) return run();
    process.trap = undefined;
    if (trap.plan.done) run();
    this.#around.trace.line(this.name, `dies ${trap.plan.done ? "after" : "before"} ${what}`);
    const hitsWork = trap.plan.dying();
    const lost = this.crash(trap.plan.death);
    trap.plan.sprung(lost, hitsWork);
    throw new Died(`died at ${what}`);
  }

  /** The machine, with somebody who looks on. */
  #watched(
    process: Process,
    machine: HostedMachine<C, W, Q, R, A, E, O>,
  ): HostedMachine<C, W, Q, R, A, E, O> {
    const { trace } = this.#around;
    return {
      due: () => machine.due(),
      step: (event, now) => {
        const effects = this.bend(machine.step(event, now)).filter((effect) => this.#isSent(process, effect));
        trace.step(this.name, event as { readonly type: string }, effects);
        for (const effect of effects) {
          if (effect.do === "stop") process.stop = effect;
          if (process.trap && !process.trap.armed && labelOf(effect) === process.trap.plan.after) {
            process.trap.armed = true;
          }
          if (process.behind?.label === labelOf(effect)) this.#goBehind(process, process.behind.run);
        }
        return effects;
      },
    };
  }

  #goBehind(process: Process, run: () => void): void {
    process.behind = undefined;
    const { world } = this.#around;
    world.after(this.#random.pick([0.01, 1, 5]), run);
  }

  /** False for what a program that hangs doesn't send. */
  #isSent(process: Process, effect: Effect<C, W, Q, R, O>): boolean {
    if (effect.do !== "ask" && effect.do !== "tell") return true;
    const { name, body } = effect.message;
    if (name !== "finish" && name !== "outcome" && name !== "abort") return true;
    if (name === "finish" && process.hangs) {
      this.#around.trace.line(this.name, `hangs before finish ${body.ttid}`);
      process.hangs();
      process.hangs = undefined;
      process.hung.add(body.ttid);
    }
    return !process.hung.has(body.ttid);
  }

  #log(process: Process, level: string, text: string, facts?: { readonly [name: string]: unknown }): void {
    this.#around.trace.log(this.name, level, text);
    if (level !== "error" || !text.startsWith("Cannot go on: ")) return;
    const stack = String(facts?.["stack"] ?? "");
    const isDisk = stack.startsWith(new DiskFailure("").name);
    const at = text.endsWith(READ_FAILED) ? "read" : "save";
    process.failure = { message: text, stack, disk: isDisk ? at : undefined };
  }

  /** The host has ended by itself: in order, or because something threw. */
  #ended(process: Process): void {
    if (process.gone) return;
    const { failure } = process;
    this.#leave(process);
    this.#around.trace.line(this.name, failure ? `fails: ${failure.message}` : "ends");
    this.#transport?.end(failure ? "killed" : "closed");
    if (failure) this.plan.disk?.crash();
    else this.plan.disk?.store?.close();
    if (failure?.disk) return this.#around.ended(this, { by: "disk", at: failure.disk });
    if (failure) return this.#around.ended(this, { by: "mistake", ...failure });
    if (this.#isAsked || process.stop?.error === undefined) return this.#around.ended(this, { by: "order" });
    this.#around.ended(this, { by: "mistake", message: `stopped by itself: ${process.stop.error.message}` });
  }
}

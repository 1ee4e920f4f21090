/** Builds the nodes of a world on the real roles, and brings them to where its programs begin. */
import type { NodeIndex } from "../../core/ids.ts";
import type { Role } from "../../core/messages.ts";
import type { Roles } from "./instrument.ts";
import { moves, startOf } from "./moves.ts";
import { Node } from "./node.ts";
import type { Boot } from "./node.ts";
import type { Mutant, OpenDisk, OpenMachine, Process, WorldSpec } from "./spec.ts";
import type { Told } from "./told.ts";
import { World } from "./world.ts";
import type { Budget, Draft } from "./world.ts";

const IDENTITY = { clusterId: "c-1", cluster: "test" };
/** What clients store before anything else, so that connections, sessions and marks are there: one object each. */
const WARM_OID = 1_000;
/** How long a recovery waits for absent storages: a short wait, which may end at any time. */
const GRACE_MS = 500;

/** A world where its programs begin. */
export interface Built {
  readonly world: World;
  readonly spec: WorldSpec;
  readonly start: Draft;
}

/** Builds a world, of which a mutant may break a part. */
export function build(roles: Roles, spec: WorldSpec, mutant?: Mutant): Built {
  const names = nodesOf(spec);
  const oids = oidsOf(spec);
  const nodes = names.map(({ name, role }) => {
    const disk = diskOf(roles, spec, name, role);
    const process: Process = {
      name,
      role,
      disk,
      machine: undefined,
      store: undefined,
      hello: undefined,
      unlocked: 0n,
      notes: [],
    };
    return new Node(process, { boot: bootOf(roles, role), oids });
  });
  const world = new World(nodes, new Map(names.map(({ name }, at) => [`${name}:1`, at])), {
    isSplit: spec.split ?? false,
  });
  const start = prelude(world, spec);
  for (const node of nodes) node.break(mutant);
  return { world, spec, start: led(world, spec, start) };
}

/** Goes the way that a world begins with: a step may be named by the beginning of its label. */
function led(world: World, spec: WorldSpec, from: Draft): Draft {
  return (spec.path ?? []).reduce((draft, label) => {
    const all = moves(world, spec, draft);
    const move = all.find((one) => one.label() === label) ?? all.find((one) => one.label().startsWith(label));
    if (move) return move.run();
    throw new Error(`"${label}" can't happen there, but: ${all.map((one) => one.label()).join("; ")}`);
  }, from);
}

function nodesOf({ storages, clients }: WorldSpec): { name: string; role: Process["role"] }[] {
  const many = (count: number, letter: string, role: Process["role"]) =>
    Array.from({ length: count }, (_, at) => ({ name: `${letter}${at + 1}`, role }));
  return [...many(1, "m", "master"), ...many(storages, "s", "storage"), ...many(clients, "c", "client")];
}

/** Objects that somebody writes. */
function oidsOf({ calls, clients, before = [] }: WorldSpec): bigint[] {
  const warm = Array.from({ length: clients }, (_, at) => WARM_OID + at);
  return [...new Set([...warm, ...before, ...calls.flatMap(({ writes }) => writes)])].map(BigInt);
}

function diskOf(roles: Roles, spec: WorldSpec, name: string, role: Process["role"]): OpenDisk | undefined {
  const { memoryDatabase, memoryMetadata } = roles.memory;
  const { partitions, replicas, storages } = spec;
  if (role === "client") return undefined;
  if (role === "storage") {
    const identity = { ...IDENTITY, name, diskId: `disk-${name}`, partitions };
    return memoryDatabase(identity, roles.system.sha256) as unknown as OpenDisk;
  }
  const nodes = [{ name, role: "master" as Role, address: `${name}:1`, diskId: "" }];
  for (let nr = 1; nr <= storages; nr++) {
    nodes.push({ name: `s${nr}`, role: "storage", address: `s${nr}:1`, diskId: `disk-s${nr}` });
  }
  const disk = memoryMetadata(roles.metadata.firstImage({ ...IDENTITY, replicas, partitions, nodes }));
  const store = disk.open();
  spec.table?.forEach(([partition, storage, state], at) => {
    const version = at + 2;
    const cell = { partition: partition as never, node: (storage + 1) as NodeIndex, state, since: version };
    const entry = roles.entries.encodeEntry({ type: "cells", version, cells: [cell] });
    store.apply([{ op: "append", entries: [{ index: at + 1, term: 1, entry }] }], { durable: true });
  });
  store.close();
  return disk as unknown as OpenDisk;
}

/** How a process of a role is made, from its disk alone. */
function bootOf(roles: Roles, role: Process["role"]): Boot {
  return (process) => {
    const store = process.disk?.open();
    process.store = store;
    const machine = role === "master"
      ? newMaster(roles, process.name, store!.state)
      : role === "storage"
      ? newStorage(roles, process.name, store!.state)
      : newClient(roles, process.name);
    process.machine = machine as unknown as OpenMachine;
    process.hello = machine.hello();
  };
}

function newMaster(roles: Roles, name: string, state: unknown) {
  const consensus = new roles.consensus.SoloConsensus(state as never);
  const grace = { startupGraceMs: GRACE_MS, failoverGraceMs: GRACE_MS };
  return new roles.master.MasterMachine({ consensus, name, digest: roles.system.sha256, grace });
}

function newStorage(roles: Roles, name: string, state: unknown) {
  const digest = roles.system.sha256;
  return new roles.storage.StorageMachine({
    state: state as never,
    masters: ["m1:1"],
    address: `${name}:1`,
    digest,
  });
}

function newClient(roles: Roles, name: string) {
  const { sha256: digest, zlibCompression: compression } = roles.system;
  const ports = { digest, compression, random: { next: () => 0.5 } as never };
  return new roles.client.ClientMachine({
    cluster: IDENTITY.cluster,
    masters: ["m1:1"],
    name,
    ports,
    cacheBytes: 0,
  });
}

/** Everything is started and connected, one thing after the other. */
function prelude(world: World, spec: WorldSpec): Draft {
  const { clients, calls, before = [] } = spec;
  const warm = Array.from(
    { length: clients },
    (_, at) => ({ client: at + 1, writes: [WARM_OID + at, ...at === 0 ? before : []] }),
  );
  const quiet: WorldSpec = { ...spec, calls: warm };
  const last = Object.fromEntries(warm.map(({ client }) => [`c${client}`, "0"]));
  const idle = (count: number): Told["calls"] => Array.from({ length: count }, () => ({ is: "idle" }));
  let draft = world.first({ calls: idle(clients), last }, { timers: 0 });
  world.nodes.forEach((_, node) => world.boot(draft, node));
  draft = settled(world, quiet, draft);
  warm.forEach((_, call) => {
    draft = world.copy(draft);
    startOf(world, quiet, draft, call, "before");
    draft = settled(world, quiet, draft);
    if (draft.breach !== undefined || draft.told.calls[call]?.is !== "committed") {
      throw new Error(`the world doesn't come to its start: ${draft.breach} ${JSON.stringify(draft.told)}`);
    }
  });
  return { ...draft, told: { ...draft.told, calls: idle(calls.length) }, budget: budgetOf(spec) };
}

/** Lets everything happen that must, the first thing first. */
function settled(world: World, spec: WorldSpec, from: Draft): Draft {
  let draft = from;
  for (;;) {
    const next = moves(world, { ...spec, calls: [] }, draft).find(({ kind }) => kind === "step");
    if (!next) return draft;
    draft = next.run();
  }
}

function budgetOf({ faults, orders = [] }: WorldSpec): Budget {
  const { crash = {}, cuts = 0, total = Infinity, timers = 0 } = faults;
  const crashes = Object.fromEntries(Object.entries(crash).map(([name, count]) => [`crash ${name}`, count]));
  return { ...crashes, cuts, timers, total: Math.min(total, 99), orders: orders.length };
}

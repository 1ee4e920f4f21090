/** Builds the nodes of a world on the real roles, and brings them to where its programs begin. */
import type { NodeIndex } from "../../core/ids.ts";
import type { Role } from "../../core/messages.ts";
import { AbstractMaster, firstLog } from "./agreement.ts";
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
    return new Node(process, { boot: bootOf(roles, spec, role), oids });
  });
  const world = new World(nodes, new Map(names.map(({ name }, at) => [`${name}:1`, at])), {
    isSplit: spec.split ?? false,
  });
  const start = prelude(roles, world, spec);
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

function nodesOf({ masters = 1, storages, clients }: WorldSpec): { name: string; role: Process["role"] }[] {
  const many = (count: number, letter: string, role: Process["role"]) =>
    Array.from({ length: count }, (_, at) => ({ name: `${letter}${at + 1}`, role }));
  return [
    ...many(masters, "m", "master"),
    ...many(storages, "s", "storage"),
    ...many(clients, "c", "client"),
  ];
}

/** Objects that somebody writes. */
function oidsOf({ calls, clients, before = [] }: WorldSpec): bigint[] {
  const warm = Array.from({ length: clients }, (_, at) => WARM_OID + at);
  return [...new Set([...warm, ...before, ...calls.flatMap(({ writes }) => writes)])].map(BigInt);
}

function diskOf(roles: Roles, spec: WorldSpec, name: string, role: Process["role"]): OpenDisk | undefined {
  const { memoryDatabase, memoryMetadata } = roles.memory;
  const { partitions, replicas, storages, masters = 1 } = spec;
  if (role === "client") return undefined;
  if (role === "storage") {
    const identity = { ...IDENTITY, name, diskId: `disk-${name}`, partitions };
    return memoryDatabase(identity, roles.system.sha256) as unknown as OpenDisk;
  }
  const nodes = addressesOf(spec).map((address, at) => ({
    name: `m${at + 1}`,
    role: "master" as Role,
    address,
    diskId: "",
  }));
  for (let nr = 1; nr <= storages; nr++) {
    nodes.push({ name: `s${nr}`, role: "storage", address: `s${nr}:1`, diskId: `disk-s${nr}` });
  }
  const disk = memoryMetadata(roles.metadata.firstImage({ ...IDENTITY, replicas, partitions, nodes }));
  if (masters > 1) return disk as unknown as OpenDisk;
  const store = disk.open();
  tableEntries(roles, spec).forEach((entry, at) => {
    store.apply([{ op: "append", entries: [{ index: at + 1, term: 1, entry }] }], { durable: true });
  });
  store.close();
  return disk as unknown as OpenDisk;
}

/** What makes a world's first table of the one that is dealt. */
function tableEntries(roles: Roles, { table = [], masters = 1 }: WorldSpec): Uint8Array[] {
  return table.map(([partition, storage, state], at) => {
    const version = at + 2;
    const cell = {
      partition: partition as never,
      node: (storage + masters) as NodeIndex,
      state,
      since: version,
    };
    return roles.entries.encodeEntry({ type: "cells", version, cells: [cell] });
  });
}

function addressesOf({ masters = 1 }: WorldSpec): string[] {
  return Array.from({ length: masters }, (_, at) => `m${at + 1}:1`);
}

/** How a process of a role is made, from its disk alone. */
function bootOf(roles: Roles, spec: WorldSpec, role: Process["role"]): Boot {
  return (process) => {
    const store = process.disk?.open();
    process.store = store;
    const machine = role === "master"
      ? newMaster(roles, spec, process.name, store!.state)
      : role === "storage"
      ? newStorage(roles, spec, process.name, store!.state)
      : newClient(roles, spec, process.name);
    process.machine = machine as unknown as OpenMachine;
    process.hello = machine.hello();
  };
}

function newMaster(roles: Roles, spec: WorldSpec, name: string, state: unknown) {
  const grace = { startupGraceMs: GRACE_MS, failoverGraceMs: GRACE_MS };
  const digest = roles.system.sha256;
  if ((spec.masters ?? 1) > 1) {
    const random = { next: () => 0.5 } as never;
    const member = new roles.member.MemberMachine({ state: state as never, name, digest, random, grace });
    const { image } = (state as { readonly snapshot: { readonly image: Uint8Array } }).snapshot;
    return new AbstractMaster(member, roles.metadata.rosterOfImage(image), name);
  }
  const consensus = new roles.consensus.SoloConsensus(state as never);
  return new roles.master.MasterMachine({ consensus, name, digest, grace });
}

function newStorage(roles: Roles, spec: WorldSpec, name: string, state: unknown) {
  const digest = roles.system.sha256;
  return new roles.storage.StorageMachine({
    state: state as never,
    masters: addressesOf(spec),
    address: `${name}:1`,
    digest,
  });
}

function newClient(roles: Roles, spec: WorldSpec, name: string) {
  const { sha256: digest, zlibCompression: compression } = roles.system;
  const ports = { digest, compression, random: { next: () => 0.5 } as never };
  return new roles.client.ClientMachine({
    cluster: IDENTITY.cluster,
    masters: addressesOf(spec),
    name,
    ports,
    cacheBytes: 0,
  });
}

/** Everything is started and connected, one thing after the other. */
function prelude(roles: Roles, world: World, spec: WorldSpec): Draft {
  const { clients, calls, before = [] } = spec;
  const warm = Array.from(
    { length: clients },
    (_, at) => ({ client: at + 1, writes: [WARM_OID + at, ...at === 0 ? before : []] }),
  );
  const quiet: WorldSpec = { ...spec, calls: warm };
  const last = Object.fromEntries(warm.map(({ client }) => [`c${client}`, "0"]));
  const idle = (count: number): Told["calls"] => Array.from({ length: count }, () => ({ is: "idle" }));
  let draft = world.first(
    { calls: idle(clients), last },
    { timers: 0 },
    firstLog(tableEntries(roles, spec)),
  );
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
  const { crash = {}, cuts = 0, elections = 0, total = Infinity, timers = 0 } = faults;
  const crashes = Object.fromEntries(Object.entries(crash).map(([name, count]) => [`crash ${name}`, count]));
  return { ...crashes, cuts, elections, timers, total: Math.min(total, 99), orders: orders.length };
}

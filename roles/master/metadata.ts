/**
 * What the masters hold about a cluster: a state, and the entries of a log that change it. Only what is durable on a
 * majority counts (`consensus.ts`). No transaction data and no actual phase stands here.
 */
import { ofCbor, toCbor } from "../../core/cbor.ts";
import { invariant, MalformedError } from "../../core/errors.ts";
import { ZERO_TID } from "../../core/ids.ts";
import type { NodeIndex, Oid, Partition, Tid } from "../../core/ids.ts";
import { RECOVER_REVISIONS, WEIGHT_DEFAULT } from "../../core/limits.ts";
import type { Cut, Role } from "../../core/messages.ts";
import { PartitionTable } from "../../core/partition_table.ts";
import {
  bytes,
  integer,
  list,
  node,
  oid,
  partition,
  record,
  text,
  tid,
  withDefault,
} from "../../core/schema.ts";
import type { Value } from "../../core/schema.ts";
import { auditImage, AuditLog } from "./audit_log.ts";
import { decodeEntry, indexList, memberList } from "./entries.ts";
import type { Desired, Entry, Registered } from "./entries.ts";
import { configImage, NO_CONFIG, SettingsLog } from "./settings_log.ts";

/** 2: members have weight, path and wish, and the highest index ever given is kept. */
const FORMAT = 2;
const FORMAT_MIN = 1;

const cutEntry = record({ number: integer, tid, last: tid });

const imageFields = record({
  format: integer,
  clusterId: text,
  cluster: text,
  epoch: integer,
  oidMark: oid,
  sessionMark: integer,
  truncations: integer,
  desired: text,
  origin: text,
  nodes: memberList,
  table: bytes,
  nodeMark: withDefault(integer, 0),
  discards: withDefault(list(record({ node, partition, since: integer })), []),
  cuts: withDefault(list(cutEntry), []),
  /** Empty, as before there were several: all masters. */
  voters: withDefault(indexList, []),
  config: withDefault(configImage, NO_CONFIG),
  audit: withDefault(auditImage, []),
  /** Of which cluster this one is a backup. */
  upstream: withDefault(text, ""),
  packBound: withDefault(tid, ZERO_TID),
});

/** The masters of a cluster, and which of them vote. */
export interface MasterRoster {
  readonly masters: readonly Registered[];
  readonly voters: readonly number[];
}

/** The masters in an image. */
export function rosterOfImage(image: Uint8Array): MasterRoster {
  return Metadata.ofImage(image).roster;
}

/** The masters that an entry brings; undefined: it brings none. */
export function rosterOfEntry(encoded: Uint8Array): MasterRoster | undefined {
  const entry = encoded.length === 0 ? undefined : decodeEntry(encoded);
  return entry?.type === "masters" ? entry : undefined;
}

/** What is other in a cluster whose masters' log was lost. */
export interface Rebuilt {
  readonly table: PartitionTable;
  readonly epoch: number;
  readonly oidMark: Oid;
  readonly sessionMark: number;
  readonly masters: readonly Registered[];
  /** The highest that a storage knows. */
  readonly packBound: Tid;
}

/** The state that the entries so far have made. */
export class Metadata {
  readonly clusterId: string;
  readonly cluster: string;
  readonly table: PartitionTable;
  /** What is configured. */
  readonly settings: SettingsLog;
  /** What operators have done. */
  readonly audit: AuditLog;
  #cuts: readonly Value<typeof cutEntry>[];
  #nodes: readonly Registered[];
  #nodeMark: number;
  #voters: readonly number[];
  #discards = new Map<NodeIndex, Map<Partition, number>>(); // since, of cells that were and weren't created again
  #epoch: number;
  #oidMark: Oid;
  #sessionMark: number;
  #desired: Desired;
  #origin: string;
  #upstream: string;
  #packBound: Tid;

  private constructor(image: Value<typeof imageFields>) {
    this.clusterId = image.clusterId;
    this.cluster = image.cluster;
    this.table = PartitionTable.ofImage(image.table);
    this.#nodes = image.nodes;
    this.#nodeMark = Math.max(image.nodeMark, ...image.nodes.map(({ index }) => index));
    const masters = image.nodes.flatMap(({ role, index }) => (role === "master" ? [index] : []));
    this.#voters = image.voters.length > 0 ? image.voters : masters;
    for (const { node, partition, since } of image.discards) this.#discard(node, partition, since);
    this.#cuts = image.cuts;
    this.settings = new SettingsLog(image.config);
    this.audit = new AuditLog(image.audit);
    this.#epoch = image.epoch;
    this.#oidMark = image.oidMark;
    this.#sessionMark = image.sessionMark;
    this.#desired = image.desired === "import" ? "import" : "run";
    this.#origin = image.origin;
    this.#upstream = image.upstream;
    this.#packBound = image.packBound;
  }

  get epoch(): number {
    return this.#epoch;
  }

  /** Members, by index. */
  get nodes(): readonly Registered[] {
    return this.#nodes;
  }

  /** The masters among the members. */
  get roster(): MasterRoster {
    return { masters: this.#nodes.filter(({ role }) => role === "master"), voters: this.#voters };
  }

  /** The highest index that a member ever had: those that follow were never another's. */
  get nodeMark(): number {
    return this.#nodeMark;
  }

  /**
   * Cells of a storage that were discarded and not created again: one that wasn't there may delete them when it returns. It
   * mustn't only because a table lacks them (B9).
   */
  discardsOf(node: NodeIndex): { readonly partition: Partition; readonly since: number }[] {
    return [...this.#discards.get(node) ?? []].map(([partition, since]) => ({ partition, since }));
  }

  get oidMark(): Oid {
    return this.#oidMark;
  }

  get sessionMark(): number {
    return this.#sessionMark;
  }

  get desired(): Desired {
    return this.#desired;
  }

  /** How many truncations there were; a client that hears of more accepts that the last tid is lower than before. */
  get truncations(): number {
    return this.#cuts.length;
  }

  /** All truncations, in order: a storage that was away does those that it lacks. */
  get cuts(): readonly Cut[] {
    return this.#cuts;
  }

  /** The highest tid that any truncation has found: those that follow stay above, so that none is given twice. */
  get tidFloor(): Tid {
    return this.#cuts.reduce((highest, { last }) => (last > highest ? last : highest), ZERO_TID);
  }

  /** Where imported data came from, in the importer's words; empty for a database that wasn't imported. */
  get origin(): string {
    return this.#origin;
  }

  /** The cluster that this one is a backup of; empty: it is none. */
  get upstream(): string {
    return this.#upstream;
  }

  /** Up to which tid history may have gone; 0: all is kept. It never falls. */
  get packBound(): Tid {
    return this.#packBound;
  }

  /** The storage with this disk. */
  storageOf(diskId: string): Registered | undefined {
    return this.nodes.find((node) => node.role === "storage" && node.diskId === diskId);
  }

  /** Takes an entry that is held. */
  apply(entry: Entry): void {
    switch (entry.type) {
      case "opened":
        invariant(entry.epoch > this.#epoch, "epochs grow");
        this.#epoch = entry.epoch;
        break;
      case "cells":
        this.table.apply(entry.version, entry.cells, entry.replicas);
        for (const { node, partition, state, since } of entry.cells) {
          if (state === "discarded") this.#discard(node, partition, since);
          else this.#discards.get(node)?.delete(partition);
        }
        break;
      case "nodes":
        this.#takeNodes(entry.nodes, entry.forgotten);
        break;
      case "masters": {
        const gone = this.roster.masters.map(({ index }) => index);
        const here = entry.masters.map(({ index }) => index);
        this.#takeNodes(entry.masters, gone.filter((index) => !here.includes(index)));
        this.#voters = entry.voters;
        break;
      }
      case "oidMark":
        if (entry.oid > this.#oidMark) this.#oidMark = entry.oid;
        break;
      case "sessionMark":
        this.#sessionMark = Math.max(this.#sessionMark, entry.session);
        break;
      case "desired":
        this.#desired = entry.state;
        if (entry.origin !== "") this.#origin = entry.origin;
        break;
      case "backup":
        this.#upstream = entry.of;
        break;
      case "packed":
        if (entry.tid > this.#packBound) this.#packBound = entry.tid;
        break;
      case "config":
        this.settings.apply(entry.change);
        break;
      case "audit":
        this.audit.apply(entry.entry);
        break;
      case "truncated": {
        const { number, tid, last } = entry;
        invariant(number === this.truncations + 1, "truncations are numbered");
        this.#cuts = [...this.#cuts, { number, tid, last }];
        break;
      }
    }
  }

  #takeNodes(nodes: readonly Registered[], forgotten: readonly number[]): void {
    const members = new Map(this.#nodes.map((node) => [node.index, node]));
    for (const node of nodes) members.set(node.index, node);
    for (const index of forgotten) {
      members.delete(index);
      this.#discards.delete(index as NodeIndex);
    }
    this.#nodes = [...members.values()].sort((a, b) => a.index - b.index);
    this.#nodeMark = Math.max(this.#nodeMark, ...nodes.map(({ index }) => index));
  }

  #discard(node: NodeIndex, partition: Partition, since: number): void {
    const cells = this.#discards.get(node) ?? new Map<Partition, number>();
    this.#discards.set(node, cells.set(partition, since));
  }

  /** The state as bytes. */
  toImage(): Uint8Array {
    const { clusterId, cluster, epoch, oidMark, sessionMark, truncations, desired, origin, nodes } = this;
    const { nodeMark } = this;
    const discards = [...this.#discards.keys()].flatMap((node) =>
      this.discardsOf(node).map((cell) => ({ node, ...cell }))
    );
    const table = this.table.toImage();
    const image = {
      format: FORMAT,
      clusterId,
      cluster,
      epoch,
      oidMark,
      sessionMark,
      truncations,
      desired,
      origin,
      nodes,
      table,
      nodeMark,
      discards,
      cuts: this.#cuts,
      voters: this.#voters,
      config: this.settings.toImage(),
      audit: [...this.audit.entries],
      upstream: this.#upstream,
      packBound: this.#packBound,
    };
    return toCbor(imageFields.write(image));
  }

  /**
   * What a cluster goes on with when the masters' log is lost: these members with another table and other masters, under an
   * epoch and marks that are above all that was given. As bytes; they are no part of this state.
   */
  rebuilt(to: Rebuilt): Uint8Array {
    const image = imageFields.read(ofCbor(this.toImage(), "metadata"), "metadata");
    const nodes = [...this.#nodes.filter(({ role }) => role !== "master"), ...to.masters];
    const discards = image.discards.filter(({ node, partition }) => !to.table.cell(partition, node));
    return toCbor(imageFields.write({
      ...image,
      epoch: to.epoch,
      oidMark: to.oidMark,
      sessionMark: to.sessionMark,
      desired: "run",
      nodes,
      nodeMark: Math.max(this.#nodeMark, ...nodes.map(({ index }) => index)),
      table: to.table.toImage(),
      discards,
      voters: to.masters.map(({ index }) => index),
      packBound: to.packBound > this.#packBound ? to.packBound : this.#packBound,
      config: { ...image.config, revision: image.config.revision + RECOVER_REVISIONS },
    }));
  }

  /**
   * Reads a state.
   *
   * @throws MalformedError when it is broken or of a newer version
   */
  static ofImage(encoded: Uint8Array): Metadata {
    const wire = ofCbor(encoded, "the cluster's metadata");
    const image = imageFields.read(wire, "metadata");
    if (image.format < FORMAT_MIN || image.format > FORMAT) {
      throw new MalformedError(
        `Cannot read the cluster's metadata: it has format ${image.format}, this neo knows ${FORMAT_MIN} to ${FORMAT}`,
      );
    }
    return new Metadata(image);
  }
}

/** A new cluster, as `init` describes it. */
export interface FirstCluster {
  readonly clusterId: string;
  readonly cluster: string;
  readonly partitions: number;
  readonly replicas: number;
  /** The cluster that it is a backup of, from its beginning on. */
  readonly upstream?: string;
  /** Members in the order of their indexes, which begin at 1. */
  readonly nodes: readonly {
    readonly name: string;
    readonly role: Role;
    readonly address: string;
    readonly diskId: string;
  }[];
}

/**
 * The metadata that a new cluster begins with: its id and name, its members, and the first partition table. Written
 * once, by `init`; a master without it waits.
 */
export function firstImage(cluster: FirstCluster): Uint8Array {
  const wishes = { weight: WEIGHT_DEFAULT, path: [], draining: false };
  const nodes = cluster.nodes.map((node, at) => ({ ...wishes, ...node, index: at + 1 }));
  const storages = nodes.filter((node) => node.role === "storage").map((node) => node.index as NodeIndex);
  const { partitions, replicas, clusterId } = cluster;
  const image = {
    format: FORMAT,
    clusterId,
    cluster: cluster.cluster,
    epoch: 0,
    oidMark: 0n as Oid,
    sessionMark: 0,
    truncations: 0,
    desired: "run",
    origin: "",
    nodes,
    table: PartitionTable.deal({ partitions, replicas, nodes: storages }).toImage(),
    nodeMark: nodes.length,
    discards: [],
    cuts: [],
    voters: nodes.flatMap(({ role, index }) => (role === "master" ? [index] : [])),
    config: NO_CONFIG,
    audit: [],
    upstream: cluster.upstream ?? "",
    packBound: ZERO_TID,
  };
  return toCbor(imageFields.write(image));
}

/** The entries of the masters' log: what each changes, and how it stands there. */
import { auditRow } from "../../core/audit_messages.ts";
import { ofCbor, toCbor } from "../../core/cbor.ts";
import { MalformedError } from "../../core/errors.ts";
import type { Oid, Tid } from "../../core/ids.ts";
import { WEIGHT_DEFAULT } from "../../core/limits.ts";
import { cellChange } from "../../core/messages.ts";
import type { CellChange } from "../../core/messages.ts";
import { flag, integer, list, maybe, oid, record, text, tid, withDefault } from "../../core/schema.ts";
import type { Value } from "../../core/schema.ts";
import type { AuditEntry } from "./audit_log.ts";
import { configChange } from "./settings_log.ts";
import type { ConfigChange } from "./settings_log.ts";

/**
 * A member of the cluster. Its identity is the disk id; an index never goes to another. Of a storage: its part of all cells against
 * the weights of others, where it stands (region, host, device), and whether its cells are to go elsewhere for it to leave.
 */
const registered = record({
  index: integer,
  name: text,
  role: text,
  address: text,
  diskId: text,
  weight: withDefault(integer, WEIGHT_DEFAULT),
  path: withDefault(list(text), []),
  draining: withDefault(flag, false),
});
/** A member of the cluster. */
export type Registered = Value<typeof registered>;

/** What the operator wants the cluster to do. `import` admits one client, which gives its own tids. */
export type Desired = "run" | "import";

/** A change of the metadata. */
export type Entry =
  /** A recovery begins: every message of it carries this epoch, all client sessions are over. */
  | { readonly type: "opened"; readonly epoch: number }
  /** Cells change, or the number of replicas that there should be; the result is this version of the table. */
  | {
    readonly type: "cells";
    readonly version: number;
    readonly cells: readonly CellChange[];
    readonly replicas?: number;
  }
  /** Members come or are other than before; those whose indexes are `forgotten` are members no more. */
  | {
    readonly type: "nodes";
    readonly nodes: readonly Registered[];
    readonly forgotten: readonly number[];
  }
  /** The masters of the cluster, and which of them vote: all that there are, in place of those before. */
  | { readonly type: "masters"; readonly masters: readonly Registered[]; readonly voters: readonly number[] }
  /** No oid above it has been granted or published. */
  | { readonly type: "oidMark"; readonly oid: Oid }
  /** No client session above it has been granted. */
  | { readonly type: "sessionMark"; readonly session: number }
  /** The cluster is a backup of this one; empty: of none. */
  | { readonly type: "backup"; readonly of: string }
  | { readonly type: "desired"; readonly state: Desired; readonly origin: string }
  /** History up to this tid may go. */
  | { readonly type: "packed"; readonly tid: Tid }
  /** A revision of the configuration. */
  | { readonly type: "config"; readonly change: ConfigChange }
  /** An operator's action. */
  | { readonly type: "audit"; readonly entry: AuditEntry }
  /** Everything behind `tid` is no more; `last` was the highest tid that had been given, and stays so. */
  | { readonly type: "truncated"; readonly number: number; readonly tid: Tid; readonly last: Tid };

const cellList = list(cellChange);
/** Members. */
export const memberList = list(registered);
/** Indexes of members. */
export const indexList = list(integer);
/** An entry as bytes. */
export function encodeEntry(entry: Entry): Uint8Array {
  switch (entry.type) {
    case "opened":
      return toCbor(["opened", entry.epoch]);
    case "cells":
      return toCbor(["cells", entry.version, cellList.write(entry.cells), entry.replicas ?? null]);
    case "nodes":
      return toCbor(["nodes", memberList.write(entry.nodes), indexList.write(entry.forgotten)]);
    case "masters":
      return toCbor(["masters", memberList.write(entry.masters), indexList.write(entry.voters)]);
    case "oidMark":
      return toCbor(["oidMark", entry.oid]);
    case "sessionMark":
      return toCbor(["sessionMark", entry.session]);
    case "desired":
      return toCbor(["desired", entry.state, entry.origin]);
    case "backup":
      return toCbor(["backup", entry.of]);
    case "packed":
      return toCbor(["packed", entry.tid]);
    case "config":
      return toCbor(["config", configChange.write(entry.change)]);
    case "audit":
      return toCbor(["audit", auditRow.write(entry.entry)]);
    case "truncated":
      return toCbor(["truncated", entry.number, entry.tid, entry.last]);
  }
}

/**
 * Reads an entry.
 *
 * @throws MalformedError when it is none that this version knows: the store was written by a newer one
 */
export function decodeEntry(encoded: Uint8Array): Entry {
  const fields = ofCbor(encoded, "an entry of the metadata log");
  if (!Array.isArray(fields)) throw new MalformedError("Cannot read the metadata log: an entry is no list");
  switch (fields[0]) {
    case "opened":
      return { type: "opened", epoch: integer.read(fields[1], "epoch") };
    case "cells": {
      const replicas = maybe(integer).read(fields[3], "replicas");
      return {
        type: "cells",
        version: integer.read(fields[1], "version"),
        cells: cellList.read(fields[2], "cells"),
        ...(replicas === null ? {} : { replicas }),
      };
    }
    case "nodes":
      return {
        type: "nodes",
        nodes: memberList.read(fields[1], "nodes"),
        forgotten: indexList.read(fields[2], "forgotten"),
      };
    case "masters":
      return {
        type: "masters",
        masters: memberList.read(fields[1], "masters"),
        voters: indexList.read(fields[2], "voters"),
      };
    case "oidMark":
      return { type: "oidMark", oid: oid.read(fields[1], "oid") };
    case "sessionMark":
      return { type: "sessionMark", session: integer.read(fields[1], "session") };
    case "desired":
      return {
        type: "desired",
        state: fields[1] === "import" ? "import" : "run",
        origin: text.read(fields[2], "origin"),
      };
    case "backup":
      return { type: "backup", of: text.read(fields[1], "of") };
    case "packed":
      return { type: "packed", tid: tid.read(fields[1], "tid") };
    case "config":
      return { type: "config", change: configChange.read(fields[1], "config") };
    case "audit":
      return { type: "audit", entry: auditRow.read(fields[1], "audit") };
    case "truncated":
      return {
        type: "truncated",
        number: integer.read(fields[1], "number"),
        tid: tid.read(fields[2], "tid"),
        last: tid.read(fields[3], "last"),
      };
    default:
      throw new MalformedError(
        `Cannot read the metadata log: unknown entry "${fields[0]}"; start a newer neo`,
      );
  }
}

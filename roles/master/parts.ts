/** What a primary consists of, and who hears what of whom: the wiring between its parts. Decides nothing. */
import type { Conn, NodeIndex } from "../../core/ids.ts";
import type { AskMessage, CellChange, WireError } from "../../core/messages.ts";
import type { Digest } from "../../core/ports.ts";
import { Admission } from "./admission.ts";
import { Audit } from "./audit.ts";
import { Backup } from "./backup.ts";
import { CatchUp } from "./catch_up.ts";
import { Checks } from "./checks.ts";
import { Clients } from "./clients.ts";
import { Clone } from "./clone.ts";
import { Configuration } from "./configuration.ts";
import type { Consensus } from "./consensus.ts";
import type { Outdate } from "./damage.ts";
import { ImportStage } from "./import_stage.ts";
import { MastersDesk } from "./masters.ts";
import { OidGrants } from "./oids.ts";
import { OperatorDesk } from "./operator.ts";
import { Outcomes } from "./outcomes.ts";
import { Packing } from "./packing.ts";
import { Recovery } from "./recovery.ts";
import type { Grace } from "./recovery.ts";
import { Reported } from "./reported.ts";
import { SessionsDesk } from "./sessions.ts";
import type { Asker, Site } from "./site.ts";
import { Stopping } from "./stopping.ts";
import type { StorageNode, Storages } from "./storages.ts";
import { Transactions } from "./transactions.ts";
import { Truncation } from "./truncation.ts";

/** What a master starts from. */
export interface MasterStart {
  readonly consensus: Consensus;
  /** Its own name in the registry. */
  readonly name: string;
  /** What is set on this master itself. */
  readonly overrides?: { readonly [key: string]: string };
  readonly digest: Digest;
  readonly grace?: Partial<Grace>;
}

/** What parts ask of the master itself. */
export interface MasterCalls {
  /** Recovery is over. */
  running(): void;
  tableChanged(changes: readonly CellChange[], version: number, digest: Uint8Array): void;
  readonly outdate: Outdate;
  /** A storage's session ends. */
  lost(node: StorageNode, why: string): void;
  /** A connection counts as ended. */
  gone(conn: Conn, error: WireError): void;
  recover(): void;
}

/** Makes the parts of a primary. */
export function partsOf(
  site: Site,
  storages: Storages,
  { name, grace = {} }: MasterStart,
  calls: MasterCalls,
) {
  const configuration = new Configuration(site);
  const clients: Clients = new Clients(site, storages, configuration, (client) => packing.cameIn(client));
  const packing = new Packing({ site, storages, clients });
  const recovery: Recovery = new Recovery({
    site,
    storages,
    grace,
    sessions: clients,
    told: (node) => packing.fenced(node),
    done: () => calls.running(),
  });
  const catchUp: CatchUp = new CatchUp({
    site,
    changed: (...change) => calls.tableChanged(...change),
    opened: (node: NodeIndex) => transactions.opened(node),
  });
  const transactions: Transactions = new Transactions({
    site,
    storages,
    clients: () => clients.live,
    catchUp,
    outdate: (nodes, cells) => calls.outdate(nodes, cells, () => {}),
  });
  const admission = new Admission({
    site,
    storages,
    lost: (node, why) => calls.lost(node, why),
    admitted: (node) => {
      catchUp.admitted(node.index);
      configuration.came(node.conn!, { name: node.name, role: "storage" });
      recovery.fence(node);
    },
    noted: (name, address) => clients.tellStranger(name, address),
  });
  const pending = () => transactions.pending;
  const isImporting = () => clients.importer !== undefined;
  const backup = new Backup({
    site,
    isImporting,
    pending,
    giveUp: (conn) => transactions.giveUp(conn),
    packing,
    recover: () => calls.recover(),
  });
  return {
    configuration,
    clients,
    recovery,
    catchUp,
    transactions,
    reported: new Reported({ site, storages }),
    outcomes: new Outcomes({ site, storages, transactions }),
    oids: new OidGrants(site),
    admission,
    backup,
    packing,
    importing: new ImportStage({ site, clients, pending }),
    stopping: new Stopping({ site, storages, clients, pending }),
    ...operatorParts(
      { site, storages, clients, catchUp, transactions, configuration, backup, packing, name },
      calls,
    ),
  };
}

interface Served {
  readonly site: Site;
  readonly storages: Storages;
  readonly clients: Clients;
  readonly catchUp: CatchUp;
  readonly transactions: Transactions;
  readonly configuration: Configuration;
  readonly backup: Backup;
  readonly packing: Packing;
  readonly name: string;
}

/** What serves operators. */
function operatorParts(served: Served, calls: MasterCalls) {
  const { site, storages, clients, catchUp, transactions, configuration, backup, packing, name } = served;
  const { outdate, lost } = calls;
  const checks = new Checks({ site, storages, outdate });
  const isImporting = () => clients.importer !== undefined;
  const desk = new OperatorDesk({
    site,
    storages,
    clients,
    catchUp,
    changed: (...change) => {
      calls.tableChanged(...change);
      transactions.retry();
    },
    lost,
  });
  const truncation = new Truncation({ site, isImporting, packing, recover: () => calls.recover() });
  const clone = new Clone({ site, layout: desk.layout });
  const masters = new MastersDesk(site, name);
  const sessions = new SessionsDesk({
    site,
    storages,
    clients,
    gone: (conn, error) => calls.gone(conn, error),
  });
  const audit = new Audit(site);
  const operators: readonly { ask(asker: Asker, message: AskMessage): boolean }[] = [
    desk,
    checks,
    truncation,
    backup,
    packing,
    clone,
    masters,
    configuration,
    sessions,
    audit,
  ];
  return { checks, desk, masters, sessions, audit, operators };
}

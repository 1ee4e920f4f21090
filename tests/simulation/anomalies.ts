/**
 * Judges histories of lists: whether transactions were isolated as snapshot isolation says.
 *
 * Why lists: who reads a list sees all versions that it had, so that the order of writes needs no guessing. From the
 * lists that were read and those stored at the end follows the order of versions; from that, which transaction must stand
 * before which other one. A cycle of such dependencies has a name that depends on its edges. The names and what they
 * mean come from Atul Adya's thesis ("Weak Consistency: A Generalized Theory and Optimistic Implementations", 1999); to
 * infer them from lists is the idea of Kyle Kingsbury and Peter Alvaro ("Elle: Inferring Isolation Anomalies from
 * Experimental Observations", 2020).
 *
 * Under snapshot isolation an edge other than `rw` leads to a transaction that took its snapshot when the other had
 * committed; an `rw` edge leads to one that committed after the other's snapshot. So two edges of which the second
 * isn't `rw` lead to a later snapshot, and a cycle without two `rw` edges in a row can't be. With two in a row it can: that
 * is write skew, which is counted and isn't wrong.
 */
import { allowedGroups, forbiddenCycles } from "./list_cycles.ts";
import type { Cycle } from "./list_cycles.ts";
import { dataGraph, orderGraph } from "./list_graph.ts";
import type { Edge } from "./list_graph.ts";
import type { Anomaly, ListHistory } from "./list_history.ts";
import { versionsOf } from "./list_versions.ts";

/** What a history is worth. */
export interface Verdict {
  readonly anomalies: readonly Anomaly[];
  /** Groups of committed transactions with cycles that snapshot isolation allows. */
  readonly writeSkews: number;
}

/**
 * Judges a history. Takes time linear in its operations and edges as long as nothing is wrong.
 *
 * @throws {RangeError} if an element was appended to a list twice
 */
export function anomaliesOf(history: ListHistory): Verdict {
  const { transactions } = history;
  const report = versionsOf(history);
  const data = dataGraph(transactions.length, report);
  const order = orderGraph(transactions, report.committed);
  const cycles = forbiddenCycles(data.map((edges, i) => [...edges, ...order[i]!]));
  const written = data.map((edges, i) =>
    report.committed[i] ? edges.filter(({ to }) => report.committed[to]) : []
  );
  return {
    anomalies: [
      ...report.anomalies,
      ...data.flat().flatMap((edge) => interference(history, edge)),
      ...cycles.map((cycle) => ({ kind: cycle.kind, text: `${cycle.kind}: ${print(history, cycle)}` })),
    ],
    writeSkews: allowedGroups(written).length,
  };
}

/** Who depends on a write has a snapshot in which it stands. */
function interference({ transactions }: ListHistory, edge: Edge): Anomaly[] {
  const [from, to] = [transactions[edge.from]!, transactions[edge.to]!];
  if (edge.kind === "rw" || from.tid === undefined || to.at === undefined || from.tid <= to.at) return [];
  const text =
    `${to.name} saw ${edge.key} with ${edge.element} of ${from.name}, tid ${from.tid}, at ${to.at}`;
  return [{ kind: "G-SIa", text: `G-SIa: ${text}` }];
}

function print({ transactions }: ListHistory, { edges }: Cycle): string {
  const steps = edges.map(({ from, kind, key, element }) =>
    `${transactions[from]!.name} -${kind} ${key}${element === undefined ? "" : ` ${element}`}->`
  );
  return `${steps.join(" ")} ${transactions[edges[0]!.from]!.name}`;
}

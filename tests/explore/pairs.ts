/**
 * The connections between two nodes, as plain data: what is on its way in each direction, in three lanes, and which
 * questions are open. They promise what `roles/peer.ts` and TCP promise together: order within a lane, a peer's messages only once
 * it is accepted, each question ended once, and `lost` as the last thing, behind all that was delivered.
 */

/** `dialing`: no hello was exchanged; `waiting`: the machine hasn't accepted yet; `gone`: it heard `lost`. */
export type EndPhase = "dialing" | "waiting" | "open" | "gone";

/** One side of a connection. */
export interface End {
  phase: EndPhase;
  /** Number of its next question. */
  next: number;
  /** Its open questions: number, what its machine attached, lane. */
  asked: [id: number, context: number, lane: number][];
  /** What is on its way to it: packets by number, those that were written at once together. */
  lanes: [number[][], number[][], number[][]];
  /** Why the connection ends behind all that (number of an error); -1: it doesn't. */
  closed: number;
}

/** A connection; side 0 dialled. */
export interface Conn {
  /** Counts the connections of these two nodes. */
  readonly nr: number;
  /** Which of the two nodes dialled: 0 the first of the pair. */
  readonly dialler: 0 | 1;
  readonly target: string;
  ends: [End, End];
}

/** All connections of two nodes that aren't over. */
export interface Pair {
  made: number;
  conns: Conn[];
}

/** No connection was made yet. */
export const NO_PAIR: Pair = { made: 0, conns: [] };

/** An end that nothing was said to. */
export function newEnd(): End {
  return { phase: "dialing", next: 1, asked: [], lanes: [[], [], []], closed: -1 };
}

/** A copy to be changed. */
export function copyOfPair({ made, conns }: Pair): Pair {
  return {
    made,
    conns: conns.map((conn) => ({ ...conn, ends: [copyOfEnd(conn.ends[0]), copyOfEnd(conn.ends[1])] })),
  };
}

function copyOfEnd(end: End): End {
  const [a, b, c] = end.lanes;
  return { ...end, asked: [...end.asked], lanes: [[...a], [...b], [...c]] };
}

/** A text that equal pairs share. */
export function keyOfPair({ made, conns }: Pair): string {
  let key = `${made}`;
  for (const { nr, dialler, target, ends } of conns) {
    key += `|${nr},${dialler},${target}`;
    for (const { phase, next, asked, lanes, closed } of ends) {
      key += `/${phase[0]}${next},${closed};${asked.join()};`;
      for (const lane of lanes) key += `${lane.map((write) => write.join("+")).join()};`;
    }
  }
  return key;
}

/** Whether nothing is on its way to an end. */
export function isEmpty({ lanes }: End): boolean {
  return lanes.every((lane) => lane.length === 0);
}

/** Nothing of what is on its way arrives. */
export function empty(end: End): void {
  end.lanes = [[], [], []];
}

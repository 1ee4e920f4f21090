/** Cycles in a graph of dependencies: strongly connected components first, and a short cycle in each that is wrong. */
import type { Edge, EdgeKind, Graph } from "./list_graph.ts";
import type { CycleKind } from "./list_history.ts";

/** A cycle that snapshot isolation forbids. */
export interface Cycle {
  readonly kind: CycleKind | `${CycleKind}-order` | "order";
  readonly edges: readonly Edge[];
}

/** A node of a search: a transaction, and whether an `rw` edge has led there: another one may not follow. */
type State = number;

const stateOf = (node: number, cameByRw: boolean): State => 2 * node + (cameByRw ? 1 : 0);
const nodeOf = (state: State): number => state >> 1;

/** Where edges lead from a state; undefined: they can't be taken. */
type Follow = (state: State, edge: Edge) => State | undefined;

/** No two `rw` edges follow each other. */
const apart: Follow = (state, { kind, to }) => {
  if (kind !== "rw") return stateOf(to, false);
  return state % 2 === 0 ? stateOf(to, true) : undefined;
};

/** Edges of some kinds only. */
function only(kinds: readonly EdgeKind[]): Follow {
  return (_, { kind, to }) => (kinds.includes(kind) ? stateOf(to, false) : undefined);
}

/**
 * The groups of states of which each can be reached from each other, by Tarjan's algorithm without recursion; those of a single
 * state are left out.
 */
function componentsOf(graph: Graph, follow: Follow, roots: readonly State[]): State[][] {
  const found = new Map<State, number>(); // in which order
  const low = new Map<State, number>();
  const open: State[] = [];
  const isOpen = new Set<State>();
  const components: State[][] = [];
  const path: { readonly state: State; at: number }[] = [];
  const enter = (state: State): void => {
    found.set(state, found.size);
    low.set(state, found.get(state)!);
    open.push(state);
    isOpen.add(state);
    path.push({ state, at: 0 });
  };
  const reach = (state: State, order: number) => low.set(state, Math.min(low.get(state)!, order));
  for (const root of roots) {
    if (!found.has(root)) enter(root);
    while (path.length > 0) {
      const here = path.at(-1)!;
      const edge = graph[nodeOf(here.state)]![here.at++];
      if (edge !== undefined) {
        const next = follow(here.state, edge);
        if (next === undefined) continue;
        if (!found.has(next)) enter(next);
        else if (isOpen.has(next)) reach(here.state, found.get(next)!);
        continue;
      }
      path.pop();
      const above = path.at(-1);
      if (above !== undefined) reach(above.state, low.get(here.state)!);
      if (low.get(here.state) !== found.get(here.state)) continue;
      const component = open.splice(open.lastIndexOf(here.state));
      for (const state of component) isOpen.delete(state);
      if (component.length > 1) components.push(component);
    }
  }
  return components;
}

/** The shortest way from one state to another; undefined: there is none. */
function wayTo(graph: Graph, follow: Follow, from: State, to: State): Edge[] | undefined {
  const came = new Map<State, { readonly state: State; readonly edge: Edge } | undefined>([[
    from,
    undefined,
  ]]);
  const queue = [from];
  for (const state of queue) {
    if (state === to) break;
    for (const edge of graph[nodeOf(state)]!) {
      const next = follow(state, edge);
      if (next === undefined || came.has(next)) continue;
      came.set(next, { state, edge });
      queue.push(next);
    }
  }
  if (!came.has(to)) return undefined;
  const way: Edge[] = [];
  for (let step = came.get(to); step !== undefined; step = came.get(step.state)) way.push(step.edge);
  return way.reverse();
}

/** What to look for in a component: cycles through an edge of one kind, the rest of which follows a rule. */
interface Search {
  readonly kind: CycleKind;
  readonly through: EdgeKind;
  readonly kinds: readonly EdgeKind[];
}

const SEARCHES: readonly Search[] = [
  { kind: "G0", through: "ww", kinds: ["ww"] },
  { kind: "G1c", through: "wr", kinds: ["ww", "wr"] },
  { kind: "G-single", through: "rw", kinds: ["ww", "wr"] },
];

/** The cycles of `graph` that snapshot isolation forbids: of each component one of each kind, and no long one. */
export function forbiddenCycles(graph: Graph): Cycle[] {
  const states = graph.flatMap((_, node) => [stateOf(node, false), stateOf(node, true)]);
  return componentsOf(graph, apart, states).flatMap((component) => {
    const members = new Set(component.map(nodeOf));
    const within = graph.map((edges, node) =>
      members.has(node) ? edges.filter(({ to }) => members.has(to)) : []
    );
    const plain = cyclesIn(within.map((edges) => edges.filter(({ kind }) => kind !== "order")), []);
    if (plain.length > 0) return plain;
    const ordered = cyclesIn(within, ["order"]).map(({ kind, edges }): Cycle => {
      return { kind: `${kind}-order`, edges };
    });
    if (ordered.length > 0) return ordered;
    const edges = cycleThrough(within, "order", apart);
    return edges === undefined ? [] : [{ kind: "order", edges }];
  });
}

function cyclesIn(graph: Graph, more: readonly EdgeKind[]): (Cycle & { readonly kind: CycleKind })[] {
  const found = SEARCHES.flatMap(({ kind, through, kinds }) => {
    const edges = cycleThrough(graph, through, only([...kinds, ...more]));
    return edges === undefined ? [] : [{ kind, edges }];
  });
  if (found.some(({ kind }) => kind === "G-single")) return found;
  const edges = cycleThrough(graph, "rw", apart);
  return edges === undefined ? found : [...found, { kind: "G-nonadjacent", edges }];
}

/** A cycle through some edge of a kind. */
function cycleThrough(graph: Graph, through: EdgeKind, follow: Follow): Edge[] | undefined {
  for (const edges of graph) {
    for (const edge of edges) {
      if (edge.kind !== through) continue;
      const way = wayTo(graph, follow, stateOf(edge.to, follow === apart), stateOf(edge.from, false));
      if (way !== undefined) return [edge, ...way];
    }
  }
  return undefined;
}

/** Groups of transactions that depend on each other in ways that snapshot isolation allows. */
export function allowedGroups(graph: Graph): number[][] {
  const every = only(["ww", "wr", "rw"]);
  const nodes = graph.map((_, node) => stateOf(node, false));
  const illegal = new Set(
    componentsOf(graph, apart, nodes.flatMap((state) => [state, state + 1])).flat().map(nodeOf),
  );
  return componentsOf(graph, every, nodes)
    .map((component) => component.map(nodeOf))
    .filter((members) => !members.some((node) => illegal.has(node)));
}

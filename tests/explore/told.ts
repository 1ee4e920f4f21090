/** What programs were told: the part of a state that only programs and checkers look at. */

/** What a client machine says to its program. */
type Output =
  | { readonly type: "settled"; readonly call: number; readonly result: { readonly tid: bigint } }
  | { readonly type: "failed"; readonly call: number; readonly error: Error }
  | { readonly type: "published"; readonly tid: bigint; readonly oids: readonly bigint[] | null }
  | { readonly type: "conflict"; readonly call: number };

/** A call: not begun, under way, committed, failed, or its client has died with it. */
export interface CallFate {
  readonly is: "idle" | "running" | "committed" | "failed" | "dead";
  readonly tid?: string;
  readonly error?: string;
}

/** What the programs of a world know. */
export interface Told {
  readonly calls: readonly CallFate[];
  /** The newest tid that each client has heard of. */
  readonly last: { readonly [client: string]: string };
}

/** A call goes on. */
export function fated(before: Told, call: number, fate: CallFate): Told {
  return { ...before, calls: before.calls.map((one, at) => (at === call ? fate : one)) };
}

/** A client says something: what is known then, and what is wrong with it. */
export function told(before: Told, client: string, output: Output): [Told, string | undefined] {
  const breach = breachOf(before, client, output);
  switch (output.type) {
    case "settled":
      return [fated(before, output.call, { is: "committed", tid: `${output.result.tid}` }), breach];
    case "failed":
      return [fated(before, output.call, { is: "failed", error: output.error.name }), breach];
    case "published":
      return [{ ...before, last: { ...before.last, [client]: `${output.tid}` } }, breach];
    default:
      return [before, undefined];
  }
}

function breachOf(before: Told, client: string, output: Output): string | undefined {
  if (output.type === "published") {
    const last = BigInt(before.last[client]!);
    return output.tid > last ? undefined : `${client} hears of tid ${output.tid} behind ${last}`;
  }
  return before.calls[output.call]?.is === "running"
    ? undefined
    : `call ${output.call} of ${client} ends twice`;
}

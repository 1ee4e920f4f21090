/** Questions to a cluster from the command line. */
import { hostname } from "node:os";
import process from "node:process";
import { SystemClock } from "../adapters/system.ts";
import { MAGIC, PROTOCOL_VERSION_MAX, PROTOCOL_VERSION_MIN } from "../core/messages.ts";
import type { Answer, Body, Hello } from "../core/messages.ts";
import { credentialsIn, parseUri } from "../core/uri.ts";
import type { Credentials } from "../core/uri.ts";
import { saidBy } from "../roles/hello.ts";
import { Host } from "../roles/host.ts";
import { authorOf } from "./author.ts";
import { Operator } from "./operator.ts";
import type { OperatorOutput, OperatorQuestion } from "./operator.ts";
import type { Target } from "./target.ts";
import { credentialsOf, OPERATOR, transportWith } from "./tls_folder.ts";

/** What the primary says of its cluster. */
export type ClusterStatus = Answer<"status">;

/** How long to ask, and for what. */
export interface StatusOptions {
  readonly withinMs: number;
  /** Waits until this holds; when the time is over, the last answer counts. Without it any answer is good. */
  readonly isWanted?: (status: ClusterStatus) => boolean;
  /** Ends early, as if the time were over. */
  readonly giveUp?: Promise<void>;
}

/**
 * Asks the primary how the cluster is, again and again until the answer is the one that is wanted.
 *
 * @throws UnreachableError when no answer came in time, RefusedError when the cluster doesn't talk to us
 */
export async function askStatus(target: Target, options: StatusOptions): Promise<ClusterStatus> {
  const isWanted = options.isWanted ?? (() => true);
  return await askPrimary("status", {}, target, { ...options, isWanted });
}

/** Asks the primary to stop the whole cluster in order, and waits until it has done so; throws as `askStatus`. */
export async function askStop(target: Target, options: Omit<StatusOptions, "isWanted">): Promise<void> {
  await askPrimary("stop", {}, target, options);
}

/** How a question is asked. */
export interface AskOptions<N extends OperatorQuestion> {
  readonly withinMs: number;
  /** Waits until this holds; when the time is over, the last answer counts. Without it any answer is good. */
  readonly isWanted?: (answer: Answer<N>) => boolean;
  /** Ends early, as if the time were over. */
  readonly giveUp?: Promise<void>;
  /** It changes something: it isn't asked again when its answer was lost. */
  readonly once?: boolean;
}

/**
 * Asks the primary something as its operator.
 *
 * @throws UnreachableError when no answer came in time, RefusedError with the reason when the cluster refuses
 */
export async function askPrimary<N extends OperatorQuestion>(
  question: N,
  body: Body<N>,
  target: Target,
  options: AskOptions<N>,
): Promise<Answer<N>> {
  const { withinMs, once = false } = options;
  const isWanted = (answer: Answer<OperatorQuestion>) => options.isWanted?.(answer as Answer<N>) ?? true;
  const hello = helloOf(target, withinMs, LOOKS.includes(question) ? {} : saidBy(account()));
  const addresses = parseUri(target.uri).masters;
  const transport = await transportWith(operatorsOf(target), () => {});
  const operator = new Operator({ question, body, addresses, hello, withinMs, isWanted, once });
  return await new Promise((resolve, reject) => {
    let result: OperatorOutput | undefined;
    const ports = {
      clock: new SystemClock({ keepsProcess: true }),
      transport,
      log: () => {},
      output: (output: OperatorOutput) => result = output,
      stopped: () => {
        if (result === undefined) reject(new Error("Cannot ask the cluster: the question was given up"));
        else if ("error" in result) reject(result.error);
        else resolve(result.answer as Answer<N>);
      },
    };
    const host = new Host(operator, ports, { hello, serves: [] });
    void options.giveUp?.then(() => host.terminate());
  });
}

/** What an operator shows: this machine's, or what the URI names. */
export function operatorsOf(target: Target): Credentials | undefined {
  if (target.kind === "uri") return credentialsIn(target.parsed);
  const { tls } = target.config;
  return tls === undefined ? undefined : credentialsOf(tls, OPERATOR);
}

/** Questions that change nothing: nobody asks who has asked, and a process that is confined can ask them. */
const LOOKS: readonly OperatorQuestion[] = [
  "status",
  "listNodes",
  "showTable",
  "listMasters",
  "getConfig",
  "configHistory",
  "configStatus",
  "listAudit",
  "listClients",
  "listSizes",
];

function account(): string {
  return `${authorOf(process.env)}@${hostname()}`;
}

function helloOf(target: Target, patienceMs: number, said: Partial<Hello>): Hello {
  return {
    magic: MAGIC,
    versionMin: PROTOCOL_VERSION_MIN,
    versionMax: PROTOCOL_VERSION_MAX,
    clusterId: target.kind === "folder" ? target.config.clusterId : "",
    cluster: parseUri(target.uri).cluster,
    role: "admin",
    name: "",
    diskId: "",
    address: "",
    epoch: 0,
    session: 0,
    patienceMs: Math.ceil(patienceMs),
    capabilities: [],
    tableDigest: new Uint8Array(),
    ...said,
  };
}

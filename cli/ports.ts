/** Ports for new nodes: some that nothing listens on now. */
import { once } from "node:events";
import { createServer } from "node:net";
import type { Random } from "../core/ports.ts";
import { CliError, systemCodeOf } from "./exit.ts";

/** Nodes of a new cluster listen on this machine only: reaching further needs TLS. */
export const HOST = "127.0.0.1";

const PORT_MAX = 65_535;
/** Ports are drawn from here: below are well-known ones, above those that systems give to outgoing connections. */
const PORT_MIN = 10_000;
const PORT_END = 32_000;
const ATTEMPTS_MAX = 100;

/**
 * `count` ports in a row, from `base` or from anywhere, that are free at `host` (an IPv6 address in brackets).
 *
 * @throws CliError (`usage`) when `base` is too high, (`refused`) when one is in use
 */
export async function findPorts(
  count: number,
  base: number | undefined,
  random: Random,
  host: string = HOST,
): Promise<number[]> {
  if (base !== undefined) return await portsFrom(base, count, host);
  for (let attempt = 0; attempt < ATTEMPTS_MAX; attempt++) {
    const ports = drawPorts(count, random);
    if (await firstTaken(ports, host) === undefined) return ports;
  }
  throw new CliError("failed", `Cannot find ${count} free ports in a row`, {
    hint: "name some: --base-port P",
  });
}

/** `count` ports in a row, whoever has them now: for nodes that won't listen yet. */
export function drawPorts(count: number, random: Random): number[] {
  return portsInARow(PORT_MIN + Math.floor(random.next() * (PORT_END - PORT_MIN)), count);
}

async function portsFrom(base: number, count: number, host: string): Promise<number[]> {
  const most = PORT_MAX - count + 1;
  if (base < 1 || base > most) {
    throw new CliError("usage", `Cannot use --base-port ${base}: for ${count} nodes, expected 1 to ${most}`);
  }
  const ports = portsInARow(base, count);
  const taken = await firstTaken(ports, host);
  if (taken === undefined) return ports;
  const hint = "name another --base-port, or none to let init find free ones";
  throw new CliError("refused", `Cannot use --base-port ${base}: port ${taken} is in use`, { hint });
}

function portsInARow(first: number, count: number): number[] {
  return Array.from({ length: count }, (_, index) => first + index);
}

/** The first port that can't be listened on now. */
async function firstTaken(ports: readonly number[], host: string): Promise<number | undefined> {
  for (const port of ports) if (!await isFree(port, host)) return port;
  return undefined;
}

/** Whether somebody may listen there; throws for an address that isn't this machine's. */
export async function isFree(port: number, host: string): Promise<boolean> {
  const server = createServer();
  try {
    server.listen(port, host.replace(/^\[|\]$/g, ""));
    await once(server, "listening");
  } catch (error) {
    if (["EADDRINUSE", "EACCES"].includes(systemCodeOf(error) ?? "")) return false;
    throw error;
  }
  server.close();
  await once(server, "close");
  return true;
}

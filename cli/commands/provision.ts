/** `neo provision` */
import { readFileSync } from "node:fs";
import { resolve } from "node:path";
import { PROVISION_ROUNDS_MAX } from "../../core/limits.ts";
import type { Of } from "../answers.ts";
import * as is from "../answers.ts";
import { writeBundle } from "../bundle.ts";
import { readConfig } from "../config.ts";
import type { Cli } from "../context.ts";
import { CliError, exitCodes } from "../exit.ts";
import { quoted } from "../next.ts";
import { apply } from "../plan_apply.ts";
import { parsePlan } from "../plan_file.ts";
import type { ProvisionPlan } from "../plan_file.ts";
import { look } from "../plan_look.ts";
import { isPlannedHere, nextSteps, textOf } from "../plan_steps.ts";
import type { Seen, Step } from "../plan_steps.ts";
import { monoMs } from "../wait.ts";

type Flags = {
  readonly json: boolean;
  readonly dryRun: boolean;
  readonly wait: number;
  readonly bundle: string | undefined;
};

/** What `--json` prints. */
export const answer = is.either(
  is.object({
    cluster: is.text,
    folder: is.text,
    changed: is.flag,
    steps: is.list(is.object({ do: is.text, text: is.text })),
    complete: is.optional(is.said("With --dry-run: false, if more is seen when it runs", is.flag)),
    next: is.optional(is.step),
  }),
  is.object({
    cluster: is.text,
    host: is.text,
    nodes: is.list(is.text),
    path: is.said("The archive; null with --dry-run", is.nullable(is.text)),
    bytes: is.nullable(is.count),
  }),
);

/** Brings a cluster to its plan, or says what that would take. */
export default async function provisionPlan(cli: Cli, flags: Flags, file: string): Promise<number> {
  const { output, world } = cli;
  const path = resolve(world.cwd, file);
  const plan = parsePlan(textAt(path), path);
  if (flags.bundle !== undefined) return bundle(cli, plan, flags.bundle, flags.dryRun);
  const endMs = monoMs() + flags.wait;
  const leftMs = (): number => Math.max(1, endMs - monoMs());
  const done: Step[] = [];
  let seen = await look(plan, world, leftMs());
  let steps = nextSteps(plan, seen);
  if (flags.dryRun) return showDryRun(cli, plan, steps, seen);
  for (let round = 1; steps.length > 0; round++) {
    if (round > PROVISION_ROUNDS_MAX) throw endless(steps, plan);
    for (const step of steps) {
      output.note(`${done.length + 1}. ${textOf(step, plan)}`);
      await apply(cli, plan, step, leftMs);
      if (step.do === "make") noteHosts(cli, plan, file);
      done.push(step);
    }
    seen = await look(plan, world, leftMs());
    if (steps.every((step) => step.do === "install")) break; // the last, told of if systemd didn't hear: that's for another day
    steps = nextSteps(plan, seen);
  }
  if (seen.cluster === undefined) {
    const hint = `see what it waits for: neo status -C ${quoted(plan.folder)}`;
    throw new CliError("waiting", "Cannot wait longer for the cluster to run", { hint });
  }
  return show(cli, plan, done);
}

function textAt(path: string): string {
  try {
    return readFileSync(path, "utf8");
  } catch (error) {
    const why = error instanceof Error ? error.message : String(error);
    throw new CliError("usage", `Cannot read the plan ${path}: ${why}`, { cause: error });
  }
}

function show({ output }: Cli, plan: ProvisionPlan, done: readonly Step[]): number {
  const { cluster, folder } = plan;
  const next = `neo status -C ${quoted(folder)}`;
  if (output.json) {
    output.printJson<Of<typeof answer>>({
      cluster,
      folder,
      changed: done.length > 0,
      steps: viewOf(done, plan),
      next,
    });
  } else {
    const what = done.length === 0
      ? "is as planned, nothing was changed"
      : `is as planned now, ${count(done)} done`;
    output.print(`${output.style("bold", cluster)}: ${what}`);
    output.print(`Next: ${next}`);
  }
  return exitCodes.ok;
}

function showDryRun({ output }: Cli, plan: ProvisionPlan, steps: readonly Step[], seen: Seen): number {
  const { cluster, folder } = plan;
  if (output.json) {
    output.printJson<Of<typeof answer>>({
      cluster,
      folder,
      changed: false,
      steps: viewOf(steps, plan),
      complete: seen.cluster !== undefined,
    });
    return exitCodes.ok;
  }
  if (steps.length === 0 && seen.cluster !== undefined) output.print(`${cluster}: is as planned`);
  steps.forEach((step, at) => output.print(`${at + 1}. ${textOf(step, plan)}`));
  if (seen.config !== undefined && seen.cluster === undefined) {
    output.note("What its members lack is seen when it runs");
  }
  return exitCodes.ok;
}

function bundle({ output }: Cli, plan: ProvisionPlan, host: string, dryRun: boolean): number {
  const hosts = hostsOf(plan);
  if (!hosts.includes(host)) {
    const hint = hosts.length === 0
      ? "no node of the plan has a host"
      : `hosts of the plan: ${hosts.join(", ")}`;
    throw new CliError("usage", `Cannot make a bundle for ${host}: no node of the plan runs there`, { hint });
  }
  const names = plan.nodes.filter((node) => node.host === host).map(({ name }) => name);
  if (dryRun) {
    if (output.json) {
      output.printJson<Of<typeof answer>>({
        cluster: plan.cluster,
        host,
        nodes: names,
        path: null,
        bytes: null,
      });
    } else output.print(`a bundle for ${host} would hold ${names.join(", ")}`);
    return exitCodes.ok;
  }
  const { path, bytes } = writeBundle(readConfig(plan.folder), host);
  if (output.json) {
    output.printJson<Of<typeof answer>>({ cluster: plan.cluster, host, nodes: names, path, bytes });
  } else {
    output.print(
      `Wrote ${path} for ${host}: ${names.join(", ")}; it holds secrets, so carry it over a safe way`,
    );
    output.print(
      `Next, on ${host}: tar -xzf ${quoted(path.split("/").at(-1)!)} && neo start -C ${plan.cluster}`,
    );
  }
  return exitCodes.ok;
}

/** Nodes of other machines are carried there by hand; some of them may be what the cluster waits for. */
function noteHosts({ output }: Cli, plan: ProvisionPlan, file: string): void {
  for (const host of hostsOf(plan)) {
    output.note(`Nodes of ${host} come there by an archive: neo provision ${quoted(file)} --bundle ${host}`);
  }
}

function hostsOf(plan: ProvisionPlan): string[] {
  const hosts = plan.nodes.filter((node) => !isPlannedHere(plan, node)).flatMap(({ host }) => host ?? []);
  return [...new Set(hosts)];
}

function viewOf(
  steps: readonly Step[],
  plan: ProvisionPlan,
): { readonly do: string; readonly text: string }[] {
  return steps.map((step) => ({ do: step.do, text: textOf(step, plan) }));
}

function count({ length }: readonly Step[]): string {
  return length === 1 ? "1 step was" : `${length} steps were`;
}

function endless(steps: readonly Step[], plan: ProvisionPlan): CliError {
  const left = steps.map((step) => textOf(step, plan)).join("; ");
  return new CliError("failed", `Cannot bring the cluster to its plan: what is left doesn't end: ${left}`);
}

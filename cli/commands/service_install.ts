/** `neo service install` */
import { resolve } from "node:path";
import type { Of } from "../answers.ts";
import * as is from "../answers.ts";
import { selectProcesses } from "../config.ts";
import type { Cli, CommonFlags } from "../context.ts";
import { targetName, unitsFor } from "../service_units.ts";
import { resolveFolder } from "../target.ts";
import { placeOfUnits, writeUnits } from "../unit_files.ts";

/** What `--json` prints. */
export const answer = is.object({
  cluster: is.text,
  written: is.flag,
  files: is.list(is.object({ path: is.text, text: is.text })),
  next: is.step,
});

type Flags = CommonFlags & {
  readonly user: boolean;
  readonly dryRun: boolean;
  readonly to: string | undefined;
};

/** Writes units for systemd; starts nothing. */
export default function serviceInstall(
  { output, world }: Cli,
  flags: Flags,
  ...names: string[]
): Promise<void> {
  const config = resolveFolder(flags.cluster, world);
  const usual = placeOfUnits(flags.user ? "user" : "system", world);
  const place = flags.to === undefined ? usual : { ...usual, to: resolve(world.cwd, flags.to) };
  const files = unitsFor(config, selectProcesses(config, names), place);
  if (!flags.dryRun) writeUnits(files);
  const control = flags.user ? "systemctl --user" : "systemctl";
  const next = `${control} daemon-reload && ${control} enable --now ${targetName(config)} ${
    files.filter(({ path }) => path.endsWith(".service")).map(({ path }) => path.split("/").at(-1)).join(" ")
  }`;
  if (output.json) {
    output.printJson<Of<typeof answer>>({ cluster: config.cluster, written: !flags.dryRun, files, next });
    return Promise.resolve();
  }
  for (const { path, text } of files) {
    output.print(`${flags.dryRun ? "#" : "wrote"} ${path}`);
    if (flags.dryRun) output.print(text);
  }
  output.print(`Next: ${next}`);
  return Promise.resolve();
}

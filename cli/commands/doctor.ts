/** `neo doctor` */
import type { Of } from "../answers.ts";
import * as is from "../answers.ts";
import type { Cli, CommonFlags } from "../context.ts";
import { examine } from "../doctor.ts";
import type { Style } from "../output.ts";
import { resolveFolder } from "../target.ts";

const severity = is.word("ok", "warning", "problem");

/** What `--json` prints. */
export const answer = is.object({
  cluster: is.text,
  severity,
  examined: is.list(is.object({
    check: is.text,
    severity,
    text: is.text,
    remedy: is.said("Empty: there is nothing to do", is.text),
  })),
});

const STYLES = { ok: "green", warning: "yellow", problem: "red" } as const;
const EXIT = { ok: 0, warning: 1, problem: 2 } as const;

/** Looks at this machine, and says what isn't as a cluster needs it, and what to do. */
export default async function doctor(
  { output, world }: Cli,
  flags: CommonFlags & { readonly wait: number },
): Promise<number> {
  const config = resolveFolder(flags.cluster, world);
  const found = await examine(config, flags.wait);
  const worst =
    (["problem", "warning"] as const).find((one) => found.some(({ severity }) => severity === one)) ?? "ok";
  if (output.json) {
    output.printJson<Of<typeof answer>>({ cluster: config.cluster, severity: worst, examined: found });
  } else {
    for (const { check, severity, text, remedy } of found) {
      const style: Style = STYLES[severity];
      output.print(`${output.style(style, severity.padEnd(8))} ${check.padEnd(10)} ${text}`);
      if (remedy !== "") output.print(`${" ".repeat(20)}do: ${remedy}`);
    }
    const count = found.filter(({ severity }) => severity !== "ok").length;
    output.print(
      `${output.style("bold", config.cluster)}: ${count === 0 ? "all is well" : `${count} to look at`}`,
    );
  }
  return EXIT[worst];
}

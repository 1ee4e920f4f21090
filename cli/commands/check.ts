/** `neo check`: a cluster as a monitor's plugin sees it. */
import { formatMetrics, metric, metrics } from "../../core/metrics.ts";
import { parseUri } from "../../core/uri.ts";
import type { Of } from "../answers.ts";
import * as is from "../answers.ts";
import type { Cli, CommonFlags } from "../context.ts";
import { CliError } from "../exit.ts";
import { checks, judge, severities, worstOf } from "../judge.ts";
import type { Check, checkFormats, Finding, Severity } from "../judge.ts";
import { look } from "../look.ts";
import { resolveTarget } from "../target.ts";

/** What Nagios and its kin make of exit codes. */
const EXIT: { readonly [S in Severity]: number } = { ok: 0, warning: 1, problem: 2 };
/** The check itself couldn't be made. */
const UNKNOWN = 3;
const NAGIOS: { readonly [S in Severity]: string } = { ok: "OK", warning: "WARNING", problem: "CRITICAL" };

/** Flags of the command. */
type CheckFlags = CommonFlags & {
  readonly wait: number;
  readonly format: (typeof checkFormats)[number];
};

/** What `--json` prints. */
export const answer = is.either(
  is.object({
    cluster: is.text,
    severity: is.word(...severities),
    findings: is.list(is.object({
      check: is.word(...checks),
      severity: is.word("warning", "problem"),
      text: is.text,
    })),
  }),
  is.object({ severity: is.exactly("unknown"), message: is.text }),
);

/** Looks once, prints what was found, and ends with 0, 1, 2 or 3. */
export default async function check(
  { output, world }: Cli,
  flags: CheckFlags,
  ...names: Check[]
): Promise<number> {
  const wanted: readonly Check[] = names.length > 0 ? names : checks;
  const format = output.json ? "json" : flags.format;
  let findings: readonly Finding[];
  let cluster: string;
  try {
    const target = resolveTarget(flags.cluster, world);
    cluster = parseUri(target.uri).cluster;
    findings = judge(await look(target, flags.wait)).filter(({ check }) => wanted.includes(check));
  } catch (error) {
    if (error instanceof CliError && error.outcome === "usage") throw error;
    const message = error instanceof Error ? error.message : String(error);
    if (format === "json") output.printJson<Of<typeof answer>>({ severity: "unknown", message });
    else output.print(format === "nagios" ? `NEO UNKNOWN - ${message}` : message);
    return UNKNOWN;
  }
  const severity = worstOf(findings);
  switch (format) {
    case "json":
      output.printJson<Of<typeof answer>>({ cluster, severity, findings });
      break;
    case "prometheus":
      output.print(metricsOf(cluster, wanted, findings).trimEnd());
      break;
    case "nagios": {
      // one line, and a | would begin performance data
      const text = findings.map(({ text }) => text.replaceAll("|", "/").replaceAll("\n", " ")).join("; ");
      output.print(`NEO ${NAGIOS[severity]} - ${cluster}: ${text === "" ? "all is well" : text}`);
      break;
    }
    case "text":
      output.print(`${cluster}: ${severity}`);
      for (const finding of findings) output.print(`  ${finding.severity}: ${finding.text}`);
  }
  return EXIT[severity];
}

function metricsOf(cluster: string, wanted: readonly Check[], findings: readonly Finding[]): string {
  const help = "Worst finding of each check: 0 ok, 1 warning, 2 problem";
  const values = wanted.map((check): [string, number] => {
    const severity = worstOf(findings.filter((finding) => finding.check === check));
    return [check, severities.indexOf(severity)];
  });
  const all = severities.indexOf(worstOf(findings));
  return formatMetrics([
    {
      ...metric("gauge", "neo_severity", "Worst finding: 0 ok, 1 warning, 2 problem", all),
      samples: [{ value: all, labels: { cluster } }],
    },
    metrics("gauge", "neo_check_severity", help, { label: "check", values }),
  ]);
}

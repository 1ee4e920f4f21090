/** `neo version` */
import process from "node:process";
import { PROTOCOL_VERSION_MAX, PROTOCOL_VERSION_MIN } from "../../core/messages.ts";
import type { Of } from "../answers.ts";
import * as is from "../answers.ts";
import type { Cli } from "../context.ts";
import { VERSION } from "../version.ts";

/** What `--json` prints. */
export const answer = is.object({
  version: is.text,
  protocol: is.said("The oldest and the newest that it speaks", is.list(is.count)),
  runtime: is.text,
});

/** Prints versions: of neo, of its protocol, of what runs it. */
export default function version({ output }: Cli, _flags: { readonly json: boolean }): Promise<void> {
  const deno = process.versions["deno"];
  const runtime = deno === undefined ? `node ${process.versions.node}` : `deno ${deno}`;
  if (output.json) {
    output.printJson<Of<typeof answer>>({
      version: VERSION,
      protocol: [PROTOCOL_VERSION_MIN, PROTOCOL_VERSION_MAX],
      runtime,
    });
  } else {
    output.print(`neo ${VERSION} (protocol ${PROTOCOL_VERSION_MAX}, ${runtime})`);
  }
  return Promise.resolve();
}

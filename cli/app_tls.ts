/** Commands about certificates. */
import { buildRouteMap } from "@stricli/core";
import { CERTIFICATE_DAYS, CERTIFICATE_DAYS_MAX } from "../core/limits.ts";
import { aliases, command, common, ends, one, wait } from "./command_spec.ts";
import { choice, nodeName, whole } from "./parsers.ts";
import { holderRoles } from "./tls_folder.ts";

const flags = { ...common, wait: { ...wait, brief: "How long to wait for the cluster" } };
const days = {
  kind: "parsed",
  parse: whole(1, CERTIFICATE_DAYS_MAX),
  default: String(CERTIFICATE_DAYS),
  placeholder: "N",
  brief: "How long it is valid",
} as const;
const flag = (brief: string) => ({ kind: "boolean", brief, default: false, withNegated: false }) as const;

const init = command({
  load: () => import("./commands/tls_init.ts"),
  parameters: { flags: common, aliases },
  docs: {
    brief: "Make an authority, and a certificate for each node",
    fullDescription:
      "For a cluster that was made without --tls, while it is stopped. Everybody then shows a certificate, and is believed only "
      + "as what it says: nodes, operators and clients.",
    examples: [
      ["neo tls init -C shop", "then start it"],
    ],
    exits: ends.folder,
  },
});

const issue = command({
  load: () => import("./commands/tls_issue.ts"),
  parameters: {
    positional: one("NAME", nodeName, "Who is to show it"),
    flags: {
      ...common,
      days,
      role: {
        kind: "parsed",
        parse: choice(holderRoles),
        optional: true,
        placeholder: "ROLE",
        brief: "master, storage, admin or client (a node's own, else client)",
      },
    },
    aliases,
  },
  docs: {
    brief: "Make a certificate for a client, an operator (--role admin) or a node",
    fullDescription:
      "Needs tls/ca.key. One that the holder had before stays valid: see neo tls revoke --old.",
    examples: [
      ["neo tls issue web", "for a program"],
      ["neo tls issue eva --role admin", "for an operator"],
    ],
    exits: ends.folder,
  },
});

const renew = command({
  load: () => import("./commands/tls_renew.ts"),
  parameters: {
    positional: {
      kind: "array",
      parameter: { parse: String, placeholder: "NAME", brief: "Whose; none means all that end soon" },
    },
    flags: { ...common, days, all: flag("All, also those that are valid for long") },
    aliases,
  },
  docs: {
    customUsage: ["[NAME]...", "--all"],
    brief: "Make new certificates in place of those that end soon",
    fullDescription:
      "Running nodes show them at their next connection. The old ones stay valid until they end.",
    examples: [
      ["neo tls renew", "what ends soon"],
      ["neo tls renew s1", "what s1 shows"],
    ],
    exits: ends.folder,
  },
});

const list = command({
  load: () => import("./commands/tls_list.ts"),
  parameters: { flags: { ...flags, wait: { ...flags.wait, default: "2" } }, aliases },
  docs: {
    brief: "List certificates: whose, until when, which are revoked",
    examples: [
      ["neo tls list", "whose, until when"],
    ],
    exits: ends.folder,
  },
});

const revoke = command({
  load: () => import("./commands/tls_revoke.ts"),
  parameters: {
    positional: one("NAME", String, "Whose, or the first 8 or more digits of a fingerprint"),
    flags: {
      ...flags,
      old: flag("Only those that were renewed"),
      yes: flag("Also what a node of this machine shows now"),
      reason: {
        kind: "parsed",
        parse: String,
        optional: true,
        placeholder: "TEXT",
        brief: "Why; it stands in the history",
      },
    },
    aliases,
  },
  docs: {
    brief: "Make the whole cluster distrust certificates, at once",
    fullDescription:
      "Stands in the configuration as tls.revoked: it reaches nodes that are away when they return. Who is connected by one of "
      + "them is turned away. neo config history shows when and by whom; neo config rollback takes it back.",
    examples: [
      ['neo tls revoke web --reason "laptop lost"', "web is turned away at once"],
      ["neo tls revoke s1 --old", "only what was renewed"],
    ],
    exits: ends.remote,
  },
});

/** `neo tls ...` */
export const tlsCommands = buildRouteMap({
  routes: { init, issue, renew, list, revoke },
  docs: { brief: "Certificates: init, issue, renew, list, revoke" },
});

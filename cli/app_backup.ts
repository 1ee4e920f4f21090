/** Commands about backups: clusters that follow others. */
import { aliases, command, common, ends, one, wait } from "./command_spec.ts";

const flags = { ...common, wait: { ...wait, brief: "How long to wait for the cluster" } };
const yes = { kind: "boolean", brief: "Do it without asking", default: false, withNegated: false } as const;

/** `neo cluster follow` */
export const clusterFollow = command({
  load: () => import("./commands/cluster_follow.ts"),
  parameters: {
    positional: one("URI", String, "The cluster to follow: neo://NAME@HOST:PORT"),
    flags: { ...flags, yes },
    aliases,
  },
  docs: {
    brief: "Make this cluster a backup of another one",
    fullDescription:
      "An admin of this machine copies every transaction under its own tid, as it is committed there. Clients read the backup, and "
      + "can't write to it. It must be empty, or have begun as a copy.",
    examples: [
      ["neo cluster follow neo://shop@db1:9100 -C spare", "spare gets all that shop has, and will have"],
    ],
    exits: [...ends.remote, "waiting"],
  },
});

/** `neo cluster promote` */
export const clusterPromote = command({
  load: () => import("./commands/cluster_promote.ts"),
  parameters: { flags: { ...flags, yes }, aliases },
  docs: {
    brief: "End being a backup: the cluster takes writes",
    fullDescription:
      "For when the cluster that it follows is lost, or to change over. What the other one takes from here on doesn't come any more.",
    examples: [
      ["neo cluster promote", "says how far behind it is"],
      ["neo cluster promote --yes", "does it"],
    ],
    exits: [...ends.remote, "waiting"],
  },
});

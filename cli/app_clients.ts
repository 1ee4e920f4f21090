/** Commands about clients. */
import { buildRouteMap } from "@stricli/core";
import { aliases, command, common, ends, one, wait } from "./command_spec.ts";
import { whole } from "./parsers.ts";

const flags = { ...common, wait: { ...wait, brief: "How long to wait for the cluster" } };
const SESSION_MAX = 2 ** 40;

const list = command({
  load: () => import("./commands/client_list.ts"),
  parameters: { flags, aliases },
  docs: {
    brief: "List clients: what they have under way, what it waits for, which objects conflict",
    fullDescription:
      "Storages tell what they hold: transactions that have stored something and aren't final, with the longest one's age, and the "
      + "object that one of them waits for. Conflicts are counted since each storage began.",
    examples: [
      ["neo client list", "who is there"],
      ["neo client list --json", "with each transaction"],
    ],
    exits: ends.remote,
  },
});

const kill = command({
  load: () => import("./commands/client_kill.ts"),
  parameters: {
    positional: one("SESSION", whole(1, SESSION_MAX), "A session, from neo client list"),
    flags,
    aliases,
  },
  docs: {
    brief: "End a client's session: what it has under way is given up",
    fullDescription:
      "For one that hangs and holds what others wait for. Nothing that was acknowledged is lost. Its program learns that the "
      + "session is over, and may come again; with TLS neo tls revoke keeps it away.",
    examples: [["neo client kill 17", "as neo client list names it"]],
    exits: ends.remote,
  },
});

/** `neo client ...` */
export const clientCommands = buildRouteMap({
  routes: { list, kill },
  docs: { brief: "Clients: list, kill" },
});

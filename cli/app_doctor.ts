/** The command `neo doctor`: its flags and help. */
import { aliases, command, common, wait } from "./command_spec.ts";

/** `neo doctor` */
export const doctor = command({
  load: () => import("./commands/doctor.ts"),
  parameters: {
    flags: { ...common, wait: { ...wait, default: "5", brief: "How long to wait for the cluster's answer" } },
    aliases,
  },
  docs: {
    brief: "Look at what a cluster needs of this machine, and say what to do",
    fullDescription:
      "Runtime, open files, rights of folders and secrets, disks, processes, ports, certificates, and what the cluster says. Changes "
      + "nothing. Ends with 0 if all is well, 1 with a warning, 2 with a problem.",
    examples: [
      ["neo doctor -C shop", "what to do, for each finding"],
    ],
    exits: { 0: "all is well", 1: "a warning, or it couldn't look", 2: "a problem, or wrong usage" },
  },
});

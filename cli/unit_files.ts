/** Units of systemd as files: where they lie, which of them differ from what they should be, how systemd hears of them. */
import { spawnSync } from "node:child_process";
import { chmodSync, existsSync, mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { homedir, userInfo } from "node:os";
import { basename, dirname, join } from "node:path";
import type { ClusterConfig } from "./config.ts";
import { processesOf } from "./config.ts";
import type { World } from "./context.ts";
import { serviceName, targetName, unitsFor } from "./service_units.ts";
import type { UnitFile, UnitPlace } from "./service_units.ts";

/** Whose services they are: the machine's, or those of a person's session. */
export type Services = "system" | "user";

/** The place where systemd looks for units. */
export function placeOfUnits(services: Services, world: Pick<World, "env" | "self">): UnitPlace {
  const { env, self } = world;
  const home = env["XDG_CONFIG_HOME"] || join(env["HOME"] || homedir(), ".config");
  return services === "user"
    ? { to: join(home, "systemd", "user"), user: undefined, self }
    : { to: "/etc/systemd/system", user: userInfo().username, self };
}

/** Writes units and their scripts. */
export function writeUnits(files: readonly UnitFile[]): void {
  for (const { path, text } of files) {
    mkdirSync(dirname(path), { recursive: true });
    writeFileSync(path, text);
    if (path.endsWith(".sh")) chmodSync(path, 0o755);
  }
}

/** What is other than a cluster's processes on this machine want it. */
export interface UnitChanges {
  readonly files: readonly UnitFile[];
  /** Services of processes that aren't there any more. */
  readonly gone: readonly string[];
  /** Written while systemd doesn't know of all that was written; it goes when it does. */
  readonly untold: string;
}

/** Compares units with what lies there; undefined: nothing is to be done. */
export function unitChanges(config: ClusterConfig, place: UnitPlace): UnitChanges | undefined {
  const groups = processesOf(config);
  const files = unitsFor(config, groups, place).filter(({ path, text }) =>
    !existsSync(path) || readFileSync(path, "utf8") !== text
  );
  const names = new Set(groups.map((group) => serviceName(config, group)));
  const lying = existsSync(place.to) ? readdirSync(place.to) : [];
  const gone = lying.filter((name) =>
    name.startsWith(`neo-${config.cluster}-`) && name.endsWith(".service") && !names.has(name)
    && isOf(config, join(place.to, name))
  ).map((name) => join(place.to, name));
  const untold = join(place.to, `.neo-${config.cluster}.untold`);
  return files.length + gone.length === 0 && !existsSync(untold) ? undefined : { files, gone, untold };
}

/** A cluster's name may be the beginning of another's. */
function isOf(config: ClusterConfig, path: string): boolean {
  return readFileSync(path, "utf8").includes(`WantedBy=${targetName(config)}\n`);
}

/**
 * Writes what differs, takes away what is gone, and has systemd start all of it from the next boot on. Processes that run stay
 * as they are.
 *
 * @returns why systemd wasn't told, with what to do; undefined: it was
 */
export function installUnits(
  config: ClusterConfig,
  { files, gone, untold }: UnitChanges,
  services: Services,
  env: World["env"],
): string | undefined {
  mkdirSync(dirname(untold), { recursive: true });
  writeFileSync(untold, "`neo provision` tells systemd of the units beside this when it runs next\n");
  writeUnits(files);
  const flags = services === "user" ? ["--user"] : [];
  const units = [targetName(config), ...processesOf(config).map((group) => serviceName(config, group))];
  const orders = [
    ...(gone.length === 0 ? [] : [["disable", ...gone.map((path) => basename(path))]]),
    ["daemon-reload"],
    ["enable", ...units],
  ];
  for (const order of orders) {
    const { status, error, stderr } = spawnSync("systemctl", [...flags, ...order], { env: { ...env } });
    if (order[0] === "disable") { for (const path of gone) rmSync(path, { force: true }); }
    if (status === 0) continue;
    const why = error?.message ?? stderr.toString().trim();
    const command = ["systemctl", ...flags, ...order].join(" ");
    return `systemd wasn't told (${why}); repeat this when \`${command}\` works`;
  }
  rmSync(untold, { force: true });
  return undefined;
}

/**
 * Who is told of an admin's notices. How they are sent (programs, web addresses, the mail relay) stands in a file of the admin itself,
 * because what can be set from afar must neither run programs nor make a node talk to other hosts. Who of these is told, and who
 * gets mail by that relay, is configured: `notify.to`.
 */
import { NOTIFY_WORD } from "../core/config_keys.ts";
import type { Receiver } from "./monitor.ts";

/**
 * Those of an admin's receivers that are wanted, and people by its mail relay. Without wishes it is all of them; also when nobody of
 * those who are wanted can be told: a notice that reaches the wrong ones is better than none.
 *
 * @param wanted labels of receivers, and mail addresses
 * @param note takes what is wanted and can't be
 */
export function receiversFor(
  receivers: readonly Receiver[],
  wanted: readonly string[],
  note: (text: string) => void,
): readonly Receiver[] {
  if (wanted.length === 0) return receivers;
  const words = wanted.filter((word) => NOTIFY_WORD.test(word));
  const people = words.filter((word) => word.includes("@"));
  const names = words.filter((word) => !word.includes("@"));
  const named = receivers.filter(({ label }) => label !== undefined && names.includes(label));
  const relay = receivers.find(({ to }) => to !== undefined);
  for (const name of names) {
    if (!named.some(({ label }) => label === name)) {
      note(`Cannot notify ${name}: notify.to names it, and no target in watch.toml has this name`);
    }
  }
  if (people.length > 0 && relay === undefined) {
    note(`Cannot notify ${people.join(", ")}: notify.to names them, and watch.toml has no target with smtp`);
  }
  const chosen = people.length > 0 && relay ? [...named, relay.to!(people)] : named;
  if (chosen.length > 0) return chosen;
  note("Notifies all targets of watch.toml: of those in notify.to none is there");
  return receivers;
}

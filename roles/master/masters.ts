/**
 * What an operator asks of a primary about masters: `listMasters addMaster removeMaster stepDown`. The roster changes by one
 * master at a time, and nothing is answered before it is held. A new master first takes the log, then votes: until it has
 * everything, it would only be one more to miss.
 */
import { MASTERS_MAX, WEIGHT_DEFAULT } from "../../core/limits.ts";
import { answer } from "../../core/machine.ts";
import type { AskMessage, Body } from "../../core/messages.ts";
import type { MasterRoster } from "./metadata.ts";
import type { Asker, Site } from "./site.ts";

/** Serves operators. */
export class MastersDesk {
  #site: Site;
  #name: string;
  #joining: { readonly asker: Asker; readonly index: number }[] = [];

  /** `name`: the primary's own. */
  constructor(site: Site, name: string) {
    this.#site = site;
    this.#name = name;
  }

  /** Serves a question; false: it is none of ours. */
  ask(asker: Asker, message: AskMessage): boolean {
    switch (message.name) {
      case "listMasters":
        this.#list(asker);
        return true;
      case "addMaster":
        this.#add(asker, message.body);
        return true;
      case "removeMaster":
        this.#remove(asker, message.body.name);
        return true;
      case "stepDown":
        if (this.#site.circle.stepDown()) this.#site.emit(answer(asker, "stepDown", {}));
        else this.#refuse(asker, "step down", "no other master is there that has everything");
        return true;
      default:
        return false;
    }
  }

  /** A master may have everything that it needs to vote. */
  look(): void {
    const { roster, isChanging, others, isCaughtUp } = this.#site.circle;
    if (isChanging) return;
    const ready = others.find((index) => !roster.voters.includes(index) && isCaughtUp(index));
    if (ready === undefined) return;
    this.#change({ ...roster, voters: [...roster.voters, ready] }, () => {
      for (const { asker, index } of this.#joining) {
        if (index === ready) this.#site.emit(answer(asker, "addMaster", { index }));
      }
      this.#joining = this.#joining.filter(({ index }) => index !== ready);
    });
  }

  #list(asker: Asker): void {
    const { roster, others } = this.#site.circle;
    const masters = roster.masters.map(({ index, name, address }) => {
      const isPrimary = name === this.#name;
      const state = isPrimary || others.includes(index) ? "running" : "unavailable";
      return { index, name, address, state, votes: roster.voters.includes(index), isPrimary };
    });
    this.#site.emit(answer(asker, "listMasters", { masters }));
  }

  #add(asker: Asker, { name, address, diskId }: Body<"addMaster">): void {
    const { roster, isChanging } = this.#site.circle;
    const known = roster.masters.find((master) => master.diskId === diskId);
    if (isChanging) return this.#refuse(asker, `add ${name}`, "the masters are changing; try again");
    if (known && !roster.voters.includes(known.index)) {
      this.#joining.push({ asker, index: known.index });
      return this.look();
    }
    if (known) return this.#site.emit(answer(asker, "addMaster", { index: known.index }));
    const other = this.#site.metadata.nodes.find((node) => node.name === name || node.address === address);
    if (other) {
      return this.#refuse(asker, `add ${name}`, `${other.role} ${other.name} has this name or address`);
    }
    if (diskId === "") return this.#refuse(asker, `add ${name}`, "its disk has no id");
    if (roster.masters.length >= MASTERS_MAX) {
      return this.#refuse(asker, `add ${name}`, `there are ${MASTERS_MAX} masters, more aren't taken`);
    }
    const index = this.#site.takeIndex();
    const wishes = { weight: WEIGHT_DEFAULT, path: [], draining: false };
    const master = { ...wishes, index, name, role: "master", address, diskId };
    this.#joining.push({ asker, index });
    this.#change({ ...roster, masters: [...roster.masters, master] }, () => this.look());
  }

  #remove(asker: Asker, name: string): void {
    const { roster, isChanging } = this.#site.circle;
    const master = roster.masters.find((one) => one.name === name);
    if (!master) return this.#refuse(asker, `remove ${name}`, "no master has this name");
    if (isChanging) return this.#refuse(asker, `remove ${name}`, "the masters are changing; try again");
    if (name === this.#name) {
      return this.#refuse(asker, `remove ${name}`, "it is the primary; `neo master step-down` first");
    }
    const masters = roster.masters.filter((one) => one !== master);
    const voters = roster.voters.filter((index) => index !== master.index);
    const missing = this.#missingOf(masters, voters);
    if (voters.length < roster.voters.length && missing.length * 2 >= voters.length) {
      const names = missing.join(", ");
      const why =
        `of the masters that stay, ${names} isn't there with all that is decided; start it, or remove it first`;
      return this.#refuse(asker, `remove ${name}`, why);
    }
    this.#joining = this.#joining.filter(({ index }) => index !== master.index);
    this.#change({ masters, voters }, () => {
      this.#site.emit(answer(asker, "removeMaster", {}));
      this.look();
    });
  }

  /** Names of the voters that aren't there, or lack what is held. */
  #missingOf(masters: MasterRoster["masters"], voters: readonly number[]): string[] {
    const { others, isCaughtUp } = this.#site.circle;
    return masters.flatMap(({ index, name }) => {
      const isHere = name === this.#name || (others.includes(index) && isCaughtUp(index));
      return isHere || !voters.includes(index) ? [] : [name];
    });
  }

  #change(roster: MasterRoster, held: () => void): void {
    this.#site.log("elections", "info", "Changing the masters", {
      masters: roster.masters.map(({ name }) => name),
      voters: roster.voters,
    });
    this.#site.propose({ type: "masters", ...roster }, held);
  }

  #refuse(asker: Asker, action: string, why: string): void {
    this.#site.refuse(asker, { code: "denied", message: `Cannot ${action}: ${why}` });
  }
}

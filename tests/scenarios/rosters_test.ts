/** Masters that are added and removed while another one is away, which then knows neither. */
import assert from "node:assert/strict";
import { test } from "node:test";
import type { MemberMachine } from "../../roles/master/member.ts";
import { Masters } from "./masters_kit.ts";

const ADD = { name: "addMaster", body: { name: "m4", address: "m4:1", diskId: "disk m4" } } as const;

/** Three masters of which m2 has gone; then m4 came. */
function changed(): Masters {
  const masters = new Masters({ spareMasters: 1 }).start();
  masters.member("m2").crash("killed");
  masters.commit();
  const added = masters.ended("m4 votes", masters.order(ADD));
  assert.ok(typeof added === "object", String(added));
  return masters;
}

/** Brings the primacy to a master. */
function leadBy(masters: Masters, name: string): void {
  for (let tries = 0; masters.primary!.name !== name && tries < 10; tries++) {
    masters.ended("a change of primary", masters.order({ name: "stepDown", body: {} }));
    masters.until("a primary", () => masters.primaries.length === 1);
    masters.pass(2_000);
  }
  assert.equal(masters.primary!.name, name);
}

test("X1 T36 a master that comes back and knows none of those that are left is found by them, and votes", () => {
  const masters = changed();
  leadBy(masters, "m4");
  const removed = masters.ended("m1 goes", masters.order({ name: "removeMaster", body: { name: "m1" } }));
  assert.ok(typeof removed === "object", String(removed));
  masters.commit();
  masters.member("m3").crash("killed");
  masters.pass(5_000);
  assert.deepEqual(masters.primaries, [], "one of three is nobody");

  masters.member("m2").start();
  masters.until("a primary", () => masters.primary !== undefined);
  assert.equal(masters.primary!.name, "m4", "only it has what was decided");
  masters.commit();
  masters.until("m2 has it too", () => {
    const [two, four] = ["m2", "m4"].map((name) =>
      (masters.member(name).machine as MemberMachine | undefined)?.part
    );
    return two !== undefined && two.commit === four?.commit && two.leader === 6;
  });
});

test("X1 T36 a master isn't removed while those that stay have no majority there: they couldn't decide it", () => {
  const masters = changed();
  leadBy(masters, "m4");
  const remove = (name: string) =>
    masters.ended(`${name} goes`, masters.order({ name: "removeMaster", body: { name } }));
  assert.ok(typeof remove("m1") === "object");
  assert.match(
    String(remove("m3")),
    /Cannot remove m3: of the masters that stay, m2 isn't there with all that is decided; start it, or remove it first/,
  );
  masters.commit();
  assert.ok(typeof remove("m2") === "object", "who is away can go");
  assert.ok(typeof remove("m3") === "object");
  masters.commit();
});

import assert from "node:assert/strict";
import { test } from "node:test";
import { settingProblem } from "../core/config_keys.ts";
import type { Receiver } from "./monitor.ts";
import { receiversFor } from "./notify_targets.ts";
import { mail } from "./receivers.ts";

const send = (): Promise<void> => Promise.resolve();
const pager: Receiver = { name: "/bin/page-me", label: "pager", send };
const hook: Receiver = { name: "chat.example", send };
const relay: Receiver = {
  name: "mail.example",
  label: "mail",
  to: (people) => ({ name: `mail to ${people.join(" and ")}`, send }),
  send,
};

function told(
  receivers: readonly Receiver[],
  ...wanted: readonly string[]
): { names: string[]; notes: string } {
  const notes: string[] = [];
  const chosen = receiversFor(receivers, wanted, (text) => void notes.push(text));
  return { names: chosen.map(({ name }) => name), notes: notes.join("; ") };
}

test("receiversFor() tells all where nothing is configured, and then those who are named (T51, T57)", () => {
  const all = [pager, hook, relay];
  assert.deepEqual(told(all), { names: ["/bin/page-me", "chat.example", "mail.example"], notes: "" });
  assert.deepEqual(told(all, "pager"), { names: ["/bin/page-me"], notes: "" });
  assert.deepEqual(told(all, "a@example.org", "mail", "b@example.org"), {
    names: ["mail.example", "mail to a@example.org and b@example.org"],
    notes: "",
  });
});

test("receiversFor() says whom it can't tell, and tells all rather than nobody (T57)", () => {
  const some = told([pager, hook], "pager", "phone", "a@example.org");
  assert.deepEqual(some.names, ["/bin/page-me"]);
  assert.match(some.notes, /Cannot notify phone: .*; Cannot notify a@example\.org: .*no target with smtp/);
  const none = told([pager, hook], "phone");
  assert.deepEqual(none.names, ["/bin/page-me", "chat.example"]);
  assert.match(none.notes, /Notifies all targets/);
});

test("mail() leads to other people by the same relay, and to nobody else (T57)", () => {
  const route = { server: "smtp://neo@mail.example", from: "neo@example.org", to: ["ops@example.org"] };
  assert.equal(mail(route).to!(["a@example.org"]).name, "mail.example");
});

const hostile = [
  "/bin/sh",
  "https://evil.example/",
  "-oQ/tmp@example.org",
  "a@b@c",
  "a@example.org\r\nBcc:x@evil.example",
  '"a b"@example.org',
  "<a@example.org>",
  "a@",
  "@example.org",
  "a@-example.org",
  `a@${"x".repeat(300)}`,
  "pager;reboot",
  "$(reboot)",
  "name\u202e",
];

for (const word of hostile) {
  test(`notify.to takes no ${JSON.stringify(word).slice(0, 40)}, and nobody is told by it (T51, T32)`, () => {
    assert.match(
      settingProblem({ scope: "cluster", key: "notify.to", value: word }) ?? "",
      /notify\.to: expected names of targets/,
    );
    const label: Receiver = { ...hook, label: word };
    assert.deepEqual(told([label, pager, relay], word, "pager").names, ["/bin/page-me"]);
  });
}

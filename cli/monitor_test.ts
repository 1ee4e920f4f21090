import assert from "node:assert/strict";
import { Buffer } from "node:buffer";
import { once } from "node:events";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { createServer } from "node:http";
import { createServer as createTcpServer } from "node:net";
import type { AddressInfo } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { test } from "node:test";
import { setImmediate } from "node:timers";
import type { Conn } from "../core/ids.ts";
import { NOTIFY_RETRY_MS } from "../core/limits.ts";
import { Settings } from "../roles/settings.ts";
import type { Finding, Look } from "./judge.ts";
import { Monitor, Newsdesk } from "./monitor.ts";
import type { Notice } from "./monitor.ts";
import { filesOfWatch, monitorOf, parseWatch, watchOf } from "./monitor_file.ts";
import { mail, program, webhook } from "./receivers.ts";

const late = (text: string): Finding => ({ check: "replication", severity: "warning", text });
const down: Finding = { check: "cluster", severity: "problem", text: "storage s2 is unavailable" };
const silent: Look = { status: undefined, problem: "refused", wallMs: 0, disks: [] };
const notice: Notice = { cluster: "shop", severity: "problem", before: "ok", at: "now", findings: [down] };

test("Newsdesk: says what is new, once, and that all is well again (T57)", () => {
  const desk = new Newsdesk();
  assert.equal(desk.notice("shop", [], 0), undefined);
  assert.deepEqual(desk.notice("shop", [down], 0), { ...notice, at: "1970-01-01T00:00:00.000Z" });
  assert.equal(desk.notice("shop", [down], 1), undefined);
  assert.equal(desk.notice("shop", [down, late("9 of 12")], 2)?.before, "problem");
  assert.equal(desk.notice("shop", [late("8 of 12"), down], 3), undefined);
  assert.equal(desk.notice("other", [down], 4)?.severity, "problem");
  assert.equal(desk.notice("shop", [late("8 of 12")], 5)?.severity, "warning");
  const well = desk.notice("shop", [], 6);
  assert.deepEqual([well?.severity, well?.before, well?.findings], ["ok", "warning", []]);
});

test("Monitor: watches several clusters, tries again ever later, then gives a notice up (T54)", async () => {
  const waits: number[] = [];
  const tasks: (() => void)[] = [];
  const logged: string[] = [];
  let tries = 0;
  const monitor = new Monitor({
    current: () => ({
      clusters: [
        { name: "shop", look: () => Promise.resolve(silent) },
        { name: "wiki", look: () => Promise.reject(new Error("no such host")) },
      ],
      receivers: [{ name: "r", send: () => Promise.reject(new Error(`no ${++tries}`)) }],
      lookMs: 7_000,
      triesMax: 3,
    }),
    later: (ms, task) => {
      waits.push(ms);
      tasks.push(task);
      return () => {};
    },
    log: (_level, text) => void logged.push(text),
  });
  await monitor.look();
  for (let round = 0; round < 20; round++) {
    for (const task of tasks.splice(0)) task();
    await new Promise<void>((done) => setImmediate(done)); // the looks and sends of this round are over
  }
  assert.equal(tries, 2 * 3);
  assert.deepEqual([...new Set(waits)].sort((a, b) => a - b), [NOTIFY_RETRY_MS, 7_000, 2 * NOTIFY_RETRY_MS]);
  assert.ok(logged.includes("shop is problem") && logged.includes("wiki is problem"));
  monitor.end();
  assert.equal(
    logged.filter((text) => text === "A notice will be sent again").length,
    2 * (3 - 1),
  );
});

test("webhook: posts JSON, and takes nothing but success for success (T57)", async () => {
  const bodies: string[] = [];
  let status = 204;
  const server = createServer((request, response) => {
    let body = "";
    request.on("data", (part) => body += part).on("end", () => {
      bodies.push(`${request.method} ${request.headers["content-type"]} ${body}`);
      response.writeHead(status, { connection: "close" }).end();
    });
  });
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  const address = `127.0.0.1:${(server.address() as AddressInfo).port}`;
  try {
    await webhook(`http://${address}/hook?key=secret`).send(notice);
    assert.deepEqual(bodies, [`POST application/json ${JSON.stringify(notice)}`]);
    status = 500;
    const failed = webhook(`http://${address}/hook?key=secret`).send(notice);
    await assert.rejects(failed, { message: `Cannot notify ${address}: it answered 500` });
  } finally {
    server.close();
  }
});

test("program: reads the notice from stdin, and its exit code counts (T57)", async () => {
  const folder = mkdtempSync(join(tmpdir(), "neo-notice-"));
  try {
    await program(["sh", "-c", 'cat > "$1"', "sh", join(folder, "got")]).send(notice);
    assert.equal(readFileSync(join(folder, "got"), "utf8"), `${JSON.stringify(notice)}\n`);
    await assert.rejects(program(["sh", "-c", "exit 3"]).send(notice), /ended with 3/);
    await assert.rejects(program([join(folder, "nothing")]).send(notice));
  } finally {
    rmSync(folder, { recursive: true });
  }
});

/** A server that takes mail, and keeps what it hears. */
async function mailServer(
  body: (address: string, heard: readonly string[], refuse: () => void) => Promise<void>,
): Promise<void> {
  const heard: string[] = [];
  let isRefusing = false;
  const server = createTcpServer((socket) => {
    let isData = false;
    socket.write("220 here\r\n");
    createInterface({ input: socket }).on("line", (line) => {
      heard.push(line);
      if (isData) {
        isData = line !== ".";
        if (!isData) socket.write("250 taken\r\n");
      } else if (line.startsWith("EHLO")) socket.write("250-here\r\n250 AUTH PLAIN\r\n");
      else if (line.startsWith("AUTH")) socket.write("235 welcome\r\n");
      else if (line.startsWith("RCPT") && isRefusing) socket.write("550 nobody of that name\r\n");
      else if (line === "DATA") socket.write(`354 go on\r\n`) && (isData = true);
      else if (line === "QUIT") socket.end("221 bye\r\n");
      else socket.write("250 yes\r\n");
    });
    socket.on("error", () => {});
  });
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  try {
    await body(`127.0.0.1:${(server.address() as AddressInfo).port}`, heard, () => void (isRefusing = true));
  } finally {
    server.close();
  }
}

test("mail: brings a notice in words to all that are named, by a password from a file; a refusal is a failure (T57)", () =>
  mailServer(async (address, heard, refuse) => {
    const folder = mkdtempSync(join(tmpdir(), "neo-mail-"));
    try {
      const passwordFile = join(folder, "secret");
      writeFileSync(passwordFile, "open sesame\n");
      const route = {
        server: `smtp://neo@${address}`,
        from: "neo@example.org",
        to: ["a@example.org", "b@example.org"],
        passwordFile,
      };
      await mail(route).send(notice);
      assert.ok(
        heard.includes(`AUTH PLAIN ${Buffer.from("\0neo\0open sesame").toString("base64")}`),
        heard.join("\n"),
      );
      assert.deepEqual(heard.filter((line) => line.startsWith("RCPT")), [
        "RCPT TO:<a@example.org>",
        "RCPT TO:<b@example.org>",
      ]);
      assert.ok(heard.includes("Subject: neo: shop is problem"));
      assert.ok(heard.includes("- problem: storage s2 is unavailable"), heard.join("\n"));
      refuse();
      await assert.rejects(mail(route).send(notice), /nobody of that name/);
      assert.equal(mail(route).name, "127.0.0.1", "nothing secret is logged");
    } finally {
      rmSync(folder, { recursive: true });
    }
  }));

test("monitorOf: what the file says later counts from the next look on, and a mistake in it changes nothing (T54)", async () => {
  const folder = mkdtempSync(join(tmpdir(), "neo-watch-"));
  const file = join(folder, "watch.toml");
  const logged: string[] = [];
  writeFileSync(file, "");
  const monitor = monitorOf(file, (_level, text) => void logged.push(text));
  try {
    await monitor.look();
    writeFileSync(file, '[[notify]]\nwebhook = "http://h/"\n');
    await monitor.look();
    assert.deepEqual(logged, [`Read ${file} again`]);
    writeFileSync(file, "what = 1\n");
    await monitor.look();
    assert.match(logged.at(-1)!, /^Goes on with what .*watch\.toml said before: .*what/);
  } finally {
    monitor.end();
    rmSync(folder, { recursive: true });
  }
});

test("monitorOf: who is told, and how often it looks, is configured, and counts from the next look on (T51, T57)", () => {
  const folder = mkdtempSync(join(tmpdir(), "neo-watch-"));
  const file = join(folder, "watch.toml");
  const logged: string[] = [];
  writeFileSync(
    file,
    '[[cluster]]\nuri = "neo://shop@127.0.0.1:1"\n[[notify]]\nname = "pager"\ncommand = "/bin/true"\n[[notify]]\nname = "log"\ncommand = "/bin/true"\n',
  );
  const settings = new Settings();
  const take = (values: { [key: string]: string }): void => {
    const all = Object.entries(values).map(([key, value]) => ({ key, value }));
    settings.take({ revision: 1, isWhole: true, values: all }, 1 as Conn);
  };
  const watching = watchOf(file, (_level, text) => void logged.push(text), settings);
  const told = (): string[] => watching().receivers.map(({ label = "" }) => label);
  try {
    assert.deepEqual([told(), watching().lookMs, watching().triesMax], [["pager", "log"], 10_000, 8]);
    take({ "notify.to": "log", "notify.triesMax": "2", "watch.lookMs": "1000" });
    assert.deepEqual([told(), watching().lookMs, watching().triesMax], [["log"], 1_000, 2]);
    writeFileSync(file, '[[notify]]\nname = "phone"\ncommand = "/bin/true"\n');
    assert.deepEqual(told(), ["phone"]);
    const said = logged.length;
    assert.match(logged.join("\n"), /Cannot notify log: .*\nNotifies all/);
    assert.deepEqual([told(), logged.length], [["phone"], said], "it is said once");
    take({});
    assert.deepEqual(told(), ["phone"]);
  } finally {
    rmSync(folder, { recursive: true });
  }
});

test("filesOfWatch: certificates and passwords that a watching admin must be able to read (T54, N14)", () => {
  const folder = mkdtempSync(join(tmpdir(), "neo-watch-"));
  const file = join(folder, "watch.toml");
  try {
    assert.deepEqual(filesOfWatch(file), []);
    writeFileSync(
      file,
      '[[cluster]]\nuri = "neo://shop@h:1?ca=/t/ca&cert=/t/c&key=/t/k"\n[[notify]]\nsmtp = "smtp://u@h"\nfrom = "n@h"\nto = ["o@h"]\npasswordFile = "p"\n',
    );
    assert.deepEqual(filesOfWatch(file), ["/t/ca", "/t/c", "/t/k", join(folder, "p")]);
  } finally {
    rmSync(folder, { recursive: true });
  }
});

test("parseWatch: clusters and receivers, and what is wrong with them", () => {
  const watch = parseWatch(
    '[[cluster]]\nuri = "neo://shop@h:1"\n[[cluster]]\nuri = "neo://wiki@h:2"\n[[notify]]\nwebhook = "https://h/x"\n[[notify]]\ncommand = "/bin/mail-me"\n',
    "/c/watch.toml",
  );
  assert.deepEqual(watch.uris, ["neo://shop@h:1", "neo://wiki@h:2"]);
  assert.deepEqual(watch.receivers.map(({ name }) => name), ["h", "/bin/mail-me"]);
  for (
    const text of [
      '[[cluster]]\nuri = "http://h"\n',
      "[[notify]]\n",
      '[[notify]]\nname = "two words"\ncommand = "/bin/x"\n',
      '[[notify]]\nname = "a"\ncommand = "/bin/x"\n[[notify]]\nname = "a"\ncommand = "/bin/y"\n',
      '[[notify]]\nwebhook = "ftp://h"\n',
      "what = 1\n",
      '[[notify]]\nsmtp = "smtp://h"\nfrom = "n@h"\n',
      '[[notify]]\nsmtp = "smtp://u:secret@h"\nfrom = "n@h"\nto = ["o@h"]\n',
    ]
  ) {
    assert.throws(() => parseWatch(text, "/c/watch.toml"), /watch\.toml/, text);
  }
});

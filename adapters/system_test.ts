import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { createConnection, createServer } from "node:net";
import process from "node:process";
import { test } from "node:test";
import { deflateSync } from "node:zlib";
import { later, seededRandom, sha256, SystemClock, systemRandom, zlibCompression } from "./system.ts";

const hexOf = (bytes: Uint8Array) => [...bytes].map((byte) => byte.toString(16).padStart(2, "0")).join("");

/** Deadlines hold no process; the test's own socket does. */
async function alive(body: () => Promise<void>): Promise<void> {
  const server = createServer();
  await new Promise<void>((listening) => server.listen(0, "127.0.0.1", listening));
  try {
    await body();
  } finally {
    await new Promise((closed) => server.close(closed));
  }
}

test("SystemClock.now() grows in monoMs and tells the date in wallMs", () => {
  const clock = new SystemClock();
  const first = clock.now();

  const second = clock.now();

  assert.ok(second.monoMs >= first.monoMs);
  assert.ok(second.wallMs > Date.UTC(2020, 0, 1));
});

test("SystemClock.wakeAt() wakes once its time has come, never before (T10)", () =>
  alive(async () => {
    const clock = new SystemClock();
    for (let turn = 0; turn < 20; turn++) {
      const dueMs = clock.now().monoMs + turn / 7;
      await new Promise<void>((wake) => clock.wakeAt(dueMs, wake));
      assert.ok(clock.now().monoMs >= dueMs, `turn ${turn}`);
    }
  }));

test("SystemClock.wakeAt() replaces an earlier call, whether the new time is sooner or later", () =>
  alive(async () => {
    const clock = new SystemClock();
    const woken: string[] = [];
    const startMs = clock.now().monoMs;
    clock.wakeAt(startMs + 600_000, () => woken.push("far"));
    clock.wakeAt(startMs + 1, () => woken.push("near"));

    await new Promise<void>((wake, reject) => {
      const cancel = later(30_000, () => reject(new Error("didn't wake")));
      clock.wakeAt(startMs + 8, () => {
        woken.push("last");
        cancel();
        wake();
      });
    });

    assert.deepEqual(woken, ["last"]);
    assert.ok(clock.now().monoMs >= startMs + 8);
  }));

test("SystemClock.wakeAt(undefined) cancels; a time in the past wakes, but not within the call", () =>
  alive(async () => {
    const clock = new SystemClock();
    const woken: string[] = [];
    clock.wakeAt(clock.now().monoMs - 5, () => woken.push("cancelled"));
    clock.wakeAt(undefined, () => woken.push("never"));
    const other = new SystemClock();

    await new Promise<void>((wake) => {
      other.wakeAt(other.now().monoMs - 5, wake);
      woken.push("called");
    });

    assert.deepEqual(woken, ["called"]);
  }));

test("SystemClock.wakeAt() may be called from within wake", () =>
  alive(async () => {
    const clock = new SystemClock();
    let turns = 0;
    await new Promise<void>((done) => {
      const again = () => (++turns === 3 ? done() : clock.wakeAt(clock.now().monoMs, again));
      again();
    });
    assert.equal(turns, 3);
  }));

test("SystemClock.wakeAt() takes times further away than the platform's timers reach", () => {
  const clock = new SystemClock();
  clock.wakeAt(clock.now().monoMs + 2 ** 40, () => assert.fail("woke at once"));
  clock.wakeAt(undefined, () => {});
});

/** What a process of its own prints that does `code` and has nothing else to do. */
function outputOf(code: string): string {
  const program = `import { SystemClock } from ${
    JSON.stringify(import.meta.resolve("./system.ts"))
  }; ${code}`;
  const args = "Deno" in globalThis ? ["eval", program] : ["--input-type=module", "--eval", program];
  const child = spawnSync(process.execPath, args, { encoding: "utf8", timeout: 60_000 });
  assert.equal(child.status, 0, child.stderr);
  return child.stdout.trim();
}

test("SystemClock.wakeAt() holds the process only with keepsProcess", () => {
  const wait = "clock.wakeAt(clock.now().monoMs + 30, () => console.log('woken'));";
  const waitLong = "clock.wakeAt(clock.now().monoMs + 600_000, () => console.log('woken'));";

  assert.equal(outputOf(`const clock = new SystemClock(); ${waitLong}`), "");
  assert.equal(outputOf(`const clock = new SystemClock({ keepsProcess: true }); ${wait}`), "woken");
});

test("SystemClock.soon() keeps order, and a chain of tasks lets sockets through", async () => {
  const clock = new SystemClock();
  const order: number[] = [];
  for (const number of [1, 2, 3]) clock.soon(() => order.push(number));
  assert.deepEqual(order, []);
  const server = createServer((socket) => void socket.on("error", () => assert.fail()).pipe(socket));
  await new Promise<void>((listening) => server.listen(0, "127.0.0.1", listening));
  const address = server.address();
  assert.ok(address !== null && typeof address === "object");

  // Never ends if tasks starve the socket that ends it.
  let open = true;
  const chain = () => open && clock.soon(chain);
  const socket = createConnection({ port: address.port, host: "127.0.0.1" }, () => socket.write("ping"));
  chain();
  await new Promise<void>((answered) => socket.once("data", () => answered()));
  open = false;

  assert.deepEqual(order, [1, 2, 3]);
  socket.destroy();
  await new Promise((closed) => server.close(closed));
});

test("later() runs its task once, and not when it is cancelled before", () =>
  alive(async () => {
    const ran: string[] = [];
    const cancel = later(1, () => ran.push("cancelled"));
    cancel();
    await new Promise<void>((done) => {
      later(2, () => {
        ran.push("kept");
        done();
      });
    });
    cancel();
    assert.deepEqual(ran, ["kept"]);
  }));

test("seededRandom() repeats itself for one seed, differs for another, and stays within 0 and 1", () => {
  const draw = (seed: number) => {
    const random = seededRandom(seed);
    return Array.from({ length: 1_000 }, () => random.next());
  };

  const numbers = draw(42);

  assert.deepEqual(draw(42), numbers);
  assert.notDeepEqual(draw(43), numbers);
  assert.equal(new Set(numbers).size, numbers.length);
  assert.ok(numbers.every((number) => 0 <= number && number < 1));
  const mean = numbers.reduce((sum, number) => sum + number, 0) / numbers.length;
  assert.ok(0.45 < mean && mean < 0.55, `mean ${mean}`);
  assert.deepEqual(draw(42).slice(0, 2), [0.12848329569051886, 0.07509804298428158]);
});

test("systemRandom() gives fresh numbers within 0 and 1, beyond its first batch too", () => {
  const random = systemRandom();
  const numbers = Array.from({ length: 1_500 }, () => random.next());
  assert.equal(new Set(numbers).size, numbers.length);
  assert.ok(numbers.every((number) => 0 <= number && number < 1));
});

test("sha256() digests its parts as one, into plain bytes", () => {
  const abc = new TextEncoder().encode("abc");
  const expected = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";

  assert.equal(hexOf(sha256(abc)), expected);
  assert.equal(hexOf(sha256(abc.subarray(0, 1), new Uint8Array(), abc.subarray(1))), expected);
  assert.equal(Object.getPrototypeOf(sha256()), Uint8Array.prototype);
});

test("zlibCompression gives back what it took, by both algorithms", () => {
  const data = new TextEncoder().encode("neo ".repeat(1_000));
  for (const algorithm of [0, 1]) {
    for (const input of [data, new Uint8Array()]) {
      const packed = zlibCompression.compress(algorithm, input);
      assert.deepEqual(zlibCompression.expand(algorithm, packed, input.length), input);
    }
  }
  const packed = zlibCompression.compress(1, data);
  assert.ok(packed.length < 100);
  assert.equal(packed.buffer.byteLength, packed.length, "doesn't hold a larger block in memory");
  assert.equal(Object.getPrototypeOf(packed), Uint8Array.prototype);
});

test("zlibCompression.compress() takes a level: the slower, the smaller", () => {
  const data = new TextEncoder().encode(
    Array.from({ length: 5_000 }, (_, i) => `${(i * i) % 977} apples`).join(),
  );
  const [fast, usual, small] = [1, undefined, 9].map((level) => zlibCompression.compress(1, data, level));
  assert.ok(fast!.length > usual!.length && usual!.length >= small!.length);
  assert.deepEqual(zlibCompression.expand(1, fast!, data.length), data);
});

const refused: { name: string; algorithm: number; data: Uint8Array; bytesMax: number }[] = [
  { name: "an unknown algorithm", algorithm: 2, data: new Uint8Array(1), bytesMax: 10 },
  { name: "plain data over the bound", algorithm: 0, data: new Uint8Array(11), bytesMax: 10 },
  { name: "one byte over the bound", algorithm: 1, data: deflateSync(new Uint8Array(11)), bytesMax: 10 },
  { name: "a byte where none may be", algorithm: 1, data: deflateSync(new Uint8Array(1)), bytesMax: 0 },
  { name: "a bomb", algorithm: 1, data: deflateSync(new Uint8Array(50_000_000)), bytesMax: 1_000 },
  {
    name: "a truncated stream",
    algorithm: 1,
    data: deflateSync(new Uint8Array(100)).subarray(0, 8),
    bytesMax: 1_000,
  },
  { name: "garbage", algorithm: 1, data: Uint8Array.of(1, 2, 3), bytesMax: 1_000 },
  { name: "nothing", algorithm: 1, data: new Uint8Array(), bytesMax: 1_000 },
  {
    name: "bytes behind its end",
    algorithm: 1,
    data: Uint8Array.of(...deflateSync(new Uint8Array(9)), 0),
    bytesMax: 99,
  },
];
for (const { name, algorithm, data, bytesMax } of refused) {
  test(`zlibCompression.expand() refuses ${name} with a RangeError`, () => {
    assert.throws(() => zlibCompression.expand(algorithm, data, bytesMax), RangeError);
  });
}

test("zlibCompression.compress() refuses an unknown algorithm", () => {
  assert.throws(() => zlibCompression.compress(3, new Uint8Array()), RangeError);
});

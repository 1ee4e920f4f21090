import assert from "node:assert/strict";
import { X509Certificate } from "node:crypto";
import { test } from "node:test";
import { Authority, otherSignature } from "../tests/tls_kit.ts";
import { certificatesIn, fingerprintOf, judge } from "./tls_judge.ts";

const authority = await Authority.of("shop");
const authorities = certificatesIn(authority.own.cert);
const nowMs = Date.now();
const rawOf = (pem: string): Uint8Array => new Uint8Array(new X509Certificate(pem).raw);

test("fingerprintOf: a certificate that is revoked stays so, however its holder writes the signature (N6)", async () => {
  const { cert } = await authority.material({ role: "storage", name: "s1" });
  const other = otherSignature(cert);
  const [before, after] = [cert, other].map((pem) => judge(rawOf(pem), authorities, nowMs));
  assert.notDeepEqual(rawOf(other), rawOf(cert));
  assert.equal(before && "fingerprint" in before, true);
  assert.deepEqual(after, before);
  const renewed = await authority.material({ role: "storage", name: "s1" });
  assert.notEqual(fingerprintOf(new X509Certificate(renewed.cert)), fingerprintOf(new X509Certificate(cert)));
});

test("judge: of a certificate with any byte changed comes a refusal or the same holder, never an error (N6)", async () => {
  const raw = rawOf((await authority.material({ role: "storage", name: "s1" })).cert);
  const whole = judge(raw, authorities, nowMs);
  for (let at = 0; at < raw.length; at++) {
    for (const change of [0x01, 0x20, 0x80]) {
      const changed = raw.map((byte, index) => index === at ? byte ^ change : byte);
      const proof = judge(changed, authorities, nowMs);
      if (!("refusal" in proof)) assert.deepEqual(proof, whole, `byte ${at}`);
    }
  }
});

import * as fc from "fast-check";
import { expect, test } from "vitest";
import { sniff } from "../../../src/net/sniff.ts";

const PREFACE = "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
const bytes = (text: string) => Buffer.from(text, "latin1");

test.for([
  ["", undefined],
  ["P", undefined],
  ["PRI * HTTP/2.0\r\n\r\nSM\r\n\r", undefined],
  [PREFACE, "h2"],
  [`${PREFACE}\0\0\0`, "h2"],
  ["PO", "http1"],
  ["PRI * HTTP/1.1", "http1"],
  ["GET / HTTP/1.1\r\n", "http1"],
  ["\r\nGET / HTTP/1.1\r\n", "http1"],
  ["\x16\x03\x01", "tls"],
  ["\x80", "unknown"],
  ["get /", "unknown"],
  ["\0", "unknown"],
  [" GET", "unknown"],
] as const)("%j is %s", ([head, protocol]) => {
  expect(sniff(bytes(head))).toBe(protocol);
});

test("what is told of the first bytes stays true however many follow", () => {
  const head = fc.oneof(
    fc.uint8Array({ maxLength: 40 }),
    fc.nat(24).map((length) => bytes(PREFACE.slice(0, length))),
    fc
      .tuple(fc.nat(24), fc.uint8Array({ maxLength: 8 }))
      .map(([length, tail]) => Buffer.concat([bytes(PREFACE.slice(0, length)), tail])),
  );
  fc.assert(
    fc.property(head, (all) => {
      let told: ReturnType<typeof sniff>;
      for (let length = 0; length <= all.length; length++) {
        const now = sniff(all.subarray(0, length));
        if (told !== undefined) expect(now).toBe(told);
        told = now;
      }
      if (all.length >= 24) expect(told).toBeDefined();
    }),
  );
});

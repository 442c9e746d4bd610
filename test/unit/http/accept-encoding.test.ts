import * as fc from "fast-check";
import { expect, test } from "vitest";
import { chooseEncoding } from "../../../src/http/accept-encoding.ts";

test.for([
  [undefined, "identity", true],
  ["", "identity", true],
  ["gzip", "gzip", true],
  ["GZip", "gzip", true],
  ["gzip, deflate, br", "gzip", true],
  ["br, deflate", "identity", true],
  ["identity, gzip", "identity", true],
  ["gzip;q=0.5, identity", "identity", true],
  ["gzip;q=0.5, identity;q=0.4", "gzip", true],
  ["gzip;q=0", "identity", true],
  ["gzip;q=0, identity;q=0", undefined, false],
  ["identity;q=0", undefined, false],
  ["br, identity;q=0.0", undefined, false],
  ["identity;q=0, gzip", "gzip", false],
  ["*", "identity", true],
  ["*;q=0", "identity", true],
  ["*, identity;q=0", "gzip", false],
  ["gzip;q=oops", "gzip", true],
  ["gzip;q=", "gzip", true],
  ["gzip;level=9;q=0", "identity", true],
  [" gzip ; Q=1 ", "gzip", true],
  ["br;q=1, gzip;q=0.1", "gzip", true],
] as const)("%j chooses %s", ([header, encoding, isIdentityAccepted]) => {
  expect(chooseEncoding(header)).toEqual({ encoding, isIdentityAccepted });
});

const coding = fc.constantFrom("gzip", "identity", "*", "br", "deflate", "");
const q = fc.constantFrom(undefined, 0, 0.1, 0.5, 0.9, 1);
const offer = fc.record({ coding, q });

function render(offers: { coding: string; q: number | undefined }[]): string {
  return offers.map((one) => one.coding + (one.q === undefined ? "" : `;q=${one.q}`)).join(",");
}

test("the choice is the first acceptable offer of the highest quality", () => {
  fc.assert(
    fc.property(fc.array(offer, { minLength: 1, maxLength: 6 }), (offers) => {
      const isRefused = offers.some((one) => one.coding === "identity" && one.q === 0);
      let best: { coding: string; q: number } | undefined;
      for (const { coding, q = 1 } of offers) {
        const isKnown = coding === "gzip" || coding === "identity" || coding === "*";
        if (isKnown && q > (best?.q ?? 0)) best = { coding, q };
      }
      const fallback = isRefused ? undefined : "identity";
      const starred = best?.coding === "*" ? (isRefused ? "gzip" : "identity") : best?.coding;

      expect(chooseEncoding(render(offers)).encoding).toBe(starred ?? fallback);
    }),
  );
});

test("any text is read without failing", () => {
  fc.assert(
    fc.property(fc.string(), (header) => {
      expect(["gzip", "identity", undefined]).toContain(chooseEncoding(header).encoding);
    }),
  );
});

test("a q of any length is read at once", () => {
  const start = performance.now();

  const choice = chooseEncoding(`gzip;q=${"1".repeat(60_000)}x`);

  expect(choice.encoding).toBe("gzip");
  expect(performance.now() - start).toBeLessThan(200);
});

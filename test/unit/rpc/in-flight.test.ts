import type { ServerResponse } from "node:http";
import { expect, test } from "vitest";
import { InFlightShare } from "../../../src/rpc/in-flight.ts";

const KIB = 1_024;
const viewer = (session?: object) =>
  new InFlightShare({ stream: session && { session } } as unknown as ServerResponse);

test("a viewer alone, or with its own connection, has all that one may have", () => {
  expect(viewer().limitBytes).toBe(512 * KIB);
  expect(viewer({}).limitBytes).toBe(512 * KIB);
});

test("the viewers of one session share what that may have", () => {
  const session = {};
  const all = Array.from({ length: 64 }, () => viewer(session));

  expect(all[0]?.limitBytes).toBe(64 * KIB);
  for (const one of all.slice(1)) {
    one[Symbol.dispose]();
    one[Symbol.dispose]();
  }
  expect(all[0]?.limitBytes).toBe(512 * KIB);
});

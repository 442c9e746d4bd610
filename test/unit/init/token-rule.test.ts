import { createHash } from "node:crypto";
import { expect, test } from "vitest";
import { checkToken } from "../../../src/init/token-rule.ts";

const sha512 = (text: string) => createHash("sha512").update(text).digest("hex");
const NOT_ASKED = "not asked";
const RESET = "access token reset not authorized";
const FAILED = "access token validation failed";

test.for([
  // stored, the hash of the metadata service, given, outcome
  ["x", NOT_ASKED, "x", "ok"],
  [undefined, sha512("y"), "y", "ok"],
  ["x", sha512("y"), "y", "ok"],
  ["x", sha512("y").toUpperCase(), "y", "ok"],
  [undefined, sha512(""), undefined, "ok"],
  ["x", sha512(""), undefined, "ok"],
  [undefined, undefined, undefined, "ok"],
  [undefined, undefined, "y", "ok"],
  [undefined, "", undefined, "ok"],
  [undefined, "", "y", "ok"],
  ["x", undefined, undefined, RESET],
  ["x", "", undefined, RESET],
  ["x", undefined, "y", FAILED],
  ["x", "", "y", FAILED],
  ["x", sha512("x"), undefined, RESET],
  ["x", sha512("z"), "y", FAILED],
  ["x", sha512(""), "y", FAILED],
  [undefined, sha512("y"), undefined, RESET],
  [undefined, sha512("y"), "z", FAILED],
  [undefined, sha512(""), "y", FAILED],
  ["x", "no hash at all", "y", FAILED],
] as const)("stored %s, expected %s, given %s: %s", async ([stored, hash, given, outcome]) => {
  const ask = () =>
    hash === NOT_ASKED ? Promise.reject(new Error("asked")) : Promise.resolve(hash);
  const check = checkToken(stored, given, ask);

  if (outcome === "ok") await expect(check).resolves.toBeUndefined();
  else await expect(check).rejects.toMatchObject({ code: "unauthenticated", message: outcome });
});

test("a question that fails ends the matter", async () => {
  const check = checkToken(undefined, "y", () => Promise.reject(new Error("the caller is gone")));

  await expect(check).rejects.toThrow("the caller is gone");
});

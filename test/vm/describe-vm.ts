import { describe, expect, test } from "vitest";
import { missingParts } from "./rig/commands.ts";

/** A group of tests that need virtual machines. Where these cannot run, it says why. */
export function describeVm(title: string, body: () => void): void {
  const missing = missingParts();
  if (missing.length === 0) {
    describe(title, body);
  } else if (process.env["CI"] === undefined) {
    process.stdout.write(`skipped: ${title}: a virtual machine needs ${missing.join(", ")}\n`);
    describe.skip(title, body);
  } else {
    describe(title, () => {
      test("has what a virtual machine needs", () => expect(missing).toEqual([]));
    });
  }
}

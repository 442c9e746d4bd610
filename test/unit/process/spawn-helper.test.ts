import { createHash } from "node:crypto";
import { readFileSync, statSync } from "node:fs";
import { expect, test } from "vitest";

const native = new URL("../../../native/", import.meta.url);

test.for(["x64", "arm64"])("the committed helper for %s is built from its source", (arch) => {
  const source = createHash("sha256")
    .update(readFileSync(new URL("spawn.c", native)))
    .digest("hex");
  const helper = new URL(`linux-${arch}/thaw-spawn`, native);

  expect(readFileSync(helper).includes(`source:${source}`)).toBe(true);
  expect(statSync(helper).mode & 0o111).toBe(0o111);
});

test.for([
  ["x64", 62],
  ["arm64", 183],
] as const)("the helper for %s is a static program of that machine", ([arch, machine]) => {
  const elf = readFileSync(new URL(`linux-${arch}/thaw-spawn`, native));

  expect(elf.subarray(0, 4).toString("latin1")).toBe("\x7fELF");
  expect(elf.readUInt16LE(16), "ET_EXEC: needs no loader").toBe(2);
  expect(elf.readUInt16LE(18)).toBe(machine);
});

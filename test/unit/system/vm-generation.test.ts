import { mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { expect, test } from "vitest";
import { VmGeneration } from "../../../src/system/vm-generation.ts";
import { openFilesIn, scratchDirectory } from "../../helpers/scratch.ts";

const line = (count: number) => `${String(count).padStart(8)}     EN     enabled      unmasked\n`;

test("the count is read anew each time", () => {
  using directory = scratchDirectory();
  const device = join(directory.path, "QEMUVGID:00");
  const counter = join(directory.path, "gpe05");
  mkdirSync(device);
  writeFileSync(counter, line(0));
  using generation = new VmGeneration({ device, counter });

  expect(generation.read()).toBe(0);
  writeFileSync(counter, line(12));
  expect(generation.read()).toBe(12);
  writeFileSync(counter, "  invalid\n");
  expect(generation.read()).toBeUndefined();
});

test("the interrupts of a machine without the device are something else", () => {
  using directory = scratchDirectory();
  const counter = join(directory.path, "gpe05");
  writeFileSync(counter, line(3));

  using generation = new VmGeneration({ device: join(directory.path, "missing"), counter });

  expect(generation.read()).toBeUndefined();
  expect(openFilesIn(directory.path)).toEqual([]);
});

test("disposing gives the descriptor back, and a missing file has none", () => {
  using directory = scratchDirectory();
  const counter = join(directory.path, "gpe05");
  writeFileSync(counter, line(3));
  const generation = new VmGeneration({ device: directory.path, counter });
  expect(openFilesIn(directory.path)).toEqual([counter]);

  generation[Symbol.dispose]();
  generation[Symbol.dispose]();

  expect(openFilesIn(directory.path)).toEqual([]);
  expect(generation.read()).toBeUndefined();
  using missing = new VmGeneration({ device: directory.path, counter: `${counter}-not` });
  expect(missing.read()).toBeUndefined();
});

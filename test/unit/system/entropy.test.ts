import { spawn } from "node:child_process";
import { once } from "node:events";
import { readdirSync } from "node:fs";
import { text } from "node:stream/consumers";
import { expect, test } from "vitest";
import { addEntropy, reseedKernel } from "../../../src/system/entropy.ts";

const SCRIPT = `
  import { addEntropy, reseedKernel } from "./src/system/entropy.ts";
  console.log(addEntropy(Buffer.alloc(64, 1)), reseedKernel());
`;

/** Runs the script without the rights that are named, as `setpriv` does. */
async function addWithout(capabilities: string): Promise<string> {
  const child = spawn(
    "setpriv",
    [`--bounding-set=${capabilities}`, process.execPath, "--input-type=module", "-e", SCRIPT],
    { stdio: ["ignore", "pipe", "inherit"] },
  );
  const [output] = await Promise.all([text(child.stdout), once(child, "close")]);
  return output.trim();
}

test.for([1, 3, 32, 4_096])("%i bytes are taken by the kernel", (length) => {
  expect(addEntropy(Buffer.alloc(length, 0xa5))).toBe(true);
});

test("no bytes are no entropy, and more than 4,096 are refused", () => {
  expect(addEntropy(new Uint8Array())).toBe(false);
  expect(() => addEntropy(new Uint8Array(4_097))).toThrow(RangeError);
});

test("the kernel begins anew when it is asked to", () => {
  expect(reseedKernel()).toBe(true);
});

test("without the right to it the kernel takes nothing for entropy, and that is told", async () => {
  expect(await addWithout("+all")).toBe("true true");
  expect(await addWithout("-sys_admin")).toBe("false false");
});

test("no descriptor stays open", () => {
  addEntropy(Buffer.alloc(64));
  const before = readdirSync("/proc/self/fd").length;

  for (let time = 0; time < 20; time += 1) {
    addEntropy(Buffer.alloc(64));
    reseedKernel();
  }

  expect(readdirSync("/proc/self/fd").length).toBe(before);
});

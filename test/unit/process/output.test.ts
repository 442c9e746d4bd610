import { closeSync, fstatSync } from "node:fs";
import { setImmediate } from "node:timers/promises";
import { expect, test, vi } from "vitest";
import { OutputReader } from "../../../src/process/output.ts";
import { openPty } from "../../../src/process/pty.ts";

test("a terminal that has hung up offers its descriptor no longer than it has it", async () => {
  const { masterFd, slaveFd } = openPty({ cols: 80, rows: 24 }, 0);
  const onEnd = vi.fn();
  const reader = new OutputReader("pty", masterFd, { onOutput: () => true, onEnd });
  await setImmediate();

  closeSync(slaveFd);

  for (let { terminal } = reader; terminal !== undefined; { terminal } = reader) {
    fstatSync(terminal.fd);
    await setImmediate();
  }
  expect(onEnd).toHaveBeenCalledTimes(1);
});

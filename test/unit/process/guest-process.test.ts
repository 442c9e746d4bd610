import { expect, test, vi } from "vitest";
import { GuestProcess } from "../../../src/process/guest-process.ts";

/** Above every pid that Linux gives. */
const NO_PID = 2 ** 22 + 1;

test("a deadline is told although the program cannot be killed", async () => {
  const config = { cmd: "true", args: [], envs: {}, cwd: undefined };
  const program = new GuestProcess({ pid: NO_PID, config, tag: undefined }, () => {});
  const viewer = program.subscribe();
  viewer.next();

  program.limitLifetime(1, viewer);

  await vi.waitFor(() => expect(() => viewer.next()).toThrow("its time of 1 ms is over"));
  expect(() => program.signal("SIGKILL")).toThrow("error sending signal");
});

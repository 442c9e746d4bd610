import { expect, test, vi } from "vitest";
import { GuestProcess } from "../../../src/process/guest-process.ts";
import { LEAST_LOG_BYTES } from "../../../src/process/output-log.ts";

/** Above every pid that Linux gives. */
const NO_PID = 2 ** 22 + 1;

test("a deadline is told although the program cannot be killed", async () => {
  const config = { cmd: "true", args: [], envs: {}, cwd: undefined };
  const log = { capacityBytes: LEAST_LOG_BYTES, whenFull: "drop-oldest" } as const;
  const program = new GuestProcess(
    {
      pid: NO_PID,
      config,
      tag: undefined,
      mark: "1",
      log,
      user: "root",
      hasTerminal: false,
      startedAt: new Date(),
    },
    { onEnd: () => {}, oomCount: { kills: undefined, [Symbol.dispose]: () => {} } },
  );
  const viewer = program.subscribe();
  viewer.next();

  program.limitLifetime(1, viewer);

  await vi.waitFor(() => expect(() => viewer.next()).toThrow("its time of 1 ms is over"));
  expect(() => program.signal(9)).toThrow("error sending signal");
});

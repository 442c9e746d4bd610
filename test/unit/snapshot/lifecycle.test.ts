import { expect, test } from "vitest";
import { createLog } from "../../../src/log.ts";
import { Tracker } from "../../../src/net/tracker.ts";
import { Generation } from "../../../src/snapshot/generation.ts";
import { SnapshotLifecycle } from "../../../src/snapshot/lifecycle.ts";
import { RestoreSigns } from "../../../src/snapshot/signs.ts";
import { scratchDirectory } from "../../helpers/scratch.ts";

test("the clock is set as soon as the host says its time, whatever Restore then waits for", async () => {
  using scratch = scratchDirectory();
  const log = createLog("silent");
  const order: string[] = [];
  let finishPrepare = () => {};
  const generation = new Generation({ directory: scratch.path, log });
  const lifecycle = new SnapshotLifecycle({
    connections: new Tracker(),
    ports: undefined,
    signs: new RestoreSigns({ log }),
    generation,
    sockets: async () => [],
    uploads: () => 0,
    processes: () => 0,
    compact: () => new Promise((resolve) => (finishPrepare = resolve)),
    reseed: () => order.push("new generation"),
    adjustClock: () => {
      order.push("clock set");
      return 5n;
    },
    addEntropy: () => true,
    awake: () => [],
    heals: true,
    log,
  });
  const preparing = lifecycle.prepare();

  const restoring = lifecycle.restore({ isAborted: false, hostNs: 1n });
  await expect.poll(() => lifecycle.status().state).toBe("preparing");
  finishPrepare();
  await preparing;

  expect(await restoring).toMatchObject({ noticedBy: "call", clockMovedNs: 5n });
  expect(order).toEqual(["clock set", "new generation"]);
  await lifecycle.close();
  await generation.close();
});

import { expect, test } from "vitest";
import { createLog } from "../../../src/log.ts";
import { Tracker } from "../../../src/net/tracker.ts";
import { Generation } from "../../../src/snapshot/generation.ts";
import { type LifecycleParts, SnapshotLifecycle } from "../../../src/snapshot/lifecycle.ts";
import { RestoreSigns } from "../../../src/snapshot/signs.ts";
import { scratchDirectory } from "../../helpers/scratch.ts";

/** A lifecycle of a guest where nothing else goes on, but for what `parts` say. */
function lifecycleWith(directory: string, parts: Partial<LifecycleParts>) {
  const log = createLog("silent");
  const generation = new Generation({ directory, log });
  const lifecycle = new SnapshotLifecycle({
    connections: new Tracker(),
    ports: undefined,
    signs: new RestoreSigns({ log }),
    generation,
    sockets: async () => [],
    uploads: () => 0,
    processes: () => 0,
    compact: async () => {},
    reseed: () => {},
    adjustClock: () => undefined,
    addEntropy: () => true,
    awake: () => [],
    heals: true,
    log,
    ...parts,
  });
  const close = async () => {
    await lifecycle.close();
    await generation.close();
  };
  return { lifecycle, [Symbol.asyncDispose]: close };
}

test("the clock is set as soon as the host says its time, whatever Restore then waits for", async () => {
  using scratch = scratchDirectory();
  const order: string[] = [];
  let finishPrepare = () => {};
  await using guest = lifecycleWith(scratch.path, {
    compact: () => new Promise((resolve) => (finishPrepare = resolve)),
    reseed: () => order.push("new generation"),
    adjustClock: () => {
      order.push("clock set");
      return 5n;
    },
  });
  const preparing = guest.lifecycle.prepare();

  const restoring = guest.lifecycle.restore({ isAborted: false, hostNs: 1n });
  await expect.poll(() => guest.lifecycle.status().state).toBe("preparing");
  finishPrepare();
  await preparing;

  expect(await restoring).toMatchObject({ noticedBy: "call", clockMovedNs: 5n });
  expect(order).toEqual(["clock set", "new generation"]);
});

test("an agent that closes does not wait for the sockets that Prepare waits for", async () => {
  using scratch = scratchDirectory();
  await using guest = lifecycleWith(scratch.path, {
    sockets: async () => [{ state: "FIN-WAIT-2", count: 1 }],
  });
  const preparing = guest.lifecycle.prepare(2_500);
  await expect.poll(() => guest.lifecycle.status().state).toBe("preparing");

  const start = performance.now();
  await guest.lifecycle.close();

  expect(performance.now() - start).toBeLessThan(2_000);
  expect((await preparing).blockers).toEqual(["1 socket is in FIN-WAIT-2"]);
});

import { expect, test } from "vitest";
import { createLog } from "../../../src/log.ts";
import { Tracker } from "../../../src/net/tracker.ts";
import { Generation } from "../../../src/snapshot/generation.ts";
import { type LifecycleParts, SnapshotLifecycle } from "../../../src/snapshot/lifecycle.ts";
import type { Sign, SignKeeper } from "../../../src/snapshot/participants.ts";
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

/** Signs that a test shows. */
class ShownSigns implements SignKeeper {
  onSign: (sign: Sign) => void = () => {};
  check(): Sign | undefined {
    return undefined;
  }
  rebase(): void {}
}

/** Connections of which three are old, and whose peers answer when the test lets them. */
class OldConnections extends Tracker {
  destroyed = 0;
  endProbe: () => void = () => {};

  override destroyOld(): number {
    this.destroyed += 3;
    return 3;
  }

  override async probeOld(): Promise<{ destroyed: number; kept: number }> {
    await new Promise<void>((resolve) => (this.endProbe = resolve));
    return { destroyed: 0, kept: 0 };
  }
}

test("what is probed is destroyed at once when it becomes certain that it leads nowhere", async () => {
  using scratch = scratchDirectory();
  const signs = new ShownSigns();
  const connections = new OldConnections();
  const order: string[] = [];
  const ports = { stop: async () => void order.push("stop"), start: () => order.push("start") };
  await using guest = lifecycleWith(scratch.path, { signs, connections, ports });

  signs.onSign("clock");
  expect(connections.destroyed).toBe(0);
  signs.onSign("generation");

  expect(connections.destroyed).toBe(3);
  connections.endProbe();
  await expect.poll(() => guest.lifecycle.status().state).toBe("running");
  const { lastRestore, generation } = guest.lifecycle.status();
  expect(lastRestore).toMatchObject({ noticedBy: "clock", zombiesDestroyed: 3 });
  expect(generation).toBe(2);
  expect(order).toEqual(["stop", "start"]);
});

test("a restore during Prepare destroys what is old at once, and runs once Prepare is done", async () => {
  using scratch = scratchDirectory();
  const signs = new ShownSigns();
  const connections = new OldConnections();
  let finishPrepare = () => {};
  const compact = () => new Promise<void>((resolve) => (finishPrepare = resolve));
  await using guest = lifecycleWith(scratch.path, { signs, connections, compact });
  const { lifecycle } = guest;
  const preparing = lifecycle.prepare();
  await expect.poll(() => lifecycle.status().state).toBe("preparing");

  signs.onSign("generation");
  expect(connections.destroyed).toBe(3);
  expect(lifecycle.status()).toMatchObject({ state: "preparing", generation: 1 });
  finishPrepare();
  await preparing;

  expect(lifecycle.status()).toMatchObject({ state: "restoring", generation: 2 });
  connections.endProbe();
  await expect.poll(() => lifecycle.status().state).toBe("running");
  expect(lifecycle.status().lastRestore).toMatchObject({ noticedBy: "generation" });
});

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

test("what was drawn before the kernel took the host's entropy is drawn again", async () => {
  using scratch = scratchDirectory();
  let reseeds = 0;
  let isTaken = true;
  await using guest = lifecycleWith(scratch.path, {
    addEntropy: () => isTaken,
    reseed: () => (reseeds += 1),
  });
  const { lifecycle } = guest;
  const restore = async () => {
    const { entropyAccepted } = await lifecycle.restore({
      isAborted: false,
      entropy: Buffer.of(1),
    });
    const { generation, generationId } = lifecycle.status();
    return { entropyAccepted, generation, generationId, reseeds };
  };

  const first = await restore();
  const again = await restore();
  isTaken = false;
  const refused = await restore();

  expect(first).toMatchObject({ entropyAccepted: true, generation: 2, reseeds: 2 });
  expect(again).toMatchObject({ entropyAccepted: true, generation: 2, reseeds: 3 });
  expect(again.generationId).not.toBe(first.generationId);
  expect(refused).toEqual({ ...again, entropyAccepted: false });
});

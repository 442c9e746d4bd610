import { createClient } from "@connectrpc/connect";
import { expect } from "vitest";
import { Snapshot, State } from "../../gen/snapshot/snapshot_pb.js";
import { test } from "../helpers/agent.ts";
import { hold } from "../helpers/held-connection.ts";
import { writeKernelLog } from "../helpers/kernel-log.ts";

test("a program that writes what the kernel writes at a restore restores nothing", async ({
  agent,
}) => {
  using connection = await hold("h2", agent);
  const snapshots = createClient(Snapshot, connection.transport);
  const before = await snapshots.status({});

  for (const priority of ["", "<0>", "<5>", "<6>"]) {
    writeKernelLog(`${priority}random: crng reseeded due to virtual machine fork`);
  }

  // Both ways on which a sign comes have been gone by the time of a second connection's answer.
  using second = await hold("h1", agent);
  const after = await createClient(Snapshot, second.transport).status({});
  expect(after).toMatchObject({ state: State.RUNNING, generationId: before.generationId });
  expect(after.epoch).toBe(before.epoch);
  await expect(snapshots.status({})).resolves.toMatchObject({ generation: before.generation });
});

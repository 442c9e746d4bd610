import { type ChildProcess, fork } from "node:child_process";
import { once } from "node:events";
import { join } from "node:path";
import { setTimeout as delay } from "node:timers/promises";
import { expect, test } from "vitest";
import { PORT } from "./clients.ts";
import { describeVm } from "./describe-vm.ts";
import { ENVD, Rig } from "./rig/machine.ts";
import { GUEST, type Network } from "./rig/network.ts";

const AWAY_MS = 5_000;

/** A program of the host, in the machine's own network. */
function hostProgram({ name }: Network): ChildProcess {
  return fork(join(import.meta.dirname, "rig", "bracket.ts"), [`http://${GUEST}:${PORT}`], {
    execPath: "ip",
    execArgv: ["netns", "exec", name, process.execPath],
    stdio: ["ignore", "inherit", "inherit", "ipc"],
  });
}

const next = async (child: ChildProcess) => ((await once(child, "message")) as unknown[])[0];

describeVm("withSnapshot", () => {
  test("brings a real machine through a snapshot", async () => {
    await using rig = new Rig(ENVD);
    const machine = await rig.boot();
    const host = hostProgram(machine.network);
    try {
      expect(await next(host)).toBe("freeze");
      const snapshot = await machine.snapshot();
      await machine.end({ keepNetwork: true });
      // Longer than the clock's rule lets pass, also where the host's call takes its time.
      await delay(AWAY_MS);
      const restored = await rig.restore(snapshot, { network: machine.network });
      const told = next(host);
      await restored.resume();
      host.send("thawed");

      expect(await told).toEqual({
        isQuiescent: true,
        generation: 2,
        hasMovedClock: true,
        entropyAccepted: true,
        lives: true,
      });
    } finally {
      host.kill("SIGKILL");
    }
  });
});

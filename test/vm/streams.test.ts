import { type ChildProcess, fork } from "node:child_process";
import { rmSync } from "node:fs";
import { join } from "node:path";
import { setTimeout as delay } from "node:timers/promises";
import { expect, test } from "vitest";
import { PORT } from "./clients.ts";
import { describeVm } from "./describe-vm.ts";
import type { Told, Wish } from "./rig/following.ts";
import { ENVD, Rig } from "./rig/machine.ts";
import { GUEST, type Network } from "./rig/network.ts";
import { median, ROUNDS, report } from "./tables.ts";

/** How the host takes part in a snapshot. In the last, what the guest says at first is lost. */
const MODES = ["without a word", "after Prepare", "with a dead cable at first"] as const;
const DEAD_MS = 1_000;

/** A program of the host, in the machine's own network. */
class HostProgram implements Disposable {
  readonly #child: ChildProcess;
  readonly #told: Told[] = [];
  #onTold: () => void = () => {};

  constructor({ name }: Network) {
    const url = `http://${GUEST}:${PORT}`;
    this.#child = fork(join(import.meta.dirname, "rig", "follower.ts"), [url], {
      execPath: "ip",
      execArgv: ["netns", "exec", name, process.execPath],
      stdio: ["ignore", "inherit", "inherit", "ipc"],
    });
    this.#child.on("message", (told: Told) => {
      this.#told.push(told);
      this.#onTold();
    });
    this.#child.on("exit", () => this.#onTold());
  }

  send(wish: Wish): void {
    this.#child.send(wish);
  }

  /** What it tells next, which must be of this kind. */
  async next<K extends Told["kind"]>(kind: K): Promise<Told & { kind: K }> {
    while (this.#told.length === 0) {
      if (this.#child.exitCode !== null) throw new Error(`it has ended before "${kind}"`);
      await new Promise<void>((resolve) => {
        this.#onTold = resolve;
      });
    }
    const told = this.#told.shift();
    if (told?.kind !== kind) throw new Error(`"${told?.kind}" came instead of "${kind}"`);
    return told as Told & { kind: K };
  }

  [Symbol.dispose](): void {
    this.#child.kill("SIGKILL");
  }
}

describeVm("streams that are followed across restores", () => {
  test(`lose no byte and double none, and uploads go on: ${ROUNDS} restores`, async () => {
    await using rig = new Rig(ENVD);
    let machine = await rig.boot();
    using host = new HostProgram(machine.network);
    await host.next("ready");
    const rounds: { mode: string; streamsMs: number; interruptions: number }[] = [];

    for (let round = 0; round < ROUNDS; round += 1) {
      const mode = MODES[round % MODES.length] ?? MODES[0];
      const path = `/tmp/uploaded-${round}`;
      host.send({ kind: "round", path, prepares: mode === "after Prepare" });
      await host.next("freeze");
      const snapshot = await machine.snapshot();
      await machine.end({ keepNetwork: true });
      const { network } = machine;
      machine = await rig.restore(snapshot, { network });
      // It has been loaded, and every round leaves another one.
      rmSync(snapshot.state);
      if (mode === "with a dead cable at first") network.unplug();
      await machine.resume();
      if (mode === "with a dead cable at first") await delay(DEAD_MS);
      network.plugIn();
      host.send({ kind: "thawed" });
      const { sha256, ...wentOn } = await host.next("went on");
      rounds.push({ mode, ...wentOn });

      expect(await machine.shell(`sha256sum ${path} && rm ${path}`)).toContain(sha256);
      expect(await machine.shell("ls -A /tmp")).toBe("");
    }
    host.send({ kind: "end" });
    const { kind: _, writtenLines, fedLines, ...ended } = await host.next("ended");

    report("Streams that a host program follows, and uploads that a snapshot cuts", [
      ["", "restores", "streams go on after, median", "longest", "uploads cut and gone on with"],
      ...MODES.map((mode) => {
        const own = rounds.filter((one) => one.mode === mode);
        const times = own.map(({ streamsMs }) => Math.round(streamsMs));
        const cut = own.filter(({ interruptions }) => interruptions > 0).length;
        return [mode, own.length, `${median(times)} ms`, `${Math.max(...times)} ms`, cut];
      }),
      [`${writtenLines} lines written, ${fedLines} echoed: every one once`, "", "", "", ""],
    ]);
    expect(ended).toEqual({ exits: [0, 0], gaps: 0, isWrittenEqual: true, isEchoEqual: true });
    const uncut = rounds.filter(
      ({ mode, interruptions }) => mode !== "after Prepare" && interruptions === 0,
    );
    expect(uncut, "the snapshots came in the middle of uploads").toEqual([]);
  });
});

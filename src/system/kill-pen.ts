import { mkdirSync, readFileSync, rmdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { sleep } from "../lib/sleep.ts";
import { freezeGroup, isAtRest, isGone, thawGroup } from "./cgroup-state.ts";
import { randomText } from "./random.ts";

/** What the names of all pens begin with. */
export const PEN_PREFIX = "kill-";
const POLL_MS = 1;
/** How long programs get to come to rest, in ms: one that waits for a dead disk never does. */
const REST_MS = 100;
/** How often a group that is busy is tried to be removed. */
const REMOVALS = 200;

/**
 * A frozen cgroup below another, for programs that are to be killed: who is in it starts nothing,
 * and what it has just started is in it as well. Takes only whom it is told to; who is left in it
 * when it is disposed of goes back and on.
 */
export class KillPen implements AsyncDisposable {
  readonly #parent: string;
  readonly #group: string;
  /** Who has been in the parent for longer, or was sent back to it. */
  readonly #settled: Set<number>;

  /** Throws what the kernel says where there can be no such group below `parent`. */
  constructor(parent: string) {
    this.#parent = parent;
    this.#group = join(parent, PEN_PREFIX + randomText(16));
    mkdirSync(this.#group, { mode: 0o755 });
    try {
      freezeGroup(this.#group);
      this.#settled = new Set(membersOf(parent));
    } catch (error) {
      rmdirSync(this.#group);
      throw error;
    }
  }

  /** Moves `pid` in, from wherever it is. One that is gone or may not be moved stays away. */
  take(pid: number): void {
    if (pid !== process.pid) move(pid, this.#group);
  }

  /** Takes all that have come to be in the parent since the pen was made. Returns whom it saw. */
  takeNew(): number[] {
    const fresh = membersOf(this.#parent).filter((pid) => !this.#settled.has(pid));
    for (const pid of fresh) this.take(pid);
    return fresh;
  }

  /** Sends `pid` back to the parent, where it goes on and is not taken as new again. */
  release(pid: number): void {
    this.#settled.add(pid);
    move(pid, this.#parent);
  }

  /** Who is in it. */
  members(): number[] {
    return membersOf(this.#group);
  }

  /** Resolves when all in it stand still, `false` when they do not within 100 ms. */
  async rest(): Promise<boolean> {
    for (const until = performance.now() + REST_MS; !isAtRest(this.#group); ) {
      if (performance.now() > until) return false;
      await sleep(POLL_MS);
    }
    return true;
  }

  /** Kills all in it at once; `false` where the kernel cannot (before Linux 5.14). */
  kill(): boolean {
    try {
      writeFileSync(join(this.#group, "cgroup.kill"), "1", { flag: "r+" });
      return true;
    } catch {
      return false;
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await removePen(this.#group, this.#parent);
  }
}

/** Lets all in a pen go on in its parent, and removes it, for which it may take up to 200 tries. */
export async function removePen(group: string, parent: string): Promise<void> {
  for (let tries = 0; tries < REMOVALS; tries += 1) {
    try {
      thawGroup(group);
      for (const pid of membersOf(group)) move(pid, parent);
      rmdirSync(group);
      return;
    } catch (error) {
      if (isGone(error)) return;
      await sleep(POLL_MS);
    }
  }
}

function move(pid: number, group: string): void {
  try {
    writeFileSync(join(group, "cgroup.procs"), String(pid), { flag: "r+" });
  } catch {
    // It is gone, or the kernel does not let it be moved: it is signalled where it is.
  }
}

/** The pids in a group itself. 0 stands for programs that cannot be seen from here. */
function membersOf(group: string): number[] {
  const text = readFileSync(join(group, "cgroup.procs"), "latin1");
  return text
    .split("\n")
    .map(Number)
    .filter((pid) => pid > 0);
}

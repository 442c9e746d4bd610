import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { mkdirSync, readdirSync, readFileSync, rmdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { randomText } from "../../src/system/random.ts";

/** Where this machine has a cgroup v2 hierarchy that tests may write to; `undefined` if nowhere. */
export const cgroup2Mount = findMount();

function findMount(): string | undefined {
  const line = readFileSync("/proc/self/mountinfo", "utf8")
    .split("\n")
    .find((line) => line.includes(" - cgroup2 "));
  const point = line?.split(" ")[4];
  if (point === undefined) return undefined;
  const probe = join(point, `thaw-probe-${randomText(8)}`);
  try {
    mkdirSync(probe);
    const hasFreeze = readdirSync(probe).includes("cgroup.freeze");
    rmdirSync(probe);
    return hasFreeze ? point : undefined;
  } catch {
    // Read-only here, or the tests do not run as root.
    return undefined;
  }
}

/** A fresh group to be used as root of a hierarchy, removed with all its programs at the end. */
export class CgroupRoot implements AsyncDisposable {
  readonly path = join(cgroup2Mount as string, `thaw-test-${randomText(8)}`);
  readonly #children: ChildProcess[] = [];

  constructor() {
    mkdirSync(this.path);
  }

  /** Makes a group below the root. */
  make(name: string): string {
    mkdirSync(join(this.path, name), { recursive: true });
    return join(this.path, name);
  }

  /** Starts a program that does nothing in a group below the root. */
  startIn(name: string): number {
    const child = spawn("sleep", ["1000"], { stdio: "ignore" });
    this.#children.push(child);
    writeFileSync(join(this.make(name), "cgroup.procs"), String(child.pid));
    return child.pid as number;
  }

  /** What a file of a group below the root says. */
  read(name: string, file: string): string {
    return readFileSync(join(this.path, name, file), "utf8").trim();
  }

  /** Whether everything in a group below the root is at rest. */
  isAtRest(name: string): boolean {
    return this.read(name, "cgroup.events").includes("frozen 1");
  }

  /** Writes a file of a group below the root. */
  write(name: string, file: string, text: string): void {
    writeFileSync(join(this.path, name, file), text);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    const groups = groupsBelow(this.path);
    for (const group of groups) writeFileSync(join(group, "cgroup.freeze"), "0");
    const live = this.#children.filter((child) => child.signalCode === null);
    const ends = live.map((child) => once(child, "exit"));
    for (const child of live) child.kill("SIGKILL");
    await Promise.all(ends);
    for (const group of groups) await removeGroup(group);
  }
}

/** Children first, the group itself last. */
function groupsBelow(group: string): string[] {
  const children = readdirSync(group, { withFileTypes: true }).filter((e) => e.isDirectory());
  return [...children.flatMap((child) => groupsBelow(join(group, child.name))), group];
}

/** A group is busy for a moment after the last program in it has ended. */
async function removeGroup(group: string): Promise<void> {
  for (let tries = 0; ; tries += 1) {
    try {
      rmdirSync(group);
      return;
    } catch (error) {
      if (tries === 200) throw error;
      await new Promise((resolve) => setTimeout(resolve, 10));
    }
  }
}

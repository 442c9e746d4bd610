import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { newMark, withMark } from "../../../src/system/mark.ts";
import { OomWatch } from "../../../src/system/oom-watch.ts";
import { keepLog } from "../../helpers/log-lines.ts";
import { whyNoPids } from "../../helpers/memory-group.ts";

const children: ChildProcess[] = [];
let watch: OomWatch;

beforeEach(() => {
  watch = new OomWatch(keepLog().log);
  watch.open();
});
afterEach(async () => {
  watch.close();
  for (const child of children.splice(0)) await end(child);
});

async function end(child: ChildProcess): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null) return;
  child.kill("SIGKILL");
  await once(child, "exit");
}

function startMarked(mark: string): ChildProcess & { pid: number } {
  const child = withMark(mark, () => spawn("sleep", ["1000"], { stdio: "ignore" }));
  children.push(child);
  return child as ChildProcess & { pid: number };
}

/** As the kernel writes it. */
const killed = (pid: number, words = "Memory cgroup out of memory") => ({
  facility: 0,
  text: `${words}: Killed process ${pid} (sleep) total-vm:1kB, anon-rss:1kB, UID:0`,
});

const reason = whyNoPids();
if (reason !== undefined) console.warn(`skipped: ${reason}`);

describe.skipIf(reason !== undefined)("a kill for want of memory", () => {
  test("counts for what carries the mark of the victim, and for nobody else", () => {
    const mark = newMark();
    const { pid } = startMarked(mark);
    const child = startMarked(mark);
    using count = watch.watch({ pid, mark });
    using other = watch.watch({ pid: startMarked(newMark()).pid, mark: newMark() });

    watch.note(killed(child.pid));
    watch.note(killed(pid, "Out of memory"));
    watch.note(killed(pid, "Out of memory (oom_kill_allocating_task)"));

    expect(count.kills).toBe(3);
    expect(other.kills).toBe(0);
  });

  test("of a stranger counts for nobody", () => {
    using count = watch.watch({ pid: 0, mark: newMark() });

    watch.note(killed(process.pid));

    expect(count.kills).toBe(0);
  });

  test("of one that is gone counts when that was watched itself", async () => {
    const mark = newMark();
    const child = startMarked(mark);
    using count = watch.watch({ pid: child.pid, mark });
    using other = watch.watch({ pid: 0, mark: newMark() });
    await end(child);

    watch.note(killed(child.pid));

    expect(count.kills).toBe(1);
    expect(other.kills).toBe(0);
  });

  test("of another that is gone may have been anybody's: nothing is known then", async () => {
    const child = startMarked(newMark());
    using count = watch.watch({ pid: 0, mark: newMark() });
    await end(child);

    watch.note(killed(child.pid));

    expect(count.kills).toBeUndefined();
    using later = watch.watch({ pid: 0, mark: newMark() });
    expect(later.kills).toBe(0);
  });

  test.for([
    { facility: 1, text: killed(process.pid).text },
    { facility: 0, text: `Killed process ${process.pid} (sleep)` },
    { facility: 0, text: `name[1]: ${killed(process.pid).text}` },
  ])("is nothing that only looks like one: %o", (line) => {
    using count = watch.watch({ pid: process.pid, mark: "unlimited" });

    watch.note(line);

    expect(count.kills).toBe(0);
  });

  test("is not known of where the kernel's log is not read", () => {
    watch.close();
    using count = watch.watch({ pid: 0, mark: newMark() });

    expect(count.kills).toBeUndefined();
  });
});

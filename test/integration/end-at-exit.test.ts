import { execFileSync } from "node:child_process";
import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { expect, vi } from "vitest";
import { describeTransports, test } from "../helpers/agent.ts";
import { type Event, type Followed, follow, running, shell, text } from "../helpers/process.ts";

const IN_TIME = { timeout: 15_000, interval: 20 };

function endOf(events: readonly Event[]) {
  const last = events.at(-1);
  if (last?.case !== "end") throw new Error(`the last event is ${last?.case}`);
  return last.value;
}

function bash(script: string) {
  return { process: { cmd: "bash", args: ["-c", script] } };
}

/** Ends those who hold a process's outputs. */
function endHolders(events: readonly Event[]): void {
  for (const { pid } of endOf(events).holders) process.kill(pid, "SIGKILL");
}

/** Ways to leave something behind, which is called `$0`. */
const LEAVING: Record<string, string> = {
  "a background program": "$0 &",
  "a program without a hang-up": "nohup $0 &",
  "a program in a session of its own": "setsid $0 &",
  "a coprocess": "coproc $0; disown -a",
  "a daemon that has forked twice": "( setsid sh -c '$0 & exit' $0 & )",
};

/** Leaves a program behind which writes its pid to a file first, and writes `done` once it has. */
function leaving(directory: string, script: string) {
  const program = join(directory, "program");
  const file = join(directory, "pid");
  writeFileSync(program, `#!/bin/sh\necho $$ >${file}\nexec sleep 1000\n`, { mode: 0o755 });
  const wait = `until [ -s ${file} ]; do sleep 0.01; done; printf done`;
  return {
    process: { cmd: "bash", args: ["-c", `${script}\n${wait}`, program] },
    pidOf: () => Number(readFileSync(file, "utf8")),
  };
}

describeTransports("a start that ends at the exit", (transport) => {
  test.for(Object.entries(LEAVING))("does not wait for %s", async ([, script], { agent }) => {
    const client = agent.process(transport);
    const { process, pidOf } = leaving(agent.directory, script);
    const run = await running(client, { process, endAtExit: true });

    const events = await run.rest();

    expect(text(events, "stdout")).toBe("done");
    expect(endOf(events)).toMatchObject({ exitCode: 0, exited: true, written: { stdout: 4n } });
    expect(endOf(events).holders.map(({ pid }) => pid)).toEqual([pidOf()]);
    expect((await client.list({})).processes).toMatchObject([{ pid: run.pid, lingers: true }]);
    endHolders(events);
    await vi.waitFor(async () => expect((await client.list({})).processes).toEqual([]), IN_TIME);
  });

  test("does not wait for who holds its terminal", async ({ agent }) => {
    const client = agent.process(transport);
    const { process, pidOf } = leaving(agent.directory, "trap '' HUP; setsid $0 &");
    const pty = { size: { cols: 80, rows: 24 } };
    const run = await running(client, { process, pty, endAtExit: true });

    const events = await run.rest();

    expect(text(events, "pty")).toBe("done");
    expect(endOf(events).holders.map(({ pid }) => pid)).toEqual([pidOf()]);
    endHolders(events);
    await vi.waitFor(async () => expect((await client.list({})).processes).toEqual([]), IN_TIME);
  });

  test("leaves what comes later to the log, which is followed until the last has gone", async ({
    agent,
  }) => {
    const client = agent.process(transport);
    const fifo = join(agent.directory, "fifo");
    execFileSync("mkfifo", [fifo]);
    const script = `printf first; (read go <${fifo}; printf later) & exit 7`;
    const run = await running(client, { ...bash(script), endAtExit: true });
    const end = endOf(await run.rest());
    const fromOffset = end.written ?? {};
    const rest = await follow(client.connect({ process: run.selector, fromOffset }));
    const contract = await follow(client.connect({ process: run.selector }));

    writeFileSync(fifo, "go\n");

    const events = await rest.rest();
    expect(text(events, "stdout")).toBe("later");
    expect(endOf(events)).toMatchObject({ exitCode: 7, written: { stdout: 10n }, holders: [] });
    expect(text(await contract.rest(), "stdout")).toBe("later");
  });

  test("delivers all that its outputs held", async ({ agent }) => {
    const client = agent.process(transport);
    const script = "head -c 3000000 /dev/zero; sleep 1000 & head -c 60000 /dev/zero";
    const run = await running(client, { ...bash(script), endAtExit: true, withOffsets: true });

    const events = await run.rest();

    expect(events.filter((event) => event.case === "gap")).toEqual([]);
    expect(text(events, "stdout").length).toBe(3_060_000);
    endHolders(events);
    await vi.waitFor(async () => expect((await client.list({})).processes).toEqual([]), IN_TIME);
  });
});

test.for([{}, { withOffsets: true }])(
  "a start that ends at the exit ends while others go on to write, and says where: %o",
  async (asked, { agent }) => {
    const client = agent.process("h2-proto");
    const run = await running(client, { ...bash("yes & exit 3"), endAtExit: true, ...asked });

    const events = await run.rest();

    const { exitCode, written, holders } = endOf(events);
    expect(exitCode).toBe(3);
    expect(holders.length).toBe(1);
    expect(text(events, "stdout").length).toBe(Number(written?.stdout));
    const fromOffset = written ?? {};
    const leave = new AbortController();
    const options = { signal: leave.signal };
    const later = await follow(client.connect({ process: run.selector, fromOffset }, options));
    await later.until((all) => all.some(({ case: kind }) => kind !== "start"));
    leave.abort();
    endHolders(events);
    await vi.waitFor(async () => expect((await client.list({})).processes).toEqual([]), IN_TIME);
  },
);

describeTransports("a connect that ends at the exit", (transport) => {
  test("ends at once when that is over, with or without offsets", async ({ agent }) => {
    const client = agent.process(transport);
    const run = await running(client, { ...bash("printf four; sleep 1000 &"), endAtExit: true });
    const events = await run.rest();
    const connect = async (request: object): Promise<Followed> =>
      follow(client.connect({ process: run.selector, endAtExit: true, ...request }));

    const now = await (await connect({})).rest();
    const again = await (await connect({ fromOffset: {} })).rest();

    expect(now.map((event) => event.case)).toEqual(["start", "end"]);
    expect(again.map((event) => event.case)).toEqual(["start", "data", "end"]);
    endHolders(events);
    await vi.waitFor(async () => expect((await client.list({})).processes).toEqual([]), IN_TIME);
  });

  test("leaves others to the contract's rule", async ({ agent }) => {
    const client = agent.process(transport);
    const fifo = join(agent.directory, "fifo");
    execFileSync("mkfifo", [fifo]);
    const contract = await running(client, shell(`(read go <${fifo}; printf late) & read go`));
    const { selector: process } = contract;
    let hasEnded = false;
    const all = contract.rest().finally(() => {
      hasEnded = true;
    });
    const atExit = await follow(client.connect({ process, endAtExit: true }));
    const stdin = { input: { case: "stdin", value: Buffer.from("go\n") } } as const;
    await client.sendInput({ process, input: stdin });

    await atExit.rest();
    await client.list({});
    expect(hasEnded).toBe(false);
    writeFileSync(fifo, "go\n");

    expect(text(await all, "stdout")).toBe("late");
  });
});

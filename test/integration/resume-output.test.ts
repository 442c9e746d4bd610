import { createHash } from "node:crypto";
import { Code } from "@connectrpc/connect";
import { expect } from "vitest";
import { OffsetDetailSchema, Signal, WhenFull } from "../../gen/process/process_pb.js";
import { describeTransports, test } from "../helpers/agent.ts";
import { follow, running, shell, start, text } from "../helpers/process.ts";
import { Joined, seeded } from "../helpers/resuming.ts";

const sha256 = (bytes: Buffer | string) => createHash("sha256").update(bytes).digest("hex");

/** What `seq 1 last` writes. */
function sequence(last: number): Buffer {
  return Buffer.from(Array.from({ length: last }, (_, index) => `${index + 1}\n`).join(""));
}

describeTransports("a viewer that is cut off at random", (transport) => {
  test("joins the output of a process that waits for it without losing a byte", async ({
    agent,
  }) => {
    const client = agent.process(transport);
    const request = { ...shell("seq 1 300000"), logBytes: 65_536, whenFull: WhenFull.WAIT };
    const leave = new AbortController();
    const { selector: process } = await running(client, request, { signal: leave.signal });
    leave.abort();
    const random = seeded(1);
    const joined = new Joined();

    while (!joined.hasEnded) {
      await joined.follow(client, process, 1 + random(30_000));
      if (joined.hasEnded) break;
      const offsets = { stdout: BigInt(joined.bytes) };
      await client.acknowledgeOutput({ process, offsets }).catch(() => {});
    }

    expect(joined.lostBytes).toBe(0);
    expect(sha256(joined.content)).toBe(sha256(sequence(300_000)));
  });

  test("joins what the log holds after the end", async ({ agent }) => {
    const client = agent.process(transport);
    const run = await running(client, shell("seq 1 100000"));
    await run.rest();
    const random = seeded(2);
    const joined = new Joined();

    while (!joined.hasEnded) await joined.follow(client, run.selector, 1 + random(100_000));

    expect(sha256(joined.content)).toBe(sha256(sequence(100_000)));
  });

  test("is told of every byte that the log no longer holds", async ({ agent }) => {
    const client = agent.process(transport);
    const source = sequence(300_000);
    const script = "seq 1 100000; read go; seq 100001 200000; read go; seq 200001 300000";
    const run = await running(client, { ...shell(script), logBytes: 65_536 });
    const random = seeded(3);
    const joined = new Joined();

    for (const end of [588_895, 1_288_895]) {
      await run.until((events) => text(events, "stdout").length >= end);
      await joined.follow(client, run.selector, 1 + random(600_000));
      const stdin = { input: { case: "stdin", value: Buffer.from("go\n") } } as const;
      await client.sendInput({ process: run.selector, input: stdin });
    }
    await run.rest();
    while (!joined.hasEnded) await joined.follow(client, run.selector, 1 + random(60_000));

    const content = joined.content;
    for (let at = content.indexOf(0); at >= 0; at = content.indexOf(0, at)) {
      content[at] = source[at] ?? 0;
    }
    expect(joined.lostBytes).toBeGreaterThan(500_000);
    expect(sha256(content)).toBe(sha256(source));
  });
});

describeTransports("the output log", (transport) => {
  test("gives the caller of Start offsets when it asks", async ({ agent }) => {
    const client = agent.process(transport);

    const events = await start(client, {
      ...shell("printf one; sleep 0.1; printf two"),
      withOffsets: true,
    });

    const offsets = events.flatMap(({ case: kind, value }) =>
      kind === "data" ? value.offset : [],
    );
    expect(offsets).toEqual([0n, 3n]);
  });

  test("shows nothing of itself to who does not ask", async ({ agent }) => {
    const client = agent.process(transport);
    const run = await running(client, shell("echo out; echo err >&2"));
    const events = await run.rest();
    const again = [];

    for await (const { event } of client.connect({ process: run.selector }))
      again.push(event?.event);

    for (const event of events) {
      if (event.case === "data") expect(event.value.offset).toBeUndefined();
    }
    expect(again.map((event) => event?.case)).toEqual(["start", "end"]);
  });

  test("refuses an offset that is not there yet, and says which is", async ({ agent }) => {
    const client = agent.process(transport);
    const run = await running(client, shell("printf four"));
    await run.rest();

    const fromOffset = { stdout: 5n };
    const connecting = follow(client.connect({ process: run.selector, fromOffset }));

    const reason = await connecting.catch((error: unknown) => error);
    expect(reason).toMatchObject({ code: Code.OutOfRange });
    const details = (reason as { findDetails: (schema: unknown) => unknown[] }).findDetails(
      OffsetDetailSchema,
    );
    expect(details).toMatchObject([{ expectedOffset: 4n }]);
  });

  test("lets a full process that waits be killed", async ({ agent }) => {
    const client = agent.process(transport);
    const request = { ...shell("yes"), logBytes: 65_536, whenFull: WhenFull.WAIT };
    const run = await running(client, request);

    await client.sendSignal({ process: run.selector, signal: Signal.SIGKILL });

    expect((await run.rest()).at(-1)?.case).toBe("end");
  });
});

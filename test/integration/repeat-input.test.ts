import { createHash } from "node:crypto";
import { Code, ConnectError } from "@connectrpc/connect";
import { expect } from "vitest";
import { OffsetDetailSchema } from "../../gen/process/process_pb.js";
import { describeTransports, test } from "../helpers/agent.ts";
import { follow, running, shell, text } from "../helpers/process.ts";
import { seeded } from "../helpers/resuming.ts";

const stdin = (value: Uint8Array) => ({ input: { case: "stdin", value } }) as const;
const sha256 = (bytes: Buffer) => createHash("sha256").update(bytes).digest("hex");

describeTransports("input with offsets", (transport) => {
  test("reaches cat once, however often and with what overlap it is sent", async ({ agent }) => {
    const client = agent.process(transport);
    const source = Buffer.from(Array.from({ length: 20_000 }, (_, index) => `${index}\n`).join(""));
    const cat = await running(client, { process: { cmd: "cat" }, withOffsets: true });
    const random = seeded(4);
    let next = 0;

    while (next < source.length) {
      const from = Math.max(0, next - random(3_000));
      const input = stdin(source.subarray(from, from + 1 + random(9_000)));
      const leave = new AbortController();
      const request = { process: cat.selector, input, offset: BigInt(from) };
      const sending = client.sendInput(request, { signal: leave.signal });
      if (random(3) === 0) leave.abort();
      const answer = await sending.catch(() => undefined);
      next = Number(answer?.nextOffset ?? next);
    }
    await client.closeStdin({ process: cat.selector });
    await cat.rest();

    expect(sha256(Buffer.from(text(cat.events, "stdout")))).toBe(sha256(source));
  });

  test("says which offset it expects when there would be a hole", async ({ agent }) => {
    const client = agent.process(transport);
    const cat = await running(client, { process: { cmd: "cat" } });
    const request = { process: cat.selector, input: stdin(Buffer.from("abc")) };
    await client.sendInput({ ...request, offset: 0n });

    const reason = await client.sendInput({ ...request, offset: 4n }).catch(ConnectError.from);

    expect(reason).toMatchObject({ code: Code.OutOfRange });
    const details = (reason as ConnectError).findDetails(OffsetDetailSchema);
    expect(details).toMatchObject([{ expectedOffset: 3n }]);
    await client.closeStdin({ process: cat.selector });
    await cat.rest();
  });

  test("is answered as before without one", async ({ agent }) => {
    const client = agent.process(transport);
    const cat = await running(client, { process: { cmd: "cat" } });

    const answer = await client.sendInput({
      process: cat.selector,
      input: stdin(Buffer.from("a")),
    });

    expect(answer.nextOffset).toBeUndefined();
    await client.closeStdin({ process: cat.selector });
    await cat.rest();
  });
});

describeTransports("Start with a key", (transport) => {
  test("follows from the beginning what was started with it before", async ({ agent }) => {
    const client = agent.process(transport);
    const request = { ...shell("echo $$; read end"), idempotencyKey: "once", withOffsets: true };
    const first = await running(client, request);
    await first.until((events) => text(events, "stdout").endsWith("\n"));

    const second = await running(client, request);
    await client.closeStdin({ process: first.selector });
    await Promise.all([first.rest(), second.rest()]);
    const third = await running(client, request);

    expect([second.pid, third.pid]).toEqual([first.pid, first.pid]);
    expect(text(second.events, "stdout")).toBe(`${first.pid}\n`);
    expect(text(await third.rest(), "stdout")).toBe(`${first.pid}\n`);
  });

  test("refuses the key for another command", async ({ agent }) => {
    const client = agent.process(transport);
    const first = await running(client, { ...shell("true"), idempotencyKey: "once" });
    await first.rest();

    const second = follow(client.start({ ...shell("false"), idempotencyKey: "once" }));

    await expect(second).rejects.toMatchObject({ code: Code.AlreadyExists });
  });
});

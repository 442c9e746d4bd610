import { Code, ConnectError } from "@connectrpc/connect";
import { describe, expect } from "vitest";
import { type TestAgent, test } from "../helpers/agent.ts";

const FULL = { headers: { "x-access-token": "secret" } };
const pid = (value: number) => ({ selector: { case: "pid" as const, value } });

/** A program that echoes what it is given, which the test follows by the agent's own token. */
async function startEcho(agent: TestAgent): Promise<number> {
  const request = { process: { cmd: "/bin/cat" }, pty: { size: { cols: 80, rows: 24 } } };
  for await (const { event } of agent.process().start(request, FULL)) {
    if (event?.event.case === "start") return event.event.value.pid;
  }
  throw new Error("it did not start");
}

async function viewTokenOf(agent: TestAgent, process: number): Promise<string> {
  const { token } = await agent.process().createViewToken({ process: pid(process) }, FULL);
  return token;
}

/** Connects and gives the first event, or the code of the refusal. */
async function connect(agent: TestAgent, process: object, token: string): Promise<string> {
  try {
    const options = { headers: { "x-access-token": token } };
    const request = { process, windowBytes: 65_536 };
    for await (const { event } of agent.process().connect(request, options)) {
      return event?.event.case ?? "";
    }
  } catch (reason) {
    return Code[ConnectError.from(reason).code] ?? "";
  }
  return "";
}

const codeOf = async (call: Promise<unknown>) => {
  try {
    await call;
    return "fine";
  } catch (reason) {
    return Code[ConnectError.from(reason).code];
  }
};

describe("a token that only shows", () => {
  test.override({ config: { persona: "thaw", accessToken: "secret" } });

  test("opens the output of its process, and of no other", async ({ agent }) => {
    const [one, other] = [await startEcho(agent), await startEcho(agent)];
    const token = await viewTokenOf(agent, one);

    expect(await connect(agent, pid(one), token)).toBe("start");
    expect(await connect(agent, pid(other), token)).toBe("PermissionDenied");
    const byTag = { selector: { case: "tag", value: "any" } };
    expect(await connect(agent, byTag, token)).toBe("PermissionDenied");
    expect(await connect(agent, pid(one), `${token}x`)).toBe("Unauthenticated");
  });

  test("opens nothing else", async ({ agent }) => {
    const process = await startEcho(agent);
    const options = { headers: { "x-access-token": await viewTokenOf(agent, process) } };
    const client = agent.process();
    const input = { input: { case: "pty" as const, value: new Uint8Array([65]) } };
    const target = { process: pid(process) };

    expect(
      await Promise.all([
        codeOf(client.list({}, options)),
        codeOf(client.sendInput({ ...target, input }, options)),
        codeOf(client.sendSignal({ ...target, number: 1 }, options)),
        codeOf(client.update({ ...target, pty: { size: { cols: 1, rows: 1 } } }, options)),
        codeOf(client.createViewToken(target, options)),
        codeOf(agent.filesystem().stat({ path: "/" }, options)),
      ]),
    ).toEqual(Array.from({ length: 6 }, () => "Unauthenticated"));
    expect(await codeOf(client.acknowledgeOutput({ ...target, offsets: {} }, options))).toBe(
      "PermissionDenied",
    );
  });

  test("is one for each process, and another for each", async ({ agent }) => {
    const [one, other] = [await startEcho(agent), await startEcho(agent)];

    expect(await viewTokenOf(agent, one)).toBe(await viewTokenOf(agent, one));
    expect(await viewTokenOf(agent, one)).not.toBe(await viewTokenOf(agent, other));
  });

  test("is not made for a process that is not there", async ({ agent }) => {
    expect(await codeOf(agent.process().createViewToken({ process: pid(1) }, FULL))).toBe(
      "NotFound",
    );
  });
});

test("an agent without a token makes none that only shows", async ({ agent }) => {
  const process = await startEcho(agent);

  expect(await viewTokenOf(agent, process)).toBe("");
});

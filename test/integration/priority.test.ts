import { connect as connectHttp2 } from "node:http2";
import { create, toBinary } from "@bufbuild/protobuf";
import { createClient } from "@connectrpc/connect";
import { createConnectTransport } from "@connectrpc/connect-node";
import { expect, test as plainTest, vi } from "vitest";
import { ConnectRequestSchema, Process, Signal } from "../../gen/process/process_pb.js";
import { Binary } from "../helpers/binary.ts";
import { running } from "../helpers/process.ts";
import { frame } from "../helpers/raw-rpc.ts";
import { ask } from "../helpers/requests.ts";

const SESSIONS = 4;
const STREAMS = 1_000;
/** Far more than it takes; without its turn a call waits for all viewers, again and again. */
const WITHIN_MS = 2_000;

plainTest(
  "control calls are answered while a crowd of viewers is flooded",
  async () => {
    await using agent = await Binary.serve(["--no-token"]);
    const transport = createConnectTransport({ baseUrl: agent.url, httpVersion: "1.1" });
    const client = createClient(Process, transport);
    const leave = new AbortController();
    const yes = await running(client, { process: { cmd: "yes" } }, { signal: leave.signal });
    const body = frame(
      toBinary(ConnectRequestSchema, create(ConnectRequestSchema, { process: yes.selector })),
    );
    const sessions = Array.from({ length: SESSIONS }, () => connectHttp2(agent.url));
    let begun = 0;
    for (const session of sessions) {
      session.on("error", () => {});
      for (let index = 0; index < STREAMS / SESSIONS; index++) {
        const stream = session.request({
          ":method": "POST",
          ":path": "/process.Process/Connect",
          "content-type": "application/connect+proto",
        });
        stream.on("error", () => {}).once("data", () => (begun += 1));
        stream.end(body);
      }
    }
    await vi.waitFor(() => expect(begun).toBe(STREAMS), 30_000);

    const times: number[] = [];
    for (let round = 0; round < 20; round++) {
      const start = performance.now();
      expect((await ask("h1", agent.url, { path: "/health" })).status).toBe(204);
      times.push(performance.now() - start);
    }
    const start = performance.now();
    await client.sendSignal({ process: yes.selector, signal: Signal.SIGKILL });
    times.push(performance.now() - start);

    expect(Math.max(...times)).toBeLessThan(WITHIN_MS);
    leave.abort();
    await yes.rest().catch(() => {});
    for (const session of sessions) session.destroy();
  },
  60_000,
);

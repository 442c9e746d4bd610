import { createClient, type Transport } from "@connectrpc/connect";
import {
  createConnectTransport,
  createGrpcTransport,
  createGrpcWebTransport,
  Http2SessionManager,
} from "@connectrpc/connect-node";
import { describe, expect } from "vitest";
import { Process } from "../../gen/process/process_pb.js";
import { test as agentTest, type TestAgent } from "../helpers/agent.ts";
import { makeCertificate } from "../helpers/certificate.ts";
import { running, shell, start, text } from "../helpers/process.ts";

const protocols = {
  connect: createConnectTransport,
  grpc: createGrpcTransport,
  "grpc-web": createGrpcWebTransport,
};

interface Way {
  carrier: "clear text" | "TLS";
  httpVersion: "1.1" | "2";
  protocol: keyof typeof protocols;
  codec: "json" | "binary";
}

/** Everything that a client can be made of. gRPC needs the trailers of HTTP/2. */
const ways: Way[] = (["clear text", "TLS"] as const).flatMap((carrier) =>
  (["1.1", "2"] as const).flatMap((httpVersion) =>
    (["connect", "grpc", "grpc-web"] as const)
      .filter((protocol) => protocol !== "grpc" || httpVersion === "2")
      .flatMap((protocol) =>
        (["json", "binary"] as const).map((codec) => ({ carrier, httpVersion, protocol, codec })),
      ),
  ),
);

const pair = makeCertificate();

const test = agentTest.extend<{ connect: (way: Way) => Transport }>({
  connect: async ({ agent }, use) => {
    const sessions: Http2SessionManager[] = [];
    await use((way) => transportOf(agent, way, sessions));
    for (const session of sessions) session.abort();
  },
});

function transportOf(agent: TestAgent, way: Way, sessions: Http2SessionManager[]): Transport {
  const scheme = way.carrier === "TLS" ? "https" : "http";
  const baseUrl = `${scheme}://127.0.0.1:${agent.port}`;
  const useBinaryFormat = way.codec === "binary";
  const create = protocols[way.protocol];
  if (way.httpVersion === "1.1") {
    const nodeOptions = { ca: pair.cert, agent: false as const };
    return create({ baseUrl, useBinaryFormat, httpVersion: "1.1", nodeOptions });
  }
  const sessionManager = new Http2SessionManager(baseUrl, {}, { ca: pair.cert });
  sessions.push(sessionManager);
  return create({ baseUrl, useBinaryFormat, httpVersion: "2", sessionManager });
}

describe("one port with a certificate", () => {
  test.override({ config: { tls: pair } });

  test.for(ways)(
    "serves $protocol in $codec over HTTP/$httpVersion and $carrier",
    async (way, { connect }) => {
      const client = createClient(Process, connect(way));

      expect((await client.list({})).processes, "one answer").toEqual([]);

      const events = await start(client, shell("printf '\\377streamed'; exit 3"));
      const bytes = Uint8Array.from(Buffer.from("\xffstreamed", "latin1"));
      expect(events.slice(1), "a stream of answers").toMatchObject([
        { value: { output: { case: "stdout", value: bytes } } },
        { value: { exitCode: 3, exited: true } },
      ]);

      const cat = await running(client, { process: { cmd: "cat" } });
      async function* requests() {
        yield { event: { case: "start", value: { process: cat.selector } } } as const;
        for (const word of ["one ", "two ", "three"]) {
          const input = { input: { case: "stdin", value: Buffer.from(word) } } as const;
          yield { event: { case: "data", value: { input } } } as const;
        }
      }
      await client.streamInput(requests());
      await client.closeStdin({ process: cat.selector });
      expect(text(await cat.rest(), "stdout"), "a stream of requests").toBe("one two three");

      const missing = client.connect({ process: { selector: { case: "tag", value: "none" } } });
      await expect(missing[Symbol.asyncIterator]().next(), "a failure").rejects.toThrow(
        "[not_found]",
      );
    },
  );
});

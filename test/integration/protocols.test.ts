import { writeFileSync } from "node:fs";
import { connect as connectHttp2 } from "node:http2";
import { request as requestHttps } from "node:https";
import { join } from "node:path";
import { createClient } from "@connectrpc/connect";
import { createConnectTransport } from "@connectrpc/connect-node";
import { createConnectTransport as createWebTransport } from "@connectrpc/connect-web";
import { describe, expect } from "vitest";
import { ServerReflection } from "../../gen/grpc/reflection/v1/reflection_pb.js";
import { Process, Signal } from "../../gen/process/process_pb.js";
import { type TransportName, test, transports } from "../helpers/agent.ts";
import { makeCertificate } from "../helpers/certificate.ts";
import { follow, running, shell, start, text } from "../helpers/process.ts";

const all: TransportName[] = [...transports, "grpc", "grpc-web"];

describe.for(all)("over %s", (transport) => {
  test("a call, a stream of answers and a stream of requests all work", async ({ agent }) => {
    const client = agent.process(transport);
    const cat = await running(client, { process: { cmd: "cat" } });
    const { processes } = await client.list({});
    expect(processes.map(({ pid }) => pid)).toEqual([cat.pid]);

    async function* requests() {
      yield { event: { case: "start", value: { process: cat.selector } } } as const;
      const input = { input: { case: "stdin", value: Buffer.from("streamed") } } as const;
      yield { event: { case: "data", value: { input } } } as const;
    }
    await client.streamInput(requests());
    await client.closeStdin({ process: cat.selector });

    expect(text(await cat.rest(), "stdout")).toBe("streamed");
  });

  test("a viewer that leaves leaves nothing behind but the process", async ({ agent }) => {
    const client = agent.process(transport);
    const leave = new AbortController();
    const sleep = await running(client, shell("yes | head -c 1M; exec sleep 100"), {
      signal: leave.signal,
    });

    leave.abort();
    await sleep.rest().catch(() => {});

    const second = await follow(client.connect({ process: sleep.selector }));
    await client.sendSignal({ process: sleep.selector, signal: Signal.SIGTERM });
    expect((await second.rest()).at(-1)).toMatchObject({ value: { status: "signal: terminated" } });
  });
});

test("the same events come over every protocol", async ({ agent }) => {
  const seen = await Promise.all(
    all.map(async (transport) => {
      const events = await start(agent.process(transport), shell("printf 'a\\nb'; exit 3"));
      return events.map((event) => (event.case === "start" ? { case: "start" } : event));
    }),
  );

  for (const events of seen) expect(events).toEqual(seen[0]);
});

test.for([
  ["h1-json", { "Connect-Timeout-Ms": "9999999999" }],
  ["h2-proto", { "Connect-Timeout-Ms": "2147483648" }],
  ["grpc", { "Grpc-Timeout": "99999999S" }],
  ["grpc-web", { "Grpc-Timeout": "600H" }],
] as const)(
  "a deadline in months ends nothing over %s",
  async ([transport, headers], { agent }) => {
    const leave = new AbortController();
    const options = { headers, signal: leave.signal };
    const events = agent.filesystem(transport).watchDir({ path: agent.directory }, options);
    const iterator = events[Symbol.asyncIterator]();
    expect((await iterator.next()).value?.event.case).toBe("start");

    writeFileSync(join(agent.directory, "late"), "");

    expect((await iterator.next()).value?.event.case).toBe("filesystem");
    leave.abort();
    await expect(iterator.next()).rejects.toThrow("abort");
  },
);

test("a browser's client reads a stream", async ({ agent }) => {
  for (const useBinaryFormat of [true, false]) {
    const client = createClient(
      Process,
      createWebTransport({ baseUrl: agent.url, useBinaryFormat }),
    );

    expect(text(await start(client, shell("echo web")), "stdout")).toBe("web\n");
  }
});

test("reflection knows every service, and every file that it needs", async ({ agent }) => {
  for (const transport of ["grpc", "h2-proto"] as const) {
    const client = agent.client(ServerReflection, transport);
    const answers = [];
    async function* requests() {
      yield { messageRequest: { case: "listServices", value: "" } } as const;
      yield {
        messageRequest: { case: "fileContainingSymbol", value: "filesystem.Filesystem.Stat" },
      } as const;
      yield { messageRequest: { case: "fileByFilename", value: "process/process.proto" } } as const;
      yield { messageRequest: { case: "fileContainingSymbol", value: "no.such.Symbol" } } as const;
    }
    for await (const answer of client.serverReflectionInfo(requests()))
      answers.push(answer.messageResponse);

    expect(answers.map((answer) => answer.case)).toEqual([
      "listServicesResponse",
      "fileDescriptorResponse",
      "fileDescriptorResponse",
      "errorResponse",
    ]);
    const services = answers[0]?.case === "listServicesResponse" ? answers[0].value.service : [];
    expect(services.map(({ name }) => name)).toEqual([
      "filesystem.Filesystem",
      "grpc.reflection.v1.ServerReflection",
      "grpc.reflection.v1alpha.ServerReflection",
      "ports.Ports",
      "process.Process",
      "snapshot.Snapshot",
    ]);
    const files =
      answers[1]?.case === "fileDescriptorResponse" ? answers[1].value.fileDescriptorProto : [];
    expect(files.length, "filesystem.proto and the timestamp it imports").toBe(2);
  }
});

describe("with a certificate", () => {
  const pair = makeCertificate();
  test.override({ config: { tls: pair } });

  test("TLS carries HTTP/1.1 and HTTP/2, and clear text stays", async ({ agent }) => {
    expect(agent.url).toMatch(/^https:/);
    for (const [httpVersion, protocol] of [
      ["1.1", "http1"],
      ["2", "h2"],
    ] as const) {
      const transport = createConnectTransport({
        baseUrl: agent.url,
        httpVersion,
        nodeOptions: { ca: pair.cert },
      });
      const events = await start(createClient(Process, transport), shell("echo secret"));
      expect(text(events, "stdout"), protocol).toBe("secret\n");
    }
    const clear = agent.url.replace("https:", "http:");
    expect((await fetch(`${clear}/health`)).status).toBe(204);
    const session = connectHttp2(clear);
    const stream = session.request({ ":path": "/health" });
    const status = await new Promise((resolve) =>
      stream.once("response", (headers) => resolve(headers[":status"])),
    );
    stream.resume();
    expect(status).toBe(204);
    session.close();
  });

  test("ALPN decides, and a client that asks for neither gets HTTP/1.1", async ({ agent }) => {
    const ask = (ALPNProtocols: string[] | undefined) =>
      new Promise<string>((resolve, reject) => {
        const options = {
          ca: pair.cert,
          agent: false,
          ...(ALPNProtocols === undefined ? {} : { ALPNProtocols }),
        };
        const request = requestHttps(`${agent.url}/health`, options, (response) => {
          response.resume();
          resolve(response.httpVersion);
        });
        request.on("error", reject).end();
      });

    expect(await ask(["http/1.1"])).toBe("1.1");
    expect(await ask(undefined)).toBe("1.1");
  });
});

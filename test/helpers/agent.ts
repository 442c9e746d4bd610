import { execFileSync } from "node:child_process";
import {
  mkdtempSync,
  readdirSync,
  readFileSync,
  readlinkSync,
  rmSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { DescService } from "@bufbuild/protobuf";
import { type Client, createClient, type Transport } from "@connectrpc/connect";
import {
  createConnectTransport,
  createGrpcTransport,
  createGrpcWebTransport,
  Http2SessionManager,
} from "@connectrpc/connect-node";
import { test as base, describe, expect, vi } from "vitest";
import { Filesystem } from "../../gen/filesystem/filesystem_pb.js";
import { Process } from "../../gen/process/process_pb.js";
import { type Agent, startAgent } from "../../src/agent.ts";
import { type AgentConfig, defaultConfig } from "../../src/config.ts";
import { createLog } from "../../src/log.ts";
import { type User, Users } from "../../src/system/users.ts";

/** The ways a client may speak: HTTP version and codec, all over the Connect protocol. */
export const transports = ["h1-proto", "h1-json", "h2-proto", "h2-json"] as const;
/** One of them. */
export type TransportName = (typeof transports)[number] | "grpc" | "grpc-web";

/** A live agent, and clients that speak to it. */
export interface TestAgent extends Agent {
  config: AgentConfig;
  /** A directory of its own, removed with the agent. */
  directory: string;
  process(transport?: TransportName): Client<typeof Process>;
  filesystem(transport?: TransportName): Client<typeof Filesystem>;
  client<S extends DescService>(service: S, transport?: TransportName): Client<S>;
}

/** Starts an agent that touches nothing of the machine but a directory of its own. */
export async function startTestAgent(overrides: Partial<AgentConfig> = {}): Promise<TestAgent> {
  const directory = mkdtempSync(join(tmpdir(), "thaw-test-"));
  writeFileSync(join(directory, "hosts"), "127.0.0.1 localhost\n");
  writeFileSync(join(directory, "ca-certificates.crt"), "");
  const config: AgentConfig = {
    ...defaultConfig("envd", overrides.dialect),
    host: "127.0.0.1",
    port: 0,
    isNotFc: true,
    noCgroups: true,
    runDir: join(directory, "run"),
    generationDir: join(directory, "generation"),
    hostsFile: join(directory, "hosts"),
    setsClock: false,
    frozenPath: "/proc",
    caBundleFile: join(directory, "ca-certificates.crt"),
    caExtraFile: join(directory, "extra", "ca.crt"),
    logLevel: process.env["THAW_TEST_LOG"] === "1" ? "debug" : "silent",
    ...overrides,
  };
  const agent = await startAgent(config, createLog(config.logLevel));
  const connections = new Connections(agent.url);
  const close = async (graceMs?: number) => {
    await agent.close(graceMs);
    connections.close();
    rmSync(directory, { recursive: true, force: true });
  };
  return {
    ...agent,
    connections: () => agent.connections(),
    config,
    directory,
    client: (service, name = "h1-proto") => createClient(service, connections.transport(name)),
    process: (name = "h1-proto") => createClient(Process, connections.transport(name)),
    filesystem: (name = "h1-proto") => createClient(Filesystem, connections.transport(name)),
    close,
    [Symbol.asyncDispose]: () => close(),
  };
}

/** The client side's connections, so that a test can close them. */
class Connections {
  readonly #baseUrl: string;
  readonly #transports = new Map<TransportName, Transport>();
  readonly #sessions: Http2SessionManager[] = [];

  constructor(baseUrl: string) {
    this.#baseUrl = baseUrl;
  }

  transport(name: TransportName): Transport {
    let found = this.#transports.get(name);
    if (found === undefined) {
      found = this.#create(name);
      this.#transports.set(name, found);
    }
    return found;
  }

  close(): void {
    for (const session of this.#sessions) session.abort();
  }

  #create(name: TransportName): Transport {
    const baseUrl = this.#baseUrl;
    if (name.startsWith("h1")) {
      const useBinaryFormat = name === "h1-proto";
      const nodeOptions = { rejectUnauthorized: false };
      return createConnectTransport({ baseUrl, httpVersion: "1.1", useBinaryFormat, nodeOptions });
    }
    const sessionManager = new Http2SessionManager(baseUrl, {}, { rejectUnauthorized: false });
    this.#sessions.push(sessionManager);
    const options = { baseUrl, httpVersion: "2" as const, sessionManager };
    if (name === "grpc") return createGrpcTransport(options);
    if (name === "grpc-web") return createGrpcWebTransport(options);
    return createConnectTransport({ ...options, useBinaryFormat: name === "h2-proto" });
  }
}

/** What a test must not leave behind: descriptors of this process, and its child processes. */
export function leftovers(): { descriptors: string[]; children: string[] } {
  const descriptors = readdirSync("/proc/self/fd").flatMap((fd) => {
    try {
      return [readlinkSync(`/proc/self/fd/${fd}`).replace(/\[\d+\]/, "")];
    } catch {
      return [];
    }
  });
  const kinds = /^(socket|pipe|anon_inode:\[?inotify|\/dev\/pts|\/dev\/ptmx)|deleted/;
  const children = readFileSync(`/proc/self/task/${process.pid}/children`, "utf8");
  return {
    descriptors: descriptors.filter((name) => kinds.test(name)).toSorted(),
    children: children.split(" ").filter((pid) => pid !== ""),
  };
}

/** Runs `body`, then waits until it has left nothing behind. */
export async function leavingNothing(body: () => Promise<void>): Promise<void> {
  const before = leftovers();
  await body();
  await vi.waitFor(
    () => {
      const after = leftovers();
      expect(after.children, "child processes left over").toEqual(before.children);
      expect(after.descriptors.length, "descriptors left over").toBeLessThanOrEqual(
        before.descriptors.length,
      );
    },
    { timeout: 5_000, interval: 20 },
  );
}

interface Fixtures {
  /** What differs from the test agent's configuration: `test.override({ config: … })`. */
  config: Partial<AgentConfig>;
  agent: TestAgent;
  /** An ordinary account, made for the test run. */
  user: User;
}

/** A test with a live agent, which must leave nothing behind. */
export const test = base.extend<Fixtures>({
  config: {},
  agent: async ({ config }, use) => {
    await leavingNothing(async () => {
      await using agent = await startTestAgent(config);
      await use(agent);
    });
  },
  // oxlint-disable-next-line no-empty-pattern -- vitest reads what a fixture needs from here
  user: async ({}, use) => {
    await use(ordinaryUser());
  },
});

/** The account `thaw-test`, with a second group; made at its first use and kept. */
function ordinaryUser(): User {
  const users = new Users();
  if (users.find("thaw-test") === undefined) {
    execFileSync("useradd", ["--create-home", "--groups", "users", "thaw-test"]);
  }
  const user = users.find("thaw-test");
  if (user === undefined) throw new Error("the account thaw-test could not be made");
  return user;
}

/** Runs the same tests over every transport. */
export function describeTransports(title: string, body: (transport: TransportName) => void): void {
  describe.for(transports)(`${title} over %s`, body);
}

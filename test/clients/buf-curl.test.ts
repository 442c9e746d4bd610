import { join } from "node:path";
import { describe, expect, vi } from "vitest";
import { test as base, type TestAgent } from "../helpers/agent.ts";
import { type ProgramResult, runProgram } from "../helpers/run-program.ts";

const REPOSITORY = join(import.meta.dirname, "../..");
const BUF = join(REPOSITORY, "node_modules/.bin/buf");
const PROTOCOLS = ["connect", "grpc", "grpcweb"] as const;

/** Larger than any pid that Linux gives. */
const NO_PID = 0x7ffffff0;

/** gRPC's number for UNAUTHENTICATED, which buf shifts three bits to the left. */
const UNAUTHENTICATED = 16 * 8;

const METHODS = [
  "filesystem.Filesystem/BeginUpload",
  "filesystem.Filesystem/CancelUpload",
  "filesystem.Filesystem/CommitUpload",
  "filesystem.Filesystem/CreateWatcher",
  "filesystem.Filesystem/GetWatcherEvents",
  "filesystem.Filesystem/ListDir",
  "filesystem.Filesystem/ListTree",
  "filesystem.Filesystem/MakeDir",
  "filesystem.Filesystem/Move",
  "filesystem.Filesystem/ReadFile",
  "filesystem.Filesystem/ReadTree",
  "filesystem.Filesystem/Remove",
  "filesystem.Filesystem/RemoveWatcher",
  "filesystem.Filesystem/Stat",
  "filesystem.Filesystem/WatchDir",
  "filesystem.Filesystem/WriteChunk",
  "filesystem.Filesystem/WriteFile",
  "filesystem.Filesystem/WriteTree",
  "grpc.reflection.v1.ServerReflection/ServerReflectionInfo",
  "grpc.reflection.v1alpha.ServerReflection/ServerReflectionInfo",
  "ports.Ports/Forward",
  "ports.Ports/List",
  "process.Process/AcknowledgeOutput",
  "process.Process/CloseStdin",
  "process.Process/Connect",
  "process.Process/CreateViewToken",
  "process.Process/List",
  "process.Process/SendInput",
  "process.Process/SendSignal",
  "process.Process/Start",
  "process.Process/StreamInput",
  "process.Process/Update",
  "snapshot.Snapshot/Prepare",
  "snapshot.Snapshot/Restore",
  "snapshot.Snapshot/Status",
  "snapshot.Snapshot/Watch",
];

interface Request {
  /** The method, or nothing for the base address. */
  method?: string;
  data?: object;
  flags?: string[];
  input?: string;
}

type BufCurl = (request: Request) => Promise<ProgramResult>;

function bufCurl(agent: TestAgent, prefix: string[] = ["--http2-prior-knowledge"]): BufCurl {
  return ({ method = "", data, flags = [], input }) => {
    const body = data === undefined ? [] : ["--data", JSON.stringify(data)];
    const args = ["curl", ...prefix, ...flags, ...body, `${agent.url}/${method}`];
    const env = { BUF_CACHE_DIR: join(agent.directory, "buf") };
    return runProgram(BUF, args, { cwd: REPOSITORY, env, ...(input !== undefined && { input }) });
  };
}

const test = base.extend<{ buf: BufCurl }>({
  buf: async ({ agent }, use) => {
    await use(bufCurl(agent));
  },
});

/** The JSON texts that buf prints one after the other. */
function messagesOf({ stdout }: ProgramResult): unknown[] {
  const separated = stdout.trim().replace(/\n\}\n\{\n/g, "\n},\n{\n");
  return JSON.parse(`[${separated}]`) as unknown[];
}

const shell = (script: string) => ({ process: { cmd: "sh", args: ["-c", script] } });

describe("buf curl by reflection alone", () => {
  test("lists the programs", async ({ buf }) => {
    const result = await buf({ method: "process.Process/List", data: {} });

    expect(result).toMatchObject({ code: 0, stdout: "{}\n", stderr: "" });
  });

  test("lists every service", async ({ buf }) => {
    const { stdout } = await buf({ flags: ["--list-services"] });

    expect(stdout.trim().split("\n")).toEqual([
      "filesystem.Filesystem",
      "grpc.reflection.v1.ServerReflection",
      "grpc.reflection.v1alpha.ServerReflection",
      "ports.Ports",
      "process.Process",
      "snapshot.Snapshot",
    ]);
  });

  test.for([
    ["the version it picks", []],
    ["v1", ["--reflect-protocol", "grpc-v1"]],
    ["v1alpha", ["--reflect-protocol", "grpc-v1alpha"]],
  ] as const)("lists every method with %s", async ([, flags], { buf }) => {
    const { stdout } = await buf({ flags: ["--list-methods", ...flags] });

    expect(stdout.trim().split("\n")).toEqual(METHODS);
  });

  test("calls a method that it knows from v1alpha only", async ({ buf }) => {
    const flags = ["--reflect-protocol", "grpc-v1alpha"];

    const result = await buf({ method: "process.Process/List", flags });

    expect(result).toMatchObject({ code: 0, stdout: "{}\n" });
  });

  test("is told of a service that is not there", async ({ buf }) => {
    const { code, stderr } = await buf({ method: "no.Such/Method" });

    expect(code).not.toBe(0);
    expect(stderr).toContain("no.Such");
  });
});

describe.for(PROTOCOLS)("buf curl over %s", (protocol) => {
  const flags = ["--protocol", protocol];

  test("follows a program from start to end", async ({ buf }) => {
    const method = "process.Process/Start";

    const result = await buf({ method, flags, data: shell("echo hello; exit 3") });

    expect(result.code).toBe(0);
    const events = messagesOf(result);
    expect(events[0]).toEqual({ event: { start: { pid: expect.any(Number) as number } } });
    expect(events.slice(1)).toEqual([
      { event: { data: { stdout: Buffer.from("hello\n").toString("base64") } } },
      {
        event: {
          end: { exitCode: 3, exited: true, status: "exit status 3", error: "exit status 3" },
        },
      },
    ]);
  });

  test("streams input from its own input", async ({ buf }) => {
    const output = buf({
      method: "process.Process/Start",
      flags,
      data: { ...shell("head -c 7"), tag: "reader" },
    });
    await vi.waitFor(async () => {
      const { stdout } = await buf({ method: "process.Process/List", flags });
      expect(stdout).toContain('"tag": "reader"');
    }, 15_000);
    const stdin = (text: string) => ({
      data: { input: { stdin: Buffer.from(text).toString("base64") } },
    });
    const messages = [
      { start: { process: { tag: "reader" } } },
      stdin("one "),
      { keepalive: {} },
      stdin("two"),
    ];

    const sent = await buf({
      method: "process.Process/StreamInput",
      flags: [...flags, "--data", "@-"],
      input: messages.map((message) => JSON.stringify(message)).join("\n"),
    });

    expect(sent).toMatchObject({ code: 0, stdout: "{}\n" });
    expect(messagesOf(await output)).toContainEqual({
      event: { data: { stdout: Buffer.from("one two").toString("base64") } },
    });
  });

  test("reads the facts of a file and the error of a missing one", async ({ agent, buf }) => {
    const method = "filesystem.Filesystem/Stat";

    const found = await buf({ method, flags, data: { path: join(agent.directory, "hosts") } });
    const missing = await buf({ method, flags, data: { path: "/no/such/file" } });

    expect(messagesOf(found)).toMatchObject([{ entry: { name: "hosts", type: "FILE_TYPE_FILE" } }]);
    expect(missing.code).toBe(5 * 8);
    expect(JSON.parse(missing.stderr)).toMatchObject({ code: "not_found" });
  });

  test("is told by number and name what is wrong", async ({ buf }) => {
    const data = { process: { pid: NO_PID }, signal: "SIGNAL_SIGKILL" };

    const { code, stderr } = await buf({ method: "process.Process/SendSignal", flags, data });

    expect(code).toBe(5 * 8);
    expect(JSON.parse(stderr)).toMatchObject({
      code: "not_found",
      message: `process with pid ${NO_PID} not found`,
    });
  });
});

describe.for(["connect", "grpcweb"])("buf curl with a schema, over HTTP/1.1 and %s", (protocol) => {
  const prefix = ["--schema", "proto", "--protocol", protocol];

  test("needs no reflection", async ({ agent }) => {
    const buf = bufCurl(agent, prefix);

    const listed = await buf({ method: "process.Process/List", flags: ["--verbose"] });
    const ran = await buf({ method: "process.Process/Start", data: shell("exit 0") });

    expect(listed.stderr).toContain("HTTP/1.1 200");
    expect(listed.stdout).toBe("{}\n");
    expect(messagesOf(ran).at(-1)).toEqual({
      event: { end: { exited: true, status: "exit status 0" } },
    });
  });
});

describe("an agent with a token", () => {
  test.override({ config: { accessToken: "secret" } });
  const withToken = ["--header", "X-Access-Token: secret"];

  test.for(PROTOCOLS)("answers buf curl over %s that sends it", async (protocol, { buf }) => {
    const flags = ["--protocol", protocol, "--reflect-header", "*", ...withToken];

    const result = await buf({ method: "process.Process/List", flags });

    expect(result).toMatchObject({ code: 0, stdout: "{}\n" });
  });

  test("shows nothing by reflection to one that does not", async ({ buf }) => {
    const { code, stdout } = await buf({ flags: ["--list-methods"] });

    expect(code).not.toBe(0);
    expect(stdout).toBe("");
  });

  test.for(PROTOCOLS)("refuses one over %s that does not", async (protocol, { agent }) => {
    const buf = bufCurl(agent, [
      "--schema",
      "proto",
      "--http2-prior-knowledge",
      "--protocol",
      protocol,
    ]);

    const { code, stderr } = await buf({ method: "process.Process/List" });

    expect(code).toBe(UNAUTHENTICATED);
    expect(JSON.parse(stderr)).toMatchObject({ code: "unauthenticated" });
  });
});

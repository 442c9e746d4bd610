import { mkdirSync } from "node:fs";
import {
  create,
  type DescField,
  type DescMessage,
  type DescMethod,
  ScalarType,
  toBinary,
} from "@bufbuild/protobuf";
import { BinaryWriter, WireType } from "@bufbuild/protobuf/wire";
import { Code } from "@connectrpc/connect";
import { describe, expect, vi } from "vitest";
import { SendInputRequestSchema, Signal } from "../../gen/process/process_pb.js";
import { test as agentTest, type TestAgent } from "../helpers/agent.ts";
import { failureOf } from "../helpers/filesystem.ts";
import { init } from "../helpers/init-client.ts";
import { running, shell, start, text } from "../helpers/process.ts";
import { callRaw, codecs, rpcs } from "../helpers/raw-rpc.ts";
import { httpVersions } from "../helpers/requests.ts";

const MESSAGE_BYTES = 16 * 1024 * 1024;
const MIB = 1024 * 1024;

/** A live agent that is well and runs nothing after the test; a path that is empty is its own. */
const test = agentTest.extend<{ place: string }>({
  place: [
    async ({ agent }, use) => {
      const place = `${agent.directory}/place`;
      mkdirSync(place);
      await init(agent, { defaultWorkdir: place });
      using complaints = vi.spyOn(console, "error");
      await use(place);
      expect(complaints.mock.calls).toEqual([]);
      await expectHealthy(agent);
    },
    { auto: true },
  ],
});

async function expectHealthy(agent: TestAgent): Promise<void> {
  expect((await fetch(`${agent.url}/health`)).status).toBe(204);
  await vi.waitFor(async () => expect((await agent.process().list({})).processes).toEqual([]));
}

const method = (wanted: string) => rpcs.find(([, { name }]) => name === wanted)?.[1] as DescMethod;

/** JSON that is no value of a kind of field. */
const WRONG = {
  string: ["1", "true", "{}", "[]", '["x"]', '"\\ud800"'],
  number: ['"x"', '""', '" 1"', "-1", "1.5", "4294967296", "1e400", "true", "{}", "[]"],
  long: ['"x"', '""', '"18446744073709551616"', "-1", "1.5", "1e400", "true", "{}", "[]"],
  bool: ['"true"', "1", "0", "{}", "[]", '""'],
  bytes: ["1", "true", "{}", "[]", '"!"', '"a"', '"aGk=x"'],
  enum: ["{}", "[]", "true", "1.5", "4294967296"],
  message: ["1", "true", '"x"', "[]", "[{}]"],
  list: ["1", '"x"', "{}", "[1]", "[null]", "[[]]"],
  map: ["1", '"x"', "[]", '{"a":1}', '{"a":null}', '{"a":{}}'],
};

function wrongValues(field: DescField): readonly string[] {
  if (field.fieldKind !== "scalar") return WRONG[field.fieldKind];
  if (field.scalar === ScalarType.STRING) return WRONG.string;
  if (field.scalar === ScalarType.BYTES) return WRONG.bytes;
  if (field.scalar === ScalarType.UINT64) return WRONG.long;
  return field.scalar === ScalarType.BOOL ? WRONG.bool : WRONG.number;
}

/** Messages in JSON with one wrong field each, for every field however deep. */
function wrongMessages({ fields }: DescMessage): string[] {
  return fields.flatMap((field) => [
    ...wrongValues(field).map((value) => `{"${field.jsonName}":${value}}`),
    ...(field.fieldKind === "message" ? wrongMessages(field.message) : []).map(
      (inner) => `{"${field.jsonName}":${inner}}`,
    ),
  ]);
}

describe.for(rpcs)("%s", ([, rpc]) => {
  test("refuses every field of a wrong type, and JSON that is no message", async ({ agent }) => {
    const noMessages = ["", " ", "null", "1", '"x"', "[]", "[{}]", "{", '{"', "{}{}", "{,}", "{}x"];
    const wrong = [...wrongMessages(rpc.input), ...noMessages];

    const answers: string[] = [];
    for (const message of wrong) {
      const { status, code } = await callRaw(agent.url, rpc, message);
      answers.push(`${message} ${status} ${code}`);
    }

    const status = rpc.methodKind === "unary" ? 400 : 200;
    expect(answers).toEqual(wrong.map((message) => `${message} ${status} invalid_argument`));
  });

  test("refuses bytes that are no message", async ({ agent }) => {
    const groups = (depth: number) =>
      Buffer.concat([Buffer.alloc(depth, 0x7b), Buffer.alloc(depth, 0x7c)]);
    const noMessages = {
      "a tag that goes on for ever": Buffer.alloc(20, 0xff),
      "half a tag": Buffer.of(0x80),
      "the field number 0": Buffer.of(0x02, 0),
      "a wire type that is none": Buffer.of(0x7e, 0),
      "the end of a group that never began": Buffer.of(0x7c),
      "a group without an end": Buffer.of(0x7b),
      "groups of great depth": groups(100_000),
      "a length of 4 GiB": Buffer.of(0x7a, 0xff, 0xff, 0xff, 0xff, 0x0f),
      "a length beyond the end": Buffer.of(0x7a, 5, 0),
      "half a number of 64 bits": Buffer.of(0x79, 0, 0),
    };
    for (const [what, message] of Object.entries(noMessages)) {
      const { code } = await callRaw(agent.url, rpc, message, { codec: "proto" });
      expect(["invalid_argument", "internal"], what).toContain(code);
    }
  });

  test("refuses a message over 16 MiB, in both codecs and over both versions", async ({
    agent,
  }) => {
    for (const codec of codecs) {
      for (const version of httpVersions) {
        const message = Buffer.alloc(MESSAGE_BYTES + 1, " ");
        const { code } = await callRaw(agent.url, rpc, message, { codec, version });

        expect([codec, version, code]).toEqual([codec, version, "resource_exhausted"]);
      }
    }
  });
});

/** What each RPC says to a message without a field in it; WatchDir would begin to watch. */
const empties = {
  List: "ok",
  Connect: "unimplemented",
  Start: "invalid_argument",
  Update: "unimplemented",
  StreamInput: "ok",
  SendInput: "unimplemented",
  SendSignal: "unimplemented",
  CloseStdin: "unimplemented",
  Stat: "ok",
  MakeDir: "already_exists",
  Move: "ok",
  ListDir: "ok",
  CreateWatcher: "ok",
  GetWatcherEvents: "not_found",
  RemoveWatcher: "not_found",
  Remove: "ok",
};

test.for(Object.entries(empties))(
  "%s without any field is answered with %s, in either codec",
  async ([name, expected], { agent, place }) => {
    const rpc = method(name);
    const alone = rpc.input.fields.filter(({ oneof }) => oneof === undefined);
    const nulls = alone.map(({ jsonName }) => [jsonName, null] as const);
    const messages = [
      ["{}", "json"],
      [JSON.stringify(Object.fromEntries(nulls)), "json"],
      ["", "proto"],
    ] as const;
    for (const [message, codec] of messages) {
      mkdirSync(place, { recursive: true });
      expect((await callRaw(agent.url, rpc, message, { codec })).code).toBe(expected);
    }
  },
);

describe("JSON", () => {
  test("may hold fields that nobody knows, at any depth", async ({ agent, place }) => {
    const unknown = `"no_such":${"[".repeat(20_000)}${"]".repeat(20_000)},"other":{"a":null,"":[1e400]}`;
    const { code, messages } = await callRaw(
      agent.url,
      method("Start"),
      `{${unknown},"process":{${unknown},"cmd":"true"},"stdin":false}`,
    );

    expect(code).toBe("ok");
    expect(messages.at(-1)?.toString()).toContain('"exit status 0"');
    const stat = await callRaw(agent.url, method("Stat"), `{"path":"${place}",${unknown}}`);
    expect(stat.messages[0]?.toString()).toContain('"FILE_TYPE_DIRECTORY"');
  });

  test.for([
    ["snake_case", '"include_entry":true,"allow_network_mounts":true', '"watcher_id"'],
    ["camelCase", '"includeEntry":true,"allowNetworkMounts":true', '"watcherId"'],
  ] as const)("may name its fields in %s", async ([, options, id], { agent, place }) => {
    const request = `{"path":"${place}",${options}}`;
    const made = await callRaw(agent.url, method("CreateWatcher"), request);
    const { watcherId } = JSON.parse(String(made.messages[0])) as { watcherId: string };
    mkdirSync(`${place}/new`);

    const asked = await callRaw(agent.url, method("GetWatcherEvents"), `{${id}:"${watcherId}"}`);

    expect(asked.messages[0]?.toString()).toContain(`"path":"${place}/new"`);
  });

  test("may say a signal by its name or its number", async ({ agent }) => {
    for (const signal of ["9", '"SIGNAL_SIGKILL"', "15", '"SIGNAL_SIGTERM"', "9.0"]) {
      const sleep = await running(agent.process(), shell("exec sleep 100"));
      const request = `{"process":{"pid":"${sleep.pid}"},"signal":${signal}}`;

      expect((await callRaw(agent.url, method("SendSignal"), request)).code).toBe("ok");
      await sleep.rest();
    }
  });

  test("naming a signal that cannot be sent is unimplemented", async ({ agent }) => {
    const sleep = await running(agent.process(), shell("exec sleep 100"));
    for (const signal of ["0", "7", "-9", "2147483647", '"SIGNAL_X"', "null"]) {
      const request = `{"process":{"pid":${sleep.pid}},"signal":${signal}}`;

      expect((await callRaw(agent.url, method("SendSignal"), request)).code).toBe("unimplemented");
    }
    await agent.process().sendSignal({ process: sleep.selector, signal: Signal.SIGKILL });
    await sleep.rest();
  });

  test("may carry bytes in any base64, padded or not", async ({ agent }) => {
    const cat = await running(agent.process(), { process: { cmd: "cat" } });
    for (const base64 of ["+/8=", "-_8=", "+/8", "-_8", ""]) {
      const request = `{"process":{"pid":${cat.pid}},"input":{"stdin":"${base64}"}}`;
      expect((await callRaw(agent.url, method("SendInput"), request)).code).toBe("ok");
    }
    await agent.process().closeStdin({ process: cat.selector });
    const events = await cat.rest();

    const output = events.flatMap((event) =>
      event.case === "data" ? [event.value.output.value as Uint8Array] : [],
    );
    expect(Buffer.concat(output).toString("hex")).toBe("fbff".repeat(4));
  });

  test("that says one thing twice is refused", async ({ agent }) => {
    const twice = [
      ["Stat", '{"path":"/tmp","path":"/"}'],
      ["CloseStdin", '{"process":{"pid":1,"tag":"x"}}'],
      ["GetWatcherEvents", '{"watcherId":"a","watcher_id":"b"}'],
    ] as const;
    for (const [name, message] of twice) {
      expect((await callRaw(agent.url, method(name), message)).code).toBe("invalid_argument");
    }
  });
});

describe("text that is no UTF-8", () => {
  const bad = [
    ["a lone byte", Buffer.of(0xff)],
    ["half a character", Buffer.of(0xc3)],
    ["a surrogate", Buffer.of(0xed, 0xa0, 0x80)],
    ["a slash made long", Buffer.of(0xc0, 0xaf)],
  ] as const;

  test.for(bad)("and holds %s is answered in both codecs", async ([, bytes], { agent, place }) => {
    const path = Buffer.concat([Buffer.from(`${place}/`), bytes]);
    const json = Buffer.concat([Buffer.from('{"path":"'), path, Buffer.from('"}')]);
    const proto = new BinaryWriter().tag(1, WireType.LengthDelimited).bytes(path).finish();

    for (const name of ["Stat", "ListDir", "CreateWatcher"]) {
      const inJson = await callRaw(agent.url, method(name), json);
      const inBinary = await callRaw(agent.url, method(name), proto, { codec: "proto" });

      expect(inJson.code).toBe("not_found");
      expect(["invalid_argument", "internal"]).toContain(inBinary.code);
    }
  });
});

describe("what is as long as a message may be", () => {
  const long = "x".repeat(15 * MIB);
  const deep = "/x".repeat(7 * MIB);

  test.for(["h1-proto", "h2-json"] as const)(
    "a path over %s is refused, and shown to nobody",
    async (name, { agent, place }) => {
      const client = agent.filesystem(name);
      const paths = [`/${long}`, deep, `~${deep}`, "a/../".repeat(MIB), "/".repeat(4_096)];
      for (const path of paths) {
        const { code, message } = await failureOf(
          client.move({ source: place, destination: path }),
        );
        expect([code, message.length < 200]).toEqual([Code.InvalidArgument, true]);
      }
      const longest = `${"/.".repeat(2_047)}/`;
      expect((await client.stat({ path: longest })).entry).toMatchObject({ path: longest });
    },
  );

  test.for(["h1-json", "h2-proto", "grpc", "grpc-web"] as const)(
    "a name of something else over %s is told in few words",
    async (name, { agent }) => {
      const process = { selector: { case: "tag", value: long } } as const;
      const calls = [
        () => agent.filesystem(name).getWatcherEvents({ watcherId: long }),
        () => agent.process(name).closeStdin({ process }),
        () => start(agent.process(name), { process: { cmd: "true", args: [`\0${long}`] } }),
      ];
      for (const call of calls) {
        const { code, message } = await failureOf(call());
        expect([Code.NotFound, Code.InvalidArgument]).toContain(code);
        expect(message.length).toBeLessThan(5_000);
      }
      expect((await agent.process(name).list({})).processes).toEqual([]);
    },
  );

  test("a command, its arguments and its variables start nothing", async ({ agent }) => {
    const client = agent.process();
    const tooLong = [
      { cmd: long },
      { cmd: "true", args: [long] },
      { cmd: "true", args: Array.from({ length: MIB }, () => "") },
      { cmd: "true", envs: { LONG: long } },
      {
        cmd: "true",
        envs: Object.fromEntries(
          Array.from({ length: 100_000 }, (_, i) => [`V${i}`, "x".repeat(60)]),
        ),
      },
      { cmd: "true", cwd: deep },
    ];
    for (const process of tooLong) {
      const { code, message } = await failureOf(start(client, { process }));
      expect([code, message.length < 5_000]).toEqual([Code.InvalidArgument, true]);
    }
  });

  test("input of any length arrives", async ({ agent }) => {
    const count = await running(agent.process(), { process: { cmd: "wc", args: ["-c"] } });
    const message = create(SendInputRequestSchema, {
      process: count.selector,
      input: { input: { case: "stdin", value: Buffer.alloc(MESSAGE_BYTES - 24) } },
    });
    const bytes = toBinary(SendInputRequestSchema, message);

    expect((await callRaw(agent.url, method("SendInput"), bytes, { codec: "proto" })).code).toBe(
      "ok",
    );
    await agent.process().closeStdin({ process: count.selector });

    expect(text(await count.rest(), "stdout").trim()).toBe(String(MESSAGE_BYTES - 24));
  });
});

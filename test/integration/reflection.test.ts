import { createFileRegistry, fromBinary, type MessageInitShape } from "@bufbuild/protobuf";
import {
  type FileDescriptorProto,
  FileDescriptorProtoSchema,
  FileDescriptorSetSchema,
} from "@bufbuild/protobuf/wkt";
import { Code } from "@connectrpc/connect";
import { describe, expect } from "vitest";
import {
  ServerReflection,
  type ServerReflectionRequestSchema,
} from "../../gen/grpc/reflection/v1/reflection_pb.js";
import { ServerReflection as ServerReflectionAlpha } from "../../gen/grpc/reflection/v1alpha/reflection_pb.js";
import { type TestAgent, test } from "../helpers/agent.ts";
import { failureOf } from "../helpers/filesystem.ts";

type Question = NonNullable<
  MessageInitShape<typeof ServerReflectionRequestSchema>["messageRequest"]
>;

/** gRPC's number for NOT_FOUND. */
const NOT_FOUND = 5;

const versions = { v1: ServerReflection, v1alpha: ServerReflectionAlpha };

describe.for(["v1", "v1alpha"] as const)("reflection %s", (version) => {
  async function ask(agent: TestAgent, questions: Question[]) {
    const client = agent.client(versions[version] as typeof ServerReflection, "h2-proto");
    async function* requests() {
      for (const messageRequest of questions) yield { host: "a.host", messageRequest };
    }
    const answers = [];
    for await (const answer of client.serverReflectionInfo(requests())) answers.push(answer);
    return answers;
  }

  async function filesOf(agent: TestAgent, question: Question): Promise<FileDescriptorProto[]> {
    const [answer] = await ask(agent, [question]);
    if (answer?.messageResponse.case !== "fileDescriptorResponse") throw new Error("no files");
    return answer.messageResponse.value.fileDescriptorProto.map((bytes) =>
      fromBinary(FileDescriptorProtoSchema, bytes),
    );
  }

  test("repeats what was asked", async ({ agent }) => {
    const question = { case: "fileByFilename", value: "no.proto" } as const;

    const [answer] = await ask(agent, [question]);

    expect(answer).toMatchObject({
      validHost: "a.host",
      originalRequest: { host: "a.host", messageRequest: question },
    });
  });

  test("lists every service that is served", async ({ agent }) => {
    const [answer] = await ask(agent, [{ case: "listServices", value: "" }]);

    expect(answer?.messageResponse).toMatchObject({
      case: "listServicesResponse",
      value: {
        service: [
          { name: "filesystem.Filesystem" },
          { name: "grpc.reflection.v1.ServerReflection" },
          { name: "grpc.reflection.v1alpha.ServerReflection" },
          { name: "ports.Ports" },
          { name: "process.Process" },
          { name: "snapshot.Snapshot" },
        ],
      },
    });
  });

  test.for([
    ["a service", "process.Process", "process/process.proto"],
    ["a method", "filesystem.Filesystem.WatchDir", "filesystem/filesystem.proto"],
    ["a message", "process.StartRequest", "process/process.proto"],
    ["a message within another", "process.PTY.Size", "process/process.proto"],
    ["an enum", "filesystem.FileType", "filesystem/filesystem.proto"],
    ["a name with a dot in front", ".process.Signal", "process/process.proto"],
    ["an import", "google.protobuf.Timestamp", "google/protobuf/timestamp.proto"],
    [
      "itself",
      "grpc.reflection.v1alpha.ServerReflection",
      "grpc/reflection/v1alpha/reflection.proto",
    ],
  ] as const)("knows the file of %s", async ([, value, name], { agent }) => {
    const [file] = await filesOf(agent, { case: "fileContainingSymbol", value });

    expect(file?.name).toBe(name);
  });

  test("tells all that a client needs to call a service", async ({ agent }) => {
    const file = await filesOf(agent, {
      case: "fileContainingSymbol",
      value: "filesystem.Filesystem",
    });

    const set = { $typeName: FileDescriptorSetSchema.typeName, file: file.toReversed() };
    const service = createFileRegistry(set).getService("filesystem.Filesystem");
    expect(service?.methods.map(({ name }) => name)).toContain("WatchDir");
  });

  test.for([
    ["a symbol", { case: "fileContainingSymbol", value: "no.such.Symbol" }],
    ["an empty symbol", { case: "fileContainingSymbol", value: "" }],
    ["a file", { case: "fileByFilename", value: "../../etc/passwd" }],
    ["a property of every object", { case: "fileContainingSymbol", value: "constructor" }],
    [
      "an extension",
      {
        case: "fileContainingExtension",
        value: { containingType: "process.PTY", extensionNumber: 1 },
      },
    ],
    ["the extensions of a type", { case: "allExtensionNumbersOfType", value: "process.PTY" }],
  ] as const)("answers that %s is not found, and goes on", async ([, question], { agent }) => {
    const answers = await ask(agent, [question, { case: "listServices", value: "" }]);

    expect(answers[0]?.messageResponse).toMatchObject({
      case: "errorResponse",
      value: { errorCode: NOT_FOUND },
    });
    expect(answers[1]?.messageResponse.case).toBe("listServicesResponse");
  });

  test("answers a question that asks nothing", async ({ agent }) => {
    const [answer] = await ask(agent, [{ case: undefined }]);

    expect(answer?.messageResponse.case).toBe("errorResponse");
  });

  describe("with a token", () => {
    test.override({ config: { accessToken: "a-token" } });

    test("needs it", async ({ agent }) => {
      const reason = await failureOf(ask(agent, [{ case: "listServices", value: "" }]));

      expect(reason.code).toBe(Code.Unauthenticated);
    });
  });
});

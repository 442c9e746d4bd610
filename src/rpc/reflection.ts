import {
  type DescFile,
  type DescService,
  type MessageInitShape,
  toBinary,
} from "@bufbuild/protobuf";
import { FileDescriptorProtoSchema } from "@bufbuild/protobuf/wkt";
import type { ConnectRouter } from "@connectrpc/connect";
import {
  ServerReflection,
  type ServerReflectionRequest,
  type ServerReflectionResponseSchema,
} from "../../gen/grpc/reflection/v1/reflection_pb.js";
import { ServerReflection as ServerReflectionAlpha } from "../../gen/grpc/reflection/v1alpha/reflection_pb.js";

/** gRPC's number for NOT_FOUND, which the protocol asks for. */
const NOT_FOUND = 5;

type Answer = MessageInitShape<typeof ServerReflectionResponseSchema>;

/** Serves gRPC server reflection, v1 and v1alpha, for `services` and for itself. */
export function registerReflection(router: ConnectRouter, services: readonly DescService[]): void {
  const all = [...services, ServerReflection, ServerReflectionAlpha];
  const catalog = new Catalog(all);
  async function* serverReflectionInfo(requests: AsyncIterable<ServerReflectionRequest>) {
    for await (const request of requests) yield catalog.answer(request);
  }
  router.service(ServerReflection, { serverReflectionInfo });
  // The two versions differ in their package name only.
  router.service(ServerReflectionAlpha, { serverReflectionInfo } as never);
}

/** Everything the served descriptors define, by file and by name. */
class Catalog {
  readonly #services: readonly string[];
  readonly #files = new Map<string, DescFile>();
  readonly #symbols = new Map<string, DescFile>();

  constructor(services: readonly DescService[]) {
    this.#services = services.map((service) => service.typeName).toSorted();
    for (const { file } of services) this.#addFile(file);
  }

  answer(request: ServerReflectionRequest): Answer {
    const answer = { validHost: request.host, originalRequest: request };
    return { ...answer, messageResponse: this.#answerCase(request.messageRequest) };
  }

  #answerCase(
    request: ServerReflectionRequest["messageRequest"],
  ): NonNullable<Answer["messageResponse"]> {
    switch (request.case) {
      case "listServices": {
        const service = this.#services.map((name) => ({ name }));
        return { case: "listServicesResponse", value: { service } };
      }
      case "fileByFilename":
        return filesResponse(this.#files.get(request.value), `file "${request.value}"`);
      case "fileContainingSymbol": {
        const symbol = request.value.replace(/^\./, "");
        return filesResponse(this.#symbols.get(symbol), `symbol "${symbol}"`);
      }
      case "fileContainingExtension":
        return notFound(`extension of "${request.value.containingType}"`);
      case "allExtensionNumbersOfType":
        return notFound(`extensions of "${request.value}"`);
      default:
        return notFound("an empty request");
    }
  }

  #addFile(file: DescFile): void {
    if (this.#files.has(file.proto.name)) return;
    this.#files.set(file.proto.name, file);
    for (const service of file.services) {
      this.#symbols.set(service.typeName, file);
      for (const method of service.methods) {
        this.#symbols.set(`${service.typeName}.${method.name}`, file);
      }
    }
    for (const type of [...file.messages, ...file.enums]) this.#addType(type, file);
    for (const dependency of file.dependencies) this.#addFile(dependency);
  }

  #addType(type: DescFile["messages"][number] | DescFile["enums"][number], file: DescFile): void {
    this.#symbols.set(type.typeName, file);
    if (type.kind === "enum") return;
    for (const nested of [...type.nestedMessages, ...type.nestedEnums]) this.#addType(nested, file);
  }
}

/** `file` and everything it imports, so that a client needs one answer only. */
function filesResponse(file: DescFile | undefined, what: string) {
  if (file === undefined) return notFound(what);
  const needed = new Set<DescFile>();
  const add = (one: DescFile) => {
    if (needed.has(one)) return;
    needed.add(one);
    for (const dependency of one.dependencies) add(dependency);
  };
  add(file);
  const fileDescriptorProto = [...needed].map((one) =>
    toBinary(FileDescriptorProtoSchema, one.proto),
  );
  return { case: "fileDescriptorResponse", value: { fileDescriptorProto } } as const;
}

function notFound(what: string) {
  const value = { errorCode: NOT_FOUND, errorMessage: `${what} is not served here` };
  return { case: "errorResponse", value } as const;
}

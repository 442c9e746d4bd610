import type { MessageInitShape } from "@bufbuild/protobuf";
import type { HandlerContext, ServiceImpl } from "@connectrpc/connect";
import type {
  Filesystem,
  ReadFileRequest,
  ReadFileResponseSchema,
} from "../../gen/filesystem/filesystem_pb.js";
import { AgentError } from "../errors.ts";
import { FileReading, type ReadRequest } from "../filesystem/file-reading.ts";
import { statEntry } from "../filesystem/stat.ts";
import { Sha256 } from "../lib/sha256.ts";
import type { Users } from "../system/users.ts";
import { entryWriter } from "./filesystem-entry.ts";
import { pathOf } from "./path-of.ts";

const DEFAULT_CHUNK_BYTES = 256 * 1024;
const LEAST_CHUNK_BYTES = 4 * 1024;
const MOST_CHUNK_BYTES = 4 * 1024 * 1024;

type ReadMessage = MessageInitShape<typeof ReadFileResponseSchema>;

/** The part of filesystem.Filesystem that sends files. */
export function readMethods(users: Users): Pick<ServiceImpl<typeof Filesystem>, "readFile"> {
  return {
    async *readFile(message, context) {
      const request = toReadRequest(message, context);
      const { signal } = context;
      const reading = await FileReading.open(request, signal);
      const entry = entryWriter(context).write(await statEntry(request.path, users));
      if (reading instanceof FileReading) {
        yield { event: { case: "start", value: { entry, version: reading.version } } };
        yield* send(reading, signal);
      } else {
        yield { event: { case: "start", value: { entry } } };
        yield* sendWhole(reading);
      }
    },
  };
}

async function* send(reading: FileReading, signal: AbortSignal): AsyncIterable<ReadMessage> {
  // A generator that waits for a slow client does not get to its end when that client vanishes.
  const leave = () => void reading[Symbol.asyncDispose]();
  signal.addEventListener("abort", leave);
  try {
    signal.throwIfAborted();
    for (let chunk = await reading.next(); chunk !== undefined; chunk = await reading.next()) {
      yield { event: { case: "chunk", value: bytesOf(chunk) } };
      signal.throwIfAborted();
    }
    const { bytes, sha256 } = await reading.end();
    yield { event: { case: "end", value: { bytes: BigInt(bytes), sha256: bytesOf(sha256) } } };
  } finally {
    signal.removeEventListener("abort", leave);
    await reading[Symbol.asyncDispose]();
  }
}

async function* sendWhole(content: Buffer): AsyncIterable<ReadMessage> {
  const sum = new Sha256();
  await sum.update(content);
  if (content.length > 0) yield { event: { case: "chunk", value: bytesOf(content) } };
  const value = { bytes: BigInt(content.length), sha256: bytesOf(sum.digest()) };
  yield { event: { case: "end", value } };
}

function toReadRequest(
  { path, offset, length, chunkBytes, version, sumFrom }: ReadFileRequest,
  context: HandlerContext,
): ReadRequest {
  if (chunkBytes !== 0 && (chunkBytes < LEAST_CHUNK_BYTES || chunkBytes > MOST_CHUNK_BYTES)) {
    const rule = `${LEAST_CHUNK_BYTES} to ${MOST_CHUNK_BYTES}`;
    throw new AgentError("invalid", `chunk_bytes is ${chunkBytes}: give ${rule}, or 0`);
  }
  if (sumFrom !== undefined && sumFrom > offset) {
    throw new AgentError("invalid", `sum_from is ${sumFrom}: give at most the offset, ${offset}`);
  }
  return {
    path: pathOf(path, context),
    offset: Number(offset),
    length: length === undefined ? undefined : Number(length),
    chunkBytes: chunkBytes === 0 ? DEFAULT_CHUNK_BYTES : chunkBytes,
    sumFrom: sumFrom === undefined ? undefined : Number(sumFrom),
    version: version === "" ? undefined : version,
  };
}

/** The same bytes in the type that messages have. */
function bytesOf(bytes: Buffer): Uint8Array<ArrayBuffer> {
  return bytes as Uint8Array<ArrayBuffer>;
}

import { create, type MessageInitShape } from "@bufbuild/protobuf";
import type { HandlerContext, ServiceImpl } from "@connectrpc/connect";
import {
  type Filesystem,
  FileType,
  type ReadTreeResponseSchema,
  TreeEntrySchema,
  type WriteTreeRequest,
} from "../../gen/filesystem/filesystem_pb.js";
import { AgentError } from "../errors.ts";
import { type ListedEntry, listTree } from "../filesystem/list-tree.ts";
import { fromRawPath, type RawPath } from "../filesystem/raw-path.ts";
import { TreeReading } from "../filesystem/read-tree.ts";
import type { Uploads } from "../filesystem/uploads.ts";
import { type WriteTreeRequest as WriteRequest, writeTree } from "../filesystem/write-tree.ts";
import { inPieces } from "../lib/pieces.ts";
import { Sha256 } from "../lib/sha256.ts";
import { callerKey } from "./caller-key.ts";
import { toTimestamp } from "./filesystem-entry.ts";
import { pathOf } from "./path-of.ts";

/** How many bytes of a tar stream a message has. */
const CHUNK_BYTES = 256 * 1024;
/** How many paths that could not be looked at are told by name. */
const MOST_SKIPPED = 100;

type TreeMethods = Pick<ServiceImpl<typeof Filesystem>, "listTree" | "readTree" | "writeTree">;

/** The part of filesystem.Filesystem that is about whole trees. */
export function treeMethods(uploads: Uploads): TreeMethods {
  return {
    async *listTree({ path, withSha256 }, context) {
      const skipped: string[] = [];
      const onSkipped = (at: RawPath, reason: string) => {
        if (skipped.length < MOST_SKIPPED) skipped.push(`${fromRawPath(at)}: ${reason}`);
      };
      const options = { onSkipped, signal: context.signal };
      for await (const batch of listTree(pathOf(path, context), withSha256, options)) {
        if (batch.length > 0) yield { entries: batch.map(toTreeEntry) };
      }
      yield { isComplete: true, skipped };
    },
    async *readTree({ path, include }, context) {
      const reading = new TreeReading({ path: pathOf(path, context), include }, context.signal);
      yield* send(reading);
    },
    async writeTree(requests, context) {
      using _receiving = uploads.receiving();
      const { entries, bytes } = await receive(requests, uploads, context);
      return { entries: BigInt(entries), bytes: BigInt(bytes) };
    },
  };
}

async function* send(
  reading: TreeReading,
): AsyncIterable<MessageInitShape<typeof ReadTreeResponseSchema>> {
  const sum = new Sha256();
  for await (const piece of inPieces(reading.bytes(), CHUNK_BYTES)) {
    await sum.update(piece);
    yield { event: { case: "chunk", value: piece } };
  }
  const { entries, skipped } = reading;
  const sha256 = new Uint8Array(sum.digest());
  yield { event: { case: "end", value: { sha256, entries: BigInt(entries), skipped } } };
}

async function receive(
  requests: AsyncIterable<WriteTreeRequest>,
  uploads: Uploads,
  context: HandlerContext,
): Promise<{ entries: number; bytes: number }> {
  const messages = requests[Symbol.asyncIterator]();
  const { value: first } = await messages.next();
  if (first?.event.case !== "open") throw new AgentError("invalid", "open comes once, and first");
  const { path, keepOwners } = first.event.value;
  const request: WriteRequest = {
    path: pathOf(path, context),
    keepsOwners: keepOwners,
    user: context.values.get(callerKey).user(),
    locks: uploads.locks,
    signal: context.signal,
  };
  return await writeTree(request, tarBytes(messages));
}

/** The bytes up to `end`. A stream that ends without it was cut off. */
async function* tarBytes(messages: AsyncIterator<WriteTreeRequest>): AsyncIterable<Uint8Array> {
  const sum = new Sha256();
  for (;;) {
    const { value, done } = await messages.next();
    if (done === true) {
      throw new AgentError("wrong-state", "the stream ended without end: not all is unpacked");
    }
    const { event } = value;
    if (event.case === "chunk") {
      await sum.update(event.value);
      yield event.value;
    } else if (event.case === "end") {
      const { sha256 } = event.value;
      if (sha256.length === 0 || sum.digest().equals(sha256)) return;
      throw new AgentError("data-loss", "the tar stream that has arrived is not what was sent");
    } else throw new AgentError("invalid", `${event.case ?? "nothing"} between chunks`);
  }
}

function toTreeEntry({ path, stats, linkTarget, sha256 }: ListedEntry) {
  const entry = create(TreeEntrySchema);
  entry.path = fromRawPath(path);
  entry.type = typeOf(stats);
  entry.size = stats.size;
  entry.mode = Number(stats.mode) & 0o7777;
  const modifiedTime = toTimestamp(stats.mtimeNs);
  if (modifiedTime !== undefined) entry.modifiedTime = modifiedTime;
  entry.linkTarget = linkTarget === undefined ? "" : fromRawPath(linkTarget);
  entry.uid = Number(stats.uid);
  entry.gid = Number(stats.gid);
  if (sha256 !== undefined) entry.sha256 = new Uint8Array(sha256);
  return entry;
}

function typeOf(stats: ListedEntry["stats"]): FileType {
  if (stats.isFile()) return FileType.FILE;
  if (stats.isDirectory()) return FileType.DIRECTORY;
  return stats.isSymbolicLink() ? FileType.SYMLINK : FileType.UNSPECIFIED;
}

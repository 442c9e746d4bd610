import { createHash, randomBytes } from "node:crypto";
import type { MessageInitShape } from "@bufbuild/protobuf";
import { type Client, ConnectError } from "@connectrpc/connect";
import type {
  BeginUploadRequestSchema,
  CommitUploadResponse,
  Filesystem,
  WriteFileRequestSchema,
} from "../../gen/filesystem/filesystem_pb.js";
import { OffsetDetailSchema } from "../../gen/process/process_pb.js";

type Files = Client<typeof Filesystem>;
type Open = MessageInitShape<typeof BeginUploadRequestSchema>;

/** The checksum of what is sent and received. */
export function sha256(bytes: Uint8Array): Buffer {
  return createHash("sha256").update(bytes).digest();
}

/** An id that no other upload has. */
export function newUploadId(): string {
  return randomBytes(12).toString("base64url");
}

/** The offset that a failed call says it expects. */
export function expectedOffset(reason: unknown): number | undefined {
  const [detail] = ConnectError.from(reason).findDetails(OffsetDetailSchema);
  return detail === undefined ? undefined : Number(detail.expectedOffset);
}

/** Uploads `content` in chunks of unary calls, from where the agent says that it is. */
export async function uploadInChunks(
  client: Files,
  open: Open & { uploadId: string },
  content: Buffer,
  chunkBytes = 64 * 1024,
): Promise<CommitUploadResponse> {
  const { uploadId } = open;
  let { offset } = await client.beginUpload(open);
  while (Number(offset) < content.length) {
    const data = content.subarray(Number(offset), Number(offset) + chunkBytes);
    ({ offset } = await client.writeChunk({ uploadId, offset, data }));
  }
  const size = BigInt(content.length);
  return await client.commitUpload({ uploadId, size, sha256: sha256(content) });
}

/** The messages of a WriteFile that sends `content` from `from` on. */
export async function* writeFileMessages(
  open: Open,
  content: Buffer,
  { from = 0, chunkBytes = 64 * 1024, commits = true } = {},
): AsyncIterable<MessageInitShape<typeof WriteFileRequestSchema>> {
  yield { event: { case: "open", value: open } };
  for (let at = from; at < content.length; at += chunkBytes) {
    const data = content.subarray(at, at + chunkBytes);
    yield { event: { case: "chunk", value: { offset: BigInt(at), data } } };
  }
  if (!commits) return;
  const value = { size: BigInt(content.length), sha256: sha256(content) };
  yield { event: { case: "commit", value } };
}

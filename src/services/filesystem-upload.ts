import type { MessageInitShape } from "@bufbuild/protobuf";
import type { HandlerContext, ServiceImpl } from "@connectrpc/connect";
import type {
  BeginUploadRequest,
  CommitUploadResponseSchema,
  Filesystem,
  WriteFileRequest,
} from "../../gen/filesystem/filesystem_pb.js";
import { AgentError } from "../errors.ts";
import type { CommittedUpload } from "../filesystem/committed-uploads.ts";
import type { UploadPlan } from "../filesystem/resumable-upload.ts";
import type { Uploads } from "../filesystem/uploads.ts";
import { callerKey } from "./caller-key.ts";
import { entryWriter, toNanoseconds } from "./filesystem-entry.ts";
import { pathOf } from "./path-of.ts";

/** The most bytes of one chunk. */
const CHUNK_BYTES = 4 * 1024 * 1024;
const MODE_BITS = 0o7777;

type UploadMethods = Pick<
  ServiceImpl<typeof Filesystem>,
  "writeFile" | "beginUpload" | "writeChunk" | "commitUpload" | "cancelUpload"
>;

/** The part of filesystem.Filesystem that receives files. */
export function uploadMethods(uploads: Uploads): UploadMethods {
  return {
    async writeFile(requests, context) {
      return { committed: await receive(uploads, requests, context) };
    },
    async beginUpload(request, context) {
      const plan = toPlan(request, context);
      const offset = await uploads.begin(request.uploadId, plan, context.signal);
      return { offset: BigInt(offset) };
    },
    async writeChunk({ uploadId, offset, data }, { signal }) {
      const arrived = await uploads.write(uploadId, toChunk(offset, data), signal);
      return { offset: BigInt(arrived) };
    },
    async commitUpload({ uploadId, ...content }, context) {
      const committed = await uploads.commit(uploadId, toContent(content), context.signal);
      return toCommitted(committed, context);
    },
    async cancelUpload({ uploadId }, { signal }) {
      await uploads.cancel(uploadId, signal);
      return {};
    },
  };
}

/** A file in one call. What ends without `commit` may have been cut off, and is not put in place. */
async function receive(
  uploads: Uploads,
  requests: AsyncIterable<WriteFileRequest>,
  context: HandlerContext,
): Promise<MessageInitShape<typeof CommitUploadResponseSchema>> {
  const { signal } = context;
  let id: string | undefined;
  let held: AsyncDisposable | undefined;
  let arrived = 0;
  try {
    for await (const { event } of requests) {
      if (event.case === "open" && id === undefined) {
        id = event.value.uploadId;
        arrived = await uploads.begin(id, toPlan(event.value, context), signal);
        held = uploads.hold(id);
      } else if (event.case === "open" || event.case === undefined || id === undefined) {
        throw new AgentError("invalid", `${event.case ?? "nothing"}: open comes once, and first`);
      } else if (event.case === "chunk") {
        const { offset, data } = event.value;
        arrived = await uploads.write(id, toChunk(offset, data), signal);
      } else {
        return toCommitted(await uploads.commit(id, toContent(event.value), signal), context);
      }
    }
  } finally {
    await held?.[Symbol.asyncDispose]();
  }
  throw new AgentError(
    "wrong-state",
    `the stream ended without commit: nothing is written; ${arrived} bytes have arrived`,
  );
}

function toPlan(request: BeginUploadRequest, context: HandlerContext): UploadPlan {
  const { mode, uid, gid, size, modifiedTime } = request;
  if (mode !== undefined && mode > MODE_BITS) {
    throw new AgentError("invalid", `mode 0${mode.toString(8)} has more than permission bits`);
  }
  const modifiedNs = modifiedTime === undefined ? undefined : toNanoseconds(modifiedTime);
  return {
    path: pathOf(request.path, context),
    bytes: size === undefined ? undefined : Number(size),
    attributes: { mode, uid, gid, modifiedNs },
    user: context.values.get(callerKey).user(),
  };
}

function toChunk(offset: bigint, bytes: Uint8Array): { offset: number; bytes: Uint8Array } {
  if (bytes.length > CHUNK_BYTES) {
    const message = `a chunk of ${bytes.length} bytes: send at most ${CHUNK_BYTES} at once`;
    throw new AgentError("invalid", message);
  }
  return { offset: Number(offset), bytes };
}

function toContent({ size, sha256 }: { size: bigint; sha256: Uint8Array }) {
  return { bytes: Number(size), sha256: sha256.length === 0 ? undefined : sha256 };
}

function toCommitted(
  { entry, sha256, isAtomic }: CommittedUpload,
  context: HandlerContext,
): MessageInitShape<typeof CommitUploadResponseSchema> {
  return { entry: entryWriter(context).write(entry), sha256: new Uint8Array(sha256), isAtomic };
}

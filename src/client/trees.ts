import { createHash } from "node:crypto";
import { timestampDate } from "@bufbuild/protobuf/wkt";
import type { Client } from "@connectrpc/connect";
import { type Filesystem, FileType, type TreeEntry } from "../../gen/filesystem/filesystem_pb.js";
import { GuestError, toFailure } from "./errors.ts";
import { EventStream } from "./event-stream.ts";
import { type PatienceOptions, untilAnswered } from "./patience.ts";
import { Taking } from "./taking.ts";

/** How much of a tar stream travels in one message. */
const CHUNK_BYTES = 256 * 1024;
/** How long a tar stream may stand still, in ms. The guest may read or write what takes a while. */
const STALL_MS = 60_000;
/** How long a listing may take, in ms; with checksums every file is read. */
const LIST_MS = 600_000;

/** What a path of a tree is. */
export interface TreePath {
  /** Relative to the directory, with `/` between its parts. */
  path: string;
  kind: "file" | "directory" | "symlink" | "other";
  /** In bytes. */
  size: number;
  /** Permission bits, with setuid, setgid and sticky. */
  mode: number;
  modifiedAt: Date | undefined;
  /** What a link says. */
  linkTarget: string;
  uid: number;
  gid: number;
  /** Only of files, when asked for. */
  sha256: Uint8Array | undefined;
}

/** How a directory is listed. */
export interface ListTreeOptions extends PatienceOptions {
  /** Told what could not be looked at and is not in the list, with the reasons, at most 100. */
  onSkipped?: ((skipped: string[]) => void) | undefined;
}

const KINDS: Partial<Record<FileType, TreePath["kind"]>> = {
  [FileType.FILE]: "file",
  [FileType.DIRECTORY]: "directory",
  [FileType.SYMLINK]: "symlink",
};

/** Whole directories of a guest. */
export class Trees {
  readonly #client: Client<typeof Filesystem>;

  /** `client` must have no deadline. */
  constructor(client: Client<typeof Filesystem>) {
    this.#client = client;
  }

  /** All that is below a directory, parents before children. Asked again when it is cut off. */
  list(path: string, withSha256: boolean, options: ListTreeOptions): Promise<TreePath[]> {
    const call = async (call: object) => {
      const entries: TreePath[] = [];
      for await (const part of this.#client.listTree({ path, withSha256 }, call)) {
        entries.push(...part.entries.map(toTreePath));
        if (!part.isComplete) continue;
        if (part.skipped.length > 0) options.onSkipped?.(part.skipped);
        return entries;
      }
      throw new GuestError("unreachable", `the listing of ${path} was cut off`);
    };
    return untilAnswered(call, { ...options, attemptMs: LIST_MS });
  }

  /** A directory as a tar stream. Returns what could not be read, with the reason. */
  async *read(
    path: string,
    include: readonly string[],
    signal: AbortSignal | undefined,
  ): AsyncGenerator<Uint8Array, string[]> {
    const hash = createHash("sha256");
    const request = { path, include: [...include] };
    const open = (signal: AbortSignal) => this.#client.readTree(request, { signal });
    using stream = new EventStream(open, { signal, stallMs: STALL_MS });
    try {
      for (;;) {
        const { event } = await stream.next();
        if (event.case === "chunk") {
          hash.update(event.value);
          yield event.value;
        } else if (event.case === "end") {
          checkSum(path, hash.digest(), event.value.sha256);
          return event.value.skipped;
        }
      }
    } catch (reason) {
      signal?.throwIfAborted();
      throw toFailure(reason);
    }
  }

  /** Unpacks a tar stream into a directory. */
  async write(
    path: string,
    tar: AsyncIterable<Uint8Array>,
    { keepOwners, signal }: { keepOwners: boolean; signal: AbortSignal | undefined },
  ): Promise<{ entries: number; bytes: number }> {
    using taking = new Taking(signal);
    const limits = { takeMs: STALL_MS, answerMs: STALL_MS };
    const messages = taking.watch(toMessages({ path, keepOwners }, tar), limits);
    try {
      const { entries, bytes } = await this.#client.writeTree(messages, { signal: taking.signal });
      return { entries: Number(entries), bytes: Number(bytes) };
    } catch (reason) {
      signal?.throwIfAborted();
      throw taking.failureOf(reason);
    }
  }
}

function checkSum(path: string, arrived: Buffer, sent: Uint8Array): void {
  if (arrived.equals(sent)) return;
  throw new GuestError("failed", `${path}: what has arrived is not what was sent`);
}

async function* toMessages(
  open: { path: string; keepOwners: boolean },
  tar: AsyncIterable<Uint8Array>,
) {
  const hash = createHash("sha256");
  yield { event: { case: "open" as const, value: open } };
  for await (const part of tar) {
    for (let at = 0; at < part.length; at += CHUNK_BYTES) {
      const value = new Uint8Array(part.subarray(at, at + CHUNK_BYTES));
      hash.update(value);
      yield { event: { case: "chunk" as const, value } };
    }
  }
  const sha256 = new Uint8Array(hash.digest());
  yield { event: { case: "end" as const, value: { sha256 } } };
}

function toTreePath(entry: TreeEntry): TreePath {
  const { path, type, size, mode, modifiedTime, linkTarget, uid, gid, sha256 } = entry;
  return {
    path,
    kind: KINDS[type] ?? "other",
    size: Number(size),
    mode,
    modifiedAt: modifiedTime === undefined ? undefined : timestampDate(modifiedTime),
    linkTarget,
    uid,
    gid,
    sha256: sha256.length === 0 ? undefined : sha256,
  };
}

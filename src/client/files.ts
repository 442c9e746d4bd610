import type { Client } from "@connectrpc/connect";
import type { EntryInfo, Filesystem } from "../../gen/filesystem/filesystem_pb.js";
import { asGuestError, GuestError } from "./errors.ts";
import type { PlainAnswer, PlainHttp } from "./plain-http.ts";

const KINDS: Record<number, GuestError["kind"]> = {
  400: "invalid",
  401: "unauthenticated",
  404: "not-found",
  409: "already-exists",
  507: "exhausted",
};

/** The guest's files. Paths that are not absolute begin at the user's home. */
export class GuestFiles {
  readonly #client: Client<typeof Filesystem>;
  readonly #plain: PlainHttp;
  readonly #headersMs: number;

  constructor(client: Client<typeof Filesystem>, plain: PlainHttp, headersMs: number) {
    this.#client = client;
    this.#plain = plain;
    this.#headersMs = headersMs;
  }

  /** The whole content of a file. */
  async read(path: string, signal?: AbortSignal): Promise<Buffer> {
    const request = { path: filesPath(path), headersMs: this.#headersMs, signal };
    return checked(path, await this.#plain.request(request)).body;
  }

  /** Gives a file this content: it is the old one or the new one, and never a mix. */
  async write(path: string, content: string | Uint8Array, signal?: AbortSignal): Promise<void> {
    const answer = await this.#plain.request({
      method: "POST",
      path: filesPath(path),
      body: content,
      contentType: "application/octet-stream",
      headersMs: this.#headersMs,
      signal,
    });
    checked(path, answer);
  }

  /** What is in a directory. */
  async list(path: string): Promise<EntryInfo[]> {
    return (await asGuestError(() => this.#client.listDir({ path, depth: 1 }))).entries;
  }

  /** What is at a path. Throws `not-found`. */
  async stat(path: string): Promise<EntryInfo> {
    const { entry } = await asGuestError(() => this.#client.stat({ path }));
    if (entry === undefined) throw new GuestError("failed", `${path}: the guest told nothing`);
    return entry;
  }

  /** Removes what is at a path, directories with all that is in them. */
  async remove(path: string): Promise<void> {
    await asGuestError(() => this.#client.remove({ path }));
  }
}

function filesPath(path: string): string {
  return `/files?${new URLSearchParams({ path }).toString()}`;
}

function checked(path: string, answer: PlainAnswer): PlainAnswer {
  if (answer.status < 300) return answer;
  const kind = KINDS[answer.status] ?? "failed";
  throw new GuestError(kind, `${path}: ${answer.status} ${answer.body.toString().trim()}`);
}

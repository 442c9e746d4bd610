import { randomBytes } from "node:crypto";
import { timestampNow } from "@bufbuild/protobuf/wkt";
import type { Client } from "@connectrpc/connect";
import type {
  PrepareResponse,
  RestoreResponse,
  Snapshot,
  StatusResponse,
} from "../../gen/snapshot/snapshot_pb.js";
import { asGuestError, GuestError, toGuestError } from "./errors.ts";
import { withSignal } from "./patience.ts";
import type { PlainHttp, PlainRequest } from "./plain-http.ts";

/** A pause cannot wait longer, in ms; one without Prepare heals as well. */
const PREPARE_MS = 3_000;
/** How long `/init` may take, in ms. */
const INIT_MS = 30_000;
const ENTROPY_BYTES = 64;

/** What a snapshot is done with. */
export interface SnapshotParts {
  unary: Client<typeof Snapshot>;
  streaming: Client<typeof Snapshot>;
  plain: PlainHttp;
  /** Closes the caller's own idle connections. */
  closeIdle(): void;
}

/** The guest's way through snapshots. */
export class GuestSnapshots {
  readonly #parts: SnapshotParts;

  constructor(parts: SnapshotParts) {
    this.#parts = parts;
  }

  /**
   * Brings the guest to rest, within 3 s. An agent that only knows `POST /snapshot/prepare` is
   * asked that way, and then nothing is known of what is left: `undefined`.
   */
  async prepare(signal?: AbortSignal): Promise<PrepareResponse | undefined> {
    const { unary, closeIdle } = this.#parts;
    // Their FINs arrive while the guest waits for its sockets to be gone.
    closeIdle();
    const end = performance.now() + PREPARE_MS;
    try {
      return await unary.prepare({}, { timeoutMs: PREPARE_MS, ...withSignal(signal) });
    } catch (reason) {
      signal?.throwIfAborted();
      const error = toGuestError(reason);
      if (error.kind !== "unsupported") throw error;
      const headersMs = Math.max(1, end - performance.now());
      await this.#post({ path: "/snapshot/prepare", headersMs, signal });
      return undefined;
    }
  }

  /**
   * Says that the guest was restored: gives it the time and random bytes of the host. `aborted`:
   * the pause did not come about. An agent that only knows `/init` is told that way: `undefined`.
   */
  async restore({
    aborted = false,
    signal,
  }: {
    aborted?: boolean | undefined;
    signal?: AbortSignal | undefined;
  } = {}): Promise<RestoreResponse | undefined> {
    const { unary } = this.#parts;
    const request = {
      timestamp: timestampNow(),
      entropy: randomBytes(ENTROPY_BYTES),
      aborted,
    };
    // A pause that did not come about must not be made longer by a guest that does not answer.
    const limit = aborted ? { timeoutMs: PREPARE_MS } : {};
    try {
      return await unary.restore(request, { ...limit, ...withSignal(signal) });
    } catch (reason) {
      signal?.throwIfAborted();
      const error = toGuestError(reason);
      if (error.kind !== "unsupported") throw error;
      await this.init({ timestamp: new Date().toISOString() }, signal);
      return undefined;
    }
  }

  /** Tells the guest what its host has to say; the fields are those of the envd contract. */
  async init(settings: Readonly<Record<string, unknown>>, signal?: AbortSignal): Promise<void> {
    const headers = { "content-type": "application/json" };
    const body = JSON.stringify(settings);
    await this.#post({ path: "/init", headers, body, headersMs: INIT_MS, signal });
  }

  /** Its connections, what keeps it awake, and where in a snapshot's life it is. */
  status(signal?: AbortSignal): Promise<StatusResponse> {
    return asGuestError(() => this.#parts.unary.status({}, withSignal(signal)), signal);
  }

  /** The status now and after each change, until `signal` aborts. */
  async *watch(signal: AbortSignal): AsyncIterable<StatusResponse> {
    try {
      for await (const { status } of this.#parts.streaming.watch({}, { signal })) {
        if (status !== undefined) yield status;
      }
    } catch (reason) {
      if (!signal.aborted) throw toGuestError(reason);
    }
  }

  async #post(request: PlainRequest): Promise<void> {
    const { status, body } = await this.#parts.plain.request({ ...request, method: "POST" });
    if (status < 300) return;
    const kind = status === 401 ? "unauthenticated" : "failed";
    throw new GuestError(kind, `${request.path}: ${status} ${body.toString().trim()}`);
  }
}

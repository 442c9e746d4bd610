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
import type { PlainHttp } from "./plain-http.ts";

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
  async prepare(): Promise<PrepareResponse | undefined> {
    const { unary, closeIdle } = this.#parts;
    // Their FINs arrive while the guest waits for its sockets to be gone.
    closeIdle();
    const end = performance.now() + PREPARE_MS;
    try {
      return await unary.prepare({}, { timeoutMs: PREPARE_MS });
    } catch (reason) {
      const error = toGuestError(reason);
      if (error.kind !== "unsupported") throw error;
      await this.#post("/snapshot/prepare", "", Math.max(1, end - performance.now()));
      return undefined;
    }
  }

  /**
   * Says that the guest was restored: gives it the time and random bytes of the host. `aborted`:
   * the pause did not come about. An agent that only knows `/init` is told that way: `undefined`.
   */
  async restore(options: { aborted?: boolean } = {}): Promise<RestoreResponse | undefined> {
    const { unary } = this.#parts;
    const request = {
      timestamp: timestampNow(),
      entropy: randomBytes(ENTROPY_BYTES),
      aborted: options.aborted === true,
    };
    try {
      // A pause that did not come about must not be made longer by a guest that does not answer.
      return await unary.restore(request, request.aborted ? { timeoutMs: PREPARE_MS } : {});
    } catch (reason) {
      const error = toGuestError(reason);
      if (error.kind !== "unsupported") throw error;
      await this.init({ timestamp: new Date().toISOString() });
      return undefined;
    }
  }

  /** Tells the guest what its host has to say; the fields are those of the envd contract. */
  async init(settings: Readonly<Record<string, unknown>>): Promise<void> {
    await this.#post("/init", JSON.stringify(settings), INIT_MS);
  }

  /** Its connections, what keeps it awake, and where in a snapshot's life it is. */
  status(): Promise<StatusResponse> {
    return asGuestError(() => this.#parts.unary.status({}));
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

  async #post(path: string, body: string, headersMs: number): Promise<void> {
    const request = { method: "POST" as const, path, body, headersMs };
    const type = body === "" ? {} : { contentType: "application/json" };
    const answer = await this.#parts.plain.request({ ...request, ...type });
    if (answer.status < 300) return;
    const kind = answer.status === 401 ? "unauthenticated" : "failed";
    throw new GuestError(kind, `${path}: ${answer.status} ${answer.body.toString().trim()}`);
  }
}

import type { DescService } from "@bufbuild/protobuf";
import { type Client, createClient } from "@connectrpc/connect";
import { Filesystem } from "../../gen/filesystem/filesystem_pb.js";
import { Ports } from "../../gen/ports/ports_pb.js";
import { Process } from "../../gen/process/process_pb.js";
import { Snapshot } from "../../gen/snapshot/snapshot_pb.js";
import { sleep } from "../lib/sleep.ts";
import { GuestError } from "./errors.ts";
import { GuestFiles } from "./files.ts";
import { type PlainAnswer, PlainHttp } from "./plain-http.ts";
import { GuestPorts } from "./ports.ts";
import { GuestProcesses } from "./process.ts";
import { GuestSnapshots } from "./snapshot.ts";
import { Transports } from "./transport.ts";

const DEADLINE_MS = 120_000;
const HEADERS_MS = 30_000;
const STALL_MS = 10_000;
const READY_MS = 30_000;
const READY_POLL_MS = 100;
/** A connection attempt towards a machine that does not run yet is not worth more, in ms. */
const READY_ATTEMPT_MS = 1_000;

/** Who calls, and for how long. */
export interface GuestOptions {
  /** The access token. Default: none is sent. */
  token?: string;
  /** Whom programs and files are for. Default: the guest's default user. */
  user?: string;
  /** How long a unary call may take, in ms. Default 120,000. Streams have no limit. */
  deadlineMs?: number;
  /** How long the guest may take to begin an answer, in ms. Default 30,000. */
  headersMs?: number;
  /** How long a file that is read or written may stand still, in ms. Default 10,000. */
  stallMs?: number;
  /** What calls are made over; plain paths always go over HTTP/1. Default "2", also without TLS. */
  httpVersion?: "1.1" | "2";
}

/** A guest, seen from its host. Opens connections when they are needed. */
export class Guest implements Disposable {
  readonly url: string;
  readonly process: GuestProcesses;
  readonly files: GuestFiles;
  readonly ports: GuestPorts;
  readonly snapshot: GuestSnapshots;
  readonly #transports: Transports;
  readonly #plain: PlainHttp;
  readonly #headersMs: number;

  constructor(url: string, options: GuestOptions = {}) {
    this.url = url;
    const { deadlineMs = DEADLINE_MS, headersMs = HEADERS_MS, stallMs = STALL_MS } = options;
    const { httpVersion = "2" } = options;
    const headers = headersOf(options);
    this.#headersMs = headersMs;
    this.#plain = new PlainHttp(url, headers, stallMs);
    const onRestored = () => this.#plain.closeIdle();
    const limits = { deadlineMs, headersMs, httpVersion };
    this.#transports = new Transports(url, { headers, ...limits, onRestored });
    const unary = <S extends DescService>(service: S): Client<S> =>
      createClient(service, this.#transports.unary);
    const streaming = <S extends DescService>(service: S): Client<S> =>
      createClient(service, this.#transports.streaming);
    this.process = new GuestProcesses(unary(Process), streaming(Process));
    this.files = new GuestFiles({
      unary: unary(Filesystem),
      streaming: streaming(Filesystem),
      plain: this.#plain,
      headersMs,
      canStreamUp: httpVersion === "2",
    });
    this.ports = new GuestPorts(unary(Ports), streaming(Ports));
    this.snapshot = new GuestSnapshots({
      unary: unary(Snapshot),
      streaming: streaming(Snapshot),
      plain: this.#plain,
      closeIdle: () => this.closeIdleConnections(),
    });
  }

  /** Asks every 100 ms until the guest answers. Rejects with `timeout` after 30,000 ms by default. */
  async waitUntilReady(options: { timeoutMs?: number; signal?: AbortSignal } = {}): Promise<void> {
    const { timeoutMs = READY_MS, signal } = options;
    const end = performance.now() + timeoutMs;
    for (;;) {
      signal?.throwIfAborted();
      const left = end - performance.now();
      try {
        await this.#health(Math.min(READY_ATTEMPT_MS, Math.max(1, left)), signal);
        return;
      } catch (cause) {
        if (signal?.aborted === true) throw signal.reason;
        if (performance.now() + READY_POLL_MS > end) {
          const message = `${this.url} was not ready within ${timeoutMs} ms`;
          throw new GuestError("timeout", message, { cause });
        }
      }
      await sleep(READY_POLL_MS, signal);
    }
  }

  /** The version of envd's contract that the guest speaks; "" when it does not say. */
  async version(signal?: AbortSignal): Promise<string> {
    const { body, headers } = await this.#health(this.#headersMs, signal);
    if (body.length === 0) return String(headers["x-envd-version"] ?? "");
    return (JSON.parse(body.toString()) as { version?: string }).version ?? "";
  }

  /** Closes connections on which nothing goes on. */
  closeIdleConnections(): void {
    this.#transports.closeIdle();
    this.#plain.closeIdle();
  }

  /** Closes every connection, as those towards a machine that is gone. The next call opens anew. */
  dropConnections(): void {
    this.#transports.drop();
    this.#plain.drop();
  }

  /** The same: a guest without connections needs no end of its own. */
  [Symbol.dispose](): void {
    this.dropConnections();
  }

  async #health(headersMs: number, signal?: AbortSignal): Promise<PlainAnswer> {
    const answer = await this.#plain.request({ path: "/health", headersMs, signal });
    if (answer.status >= 300) throw new GuestError("failed", `/health: ${answer.status}`);
    return answer;
  }
}

function headersOf({ token, user }: GuestOptions): Record<string, string> {
  const headers: Record<string, string> = {};
  if (token !== undefined) headers["x-access-token"] = token;
  if (user !== undefined) {
    headers["authorization"] = `Basic ${Buffer.from(`${user}:`).toString("base64")}`;
  }
  return headers;
}

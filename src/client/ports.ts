import type { Duplex } from "node:stream";
import type { MessageInitShape } from "@bufbuild/protobuf";
import type { Client } from "@connectrpc/connect";
import type { ForwardRequestSchema, Ports } from "../../gen/ports/ports_pb.js";
import { asGuestError, GuestError, toGuestError } from "./errors.ts";
import { EventStream } from "./event-stream.ts";
import { anySignal, withSignal } from "./patience.ts";

const KEEPALIVE_S = 5;
const SILENT_INTERVALS = 3;

/** Something that listens on TCP in the guest. */
export interface Listener {
  /** As in "127.0.0.1" or "::". */
  address: string;
  port: number;
  /** Who listens; 0 when that cannot be known. */
  pid: number;
  /** Its command line, cut to 256 characters. */
  command: string;
  /** Where the agent makes it reachable from outside; "" when it does not. */
  forwardedAt: string;
}

type Sent = MessageInitShape<typeof ForwardRequestSchema>;

/** What listens inside the guest. */
export class GuestPorts {
  readonly #unary: Client<typeof Ports>;
  readonly #streaming: Client<typeof Ports>;

  /** `streaming` must have no deadline, and go over HTTP/2. */
  constructor(unary: Client<typeof Ports>, streaming: Client<typeof Ports>) {
    this.#unary = unary;
    this.#streaming = streaming;
  }

  /** What listens on TCP, by port. */
  async list(signal?: AbortSignal): Promise<Listener[]> {
    const { listeners } = await asGuestError(() => this.#unary.list({}, withSignal(signal)));
    return listeners.map(({ address, port, pid, command, forwardedAt }) => {
      return { address, port, pid, command, forwardedAt };
    });
  }

  /**
   * Carries `socket` to a port of the guest's loopback, or of `host` as the guest sees it. Each
   * direction ends by itself. Resolves when both have; when the way is cut, `socket` is reset and a
   * `GuestError` thrown. Owns `socket` from here on, which should be half-open as `allowHalfOpen` makes
   * it. Needs HTTP/2.
   */
  async forward(
    socket: Duplex & { resetAndDestroy?(): void },
    port: number,
    { host = "", signal }: { host?: string; signal?: AbortSignal } = {},
  ): Promise<void> {
    const headers = { "keepalive-ping-interval": String(KEEPALIVE_S) };
    const gone = new AbortController();
    const onGone = () => gone.abort(new GuestError("canceled", "the local connection is gone"));
    const onClose = () => {
      if (!socket.readableEnded || !socket.writableFinished) onGone();
    };
    socket.once("error", onGone);
    socket.once("close", onClose);
    const stream = new EventStream(
      (signal) => this.#streaming.forward(toMessages(socket, { host, port }), { signal, headers }),
      { signal: anySignal(gone.signal, signal), stallMs: KEEPALIVE_S * SILENT_INTERVALS * 1_000 },
    );
    try {
      await receive(stream, socket);
    } catch (reason) {
      if (socket.resetAndDestroy === undefined) socket.destroy();
      else socket.resetAndDestroy();
      if (signal?.aborted === true) throw signal.reason;
      throw toGuestError(gone.signal.aborted ? gone.signal.reason : reason);
    } finally {
      socket.off("close", onClose);
      stream.close();
    }
  }
}

async function* toMessages(
  socket: Duplex,
  open: { host: string; port: number },
): AsyncGenerator<Sent> {
  yield { event: { case: "open", value: open } };
  for await (const bytes of socket.iterator({ destroyOnReturn: false })) {
    yield { event: { case: "data", value: bytes as Uint8Array<ArrayBuffer> } };
  }
  yield { event: { case: "end", value: {} } };
}

async function receive(
  stream: EventStream<{ event: { case: string | undefined; value?: unknown } }>,
  socket: Duplex,
): Promise<void> {
  for (;;) {
    const { event } = await stream.next();
    if (event.case === "data" && !socket.write(event.value)) await drained(socket);
    if (event.case === "end") break;
  }
  socket.end();
  // The guest ends the call when the other direction has ended as well.
  await stream.ended();
}

/** Resolves when there is room, or when nobody takes anything any more. */
function drained(socket: Duplex): Promise<void> {
  return new Promise((resolve) => {
    const settle = () => {
      socket.off("drain", settle);
      socket.off("close", settle);
      resolve();
    };
    socket.once("drain", settle);
    socket.once("close", settle);
  });
}

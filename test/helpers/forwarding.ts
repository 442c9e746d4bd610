import type { MessageInitShape } from "@bufbuild/protobuf";
import { type CallOptions, createClient } from "@connectrpc/connect";
import {
  type ForwardRequest_Open,
  type ForwardRequestSchema,
  type ForwardResponse,
  Ports,
} from "../../gen/ports/ports_pb.js";
import type { HeldConnection } from "./held-connection.ts";

type Event = NonNullable<MessageInitShape<typeof ForwardRequestSchema>["event"]>;

/** One call of Forward, driven by hand. */
export class Forwarding {
  readonly #answers: AsyncIterator<ForwardResponse>;
  #give: (event: Event | undefined) => Promise<void>;

  private constructor(
    connection: HeldConnection,
    open: Partial<ForwardRequest_Open>,
    options: CallOptions,
  ) {
    const queue = new Handover<Event>();
    this.#give = (event) => queue.give(event);
    async function* requests() {
      yield { event: { case: "open" as const, value: { host: "", port: 0, ...open } } };
      for await (const event of queue.taken()) yield { event };
    }
    const client = createClient(Ports, connection.transport);
    this.#answers = client.forward(requests(), options)[Symbol.asyncIterator]();
  }

  /** Opens it and waits until the connection inside is there. */
  static async open(
    connection: HeldConnection,
    open: Partial<ForwardRequest_Open>,
    options: CallOptions = {},
  ): Promise<Forwarding> {
    const forwarding = new Forwarding(connection, open, options);
    const first = await forwarding.next();
    if (first?.case !== "opened") throw new Error(`${first?.case} came first`);
    return forwarding;
  }

  /** The next event; `undefined` at the end of the call. Throws what the call fails with. */
  async next(): Promise<ForwardResponse["event"] | undefined> {
    const { done, value } = await this.#answers.next();
    return done === true ? undefined : value.event;
  }

  /** Sends bytes; resolves when they were taken from here. */
  send(value: Uint8Array): Promise<void> {
    return this.#give({ case: "data", value });
  }

  /** Sends any event. */
  give(event: Event): Promise<void> {
    return this.#give(event);
  }

  /** Says that nothing more comes, and ends the stream of requests. */
  async end(): Promise<void> {
    await this.#give({ case: "end", value: {} });
    await this.#give(undefined);
  }

  /** Ends the stream of requests without a word. */
  cut(): Promise<void> {
    return this.#give(undefined);
  }

  /** The bytes up to `end`, chunk by chunk. */
  async *data(): AsyncIterable<Uint8Array> {
    for (;;) {
      const event = await this.next();
      if (event?.case === "end") return;
      if (event?.case === "keepalive") continue;
      if (event?.case !== "data") throw new Error(`${event?.case} came instead of the end`);
      yield event.value;
    }
  }
}

/** Hands one thing at a time from one to the other. */
class Handover<T> {
  #offered: { value: T | undefined; taken: () => void } | undefined;
  #wake: () => void = () => {};

  async give(value: T | undefined): Promise<void> {
    await new Promise<void>((resolve) => {
      this.#offered = { value, taken: resolve };
      this.#wake();
    });
  }

  async *taken(): AsyncIterable<T> {
    for (;;) {
      while (this.#offered === undefined) {
        await new Promise<void>((resolve) => {
          this.#wake = resolve;
        });
      }
      const { value, taken } = this.#offered;
      this.#offered = undefined;
      taken();
      if (value === undefined) return;
      yield value;
    }
  }
}

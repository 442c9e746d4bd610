import type { Readable } from "node:stream";
import { Dicer } from "@fastify/busboy";
import { HttpError } from "./endpoint.ts";
import { parseParameters } from "./parameters.ts";
import { pump, type Sink } from "./pump.ts";
import type { RequestBody } from "./request-body.ts";

/** How much of a part waits for its reader before the body is asked to wait. */
const WAITING_BYTES = 256 * 1024;
/** How many small parts may wait to be handled before the body is asked to wait. */
const MOST_WAITING = 16;

/** One part of a form. */
export interface Part {
  /** The name of the form's field; `undefined` when the part has none. */
  name: string | undefined;
  /** The whole file name, directories included; `undefined` when the part has none. */
  filename: string | undefined;
  /** Pushes the content into `sink`. Rejects when the form breaks off before the part's end. */
  pumpInto(sink: Sink): Promise<void>;
}

/**
 * Reads a form part by part: `onPart` is called for each in order, the next one after it has
 * resolved, and what it leaves of a part is skipped. A form that is no form is a 500.
 */
export async function readParts(
  body: RequestBody,
  boundary: string,
  onPart: (part: Part) => Promise<void>,
  signal: AbortSignal,
): Promise<void> {
  const form = new Form(boundary, onPart);
  const stop = AbortSignal.any([signal, form.failed]);
  try {
    await body.pumpInto(form, stop);
    await form.end();
  } catch (cause) {
    throw form.fail(cause as Error);
  } finally {
    // A part that is being handled sees the failure and comes to its end.
    await form.settled();
  }
}

class Form implements Sink {
  readonly #parser: Dicer;
  readonly #onPart: (part: Part) => Promise<void>;
  readonly #failure = new AbortController();
  readonly #open = new Set<Readable>();
  /** How many parts have not begun to be handled. */
  #waiting = 0;
  #handled: Promise<void> = Promise.resolve();
  /** When every part but the newest, which may need more of the body, has been handled. */
  #handledBefore: Promise<void> = Promise.resolve();
  #isHeadless = false;
  #isFinished = false;

  constructor(boundary: string, onPart: (part: Part) => Promise<void>) {
    this.#onPart = onPart;
    // Apart, as the types do not know the option for the parts.
    const options = { boundary, partHwm: WAITING_BYTES, highWaterMark: WAITING_BYTES };
    this.#parser = new Dicer(options);
    this.#parser
      .on("part", (stream) => this.#add(stream))
      .on("finish", () => {
        this.#isFinished = true;
      })
      .on("error", (cause) => void this.fail(formError(cause.message)));
  }

  /** Aborts with the first failure as its reason. */
  get failed(): AbortSignal {
    return this.#failure.signal;
  }

  push(chunk: Uint8Array): Promise<void> | undefined {
    const isTaken = this.#parser.write(chunk);
    if (this.failed.aborted) return undefined;
    if (this.#waiting > MOST_WAITING) return this.#handledBefore;
    if (isTaken) return undefined;
    return new Promise((resolve) => {
      this.#parser.once("drain", resolve);
    });
  }

  /** Called after the whole body: resolves when every part has been handled. */
  async end(): Promise<void> {
    this.failed.throwIfAborted();
    const finished = new Promise<void>((resolve, reject) => {
      if (this.#isFinished) resolve();
      this.#parser.once("finish", resolve);
      this.failed.addEventListener("abort", () => reject(this.failed.reason as Error));
    });
    this.#parser.end();
    await finished;
    this.#refuseHeadless();
    await this.#handled;
    this.failed.throwIfAborted();
  }

  /** Ends every part that is open with `cause`, unless it failed before. Returns what counts. */
  fail(cause: Error): Error {
    if (this.failed.aborted) return this.failed.reason as Error;
    this.#failure.abort(cause);
    for (const stream of this.#open) stream.destroy(cause);
    return cause;
  }

  /** Resolves when no part is being handled. */
  async settled(): Promise<void> {
    await this.#handled;
  }

  #add(stream: Readable): void {
    this.#refuseHeadless();
    this.#isHeadless = true;
    this.#open.add(stream);
    stream
      .on("error", () => {})
      .once("close", () => this.#open.delete(stream))
      .once("header", (header: Record<string, string[]>) => {
        this.#isHeadless = false;
        this.#waiting += 1;
        this.#handledBefore = this.#handled;
        this.#handled = this.#handled.then(() => this.#handle(stream, header));
      });
  }

  /** A part that ends within its head is nobody's. */
  #refuseHeadless(): void {
    if (this.#isHeadless) this.fail(formError("malformed MIME header: missing blank line"));
  }

  async #handle(stream: Readable, header: Record<string, string[]>): Promise<void> {
    this.#waiting -= 1;
    if (this.failed.aborted) return;
    const disposition = parseParameters(header["content-disposition"]?.[0] ?? "");
    const isFormData = disposition.value === "form-data";
    try {
      await this.#onPart({
        name: isFormData ? disposition.parameters.get("name") : undefined,
        filename: disposition.parameters.get("filename"),
        pumpInto: (sink) => pump(stream, sink, this.failed),
      });
      stream.resume();
    } catch (cause) {
      this.fail(cause as Error);
    }
  }
}

function formError(reason: string): HttpError {
  return new HttpError(500, `error reading form: ${reason}`);
}

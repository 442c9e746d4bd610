import { exchange } from "../system/http-exchange.ts";

const QUEUE_LIMIT_BYTES = 8 * 1024 * 1024;
const LINE_LIMIT_BYTES = 192 * 1024;
const POST_MS = 10_000;

/** Where log lines go and what they say about their origin. */
export interface LogDestination {
  address: string;
  instanceId: string;
  templateId: string;
}

/**
 * Brings log lines to the host, each by itself. Until a destination is known, and while it is
 * slow, they wait; of more than 8 MiB the oldest are dropped, lines above 192 KiB at once. A line
 * that does not arrive is not sent again. It never logs itself, as that would have no end.
 */
export class LogExport {
  readonly #lines: string[] = [];
  #queuedBytes = 0;
  #destination: LogDestination | undefined;
  #isSending = false;
  readonly #closing = new AbortController();

  /** Takes one line: a JSON object and a newline. */
  write(line: string): void {
    const bytes = Buffer.byteLength(line);
    if (bytes > LINE_LIMIT_BYTES || this.#closing.signal.aborted) return;
    this.#lines.push(line);
    this.#queuedBytes += bytes;
    while (this.#queuedBytes > QUEUE_LIMIT_BYTES) this.#take();
    void this.#send();
  }

  /** Starts sending, or goes on with another destination. An empty address changes nothing. */
  sendTo(destination: LogDestination): void {
    if (!URL.canParse(destination.address)) return;
    this.#destination = destination;
    void this.#send();
  }

  /** Stops sending and forgets what waits. */
  close(): void {
    this.#closing.abort();
    this.#lines.length = 0;
    this.#queuedBytes = 0;
  }

  async #send(): Promise<void> {
    if (this.#isSending) return;
    this.#isSending = true;
    while (this.#destination !== undefined && this.#lines.length > 0) {
      const line = this.#take();
      await post(this.#destination, line, this.#closing.signal);
    }
    this.#isSending = false;
  }

  #take(): string {
    const line = this.#lines.shift() ?? "";
    this.#queuedBytes -= Buffer.byteLength(line);
    return line;
  }
}

async function post(destination: LogDestination, line: string, signal: AbortSignal): Promise<void> {
  const body = withOrigin(line, destination);
  try {
    await exchange({
      url: new URL(destination.address),
      method: "POST",
      headers: {
        "Content-Type": "application/json",
        "Content-Length": String(Buffer.byteLength(body)),
      },
      body,
      timeoutMs: POST_MS,
      signal,
    });
  } catch {
    // The host takes what arrives; there is nobody to tell about the rest.
  }
}

/** The line with the sandbox and its template added as its last two keys. */
export function withOrigin(line: string, { instanceId, templateId }: LogDestination): string {
  const open = line.trimEnd().slice(0, -1);
  const origin = JSON.stringify({ instanceID: instanceId, envID: templateId }).slice(1);
  return `${open}${open === "{" ? "" : ","}${origin}`;
}

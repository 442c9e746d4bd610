import { sleep } from "../lib/sleep.ts";
import type { Metadata, MetadataService } from "./metadata-service.ts";

const INTERVAL_MS = 50;
const REQUEST_MS = 10_000;
const POLL_MS = 60_000;

/**
 * Asks the metadata service again and again until it knows which sandbox this is, for at most a
 * minute. A platform may tell it only after the machine runs.
 */
export class MetadataPoll {
  readonly #service: MetadataService;
  readonly #onMetadata: (metadata: Metadata) => Promise<void>;
  #current: AbortController | undefined;
  #done: Promise<void> = Promise.resolve();

  constructor(service: MetadataService, onMetadata: (metadata: Metadata) => Promise<void>) {
    this.#service = service;
    this.#onMetadata = onMetadata;
  }

  /** Begins anew; a poll under way ends without a result. */
  start(): void {
    this.#current?.abort();
    const current = new AbortController();
    this.#current = current;
    const before = this.#done;
    this.#done = before.then(() => this.#poll(current));
  }

  /** Ends a poll under way and waits for that. */
  async close(): Promise<void> {
    this.#current?.abort();
    await this.#done;
  }

  async #poll(current: AbortController): Promise<void> {
    const giveUp = setTimeout(() => current.abort(), POLL_MS);
    try {
      while (!current.signal.aborted && !(await this.#ask(current.signal))) {
        await sleep(INTERVAL_MS, current.signal);
      }
    } finally {
      clearTimeout(giveUp);
    }
  }

  async #ask(signal: AbortSignal): Promise<boolean> {
    let metadata: Metadata;
    try {
      metadata = await this.#service.fetch({ timeoutMs: REQUEST_MS, signal });
    } catch {
      // It is not there yet, or has nothing to say yet.
      return false;
    }
    if (metadata.instanceId === "" || signal.aborted) return false;
    await this.#onMetadata(metadata);
    return true;
  }
}

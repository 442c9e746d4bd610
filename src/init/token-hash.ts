import { AgentError } from "../errors.ts";
import { Lock } from "../lib/lock.ts";
import type { Logger } from "../log.ts";
import { exemptFromNat } from "../system/nat-exemption.ts";
import type { RunCommand } from "../system/run-command.ts";
import type { LookupLimits, Metadata, MetadataService } from "./metadata-service.ts";

/** For each of the two requests to the metadata service, which is one hop away. */
const LOOKUP_MS = 2_000;
const EXEMPTION_MS = 6_000;
/** The addresses at which a virtual machine's host offers its services. */
const LINK_LOCAL = /^169\.254\./;

/** What `TokenHash` works with. */
export interface TokenHashParts {
  metadata: MetadataService;
  run: RunCommand;
  log: Logger;
}

/** The hash of the token that the platform expects, as the metadata service has it. */
export class TokenHash {
  readonly #parts: TokenHashParts;
  /** Whoever may call without a token could have many questions asked at once. */
  readonly #lock = new Lock();

  constructor(parts: TokenHashParts) {
    this.#parts = parts;
  }

  /**
   * Asks now; `undefined` where the service does not answer. Rejects with `unavailable` when
   * `signal`, the caller, is gone: who hangs up in the middle of the question must not get the
   * answer "nothing expected".
   */
  async ask(signal: AbortSignal): Promise<string | undefined> {
    try {
      using _ = await this.#lock.acquire(signal);
      return (await this.#lookUp({ timeoutMs: LOOKUP_MS, signal })).accessTokenHash;
    } catch (error) {
      if (signal.aborted) throw new AgentError("unavailable", "the caller is gone");
      this.#parts.log.debug({ err: error }, "the metadata service does not answer");
      return undefined;
    }
  }

  async #lookUp(limits: LookupLimits): Promise<Metadata> {
    const { metadata, run } = this.#parts;
    const { endpoint } = metadata;
    try {
      return await metadata.fetch(limits);
    } catch (error) {
      if (!LINK_LOCAL.test(endpoint.host)) throw error;
      await exemptFromNat(endpoint, run, { ...limits, timeoutMs: EXEMPTION_MS });
      return metadata.fetch(limits);
    }
  }
}

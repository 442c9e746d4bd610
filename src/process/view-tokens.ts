import { AgentError } from "../errors.ts";
import { randomText } from "../system/random.ts";
import type { ProcessRegistry } from "./registry.ts";
import type { Selector } from "./retention.ts";

/** 131 bits of the kernel's randomness. */
const TOKEN_LENGTH = 22;

/**
 * Tokens that open one process's output and nothing else, as long as the process lives and for the
 * retention time. A process has one at most, so there are never more than processes.
 */
export class ViewTokens {
  readonly #processes: ProcessRegistry;
  /** The mark of each token's process: pids come again. */
  readonly #marks = new Map<string, string>();

  constructor(processes: ProcessRegistry) {
    this.#processes = processes;
  }

  /** The token of a live process. Throws `not-found`. */
  create(selector: Selector): string {
    this.#forgetEnded();
    const { mark } = this.#processes.get(selector);
    for (const [token, known] of this.#marks) if (known === mark) return token;
    const token = randomText(TOKEN_LENGTH);
    this.#marks.set(token, mark);
    return token;
  }

  /** Whether `token` is one of these, of a process that can still be followed. */
  has(token: string): boolean {
    const mark = this.#marks.get(token);
    return mark !== undefined && this.#pidOf(mark) !== undefined;
  }

  /** Holds who brings one of these tokens to its own process, by pid. Throws `denied`. */
  check(token: string, selector: Selector): void {
    const mark = this.#marks.get(token);
    const isOwn = mark !== undefined && "pid" in selector && selector.pid === this.#pidOf(mark);
    if (!isOwn) throw new AgentError("denied", "this token only shows the process it was made for");
  }

  #pidOf(mark: string): number | undefined {
    const live = this.#processes.list().find((process) => process.mark === mark);
    return live?.pid ?? this.#processes.ended().find((ended) => ended.mark === mark)?.pid;
  }

  #forgetEnded(): void {
    for (const [token, mark] of this.#marks) {
      if (this.#pidOf(mark) === undefined) this.#marks.delete(token);
    }
  }
}

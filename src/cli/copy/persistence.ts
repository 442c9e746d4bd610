import { GuestError } from "../../client/index.ts";
import { sleep } from "../../lib/sleep.ts";
import { remark } from "../paint.ts";

const FIRST_DELAY_MS = 100;
const MOST_DELAY_MS = 2_000;
/** How long a guest may be out of reach, in ms. */
const GIVE_UP_AFTER_MS = 120_000;

/** Goes on with what is cut, and says so once for each time that the guest is out of reach. */
export class Persistence {
  #isCut = false;

  /** Does something that can be done twice until the guest has answered. */
  async attempt<T>(act: () => Promise<T>): Promise<T> {
    const start = performance.now();
    for (let delayMs = FIRST_DELAY_MS; ; delayMs = Math.min(MOST_DELAY_MS, delayMs * 2)) {
      try {
        const result = await act();
        this.onResumed();
        return result;
      } catch (reason) {
        const isCut = reason instanceof GuestError && reason.isRetryable;
        if (!isCut || performance.now() - start > GIVE_UP_AFTER_MS) throw reason;
        this.onInterrupted();
        await sleep(delayMs);
      }
    }
  }

  /** Says that something was cut and goes on. */
  readonly onInterrupted = (): void => {
    if (this.#isCut) return;
    this.#isCut = true;
    remark("the connection was cut; going on as soon as the guest answers");
  };

  /** The guest has answered. */
  readonly onResumed = (): void => {
    this.#isCut = false;
  };
}

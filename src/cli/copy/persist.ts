import { GuestError } from "../../client/index.ts";
import { sleep } from "../../lib/sleep.ts";
import { remark } from "../paint.ts";

const FIRST_DELAY_MS = 100;
const MOST_DELAY_MS = 2_000;
/** How long a guest may be out of reach, in ms. */
const GIVE_UP_AFTER_MS = 120_000;

/** Does something that can be done twice until the guest has answered. */
export async function persist<T>(attempt: () => Promise<T>): Promise<T> {
  const start = performance.now();
  for (let delayMs = FIRST_DELAY_MS; ; delayMs = Math.min(MOST_DELAY_MS, delayMs * 2)) {
    try {
      return await attempt();
    } catch (reason) {
      const isCut = reason instanceof GuestError && reason.isRetryable;
      if (!isCut || performance.now() - start > GIVE_UP_AFTER_MS) throw reason;
      if (delayMs === FIRST_DELAY_MS) sayCut();
      await sleep(delayMs);
    }
  }
}

/** Says that a copy was cut and goes on. */
export function sayCut(): void {
  remark("the connection was cut; going on as soon as the guest answers");
}

import { compactHeap } from "../system/heap.ts";
import { type Endpoint, sendJson } from "./endpoint.ts";

/**
 * `POST /collapse`: makes the agent small before a snapshot. It gives memory back instead of
 * gathering it in huge pages, so of those there is nothing to report but the time.
 */
export function collapse(): Endpoint {
  let running: Promise<void> | undefined;
  return async (_request, response) => {
    const start = performance.now();
    running ??= compactHeap().finally(() => (running = undefined));
    await running;
    sendJson(response, 200, {
      regions: 0,
      chunks: 0,
      collapsed: 0,
      alreadyHuge: 0,
      skipped: 0,
      elapsedMs: Math.round(performance.now() - start),
    });
  };
}

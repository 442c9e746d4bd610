import type { ServerResponse } from "node:http";
import { expect, test, vi } from "vitest";
import { createLog } from "../../src/log.ts";
import { StallWatch } from "../../src/net/progress.ts";
import { Server } from "../../src/net/server.ts";
import { watchEnd, watchResponse } from "../../src/net/watch-response.ts";
import { h2Request, PREFACE, settings, windowUpdate } from "../helpers/h2-frames.ts";
import { NarrowSocket } from "../helpers/narrow-socket.ts";

const STALL_MS = 1_500;
const OPEN_WINDOW = 0x7fff_ffff;
/** More than any kernel takes at once. */
const LARGE = Buffer.alloc(16 * 1024 * 1024);

/** Writes `LARGE` as all who answer do, and ends. */
function answer(response: ServerResponse, stalls: StallWatch): void {
  watchEnd(response, stalls);
  const watched = watchResponse({ response, writtenBytes: () => LARGE.length });
  response.on("error", () => {}).write(LARGE);
  stalls.note(watched);
  response.end();
  stalls.forget(watched);
}

test("a slow reader over HTTP/2 is not cut off for what is left at the end", async () => {
  const stalls = new StallWatch({ stallMs: STALL_MS });
  const server = new Server({
    host: "127.0.0.1",
    port: 0,
    log: createLog("silent"),
    onRequest: (_request, response) => answer(response, stalls),
  });
  using reader = new NarrowSocket(await server.listen(), 4_096);
  const opened = [settings([[4, OPEN_WINDOW]]), windowUpdate(0, OPEN_WINDOW - 65_535)];
  reader.send(Buffer.concat([PREFACE, ...opened, h2Request(1, { ":path": "/" })]));
  reader.start(16 * 1_024);
  const start = performance.now();

  await vi.waitFor(
    () => {
      expect(reader.isOpen && performance.now() - start < 4 * STALL_MS).toBe(false);
    },
    { timeout: 20_000, interval: 20 },
  );

  expect(reader.isOpen).toBe(true);
  reader.stop();
  await vi.waitFor(() => expect(reader.isOpen).toBe(false), { timeout: 10 * STALL_MS });
  await server.close(0);
});

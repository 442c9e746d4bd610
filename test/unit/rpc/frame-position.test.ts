import * as fc from "fast-check";
import { expect, test } from "vitest";
import { FramePosition } from "../../../src/rpc/frame-position.ts";
import { frame } from "../../helpers/raw-rpc.ts";

test("is between two messages after whole ones only, however they are cut up", () => {
  fc.assert(
    fc.property(
      fc.array(fc.uint8Array({ maxLength: 40 }), { minLength: 1, maxLength: 5 }),
      fc.integer({ min: 1, max: 50 }),
      (messages, step) => {
        const bytes = Buffer.concat(messages.map((message) => frame(message)));
        const ends = new Set(
          messages.map((_, index) =>
            messages.slice(0, index + 1).reduce((sum, message) => sum + 5 + message.length, 0),
          ),
        );
        const position = new FramePosition();
        for (let at = 0; at < bytes.length; at += step) {
          position.pass(bytes.subarray(at, at + step));
          expect(position.isBetween).toBe(ends.has(Math.min(at + step, bytes.length)));
        }
      },
    ),
  );
});

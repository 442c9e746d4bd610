import * as fc from "fast-check";
import { expect, test } from "vitest";
import { ChangeLog } from "../../../src/filesystem/change-log.ts";

const named = (name: string) => ({ kind: "create" as const, name });

test("a reader that comes back in time gets every change once", () => {
  const log = new ChangeLog(3);
  for (const name of ["a", "b", "c"]) log.push(named(name));

  expect(log.last).toBe(3);
  expect(log.read(0, 2)).toEqual({ changes: [named("a"), named("b")], after: 0, isLost: false });
  expect(log.read(2, 2)).toEqual({ changes: [named("c")], after: 2, isLost: false });
  expect(log.read(3, 2)).toEqual({ changes: [], after: 3, isLost: false });
});

test("a reader that comes too late is told, and goes on with what is left", () => {
  const log = new ChangeLog(2);
  for (const name of ["a", "b", "c"]) log.push(named(name));

  expect(log.read(0, 9)).toEqual({ changes: [named("b"), named("c")], after: 1, isLost: true });
});

test("a loss is told to everybody, also to who had read everything", () => {
  const log = new ChangeLog(9);
  log.push(named("a"));
  log.lose();
  log.push(named("b"));

  expect(log.read(1, 9)).toEqual({ changes: [named("b")], after: 2, isLost: true });
  expect(log.read(2, 9)).toEqual({ changes: [named("b")], after: 2, isLost: false });
});

test("whatever happens, what is read is what was written there, or said to be lost", () => {
  const step = fc.oneof(
    { weight: 9, arbitrary: fc.constant("push" as const) },
    { weight: 1, arbitrary: fc.constant("lose" as const) },
    { weight: 3, arbitrary: fc.record({ back: fc.nat(20), most: fc.nat(6) }) },
  );
  fc.assert(
    fc.property(
      fc.integer({ min: 1, max: 5 }),
      fc.array(step, { maxLength: 60 }),
      (most, steps) => {
        const log = new ChangeLog(most);
        // By number, from 1; a loss takes one, too.
        const all: (string | undefined)[] = [undefined];
        for (const action of steps) {
          if (action === "push") {
            all.push(`${all.length}`);
            log.push(named(`${all.length - 1}`));
          } else if (action === "lose") {
            all.push(undefined);
            log.lose();
          } else {
            const sequence = Math.max(0, all.length - 1 - action.back);
            const page = log.read(sequence, action.most);
            const told = page.changes.map(({ name }) => name);
            expect(told).toEqual(all.slice(page.after + 1, page.after + 1 + told.length));
            expect(page.isLost).toBe(page.after > sequence);
            const rest = all.length - 1 - page.after;
            expect(told).toHaveLength(Math.min(rest, action.most));
            if (page.isLost) expect(rest).toBeLessThanOrEqual(most);
          }
          expect(log.last).toBe(all.length - 1);
        }
      },
    ),
  );
});

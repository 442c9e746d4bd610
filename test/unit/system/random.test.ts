import { expect, test } from "vitest";
import { randomBytes, randomText } from "../../../src/system/random.ts";

test("bytes are as many as asked for and differ between calls", () => {
  expect(randomBytes(0)).toHaveLength(0);
  const [one, two] = [randomBytes(100_000), randomBytes(100_000)];

  expect(one).toHaveLength(100_000);
  expect(one.equals(two)).toBe(false);
  expect(new Set(one).size).toBe(256);
});

test("a text has the length asked for, of letters and digits", () => {
  expect(randomText(0)).toBe("");
  expect(randomText(22)).toMatch(/^[A-Za-z0-9]{22}$/);
  expect(new Set(Array.from({ length: 1_000 }, () => randomText(22))).size).toBe(1_000);
});

test.for(["ab", "0123456789abcdef", "xyz", "abcdefghijklmnopqrstuvwxyz0123456789"])(
  "every character of %s is drawn about equally often",
  (alphabet) => {
    const counts = new Map<string, number>();
    for (const letter of randomText(100_000, alphabet)) {
      counts.set(letter, (counts.get(letter) ?? 0) + 1);
    }

    const expected = 100_000 / alphabet.length;
    expect([...counts.keys()].sort().join("")).toBe(alphabet.split("").sort().join(""));
    for (const count of counts.values()) {
      // Six standard deviations: a false alarm once in a hundred million runs.
      expect(Math.abs(count - expected)).toBeLessThan(6 * Math.sqrt(expected));
    }
  },
);

test.for(["", "a", "x".repeat(257)])("an alphabet of a wrong size is refused", (alphabet) => {
  expect(() => randomText(1, alphabet)).toThrow(RangeError);
});

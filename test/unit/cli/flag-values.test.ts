import * as fc from "fast-check";
import { describe, expect, test } from "vitest";
import {
  toAbsolutePath,
  toAddress,
  toChoice,
  toDurationMs,
  toHttpUrl,
  toPort,
} from "../../../src/cli/flag-values.ts";
import { UsageError } from "../../../src/cli/usage-error.ts";

describe("a port", () => {
  test("is a number from 0 to 65535", () => {
    fc.assert(
      fc.property(fc.integer({ min: 0, max: 65_535 }), (port) => {
        expect(toPort("port", String(port))).toBe(port);
      }),
    );
  });

  test.for(["", "-1", "65536", "99999", "1e3", "0x10", " 1", "1 ", "80.5", "http"])(
    "is not %j",
    (value) => {
      expect(() => toPort("port", value)).toThrow(
        new UsageError(`--port: "${value}" is not a port from 0 to 65535`),
      );
    },
  );
});

describe("a duration", () => {
  test.for([
    ["1ms", 1],
    ["500ms", 500],
    ["10s", 10_000],
    ["1.5s", 1_500],
    ["2m", 120_000],
    ["24h", 86_400_000],
  ] as const)("%s is %d ms", ([value, expected]) => {
    expect(toDurationMs("stall-timeout", value)).toBe(expected);
  });

  test.for(["", "10", "0s", "0.1ms", "-1s", "25h", "s", "1 s", "1d", "1e3ms", "Infinityms"])(
    "is not %j",
    (value) => {
      expect(() => toDurationMs("stall-timeout", value)).toThrow(
        `--stall-timeout: "${value}" is not a duration`,
      );
    },
  );
});

describe("an address", () => {
  test.for([
    ["127.0.0.1", "127.0.0.1", undefined],
    ["0.0.0.0:80", "0.0.0.0", 80],
    ["localhost:0", "localhost", 0],
    ["guest.example:49983", "guest.example", 49_983],
    ["::1", "::1", undefined],
    ["::", "::", undefined],
    ["fe80::1%eth0", "fe80::1%eth0", undefined],
    ["::ffff:127.0.0.1", "::ffff:127.0.0.1", undefined],
    ["[::1]", "::1", undefined],
    ["[::1]:80", "::1", 80],
  ] as const)("%s is %s and port %s", ([value, host, port]) => {
    expect(toAddress("listen", value)).toEqual({ host, port });
  });

  test.for(["", ":80", "host:", "host:x", "host:65536", "[::1", "[]:80", "a b", "[::1]80", "::g"])(
    "is not %j",
    (value) => {
      expect(() => toAddress("listen", value)).toThrow(/^--listen: "/);
    },
  );

  test("is read or refused, whatever it is", () => {
    fc.assert(
      fc.property(fc.string(), (value) => {
        try {
          expect(toAddress("listen", value).host).not.toBe("");
        } catch (reason) {
          expect(reason).toBeInstanceOf(UsageError);
        }
      }),
    );
  });
});

test("a choice is one of its words, to the letter", () => {
  expect(toChoice("dialect", "wrenn", ["e2b", "wrenn"])).toBe("wrenn");
  expect(() => toChoice("dialect", "E2B", ["e2b", "wrenn"])).toThrow(
    '--dialect: "E2B" is not one of e2b, wrenn',
  );
});

test("a URL loses its last slash and speaks http", () => {
  expect(toHttpUrl("metadata-url", "http://127.0.0.1:80/latest/")).toBe("http://127.0.0.1/latest");
  for (const value of ["https://host", "ftp://host", "host", "", "http://"]) {
    expect(() => toHttpUrl("metadata-url", value)).toThrow(UsageError);
  }
});

test("a path is absolute", () => {
  expect(toAbsolutePath("cgroup-root", "/sys/fs/cgroup")).toBe("/sys/fs/cgroup");
  expect(() => toAbsolutePath("cgroup-root", "sys")).toThrow('"sys" is not an absolute path');
});

import * as fc from "fast-check";
import { describe, expect, test } from "vitest";
import { resolvePath } from "../../../src/filesystem/paths.ts";

const ada = { name: "ada", uid: 1000, gid: 1000, home: "/home/ada", groups: [1000] };

describe("resolvePath", () => {
  test.for([
    ["", undefined, "/home/ada"],
    ["", "/work", "/work"],
    ["", "/srv/../verbatim/", "/srv/../verbatim/"],
    ["", "~/sub", "/home/ada/sub"],
    ["", "sub", "/home/ada/sub"],
    ["~", "/work", "/home/ada"],
    ["~/", "/work", "/home/ada"],
    ["~/a/../b//c/", undefined, "/home/ada/b/c"],
    ["~/..", undefined, "/home"],
    ["/", undefined, "/"],
    ["/a/../b", undefined, "/a/../b"],
    ["//a//", undefined, "//a//"],
    [".", "/work", "/home/ada"],
    ["a", "/work", "/home/ada/a"],
    ["./a/./b/", undefined, "/home/ada/a/b"],
    ["../../../..", undefined, "/"],
    ["a~", undefined, "/home/ada/a~"],
    ["new\nline", undefined, "/home/ada/new\nline"],
  ] as const)("%j with the workdir %j is %j", ([path, workdir, expected]) => {
    expect(resolvePath(path, ada, workdir)).toBe(expected);
  });

  test.for(["~bob", "~bob/x", "~~", "~\\x"])("%j names the home of somebody else", (path) => {
    expect(() => resolvePath(path, ada, undefined)).toThrow(
      expect.objectContaining({
        code: "invalid",
        message: `failed to expand path '${path}' for user 'ada': cannot expand user-specific home dir`,
      }),
    );
  });

  test.for(["\0", "/a\0b", "~/\0", "a\0"])("%j holds a NUL byte", (path) => {
    expect(() => resolvePath(path, ada, undefined)).toThrow(
      expect.objectContaining({ code: "invalid", message: expect.stringContaining("NUL byte") }),
    );
  });

  test("more bytes than the system takes are refused, in a message without them", () => {
    expect(resolvePath("/".repeat(4_095), ada, undefined)).toHaveLength(4_095);
    for (const path of ["/".repeat(4_096), "é".repeat(2_048), "a/../".repeat(1_000)]) {
      expect(() => resolvePath(path, ada, undefined)).toThrow(
        expect.objectContaining({
          code: "invalid",
          message: `path is too long: ${Buffer.byteLength(path)} bytes, and the system takes 4095`,
        }),
      );
    }
  });

  test.for(["", "relative"])("an account whose home is %j lives in /", (home) => {
    expect(resolvePath("a", { ...ada, home }, undefined)).toBe("/a");
    expect(resolvePath("", { ...ada, home }, undefined)).toBe("/");
  });
});

describe("any path", () => {
  const part = fc.oneof(fc.constantFrom(".", "..", "~", "", "a", "\n", "é"), fc.string());
  const anyPath = fc
    .array(part, { maxLength: 8 })
    .map((parts) => parts.join("/").replaceAll("\0", ""))
    .filter((path) => !/^~[^/]/.test(path));

  test("resolves to an absolute path, and that to itself", () => {
    fc.assert(
      fc.property(anyPath, fc.option(anyPath, { nil: undefined }), (path, workdir) => {
        const resolved = resolvePath(path, ada, workdir);

        expect(resolved.startsWith("/")).toBe(true);
        expect(resolvePath(resolved, ada, undefined)).toBe(resolved);
      }),
    );
  });

  test("is clean after resolving, unless it was absolute and then is as it was", () => {
    fc.assert(
      fc.property(anyPath, (path) => {
        const resolved = resolvePath(path, ada, undefined);

        if (path.startsWith("/")) expect(resolved).toBe(path);
        else expect(resolved).toMatch(/^\/$|^(\/(?!\.{1,2}(\/|$))[^/]+)+$/);
      }),
    );
  });
});

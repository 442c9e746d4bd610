import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, test, vi } from "vitest";
import { Targets } from "../../../src/cli/targets.ts";

let directory = "";
beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), "thaw-targets-"));
  vi.stubEnv("THAW_TOKEN", "of-the-variable");
});
afterEach(() => {
  rmSync(directory, { recursive: true });
  vi.unstubAllEnvs();
});

function targets(content: unknown = {}): Targets {
  const path = join(directory, "config.json");
  writeFileSync(path, typeof content === "string" ? content : JSON.stringify(content));
  return new Targets(path);
}

const BOX = { url: "http://10.0.0.7:49983", token: "of-the-box", user: "app" };

describe("a target", () => {
  test.for([
    ["http://10.0.0.7:49983", "http://10.0.0.7:49983"],
    ["https://guest.example/", "https://guest.example"],
    ["10.0.0.7:49983", "http://10.0.0.7:49983"],
    ["[::1]:49983", "http://[::1]:49983"],
    ["box", "http://10.0.0.7:49983"],
    [":", "http://127.0.0.1:49983"],
    [undefined, "http://127.0.0.1:49983"],
  ] as const)("%s is %s", ([text, url]) => {
    expect(targets({ targets: { box: BOX } }).find(text).url).toBe(url);
  });

  test("without a name is the default of the file", () => {
    const known = targets({ targets: { box: BOX }, default: "box" });

    expect(known.find(undefined)).toMatchObject({ label: "box", token: "of-the-box", user: "app" });
    expect(known.find(":")).toMatchObject({ label: "box" });
  });

  test("takes its token from the fragment, then from the file, then from the variable", () => {
    const tokenFile = join(directory, "token");
    writeFileSync(tokenFile, "of-the-file\n");
    const known = targets({ targets: { box: BOX, other: { url: "10.0.0.8:1", tokenFile } } });

    expect(known.find("10.0.0.7:1#token=of-the-fragment").token).toBe("of-the-fragment");
    expect(known.find("box").token).toBe("of-the-box");
    expect(known.find("other").token).toBe("of-the-file");
    expect(known.find("10.0.0.7:1").token).toBe("of-the-variable");
  });

  test("is called without its token", () => {
    expect(targets().find("http://10.0.0.7:1/#token=secret").label).toBe("10.0.0.7:1");
    expect(() => targets().find("nowhere#token=secret")).toThrow(/^((?!secret).)*$/);
  });

  test.for([
    ["{", /config\.json: /],
    [[], /an object is wanted/],
    [{ targets: { box: {} } }, /targets\.box\.url is missing/],
    [{ targets: { box: { url: 1 } } }, /targets\.box\.url is missing/],
    [{ targets: { "a b": BOX } }, /"a b" is no name/],
    [{ targets: { box: { ...BOX, token: 1 } } }, /targets\.box\.token: a text is wanted/],
    [{ targets: {}, default: "box" }, /"box" is none of the targets/],
    [{ targets: { box: { url: "10.0.0.7:1", tokenFile: "/no/such" } }, default: "box" }, /ENOENT/],
  ] as const)("is refused with %j in the file", ([content, complaint]) => {
    expect(() => targets(content).find(undefined)).toThrow(complaint);
  });

  test("that is none is refused by name, also what every object has", () => {
    expect(() => targets().find("nowhere")).toThrow('"nowhere" is no target');
    expect(() => targets().find("constructor")).toThrow('"constructor" is no target');
  });
});

describe("a path", () => {
  test.for([
    ["box:/etc/hosts", "http://10.0.0.7:49983", "/etc/hosts"],
    ["box:", "http://10.0.0.7:49983", ""],
    ["box:a:b", "http://10.0.0.7:49983", "a:b"],
    [":/tmp", "http://127.0.0.1:49983", "/tmp"],
    ["10.0.0.9:1:/x", "http://10.0.0.9:1", "/x"],
    ["http://10.0.0.9:1:/x", "http://10.0.0.9:1", "/x"],
    ["http://10.0.0.9:1/#token=t:/x:y", "http://10.0.0.9:1", "/x:y"],
    ["[::1]:1:x", "http://[::1]:1", "x"],
  ] as const)("%s is in a guest", ([text, url, path]) => {
    const found = targets({ targets: { box: BOX } }).splitPath(text);

    expect([found?.target.url, found?.path]).toEqual([url, path]);
  });

  test.for(["file", "./box:file", "/tmp/a:b", "10.0.0.9:1", "http://10.0.0.9:1"])(
    "%s is in none",
    (text) => {
      expect(targets({ targets: { box: BOX } }).splitPath(text)).toBeUndefined();
    },
  );
});

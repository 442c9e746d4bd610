import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, afterEach, beforeEach, describe, expect, test, vi } from "vitest";
import { parseEnvd } from "../../src/cli/envd.ts";
import { parseServe, urlToOpen } from "../../src/cli/serve.ts";
import { parseThaw } from "../../src/cli/thaw.ts";
import { UsageError } from "../../src/cli/usage-error.ts";
import { type AgentConfig, defaultConfig } from "../../src/config.ts";
import { makeCertificate } from "../helpers/certificate.ts";

const directory = mkdtempSync(join(tmpdir(), "thaw-config-"));
afterAll(() => rmSync(directory, { recursive: true }));

const pem = makeCertificate();
const tls = { cert: file("cert.pem", pem.cert), key: file("key.pem", pem.key) };

beforeEach(() => {
  vi.stubEnv("THAW_TOKEN", undefined);
  vi.stubEnv("THAW_DIALECT", undefined);
});
afterEach(() => void vi.unstubAllEnvs());

function configOf(command: ReturnType<typeof parseServe>): AgentConfig {
  if (command.kind !== "run") throw new Error(`it only prints ${command.text}`);
  return command.config;
}

const serve = (...argv: string[]) => configOf(parseServe(argv));
const envd = (...argv: string[]) => configOf(parseEnvd(argv));

function file(name: string, content: string): string {
  const path = join(directory, name);
  writeFileSync(path, content);
  return path;
}

describe("thaw serve", () => {
  test("binds loopback alone, asks nobody who it is, and leaves the clock alone", () => {
    expect(serve("--no-token")).toEqual(defaultConfig("thaw"));
    expect(defaultConfig("thaw")).toMatchObject({
      host: "127.0.0.1",
      port: 49_983,
      isNotFc: true,
      setsClock: false,
      dialect: "e2b",
      runDir: "/run/e2b",
      stallTimeoutMs: 10_000,
    });
  });

  test("draws a fresh token each time", () => {
    const tokens = [serve().accessToken, serve().accessToken];

    expect(tokens[0]).toMatch(/^[A-Za-z0-9]{22}$/);
    expect(tokens[0]).not.toBe(tokens[1]);
  });

  test("takes its token from a file, or from a variable, and the file counts more", () => {
    const path = file("token", "from-file\n");
    vi.stubEnv("THAW_TOKEN", "from-variable");

    expect(serve().accessToken).toBe("from-variable");
    expect(serve("--token-file", path).accessToken).toBe("from-file");
    expect(serve("--no-token").accessToken).toBeUndefined();
  });

  test("never shows a token that it refuses", () => {
    vi.stubEnv("THAW_TOKEN", "two words");

    expect(() => serve()).toThrow(new UsageError("THAW_TOKEN must hold one word of visible ASCII"));
  });

  test("takes an address, a port, or both", () => {
    expect(serve("--listen", "0.0.0.0:80")).toMatchObject({ host: "0.0.0.0", port: 80 });
    expect(serve("--listen", "::1")).toMatchObject({ host: "::1", port: 49_983 });
    expect(serve("--port", "0")).toMatchObject({ host: "127.0.0.1", port: 0 });
    expect(serve("--listen=[::]", "--port=1")).toMatchObject({ host: "::", port: 1 });
  });

  test("asks the metadata service that is named", () => {
    const url = "http://127.0.0.1:8080";

    expect(serve("--metadata-url", url)).toMatchObject({ metadataUrl: url, isNotFc: false });
    expect(serve("--metadata-url", url, "--isnotfc").isNotFc).toBe(true);
  });

  test("reads certificate and key", () => {
    const config = serve("--tls-cert", tls.cert, "--tls-key", tls.key);

    expect(config.tls?.cert).toContain("BEGIN CERTIFICATE");
    expect(config.tls?.key).toContain("PRIVATE KEY");
  });

  test("takes every other flag", () => {
    const argv = ["--cgroup-root", "/cg", "--no-cgroups", "--stall-timeout", "500ms"];

    const more = ["--cmd", "echo", "--max-connections", "100", "--verbose", "--run-dir=/x"];
    expect(serve(...argv, ...more)).toMatchObject({
      maxConnections: 100,
      runDir: "/x",
      cgroupRoot: "/cg",
      noCgroups: true,
      stallTimeoutMs: 500,
      largeWindowStallMs: 500,
      initialCommand: "echo",
      logLevel: "debug",
    });
    expect(serve("--verbose", "--log-level", "warn").logLevel).toBe("warn");
  });

  test.for<[string[], string | RegExp]>([
    [["--bogus"], "unknown option '--bogus'"],
    [["--port"], /^option '--port <value>' argument missing/],
    [["--port", "http"], '--port: "http" is not a port from 0 to 65535'],
    [["--no-token=yes"], /^option '--no-token' does not take an argument/],
    [["word"], /^unexpected argument 'word'/],
    [["--listen", "host:1", "--port", "2"], '--port: "2" is not the port of --listen, which is 1'],
    [["--dialect", "go"], '--dialect: "go" is not one of e2b, wrenn'],
    [["--log-level", "loud"], /^--log-level: "loud" is not one of debug,/],
    [["--max-connections", "0"], '--max-connections: "0" is not a whole number from 1 to 1000000'],
    [["--max-connections", "1e3"], /^--max-connections: "1e3" is not a whole number/],
    [["--stall-timeout", "10"], /^--stall-timeout: "10" is not a duration/],
    [["--token-file", "/no/such"], '--token-file: "/no/such" is not a readable file (ENOENT)'],
    [["--token-file", "/"], '--token-file: "/" is not a readable file (EISDIR)'],
    [
      ["--token-file", "/dev/null"],
      '--token-file: "/dev/null" must hold one word of visible ASCII',
    ],
    [["--no-token", "--token-file", "/x"], "--no-token and --token-file exclude each other"],
    [["--tls-cert", tls.cert], "--tls-cert needs --tls-key as well"],
    [["--tls-key", tls.key], "--tls-key needs --tls-cert as well"],
    [
      ["--tls-cert", "/dev/null", "--tls-key", tls.key],
      '--tls-cert: "/dev/null" is not a certificate in PEM',
    ],
    [
      ["--tls-cert", tls.cert, "--tls-key", "/dev/null"],
      '--tls-key: "/dev/null" is not a key in PEM',
    ],
    [
      ["--tls-cert", tls.cert, "--tls-key", file("other.pem", makeCertificate().key)],
      `is not the key of the certificate "${tls.cert}"`,
    ],
  ])("refuses %j", ([argv, message]) => {
    expect(() => serve(...argv)).toThrow(UsageError);
    expect(() => serve(...argv)).toThrow(message);
  });
});

describe("envd", () => {
  test("keeps the defaults of the contract: every address, open until init", () => {
    vi.stubEnv("THAW_TOKEN", "not-for-envd");

    expect(envd()).toEqual(defaultConfig("envd"));
    expect(envd()).toMatchObject({
      host: "0.0.0.0",
      port: 49_983,
      accessToken: undefined,
      isNotFc: false,
      setsClock: true,
    });
  });

  test("takes the flags of the contract with one dash or two", () => {
    expect(envd("-port", "1", "--isnotfc", "-no-cgroups=true", "-cgroup-root=/cg")).toMatchObject({
      port: 1,
      isNotFc: true,
      noCgroups: true,
      cgroupRoot: "/cg",
    });
    expect(envd("-verbose", "-cmd", "sleep 1", "-resume-handover")).toMatchObject({
      logLevel: "debug",
      initialCommand: "sleep 1",
    });
  });

  test("prints version and commit bare", () => {
    expect(parseEnvd(["-version"])).toEqual({ kind: "print", text: "0.6.11\n" });
    expect(parseEnvd(["--commit"])).toEqual({ kind: "print", text: "unknown\n" });
  });

  test("takes none of the flags that are for machines outside a VM", () => {
    expect(() => envd("-no-token")).toThrow("flag provided but not defined: -no-token");
  });
});

test("the dialect comes from the flag, or else from the variable", () => {
  vi.stubEnv("THAW_DIALECT", "wrenn");

  expect(envd()).toMatchObject({ dialect: "wrenn", runDir: "/run/wrenn" });
  expect(envd("-dialect=e2b").dialect).toBe("e2b");

  vi.stubEnv("THAW_DIALECT", "go");

  expect(() => envd()).toThrow(new UsageError('THAW_DIALECT: "go" is not e2b or wrenn'));
});

test.for([
  ["http://127.0.0.1:49983", "tok", "http://127.0.0.1:49983/#token=tok"],
  ["http://0.0.0.0:1", "tok", "http://127.0.0.1:1/#token=tok"],
  ["https://[::]:1", undefined, "https://[::1]:1/"],
  ["http://guest:1", "a/b#c", "http://guest:1/#token=a%2Fb%23c"],
] as const)("the URL to open of %s with the token %s is %s", ([url, token, expected]) => {
  expect(urlToOpen(url, token)).toBe(expected);
});

test("thaw refuses to be asked for nothing", () => {
  expect(() => parseThaw([])).toThrow(UsageError);
});

test.for(["--help", "--version", "serve --help", "serve -h"])(
  "thaw %s prints what fits a screen",
  (words) => {
    const command = parseThaw(words.split(" "));

    const text = command.kind === "print" ? command.text : "";
    expect(text).not.toBe("");
    expect(text.split("\n").length).toBeLessThanOrEqual(25);
    for (const line of text.split("\n")) expect(line.length).toBeLessThanOrEqual(80);
  },
);

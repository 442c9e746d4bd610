import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { Agent, get } from "node:https";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createClient } from "@connectrpc/connect";
import { createConnectTransport } from "@connectrpc/connect-node";
import { describe, expect, test, vi } from "vitest";
import { Process } from "../../gen/process/process_pb.js";
import { Binary, EnvdLink, LAUNCHER } from "../helpers/binary.ts";
import { makeCertificate } from "../helpers/certificate.ts";
import { MetadataServer } from "../helpers/metadata-server.ts";
import { runProgram } from "../helpers/run-program.ts";

const status = async (binary: Binary, path: string, token?: string) => {
  const headers = token === undefined ? {} : { "X-Access-Token": token };
  return (await fetch(`${binary.url}${path}`, { headers })).status;
};

const processesOf = ({ url }: Binary) =>
  createClient(Process, createConnectTransport({ baseUrl: url, httpVersion: "1.1" }));

describe("thaw serve", () => {
  test("prints one URL with the token that it asks for, and nothing else", async () => {
    await using binary = await Binary.serve();
    await vi.waitFor(() => expect(binary.stdout).toContain("\n"));

    expect(binary.stdout).toBe(`${binary.url}/#token=${binary.token}\n`);
    expect(binary.token).toMatch(/^\w{22}$/);
    expect(await status(binary, "/envs")).toBe(401);
    expect(await status(binary, "/envs", "x".repeat(22))).toBe(401);
    expect(await status(binary, "/envs", binary.token)).toBe(200);
  });

  test("listens on loopback alone", async () => {
    await using binary = await Binary.serve();

    expect(listeningAddresses(binary)).toEqual(["0100007F"]);
  });

  test("listens where it is told to", async () => {
    await using everywhere = await Binary.serve(["--listen", "0.0.0.0"]);
    await using other = await Binary.serve(["--listen", "127.0.0.2"]);

    expect(listeningAddresses(everywhere)).toEqual(["00000000"]);
    expect(listeningAddresses(other)).toEqual(["0200007F"]);
  });

  test("is open with --no-token, and prints its URL alone", async () => {
    await using binary = await Binary.serve(["--no-token"]);
    await vi.waitFor(() => expect(binary.stdout).toBe(`${binary.url}/\n`));

    expect(await status(binary, "/envs")).toBe(200);
  });

  test("takes its token from a file or a variable, which ps does not show", async () => {
    const directory = mkdtempSync(join(tmpdir(), "thaw-flags-"));
    const path = join(directory, "token");
    writeFileSync(path, "of-the-file\n");
    await using byFile = await Binary.serve(["--token-file", path]);
    await using byVariable = await Binary.serve([], { env: { THAW_TOKEN: "of-the-variable" } });
    rmSync(directory, { recursive: true });

    expect(await status(byFile, "/envs", "of-the-file")).toBe(200);
    expect(await status(byVariable, "/envs", "of-the-variable")).toBe(200);
    for (const { child } of [byFile, byVariable]) {
      expect(readFileSync(`/proc/${child.pid}/cmdline`, "utf8")).not.toContain("of-the");
    }
  });

  test("tells no program its token", async () => {
    await using binary = await Binary.serve(["--no-token"], { env: { THAW_TOKEN: "secret" } });
    const events = processesOf(binary).start({ process: { cmd: "env" }, stdin: false });

    let output = "";
    for await (const { event } of events) {
      const data = event?.event.case === "data" ? event.event.value.output : undefined;
      output += Buffer.from(data?.value ?? []).toString();
    }

    expect(output).toContain("PATH=");
    expect(output).not.toMatch(/secret|THAW_/);
  });

  test("speaks TLS with the certificate it is given", async () => {
    const directory = mkdtempSync(join(tmpdir(), "thaw-flags-"));
    const { cert, key } = makeCertificate();
    writeFileSync(join(directory, "cert.pem"), cert);
    writeFileSync(join(directory, "key.pem"), key);
    const files = ["--tls-cert", `${directory}/cert.pem`, "--tls-key", `${directory}/key.pem`];
    await using binary = await Binary.serve(files);
    rmSync(directory, { recursive: true });

    expect(binary.url).toMatch(/^https:/);
    expect(await statusOverTls(`${binary.url}/health`, cert)).toBe(204);
  });

  test("obeys the host that the dialect names", async () => {
    await using byFlag = await Binary.serve(["--dialect", "wrenn"]);
    await using byVariable = await Binary.serve([], { env: { THAW_DIALECT: "wrenn" } });

    for (const { url } of [byFlag, byVariable]) {
      const answer = await fetch(`${url}/health`);
      expect([answer.status, await answer.json()]).toEqual([200, { version: "0.6.11" }]);
    }
  });

  test("asks the metadata service that it is told of", async () => {
    const identity = { instanceID: "sandbox-1", envID: "template-1", address: "" };
    await using metadata = await MetadataServer.start(identity);
    await using binary = await Binary.serve(["--no-token", "--metadata-url", metadata.url]);

    await vi.waitFor(async () => {
      expect(await (await fetch(`${binary.url}/envs`)).json()).toMatchObject({
        E2B_SANDBOX: "true",
        E2B_SANDBOX_ID: "sandbox-1",
        E2B_TEMPLATE_ID: "template-1",
      });
    });
  });

  test("runs the initial command, which the host finds by its tag", async () => {
    await using binary = await Binary.serve(["--no-token", "--cmd", "exec sleep 100"]);

    await vi.waitFor(async () => {
      const { processes } = await processesOf(binary).list({});
      expect(processes).toMatchObject([
        { tag: "init-cmd", config: { cmd: "/bin/bash", args: ["-l", "-c", "exec sleep 100"] } },
      ]);
    });
    binary.child.kill("SIGTERM");
    expect(await binary.exited).toBe(0);
  });

  test.for([
    [["--port", "http"], 'thaw: --port: "http" is not a port from 0 to 65535\n'],
    [["--bogus"], "thaw: unknown option '--bogus'\n"],
    [["--dialect", "go"], 'thaw: --dialect: "go" is not one of e2b, wrenn\n'],
  ] as const)("refuses %j with 2, and starts nothing", async ([args, complaint]) => {
    const result = await runProgram(LAUNCHER, ["serve", ...args]);

    expect(result).toMatchObject({ code: 2, stdout: "" });
    expect(result.stderr).toContain(complaint);
    expect(result.stderr).toContain("thaw serve --help");
  });

  test.for([
    ["192.0.2.1:1", "port 1 on 192.0.2.1 is no address of this machine"],
    [
      "[fe80::1]:1",
      "port 1 on fe80::1 cannot be bound: a link-local address needs its link, as in fe80::1%eth0",
    ],
  ] as const)(
    "says which address is not this machine's, and exits with 1: %s",
    async ([address, complaint]) => {
      const result = await runProgram(LAUNCHER, ["serve", "--listen", address]);

      expect(result).toMatchObject({ code: 1, stderr: `thaw: ${complaint}\n` });
    },
  );
});

describe("envd", () => {
  test("listens everywhere and is open until init, and prints nothing", async () => {
    await using binary = await Binary.envd(["-isnotfc"], { env: { THAW_TOKEN: "not-for-envd" } });

    expect(listeningAddresses(binary)).toEqual(["00000000"]);
    expect(await status(binary, "/envs")).toBe(200);
    expect(binary.stdout).toBe("");
  });

  test.for([["-version"], ["--version"], ["-version=true", "-port", "1"]])(
    "prints its version bare for %j",
    async (args) => {
      using link = new EnvdLink();

      expect(await runProgram(link.path, args)).toMatchObject({ code: 0, stdout: "0.6.11\n" });
    },
  );

  test("prints the commit it was built from", async () => {
    using link = new EnvdLink();

    expect((await runProgram(link.path, ["-commit"])).stdout).toMatch(/^([0-9a-f]{40}|unknown)\n$/);
  });

  test("prints its usage for a flag it does not know, and exits with 2", async () => {
    using link = new EnvdLink();

    const result = await runProgram(link.path, ["-bogus"]);

    expect(result).toMatchObject({ code: 2, stdout: "" });
    expect(result.stderr).toMatch(/^envd: flag provided but not defined: -bogus\nUsage of envd:\n/);
  });

  test("prints its usage when asked, and exits with 0", async () => {
    using link = new EnvdLink();

    const result = await runProgram(link.path, ["-help"]);

    expect(result).toMatchObject({ code: 0, stderr: "" });
    expect(result.stdout).toMatch(/^Usage of envd:\n {2}-version /);
  });
});

test.for([["--help"], ["serve", "--help"], ["--version"]])(
  "thaw %j prints to standard output and exits with 0",
  async (args) => {
    const result = await runProgram(LAUNCHER, args);

    expect(result).toMatchObject({ code: 0, stderr: "" });
    expect(result.stdout).toMatch(/^(Usage: thaw|thaw \d)/);
  },
);

/** The addresses, in hexadecimal, on which the agent's port is bound. */
function listeningAddresses({ url }: Binary): string[] {
  const port = Number(new URL(url).port).toString(16).toUpperCase().padStart(4, "0");
  const lines = ["tcp", "tcp6"].flatMap((name) =>
    readFileSync(`/proc/net/${name}`, "utf8").split("\n"),
  );
  return lines.flatMap((line) => {
    const [, address, hex, state] = /^\s*\d+: ([0-9A-F]+):([0-9A-F]+) \S+ (\S+)/.exec(line) ?? [];
    return hex === port && state === "0A" ? [address ?? ""] : [];
  });
}

function statusOverTls(url: string, ca: string): Promise<number | undefined> {
  return new Promise((resolve, reject) => {
    const agent = new Agent({ keepAlive: false, ca });
    get(url, { agent }, (response) => {
      response.resume().once("end", () => resolve(response.statusCode));
    }).once("error", reject);
  });
}

import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createClient } from "@connectrpc/connect";
import { test as base, expect } from "vitest";
import { Snapshot } from "../../gen/snapshot/snapshot_pb.js";
import { Binary, EnvdLink } from "../helpers/binary.ts";
import { hold } from "../helpers/held-connection.ts";
import { Namespace, namespaceProblem } from "../helpers/namespace.ts";
import { SilentProxy } from "../helpers/silent-proxy.ts";

const problem = namespaceProblem();
if (problem !== undefined) console.warn(`peers that vanish are not tested: ${problem}`);

/** An agent that may not have the kernel probe its peers. */
const test = base.extend<{ target: { port: number } }>({
  // oxlint-disable-next-line no-empty-pattern -- vitest reads what a fixture needs from here
  target: async ({}, use) => {
    const directory = mkdtempSync(join(tmpdir(), "thaw-unprivileged-"));
    using envd = new EnvdLink();
    const launcher = join(directory, "launcher");
    const command = `exec setpriv --bounding-set=-net_admin ${envd.path} "$@"`;
    writeFileSync(launcher, `#!/bin/sh\n${command}\n`, { mode: 0o755 });
    {
      await using binary = await Binary.envd(["-isnotfc"], { launcher });
      await use({ port: Number(new URL(binary.url).port) });
    }
    rmSync(directory, { recursive: true });
  },
});

test.skipIf(problem !== undefined)(
  "peers over HTTP/2 are asked by PING, and one that is silent is destroyed",
  async ({ target }) => {
    using namespace = new Namespace();
    await using proxy = await SilentProxy.start(namespace, target.port);
    using living = await hold("h2", target);
    using _silent = await hold("h2", proxy);
    await proxy.vanish();
    using host = await hold("h2", target);

    const report = await createClient(Snapshot, host.transport).restore({});

    expect(report).toMatchObject({ zombiesDestroyed: 1, connectionsKept: 2 });
    await living.ask();
  },
);

test("peers over HTTP/1 are left to the kernel, which finds them alive", async ({ target }) => {
  using living = await hold("h1", target);
  using host = await hold("h1", target);

  const report = await createClient(Snapshot, host.transport).restore({});

  expect(report).toMatchObject({ zombiesDestroyed: 0, connectionsKept: 2 });
  await living.ask();
});

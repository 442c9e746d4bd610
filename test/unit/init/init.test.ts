import { execFileSync } from "node:child_process";
import { once } from "node:events";
import { type AddressInfo, createServer, type Socket } from "node:net";
import { expect, test, vi } from "vitest";
import { Init, type InitParts } from "../../../src/init/init.ts";
import { Settings } from "../../../src/init/settings.ts";
import { createLog } from "../../../src/log.ts";
import { Cgroups } from "../../../src/system/cgroups.ts";
import type { RunCommand } from "../../../src/system/run-command.ts";
import { WorkloadFreezer } from "../../../src/system/workload-freezer.ts";
import { scratchDirectory } from "../../helpers/scratch.ts";

const MS = 1_000_000n;
const HOST_NS = 1_795_204_657_000_000_000n;
const WAIT_MS = 300;
/** Of the addresses at which hosts offer their services, one that nobody has. */
const LINK_LOCAL = "169.254.201.1";

const SAID = { lifecycleId: "", volumeMounts: [] };
const { signal } = new AbortController();

/** What takes inits in `directory`, and touches nothing else of the machine. */
function initIn(
  directory: string,
  config: Partial<InitParts["config"]>,
  parts: Partial<InitParts>,
): Init {
  const log = createLog("silent");
  return new Init({
    config: {
      dialect: "e2b",
      isNotFc: true,
      metadataUrl: "http://127.0.0.1:1",
      runDir: directory,
      hostsFile: `${directory}/hosts`,
      caBundleFile: `${directory}/bundle`,
      caExtraFile: `${directory}/extra`,
      ...config,
    },
    settings: new Settings(),
    freezer: new WorkloadFreezer(new Cgroups(directory, true, log), log),
    clock: undefined,
    log,
    ...parts,
  });
}

test("the clock is set to what the host's time has become while others had their turn", async () => {
  using scratch = scratchDirectory();
  const times: bigint[] = [];
  let isMounting = false;
  let finishMount = () => {};
  const run: RunCommand = async ([program]) => {
    if (program === "mount") {
      isMounting = true;
      await new Promise<void>((resolve) => (finishMount = resolve));
    }
    return { exitCode: program === "findmnt" ? 1 : 0, stdout: "", stderr: "" };
  };
  const clock = { nowNs: () => 0n, setNs: (ns: bigint) => void times.push(ns) };
  const init = initIn(scratch.path, {}, { clock, run });
  const volume = { target: "10.0.0.1:/volume", path: `${scratch.path}/volume` };
  const first = init.apply({ ...SAID, volumeMounts: [volume] }, signal, () => {});
  await vi.waitFor(() => expect(isMounting).toBe(true));

  const start = performance.now();
  const second = init.apply({ ...SAID, timestampNs: HOST_NS }, signal, () => {});
  await vi.waitFor(() => expect(performance.now() - start).toBeGreaterThan(WAIT_MS), 2_000);
  finishMount();
  await Promise.all([first, second]);
  const tookMs = performance.now() - start;

  expect(times).toHaveLength(1);
  const [time = 0n] = times;
  expect(time).toBeGreaterThanOrEqual(HOST_NS + BigInt(WAIT_MS) * MS);
  expect(time).toBeLessThanOrEqual(HOST_NS + BigInt(Math.ceil(tookMs)) * MS);
  await init.close();
});

test("who has no token does not hold up who has it, however long the question takes", async () => {
  using scratch = scratchDirectory();
  const silent = createServer().listen(0, "127.0.0.1");
  await once(silent, "listening");
  const { port } = silent.address() as AddressInfo;
  const metadataUrl = `http://127.0.0.1:${port}`;
  const settings = new Settings();
  settings.accessToken = "right";
  const init = initIn(scratch.path, { isNotFc: false, metadataUrl }, { settings });
  const leaving = new AbortController();
  const refusals: unknown[] = [];
  const asking = Array.from({ length: 3 }, async () => {
    const wrong = { ...SAID, accessToken: "wrong", envVars: new Map([["A", "1"]]) };
    await init.apply(wrong, leaving.signal, () => {}).catch((reason) => refusals.push(reason));
  });
  await once(silent, "connection");

  await init.apply({ ...SAID, accessToken: "right" }, signal, () => {});

  expect(refusals).toEqual([]);
  leaving.abort();
  await Promise.all(asking);
  expect(refusals).toHaveLength(3);
  expect(settings.userVariables.size).toBe(0);
  await init.close();
  silent.close();
});

test("who had to ask is judged by the token that has come meanwhile", async () => {
  using scratch = scratchDirectory();
  const metadata = createServer();
  metadata.listen(0, "127.0.0.1");
  await once(metadata, "listening");
  const { port } = metadata.address() as AddressInfo;
  const metadataUrl = `http://127.0.0.1:${port}`;
  const settings = new Settings();
  settings.accessToken = "old";
  const init = initIn(scratch.path, { isNotFc: false, metadataUrl }, { settings });
  const early = init.apply({ ...SAID, accessToken: "new" }, signal, () => {});
  const [question] = (await once(metadata, "connection")) as [Socket];

  settings.accessToken = "new";
  question.destroy();

  await expect(early).resolves.toBeUndefined();
  await init.close();
  metadata.close();
});

test("a metadata service that cannot be reached is asked again past the guest's own rules", async () => {
  using scratch = scratchDirectory();
  execFileSync("ip", ["addr", "add", `${LINK_LOCAL}/32`, "dev", "lo"]);
  try {
    const calls: string[] = [];
    const run: RunCommand = async (argv) => {
      calls.push(argv.join(" "));
      return { exitCode: 0, stdout: "", stderr: "" };
    };
    const metadataUrl = `http://${LINK_LOCAL}:1`;
    const init = initIn(scratch.path, { isNotFc: false, metadataUrl }, { run });

    await init.apply(SAID, signal, () => {});

    const inserted = calls.filter((call) => call.includes(" -I "));
    expect(inserted).toHaveLength(2);
    expect(inserted.every((call) => call.includes(`-d ${LINK_LOCAL} -p tcp --dport 1`))).toBe(true);
    await init.close();
  } finally {
    execFileSync("ip", ["addr", "del", `${LINK_LOCAL}/32`, "dev", "lo"]);
  }
});

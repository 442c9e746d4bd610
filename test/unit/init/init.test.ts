import { expect, test, vi } from "vitest";
import { Init } from "../../../src/init/init.ts";
import { Settings } from "../../../src/init/settings.ts";
import { createLog } from "../../../src/log.ts";
import { Cgroups } from "../../../src/system/cgroups.ts";
import type { RunCommand } from "../../../src/system/run-command.ts";
import { WorkloadFreezer } from "../../../src/system/workload-freezer.ts";
import { scratchDirectory } from "../../helpers/scratch.ts";

const MS = 1_000_000n;
const HOST_NS = 1_795_204_657_000_000_000n;
const WAIT_MS = 300;

test("the clock is set to what the host's time has become while others had their turn", async () => {
  using scratch = scratchDirectory();
  const log = createLog("silent");
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
  const init = new Init({
    config: {
      dialect: "e2b",
      isNotFc: true,
      metadataUrl: "http://127.0.0.1:1",
      runDir: scratch.path,
      hostsFile: `${scratch.path}/hosts`,
      caBundleFile: `${scratch.path}/bundle`,
      caExtraFile: `${scratch.path}/extra`,
    },
    settings: new Settings(),
    freezer: new WorkloadFreezer(new Cgroups(scratch.path, true, log), log),
    clock: { nowNs: () => 0n, setNs: (ns) => void times.push(ns) },
    log,
    run,
  });
  const { signal } = new AbortController();
  const volume = { target: "10.0.0.1:/volume", path: `${scratch.path}/volume` };
  const said = { lifecycleId: "", volumeMounts: [] };
  const first = init.apply({ ...said, volumeMounts: [volume] }, signal, () => {});
  await vi.waitFor(() => expect(isMounting).toBe(true));

  const start = performance.now();
  const second = init.apply({ ...said, timestampNs: HOST_NS }, signal, () => {});
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

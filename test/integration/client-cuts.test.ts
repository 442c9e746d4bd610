import { createHash } from "node:crypto";
import { describe, expect } from "vitest";
import { Guest } from "../../src/client/index.ts";
import { test } from "../helpers/agent.ts";
import { CUTS, CuttingProxy } from "../helpers/cutting-proxy.ts";
import { seeded } from "../helpers/resuming.ts";

const MIB = 1024 * 1024;
/** The long form is what is promised; the short one is for every day. */
const IS_LONG = process.env["THAW_LONG"] === "1";
const BYTES = (IS_LONG ? 1024 : 64) * MIB;
const LEAST_CUTS = IS_LONG ? 500 : 60;
const TIMEOUT_MS = IS_LONG ? 1_800_000 : 120_000;
/** A dropped connection is noticed by its silence, which takes a while each time. */
const ONE_DROP_IN = IS_LONG ? 50 : 30;

/** Numbered lines of 16 bytes: whatever is lost, doubled or swapped changes the sum. */
function* numbered(bytes: number): Generator<Buffer> {
  const lines = 4_096;
  for (let first = 0; first * 16 < bytes; first += lines) {
    const part = Array.from({ length: lines }, (_, index) =>
      String(first + index).padStart(15, "0"),
    );
    yield Buffer.from(`${part.join("\n")}\n`);
  }
}

const WRITER = `
const numbered = ${numbered.toString()};
const write = () => { for (const part of numbered(${BYTES})) require("fs").writeSync(1, part); };
write();
`;

/** Cuts at random, in every way, so that the whole takes at least so many cuts. */
function cutAtRandom(proxy: CuttingProxy, way: "bytesUp" | "bytesDown", seed: number) {
  const random = seeded(seed);
  const mean = (0.8 * BYTES) / LEAST_CUTS;
  const report = { cuts: 0 };
  // What is under way when a connection is cut is sent again: more is carried than the content.
  let next = random(mean);
  proxy.onBytes = () => {
    if (proxy[way] < next || report.cuts === 2 * LEAST_CUTS) return;
    next = proxy[way] + 1 + random(2 * mean);
    report.cuts++;
    const how = report.cuts % ONE_DROP_IN === 0 ? "drop" : CUTS[1 + random(2)];
    proxy.cut(how ?? "reset");
  };
  return report;
}

/** One of the two is enough for the long form: it is minutes of both processors. */
const VERSIONS = IS_LONG ? (["2"] as const) : (["1.1", "2"] as const);

describe.for(VERSIONS)("over HTTP/%s, cut off at random again and again", (http) => {
  test("output is whole", { timeout: TIMEOUT_MS }, async ({ agent }) => {
    await using proxy = await CuttingProxy.start(agent.port);
    using guest = new Guest(proxy.url, { httpVersion: http });
    const report = cutAtRandom(proxy, "bytesDown", 1);
    const start = performance.now();
    const program = await guest.process.start(process.execPath, {
      args: ["-e", WRITER],
      whenFull: "wait",
      keepaliveMs: 1_000,
    });
    const hash = createHash("sha256");
    for await (const output of program) {
      if (output.kind !== "stdout") throw new Error(`${output.kind} is not expected`);
      hash.update(output.bytes);
    }

    expect(await program.wait()).toMatchObject({ exitCode: 0 });
    expect(program.offsets.stdout).toBe(BYTES);
    expect(hash.digest("hex")).toBe(sumOf(numbered(BYTES)));
    tell("output", http, report.cuts, start);
    expect(report.cuts).toBeGreaterThanOrEqual(LEAST_CUTS);
  });

  test("input is whole", { timeout: TIMEOUT_MS }, async ({ agent }) => {
    await using proxy = await CuttingProxy.start(agent.port);
    using guest = new Guest(proxy.url, { httpVersion: http });
    const report = cutAtRandom(proxy, "bytesUp", 2);
    const start = performance.now();
    const program = await guest.process.start("sha256sum", { stdin: true, keepaliveMs: 1_000 });
    const answer = program.text();
    for (const part of numbered(BYTES)) await program.sendInput(part);
    await program.closeStdin();

    expect((await answer).stdout).toBe(`${sumOf(numbered(BYTES))}  -\n`);
    tell("input", http, report.cuts, start);
    expect(report.cuts).toBeGreaterThanOrEqual(LEAST_CUTS);
  });
});

function sumOf(parts: Iterable<Buffer>): string {
  const hash = createHash("sha256");
  for (const part of parts) hash.update(part);
  return hash.digest("hex");
}

function tell(what: string, http: string, cuts: number, start: number): void {
  const seconds = ((performance.now() - start) / 1_000).toFixed(1);
  console.log(`${what} over HTTP/${http}: ${BYTES / MIB} MiB, ${cuts} cuts, ${seconds} s`);
}

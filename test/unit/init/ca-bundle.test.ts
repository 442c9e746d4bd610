import {
  appendFileSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, expect, test } from "vitest";
import { CaBundle } from "../../../src/init/ca-bundle.ts";
import { createLog } from "../../../src/log.ts";
import { cpuMs } from "../../helpers/cpu-time.ts";
import { smallFilesystem } from "../../helpers/scratch.ts";

const HERE = new AbortController().signal;
const SYSTEM = "-----SYSTEM-----\n";
const ONE = "-----ONE-----\nYWJj\n";
const TWO = "-----TWO-----\nZGVm\n";

let directory: string;
let caBundleFile: string;
let caExtraFile: string;
let bundle: CaBundle;
beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), "thaw-"));
  caBundleFile = join(directory, "certs", "bundle.crt");
  caExtraFile = join(directory, "extra", "deep", "e2b-ca.crt");
  rmSync(join(directory, "certs"), { recursive: true, force: true });
  bundle = new CaBundle({ caBundleFile, caExtraFile }, createLog("silent"));
});
afterEach(async () => {
  await bundle.close();
  rmSync(directory, { recursive: true });
});

function withSystemBundle(text = SYSTEM): void {
  mkdirSync(join(directory, "certs"));
  writeFileSync(caBundleFile, text);
}

test("certificates are trusted at once, and kept for the system's own tool", async () => {
  withSystemBundle();

  await bundle.install(ONE, HERE);
  expect(readFileSync(caBundleFile, "utf8")).toBe(SYSTEM + ONE);

  await bundle.close();
  expect(readFileSync(caExtraFile, "utf8")).toBe(ONE);
  expect(statSync(caExtraFile).mode & 0o7777).toBe(0o644);
  expect(statSync(join(directory, "extra")).mode & 0o7777).toBe(0o755);
});

test.for(["-----ONE-----\nYWJj", ONE, `${ONE}\n\n\n`])("%j ends in one newline", async (pem) => {
  withSystemBundle();

  await bundle.install(pem, HERE);

  expect(readFileSync(caBundleFile, "utf8")).toBe(SYSTEM + ONE);
});

test("the same ones again change nothing", async () => {
  withSystemBundle();
  await bundle.install(ONE, HERE);
  await bundle.install(`${ONE}\n`, HERE);

  expect(readFileSync(caBundleFile, "utf8")).toBe(SYSTEM + ONE);
});

test("new ones take the place of those before", async () => {
  withSystemBundle();
  await bundle.install(ONE, HERE);
  await bundle.install(TWO, HERE);
  await bundle.close();

  expect(readFileSync(caBundleFile, "utf8")).toBe(SYSTEM + TWO);
  expect(readFileSync(caExtraFile, "utf8")).toBe(TWO);
  expect(statSync(caBundleFile).mode & 0o7777).toBe(0o644);
  expect(readdirSync(join(directory, "certs"))).toEqual(["bundle.crt"]);
});

test("a bundle that ends within a line is not spoilt", async () => {
  withSystemBundle("-----SYSTEM-----");

  await bundle.install(ONE, HERE);

  expect(readFileSync(caBundleFile, "utf8")).toBe(`${SYSTEM}${ONE}`);
});

test("without a bundle nothing is made, and the next try may succeed", async () => {
  await expect(bundle.install(ONE, HERE)).rejects.toMatchObject({ code: "invalid" });
  expect(readdirSync(directory)).toEqual([]);

  withSystemBundle();
  await bundle.install(ONE, HERE);

  expect(readFileSync(caBundleFile, "utf8")).toBe(SYSTEM + ONE);
});

test("a full disk leaves the bundle as it was", async () => {
  using small = smallFilesystem("size=64k");
  const full = { caBundleFile: join(small.path, "bundle.crt"), caExtraFile };
  writeFileSync(full.caBundleFile, SYSTEM);

  const install = new CaBundle(full, createLog("silent")).install("x".repeat(100_000), HERE);

  await expect(install).rejects.toMatchObject({ code: "ENOSPC" });
  expect(readFileSync(full.caBundleFile, "utf8")).toBe(SYSTEM);
});

test("who is gone does not get the turn", async () => {
  withSystemBundle();
  const gone = AbortSignal.abort(new Error("gone"));

  await expect(bundle.install(ONE, gone)).rejects.toMatchObject({ code: "unavailable" });
  expect(readFileSync(caBundleFile, "utf8")).toBe(SYSTEM);
});

test("many at once end in one that is whole", async () => {
  withSystemBundle();
  const pems = Array.from({ length: 20 }, (_, number) => `-----${number}-----\n`);

  await Promise.all(pems.map((pem) => bundle.install(pem, HERE)));
  await bundle.close();

  expect(readFileSync(caExtraFile, "utf8")).toBe("-----19-----\n");
  expect(readFileSync(caBundleFile, "utf8")).toBe(`${SYSTEM}-----19-----\n`);
});

test("a bundle that holds the one before as a part stays whole", async () => {
  withSystemBundle();
  await bundle.install(ONE, HERE);
  await bundle.install(ONE + TWO, HERE);
  await bundle.close();
  expect(readFileSync(caBundleFile, "utf8")).toBe(SYSTEM + ONE + TWO);

  await bundle.install(TWO, HERE);
  await bundle.close();
  expect(readFileSync(caBundleFile, "utf8")).toBe(SYSTEM + TWO);
});

test("what others add meanwhile stays", async () => {
  withSystemBundle();
  await bundle.install(ONE, HERE);
  appendFileSync(caBundleFile, "-----OTHER-----\n");
  await bundle.install(TWO, HERE);
  await bundle.close();

  expect(readFileSync(caBundleFile, "utf8")).toBe(`${SYSTEM}-----OTHER-----\n${TWO}`);
});

test("newlines within certificates, however many, are no work", async () => {
  withSystemBundle();
  const pem = `${"\n".repeat(100_000)}${ONE}`;
  const start = cpuMs();

  await bundle.install(pem, HERE);

  expect(cpuMs() - start).toBeLessThan(1_000);
  expect(readFileSync(caBundleFile, "utf8")).toBe(SYSTEM + pem);
});

/**
 * `node bench/silence.ts [SECONDS]`: for how long a peer that reads 1 KiB/s looks to the agent as if
 * it had stopped, by its buffers and windows. What the agent's stall times are chosen by.
 */
import { mkdtempSync, rmSync, truncateSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { startAgent } from "../src/agent.ts";
import { defaultConfig, stallTimesOf } from "../src/config.ts";
import { createLog } from "../src/log.ts";
import { patienceMs, StallWatch, type Watched } from "../src/net/progress.ts";
import { makeCertificate } from "../test/helpers/certificate.ts";
import {
  byHalves,
  byPages,
  CHROMIUM,
  readFastFirst,
  readHttp2,
  readPlain,
  readTls,
  type SlowReader,
  type SlowReading,
} from "../test/helpers/slow-readers.ts";

const KIB = 1_024;
const LOOK_MS = 100;
const SECONDS = Number(process.argv[2] ?? 900);
const FILE_BYTES = 4 * KIB * KIB * KIB;
/** From here on it is no pause between two pieces, in ms. */
const SILENCE_MS = 4_000;

/** A kind of client, and how one of it begins to read. */
type Reader = readonly [
  name: string,
  start: (reading: SlowReading) => SlowReader | Promise<SlowReader>,
];

const named = (kib: number | undefined) => (kib === undefined ? "default" : `${kib} KiB`);
const inBytes = (kib: number | undefined) => (kib === undefined ? undefined : kib * KIB);

const READERS: readonly Reader[] = [
  ...[4, 8, 16, 32, 64, 128, 256, 1_024, undefined].map(
    (kib): Reader => [`HTTP/1.1, ${named(kib)}`, (reading) => readPlain(reading, inBytes(kib))],
  ),
  [
    "HTTP/1.1, default, after 200 MiB at full rate",
    (reading) => readFastFirst(reading, 200 * KIB * KIB),
  ],
  ...[4, 8, 16, 32, 64, 256, undefined].map(
    (kib): Reader => [`TLS, ${named(kib)}`, (reading) => readTls(reading, inBytes(kib))],
  ),
  ...[16, 64, 256, 1_024, 6 * 1_024].map(
    (kib): Reader => [
      `HTTP/2, ${named(kib)}, by halves`,
      (reading) => readHttp2(reading, byHalves(kib * KIB)),
    ],
  ),
  ...[64, 4 * 1_024].map(
    (kib): Reader => [
      `HTTP/2, ${named(kib)}, every 4 KiB`,
      (reading) => readHttp2(reading, byPages(kib * KIB)),
    ],
  ),
  ["HTTP/2, 6144 KiB, by halves or after 5 s", (reading) => readHttp2(reading, CHROMIUM)],
];

/** What the agent looks at for the answer that began last. It cuts off nobody here. */
let begun: ((watched: Watched) => void) | undefined;
const known = new WeakSet<Watched>();
StallWatch.prototype.note = (watched) => {
  // What the agent waits for is a request that has come already.
  if (known.has(watched) || !watched.isWaiting()) return;
  known.add(watched);
  begun?.(watched);
};

const directory = mkdtempSync(join(tmpdir(), "thaw-silence-"));
const path = join(directory, "file");
writeFileSync(path, "");
truncateSync(path, FILE_BYTES);
const config = {
  ...defaultConfig("thaw"),
  port: 0,
  noCgroups: true,
  runDir: join(directory, "run"),
  tls: makeCertificate(),
  logLevel: "error" as const,
};
const times = stallTimesOf(config);
const agent = await startAgent(config, createLog(config.logLevel));
const reading = {
  port: Number(new URL(agent.url).port),
  path: `/files?path=${path}`,
  bytesPerS: KIB,
};

/** What was seen of one reader. */
class Seen {
  longestMs = 0;
  windowBytes = 0;
  /** The least that the agent would have waited in a silence. */
  givenMs = Number.POSITIVE_INFINITY;
  /** How often it would have given up on the reader. */
  cuts = 0;
  readonly #watched: Watched;
  #taken = -1;
  #since = 0;
  #isCut = false;

  constructor(watched: Watched) {
    this.#watched = watched;
  }

  look(): void {
    const now = performance.now();
    if (this.#taken < 0) this.#since = now;
    const bytes = this.#watched.windowBytes?.(times.stallMs) ?? 0;
    this.windowBytes = Math.max(this.windowBytes, bytes);
    const givenMs = patienceMs(bytes, times.stallMs, times.largeWindowMs);
    const silentMs = now - this.#since;
    this.longestMs = Math.max(this.longestMs, silentMs);
    if (silentMs > SILENCE_MS) this.givenMs = Math.min(this.givenMs, givenMs);
    if (silentMs > givenMs && !this.#isCut) {
      this.#isCut = true;
      this.cuts += 1;
    }
    const taken = this.#watched.taken();
    if (taken === this.#taken) return;
    this.#taken = taken;
    this.#since = now;
    this.#isCut = false;
  }
}

async function begin([name, start]: Reader) {
  const watched = new Promise<Watched>((resolve) => (begun = resolve));
  const client = await start(reading);
  const seen = new Seen(await watched);
  begun = undefined;
  return { name, client, seen };
}

const readers = [];
for (const reader of READERS) readers.push(await begin(reader));
console.log("all are reading");
const end = performance.now() + SECONDS * 1_000;
while (performance.now() < end) {
  for (const { seen } of readers) seen.look();
  await new Promise((resolve) => setTimeout(resolve, LOOK_MS));
}
console.log(`1 KiB/s for ${SECONDS} s`);
console.log(
  "| reader | largest window | longest silence | given | slowest rate at 10 s | cut off |",
);
console.log("|---|---|---|---|---|---|");
for (const { name, client, seen } of readers) {
  const seconds = (ms: number) => `${(ms / 1_000).toFixed(1)} s`;
  const rate = `${(seen.longestMs / times.stallMs).toFixed(1)} KiB/s`;
  const window = `${(seen.windowBytes / KIB).toFixed(0)} KiB`;
  const columns = [name, window, seconds(seen.longestMs), seconds(seen.givenMs), rate, seen.cuts];
  console.log(`| ${columns.join(" | ")} |`);
  client[Symbol.dispose]();
}
await agent.close(0);
rmSync(directory, { recursive: true });

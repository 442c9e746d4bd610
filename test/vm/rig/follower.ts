import { createHash } from "node:crypto";
import { Guest, type GuestProcess } from "../../../src/client/index.ts";
import { lineOf, type Told, UPLOAD_BYTES, type Wish, WRITER } from "./following.ts";

/**
 * A host program in the network of a machine, which its parent freezes and wakes while this one
 * follows what a program writes, feeds another one, and uploads.
 */
const guest = new Guest(process.argv[2] ?? "");
const options = { stdin: true, whenFull: "wait", keepaliveMs: 1_000 } as const;
const tell = (told: Told, onTold = () => {}) => process.send?.(told, onTold);

/** What has come of a program's output. */
class Tally {
  readonly hash = createHash("sha256");
  lines = 0;
  gaps = 0;
  readonly done: Promise<void>;
  #onMore: () => void = () => {};

  constructor(program: GuestProcess) {
    this.done = this.#read(program);
  }

  /** Resolves when so many more lines have come. */
  async more(count: number): Promise<void> {
    const wanted = this.lines + count;
    while (this.lines < wanted) {
      await new Promise<void>((resolve) => {
        this.#onMore = resolve;
      });
    }
  }

  async #read(program: GuestProcess): Promise<void> {
    for await (const output of program) {
      if (output.kind === "gap") {
        this.gaps += 1;
        continue;
      }
      this.hash.update(output.bytes);
      for (const byte of output.bytes) if (byte === 0x0a) this.lines += 1;
      this.#onMore();
    }
  }
}

let onThawed: () => void = () => {};
const ending = new AbortController();
let fedLines = 0;
const fed = createHash("sha256");

const writer = await guest.process.start("/bin/bash", { ...options, args: ["-c", WRITER] });
const written = new Tally(writer);
const cat = await guest.process.start("cat", options);
const echoed = new Tally(cat);
const feeding = (async () => {
  while (!ending.signal.aborted) {
    fedLines += 1;
    const line = Buffer.from(lineOf(fedLines));
    fed.update(line);
    await cat.sendInput(line);
    await new Promise((resolve) => setTimeout(resolve, 5));
  }
  await cat.closeStdin();
})();

async function round({ path, prepares }: Wish & { kind: "round" }): Promise<void> {
  const bytes = Buffer.alloc(UPLOAD_BYTES, path);
  const sha256 = createHash("sha256").update(bytes).digest("hex");
  const thawed = new Promise<void>((resolve) => {
    onThawed = resolve;
  });
  let interruptions = 0;
  let hasAsked = false;
  const ask = () => {
    if (hasAsked) return;
    hasAsked = true;
    tell({ kind: "freeze" });
  };
  const uploading = guest.files.upload(bytes, path, {
    onInterrupted: () => {
      interruptions += 1;
    },
    onProgress: (done) => {
      if (!prepares && done >= UPLOAD_BYTES / 8) ask();
    },
  });
  if (prepares) await guest.snapshot.prepare().then(ask, ask);
  await thawed;
  const thawedAt = performance.now();
  await Promise.all([written.more(1), echoed.more(1)]);
  const streamsMs = performance.now() - thawedAt;
  await uploading;
  tell({ kind: "went on", interruptions, sha256, streamsMs });
}

async function end(): Promise<void> {
  await writer.sendInput(Buffer.from("stop\n"));
  ending.abort();
  await Promise.all([feeding, written.done, echoed.done]);
  const expected = createHash("sha256");
  for (let line = 1; line <= written.lines; line += 1) expected.update(lineOf(line));
  const exits = [(await writer.wait()).exitCode, (await cat.wait()).exitCode];
  const told: Told = {
    kind: "ended",
    exits,
    gaps: written.gaps + echoed.gaps,
    writtenLines: written.lines,
    isWrittenEqual: written.hash.digest("hex") === expected.digest("hex"),
    fedLines,
    isEchoEqual: echoed.hash.digest("hex") === fed.digest("hex"),
  };
  tell(told, () => process.disconnect());
}

process.on("disconnect", () => process.exit());
process.on("message", (wish: Wish) => {
  if (wish.kind === "thawed") onThawed();
  if (wish.kind === "round") void round(wish);
  if (wish.kind === "end") void end();
});
await Promise.all([written.more(10), echoed.more(10)]);
tell({ kind: "ready" });

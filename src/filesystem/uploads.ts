import { lstat, readdir, unlink } from "node:fs/promises";
import { AgentError, OffsetError } from "../errors.ts";
import type { Gauge } from "../lib/gauge.ts";
import { startTimer } from "../lib/timer.ts";
import { type CommittedUpload, CommittedUploads } from "./committed-uploads.ts";
import type { AccountNames } from "./entries.ts";
import { InodeLocks } from "./inode-locks.ts";
import { joinRawPath, type RawPath, systemPath } from "./raw-path.ts";
import { ResumableUpload, type UploadPlan } from "./resumable-upload.ts";
import { isStagedName, stagedName } from "./staged-name.ts";
import { statEntry } from "./stat.ts";

/** How long an upload that nobody touches is kept, in ms. */
const AWAY_MS = 60 * 60_000;
const MOST_UPLOADS = 1_000;
/** How many directories are remembered as free of what an earlier life of the agent has left. */
const MOST_SWEPT = 1_000;
const ID = /^[A-Za-z0-9_-]{1,128}$/;

/** What uploads are made of. */
export interface UploadsOptions {
  /** Names for owners and groups; `Users` fits. */
  names: AccountNames;
  /** Counts those that something is being done to. */
  inFlight: Gauge;
  /** How long one that nobody touches is kept, in ms; default 1 hour. */
  awayMs?: number;
  /** How many there may be; default 1,000. */
  mostUploads?: number;
  /** For how long a commit may be repeated, in ms; default 10 minutes. */
  committedMs?: number;
}

/** What a caller says that it has sent. */
export interface Content {
  bytes: number;
  /** Not checked when absent. */
  sha256: Uint8Array | undefined;
}

interface Kept {
  upload: ResumableUpload;
  /** How many calls are at it. */
  users: number;
  removal: Disposable | undefined;
}

/** The agent's uploads by the ids that their callers chose. */
export class Uploads {
  readonly #options: UploadsOptions;
  readonly #kept = new Map<string, Kept>();
  readonly #committed: CommittedUploads;
  /** Held by whoever overwrites a file that cannot be replaced. */
  readonly locks = new InodeLocks();
  readonly #swept = new Set<RawPath>();

  constructor(options: UploadsOptions) {
    this.#options = options;
    this.#committed = new CommittedUploads(options.committedMs);
  }

  /**
   * Begins an upload, or goes on with it, and says how many bytes have arrived. Throws `exists` when
   * the id stands for another path, `exhausted` when there are too many or too little space.
   */
  async begin(id: string, plan: UploadPlan, signal: AbortSignal): Promise<number> {
    if (!ID.test(id)) {
      const rule = "it has 1 to 128 of A-Z, a-z, 0-9, - and _";
      throw new AgentError("invalid", `upload_id is ${JSON.stringify(id)}: ${rule}`);
    }
    for (;;) {
      const committed = this.#committed.get(id);
      const path = this.#kept.get(id)?.upload.path ?? committed?.path ?? plan.path;
      if (path !== plan.path) {
        throw new AgentError("exists", `upload ${id} goes to ${path}: take another id`);
      }
      if (committed !== undefined) return committed.bytes;
      const isNew = !this.#kept.has(id);
      if (isNew) this.#add(id, plan);
      const begun = await this.#at(id, signal, (upload) => this.#begin(upload, plan, isNew));
      if (begun !== undefined) return begun.result;
    }
  }

  /**
   * Adds to an upload and says how many bytes have arrived. Those that had are left out; a hole is
   * an `OffsetError`. Throws `not-found`.
   */
  async write(
    id: string,
    chunk: { offset: number; bytes: Uint8Array },
    signal: AbortSignal,
  ): Promise<number> {
    const written = await this.#at(id, signal, (upload) => upload.write(chunk.offset, chunk.bytes));
    if (written !== undefined) return written.result;
    const committed = this.#committedOrThrow(id);
    if (chunk.offset + chunk.bytes.length <= committed.bytes) return committed.bytes;
    throw new AgentError("wrong-state", `upload ${id} is committed: begin another one`);
  }

  /**
   * Checks an upload and puts it in its place. Repeated it answers the same for 10 minutes. Throws
   * `OffsetError` when bytes are missing, and `data-loss` for another checksum: the upload is
   * forgotten then.
   */
  async commit(id: string, content: Content, signal: AbortSignal): Promise<CommittedUpload> {
    const done = await this.#at(id, signal, (upload) => this.#commit(upload, content, signal));
    return done?.result ?? checkedAgain(this.#committedOrThrow(id), content);
  }

  /** Removes an upload with what has arrived, if there is one. */
  async cancel(id: string, signal: AbortSignal): Promise<void> {
    await this.#at(id, signal, (upload) => this.#forget(upload));
  }

  /** Keeps an upload open between the calls that belong to one stream. */
  hold(id: string): AsyncDisposable {
    const kept = this.#kept.get(id);
    return kept === undefined ? { [Symbol.asyncDispose]: async () => {} } : this.#use(kept);
  }

  /** Counts, until it is disposed of, something else that arrives. */
  receiving(): Disposable {
    return this.#options.inFlight.enter();
  }

  /** Removes all that is not complete. */
  async close(): Promise<void> {
    this.#committed[Symbol.dispose]();
    await Promise.all([...this.#kept.values()].map(({ upload }) => this.#remove(upload)));
  }

  #add(id: string, plan: UploadPlan): void {
    const most = this.#options.mostUploads ?? MOST_UPLOADS;
    if (this.#kept.size >= most) {
      const message = `there are ${most} unfinished uploads: commit or cancel one`;
      throw new AgentError("exhausted", message);
    }
    const upload = new ResumableUpload(id, plan);
    this.#kept.set(id, { upload, users: 0, removal: undefined });
  }

  async #begin(upload: ResumableUpload, plan: UploadPlan, isNew: boolean): Promise<number> {
    try {
      const arrived = await upload.open(plan);
      if (isNew) await this.#sweep(upload.directory);
      return arrived;
    } catch (cause) {
      if (isNew) await this.#forget(upload);
      throw cause;
    }
  }

  async #commit(
    upload: ResumableUpload,
    content: Content,
    signal: AbortSignal,
  ): Promise<CommittedUpload> {
    const { id, path } = upload;
    const bytes = await upload.arrived();
    checkLength(id, bytes, content.bytes);
    const sha256 = await upload.sha256();
    if (content.sha256 !== undefined && !sha256.equals(content.sha256)) {
      await this.#forget(upload);
      const message = `what has arrived of upload ${id} is not what was sent: begin again`;
      throw new AgentError("data-loss", message);
    }
    const isAtomic = await upload.place(this.locks, signal);
    const entry = await statEntry(path, this.#options.names);
    const committed = { id, path, bytes, sha256, isAtomic, entry };
    this.#committed.add(committed);
    await this.#forget(upload);
    return committed;
  }

  #committedOrThrow(id: string): CommittedUpload {
    const committed = this.#committed.get(id);
    if (committed === undefined) {
      throw new AgentError("not-found", `upload ${id} not found: begin it`);
    }
    return committed;
  }

  /** Lets one call at a time do something to the upload; `undefined` when there is none any more. */
  async #at<Result>(
    id: string,
    signal: AbortSignal,
    act: (upload: ResumableUpload) => Promise<Result>,
  ): Promise<{ result: Result } | undefined> {
    const kept = this.#kept.get(id);
    if (kept === undefined) return undefined;
    await using _using = this.#use(kept);
    using _turn = await kept.upload.lock.acquire(signal);
    return kept.upload.isGone ? undefined : { result: await act(kept.upload) };
  }

  /** Whoever is last closes the file, and the time runs until it is removed. */
  #use(kept: Kept): AsyncDisposable {
    const inFlight = this.#options.inFlight.enter();
    kept.users += 1;
    kept.removal?.[Symbol.dispose]();
    let isUsing = true;
    return {
      [Symbol.asyncDispose]: async () => {
        if (!isUsing) return;
        isUsing = false;
        kept.users -= 1;
        inFlight[Symbol.dispose]();
        await this.#left(kept);
      },
    };
  }

  async #left(kept: Kept): Promise<void> {
    if (kept.users > 0) return;
    const { upload } = kept;
    using _turn = await upload.lock.acquire();
    if (kept.users > 0 || upload.isGone) return;
    await upload.close();
    if (kept.users > 0 || upload.isGone) return;
    kept.removal?.[Symbol.dispose]();
    const ms = this.#options.awayMs ?? AWAY_MS;
    kept.removal = startTimer(ms, () => void this.#remove(upload));
  }

  async #remove(upload: ResumableUpload): Promise<void> {
    using _turn = await upload.lock.acquire();
    if (!upload.isGone) await this.#forget(upload);
  }

  /** Only by who has the lock. */
  async #forget(upload: ResumableUpload): Promise<void> {
    upload.isGone = true;
    this.#kept.get(upload.id)?.removal?.[Symbol.dispose]();
    this.#kept.delete(upload.id);
    await upload.discard();
  }

  /** Removes what lives before this one have left in a directory; once for each directory. */
  async #sweep(directory: RawPath | undefined): Promise<void> {
    if (directory === undefined || this.#swept.has(directory)) return;
    if (this.#swept.size >= MOST_SWEPT) this.#swept.clear();
    this.#swept.add(directory);
    const oldest = Date.now() - (this.#options.awayMs ?? AWAY_MS);
    const ours = new Set([...this.#kept.keys()].map(stagedName));
    for (const name of await readdir(systemPath(directory), "latin1").catch(() => [])) {
      if (!isStagedName(name) || ours.has(name)) continue;
      const path = systemPath(joinRawPath(directory, name));
      const stats = await lstat(path).catch(() => undefined);
      const isOld = stats?.isFile() === true && stats.mtimeMs < oldest;
      if (isOld) await unlink(path).catch(() => {});
    }
  }
}

function checkLength(id: string, arrived: number, wanted: number): void {
  if (arrived < wanted) {
    const message = `upload ${id} has ${arrived} of ${wanted} bytes: send the rest`;
    throw new OffsetError(message, arrived);
  }
  if (arrived === wanted) return;
  const message = `upload ${id} has ${arrived} bytes, more than ${wanted}: cancel it and begin again`;
  throw new AgentError("wrong-state", message);
}

function checkedAgain(committed: CommittedUpload, { bytes, sha256 }: Content): CommittedUpload {
  const isSame = sha256 === undefined || committed.sha256.equals(sha256);
  if (bytes === committed.bytes && isSame) return committed;
  const message = `upload ${committed.id} was committed with other content: take another id`;
  throw new AgentError("exists", message);
}

import { type Dirent, readdirSync } from "node:fs";
import { AgentError } from "../errors.ts";
import { codeOf, messageOf } from "../lib/error-text.ts";
import { nextTurn } from "../lib/turns.ts";
import { IN, type Inotify, type InotifyEvent, type InotifySubscriber } from "./inotify.ts";
import { fromRawPath, joinRawPath, type RawPath, systemPath } from "./raw-path.ts";
import { isStagedName } from "./staged-name.ts";
import { WatchedDirectories } from "./watched-directories.ts";

/**
 * What happened to a path.
 *
 * - `create`  it appeared, or was moved here.
 * - `rename`  it was moved away; the new name appears by itself.
 * - `chmod`   its mode, owner, times, attributes or link count changed.
 * - `write`   its content changed.
 * - `remove`  it was deleted.
 */
export type ChangeKind = "create" | "rename" | "chmod" | "write" | "remove";

/** The order in which the changes of one event are told, and the events they come from. */
const KINDS: readonly (readonly [ChangeKind, number])[] = [
  ["create", IN.CREATE | IN.MOVED_TO],
  ["rename", IN.MOVED_FROM | IN.MOVE_SELF],
  ["chmod", IN.ATTRIB],
  ["write", IN.MODIFY],
  ["remove", IN.DELETE | IN.DELETE_SELF],
];

const APPEARED = IN.CREATE | IN.MOVED_TO;
const DISAPPEARED = IN.DELETE | IN.MOVED_FROM;
/** For how long directories are attached at a stretch. */
const STRETCH_MS = 3;
/** New directories that wait to be attached; more is a storm nobody can follow. */
const MOST_PENDING = 65_536;

/** Who hears of the changes. `name` is relative to the root, "" is the root itself. */
export interface ChangeSink {
  onChange(kind: ChangeKind, name: RawPath): void;
  /** The last call. */
  onFailure(error: AgentError): void;
}

/** Directories to attach: they came with one event, or lie below one that did. */
interface Attachment {
  /** The number of the `settle` before which it was known. */
  round: number;
  /** Whether what is found in the directories was there before the watch, and so is no news. */
  isSilent: boolean;
  /** Last in, first out. */
  names: RawPath[];
}

/**
 * Watches one directory, and with `isRecursive` all below it. A directory that appears is attached
 * first and listed then; what the list has is told as created, and not once more when the kernel
 * tells it as well. One that is moved away is let go.
 */
export class WatchTree implements InotifySubscriber {
  readonly #inotify: Inotify;
  readonly #root: RawPath;
  readonly #isRecursive: boolean;
  readonly #sink: ChangeSink;
  readonly #directories = new WatchedDirectories();
  readonly #pending: Attachment[] = [];
  /** Told from a list; the kernel may be about to tell it, too. */
  readonly #fresh = new Set<RawPath>();
  #round = 0;
  #isScheduled = false;
  #isClosed = false;

  constructor(inotify: Inotify, root: RawPath, isRecursive: boolean, sink: ChangeSink) {
    this.#inotify = inotify;
    this.#root = root;
    this.#isRecursive = isRecursive;
    this.#sink = sink;
  }

  /** Begins. After it no change is missed. Throws `internal`; abort rejects, then close it. */
  async arm(signal: AbortSignal): Promise<void> {
    signal.throwIfAborted();
    const attachment = { round: this.#round, isSilent: true, names: [] };
    try {
      this.#directories.add("", this.#inotify.add(this.#root, true, this));
      if (this.#isRecursive) this.#list("", attachment);
    } catch (cause) {
      throw this.#attachmentFailed("", cause);
    }
    this.#enqueue(attachment);
    await this.settle(signal);
  }

  /** Sees to it that the sink has heard of everything that happened before this call. */
  async settle(signal: AbortSignal): Promise<void> {
    this.#inotify.drain();
    const round = this.#round++;
    // The newest are last, and whatever follows from an attachment is of its own round.
    while ((this.#pending[0]?.round ?? Number.POSITIVE_INFINITY) <= round) {
      await nextTurn();
      signal.throwIfAborted();
      this.#inotify.drain();
    }
  }

  /** Lets every directory go. */
  close(): void {
    if (this.#isClosed) return;
    this.#isClosed = true;
    this.#pending.length = 0;
    this.#fresh.clear();
    for (const watch of this.#directories.watches()) this.#inotify.delete(watch, this);
    this.#directories.clear();
  }

  onEvent({ watch, mask, name }: InotifyEvent): void {
    if ((mask & IN.IGNORED) !== 0) {
      this.#directories.deleteWatch(watch);
      return;
    }
    for (const directory of this.#directories.namesOf(watch)) {
      // An upload that arrives is told when it gets its name.
      if (isStagedName(name) && (mask & IN.ISDIR) === 0) continue;
      if (name !== "") this.#onChildEvent(joinRawPath(directory, name), mask);
      // What happens to a directory below the root is told by the one it lies in.
      else if (directory === "") this.#tell("", mask);
    }
  }

  onFailure(error: AgentError): void {
    this.close();
    this.#sink.onFailure(error);
  }

  #onChildEvent(name: RawPath, mask: number): void {
    if ((mask & DISAPPEARED) !== 0) this.#fresh.delete(name);
    const isKnown = (mask & APPEARED) !== 0 && this.#fresh.delete(name);
    this.#tell(name, isKnown ? mask & ~APPEARED : mask);
    if (isKnown || !this.#isRecursive || (mask & IN.ISDIR) === 0) return;
    if ((mask & IN.MOVED_FROM) !== 0) this.#letGo(name);
    if ((mask & APPEARED) !== 0) {
      this.#enqueue({ round: this.#round, isSilent: false, names: [name] });
    }
  }

  #tell(name: RawPath, mask: number): void {
    for (const [kind, bits] of KINDS) {
      if ((mask & bits) !== 0 && !this.#isClosed) this.#sink.onChange(kind, name);
    }
  }

  #letGo(name: RawPath): void {
    for (const watch of this.#directories.deleteTree(name)) this.#inotify.delete(watch, this);
  }

  #enqueue(attachment: Attachment): void {
    if (this.#isClosed || attachment.names.length === 0) return;
    if (this.#pending.length >= MOST_PENDING) {
      const message = `${MOST_PENDING} new directories wait to be watched: too many changes`;
      this.onFailure(new AgentError("internal", message));
      return;
    }
    this.#pending.push(attachment);
    this.#schedule();
  }

  #schedule(): void {
    if (this.#isScheduled) return;
    this.#isScheduled = true;
    this.#inotify.whenDrained(() => this.#work());
  }

  #work(): void {
    this.#isScheduled = false;
    this.#fresh.clear();
    const end = performance.now() + STRETCH_MS;
    while (performance.now() < end) {
      const attachment = this.#pending[0];
      const name = attachment?.names.pop();
      if (attachment === undefined || name === undefined) break;
      this.#attach(name, attachment);
      if (attachment.names.length === 0) this.#pending.shift();
    }
    if (this.#pending.length > 0 || this.#fresh.size > 0) this.#schedule();
  }

  #attach(name: RawPath, attachment: Attachment): void {
    try {
      const watch = this.#inotify.add(this.#path(name), false, this);
      const before = this.#directories.watchOf(name);
      if (before === watch) return;
      if (before !== undefined) this.#letGo(name);
      this.#directories.add(name, watch);
      this.#list(name, attachment);
    } catch (cause) {
      if (!isOutOfReach(cause)) this.onFailure(this.#attachmentFailed(name, cause));
    }
  }

  #list(directory: RawPath, attachment: Attachment): void {
    for (const found of readDirectory(this.#path(directory))) {
      const name = joinRawPath(directory, found.name.toString("latin1"));
      if (found.isDirectory()) attachment.names.push(name);
      else if (isStagedName(found.name.toString("latin1"))) continue;
      if (attachment.isSilent) continue;
      this.#fresh.add(name);
      this.#tell(name, IN.CREATE);
    }
  }

  #path(name: RawPath): RawPath {
    return name === "" ? this.#root : joinRawPath(this.#root, name);
  }

  #attachmentFailed(name: RawPath, cause: unknown): AgentError {
    const path = fromRawPath(this.#path(name));
    return new AgentError("internal", `error adding path ${path} to watcher: ${messageOf(cause)}`, {
      cause,
    });
  }
}

/** With types, and in a form that loses no byte. A directory that cannot be read has nothing. */
function readDirectory(path: RawPath): Dirent<Buffer>[] {
  try {
    return readdirSync(systemPath(path), { encoding: "buffer", withFileTypes: true });
  } catch (error) {
    if (isOutOfReach(error)) return [];
    throw error;
  }
}

/** Whether the directory is not there any more, or is none, or is not for the agent to read. */
function isOutOfReach(error: unknown): boolean {
  const code = codeOf(error);
  return code === "ENOENT" || code === "ENOTDIR" || code === "ELOOP" || code === "EACCES";
}

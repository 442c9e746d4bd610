import { close, closeSync, readSync } from "node:fs";
import type { Socket } from "node:net";
import { AgentError } from "../errors.ts";
import { codeOf } from "../lib/error-text.ts";
import { adoptDescriptor } from "../system/descriptors.ts";
import { callLibc, libcFunction } from "../system/libc.ts";
import type { RawPath } from "./raw-path.ts";

const IN_NONBLOCK = 0o4000;
const IN_CLOEXEC = 0o2000000;
const DUPLICATE = "int fcntl(int fd, int command, int from)";
const F_DUPFD_CLOEXEC = 1030;
const IN_ONLYDIR = 0x0100_0000;
const IN_DONT_FOLLOW = 0x0200_0000;

/** The kernel's names for what can happen; `ISDIR` says that it happened to a directory. */
export const IN = {
  MODIFY: 0x2,
  ATTRIB: 0x4,
  MOVED_FROM: 0x40,
  MOVED_TO: 0x80,
  CREATE: 0x100,
  DELETE: 0x200,
  DELETE_SELF: 0x400,
  MOVE_SELF: 0x800,
  Q_OVERFLOW: 0x4000,
  IGNORED: 0x8000,
  ISDIR: 0x4000_0000,
} as const;

/** The same for every watch: adding one to a directory that has one replaces its mask. */
const MASK =
  IN.MODIFY |
  IN.ATTRIB |
  IN.MOVED_FROM |
  IN.MOVED_TO |
  IN.CREATE |
  IN.DELETE |
  IN.DELETE_SELF |
  IN.MOVE_SELF |
  IN_ONLYDIR;

/** An event without its name: watch, mask, cookie and the length of the name, 4 bytes each. */
const EVENT_BYTES = 16;
const BUFFER_BYTES = 65_536;
/** More than the kernel's queue holds by default, so that one who goes on writing cannot hold us. */
const MOST_READS = 128;
/** For how long work that follows from events may keep the event loop, before others get a turn. */
const TURN_MS = 5;

/** One event of the kernel. */
export interface InotifyEvent {
  /** The watch, see `Inotify.add`. */
  watch: number;
  mask: number;
  /** What happened in the directory happened to this; "" is the directory itself. */
  name: RawPath;
}

/** Who has a watch. */
export interface InotifySubscriber {
  /** Sees each event of its watches in order; `IGNORED` is the last one of a watch. */
  onEvent(event: InotifyEvent): void;
  /** Events were lost, or there will be no more. */
  onFailure(error: AgentError): void;
}

/**
 * The one inotify queue of the agent, read by the event loop. It is opened for the first watch and
 * closed with the last. A directory has one watch however many subscribers and paths it has.
 */
export class Inotify {
  readonly #buffer = Buffer.allocUnsafe(BUFFER_BYTES);
  readonly #subscribers = new Map<number, Set<InotifySubscriber>>();
  /** Without a subscriber, and about to be given back. */
  readonly #unused = new Set<number>();
  #queue: { socket: Socket; fd: number } | undefined;
  #afterwards: (() => void)[] = [];
  #isTurnDue = false;
  #isDraining = false;

  /** How many directories are watched. */
  get watches(): number {
    return this.#subscribers.size;
  }

  /** Whether the queue is open. */
  get isOpen(): boolean {
    return this.#queue !== undefined;
  }

  /**
   * Watches the directory at `path` for `subscriber` and returns the watch. With `followsLink` it
   * may be a link to a directory. Throws `SystemError`, or `internal` when a limit is reached.
   */
  add(path: RawPath, followsLink: boolean, subscriber: InotifySubscriber): number {
    const { fd } = (this.#queue ??= this.#open());
    try {
      const watch = callLibc(
        "int inotify_add_watch(int fd, const void *path, uint32_t mask)",
        fd,
        Buffer.from(`${path}\0`, "latin1"),
        followsLink ? MASK : MASK | IN_DONT_FOLLOW,
      );
      this.#unused.delete(watch);
      const subscribers = this.#subscribers.get(watch) ?? new Set();
      this.#subscribers.set(watch, subscribers.add(subscriber));
      return watch;
    } catch (cause) {
      this.#closeIfUnused();
      if (codeOf(cause) !== "ENOSPC") throw cause;
      throw limitReached("no more directories can be watched", "max_user_watches", cause);
    }
  }

  /** Takes the watch from `subscriber`, which sees no more events of it. */
  delete(watch: number, subscriber: InotifySubscriber): void {
    const subscribers = this.#subscribers.get(watch);
    if (subscribers?.delete(subscriber) !== true || subscribers.size > 0) return;
    this.#subscribers.delete(watch);
    this.#closeIfUnused();
    if (this.#queue === undefined) return;
    this.#unused.add(watch);
    this.#takeTurn();
  }

  /**
   * Reads what the kernel has queued, all of it, so that what happened before this call has been
   * seen after it; then does what waits in `whenDrained`, as far as a turn allows.
   */
  drain(): void {
    if (this.#isDraining) return;
    this.#isDraining = true;
    const end = performance.now() + TURN_MS;
    try {
      do {
        if (!this.#readAll()) break;
        for (const act of this.#afterwards.splice(0)) act();
      } while (this.#afterwards.length > 0 && performance.now() < end);
    } finally {
      this.#isDraining = false;
    }
    if (this.#afterwards.length > 0) this.#takeTurn();
  }

  /** Calls `act` once, when everything that is queued by then has been seen. Needs a `drain`. */
  whenDrained(act: () => void): void {
    this.#afterwards.push(act);
  }

  /** Goes on with what is left to do, after others. */
  #takeTurn(): void {
    if (this.#isTurnDue) return;
    this.#isTurnDue = true;
    setImmediate(() => {
      this.#isTurnDue = false;
      this.#removeUnused();
      this.drain();
    });
  }

  /** Gives watches back to the kernel; that takes long for a large tree. */
  #removeUnused(): void {
    const end = performance.now() + TURN_MS;
    for (const watch of this.#unused) {
      if (this.#queue === undefined) return;
      if (performance.now() > end) {
        this.#takeTurn();
        return;
      }
      this.#unused.delete(watch);
      try {
        callLibc("int inotify_rm_watch(int fd, int watch)", this.#queue.fd, watch);
      } catch (error) {
        // The directory is gone, and the kernel has taken the watch back by itself.
        if (codeOf(error) !== "EINVAL") throw error;
      }
    }
  }

  #open(): { socket: Socket; fd: number } {
    const fd = openInotify();
    const adopted = adoptDescriptor(fd, {
      buffer: this.#buffer,
      onBytes: (bytes) => {
        this.#dispatch(bytes);
        this.drain();
        return true;
      },
    });
    closeSync(fd);
    adopted.socket.on("error", (cause) => {
      this.#failAll(
        new AgentError("internal", `cannot read from inotify: ${cause.message}`, { cause }),
      );
    });
    adopted.socket.resume();
    return adopted;
  }

  /** `false` when there may be more. */
  #readAll(): boolean {
    for (let reads = 0; reads < MOST_READS; reads += 1) {
      const length = this.#read();
      if (length === 0) return true;
      this.#dispatch(this.#buffer.subarray(0, length));
    }
    return false;
  }

  #read(): number {
    if (this.#queue === undefined) return 0;
    try {
      return readSync(this.#queue.fd, this.#buffer);
    } catch (error) {
      if (codeOf(error) === "EAGAIN") return 0;
      throw error;
    }
  }

  #dispatch(bytes: Uint8Array): void {
    const view = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
    for (let start = 0; start + EVENT_BYTES <= view.length; ) {
      const watch = view.readInt32LE(start);
      const mask = view.readUInt32LE(start + 4);
      const end = start + EVENT_BYTES + view.readUInt32LE(start + 12);
      const padded = view.toString("latin1", start + EVENT_BYTES, end);
      const [name = ""] = padded.split("\0", 1);
      this.#deliver({ watch, mask, name });
      start = end;
    }
  }

  #deliver(event: InotifyEvent): void {
    if ((event.mask & IN.Q_OVERFLOW) !== 0) {
      this.#failAll(
        new AgentError("internal", "inotify queue overflow: changes were lost, watch again"),
      );
      return;
    }
    const subscribers = this.#subscribers.get(event.watch);
    if (subscribers === undefined) return;
    const isLast = (event.mask & IN.IGNORED) !== 0;
    if (isLast) this.#subscribers.delete(event.watch);
    for (const subscriber of subscribers) subscriber.onEvent(event);
    if (isLast) this.#closeIfUnused();
  }

  #failAll(error: AgentError): void {
    const all = new Set([...this.#subscribers.values()].flatMap((some) => [...some]));
    for (const subscriber of all) subscriber.onFailure(error);
  }

  #closeIfUnused(): void {
    if (this.#subscribers.size > 0) return;
    if (this.#queue !== undefined) closeAside(this.#queue);
    this.#queue = undefined;
    this.#unused.clear();
  }
}

/**
 * The kernel takes tens of milliseconds to close a queue: a second descriptor makes that happen
 * outside of the event loop.
 */
function closeAside({ socket, fd }: { socket: Socket; fd: number }): void {
  const last = Number(libcFunction(DUPLICATE)(fd, F_DUPFD_CLOEXEC, 0));
  socket.destroy();
  if (last >= 0) close(last);
}

function openInotify(): number {
  try {
    return callLibc("int inotify_init1(int flags)", IN_NONBLOCK | IN_CLOEXEC);
  } catch (cause) {
    if (codeOf(cause) !== "EMFILE") throw cause;
    throw limitReached("no inotify queue can be opened", "max_user_instances", cause);
  }
}

function limitReached(what: string, limit: string, cause: unknown): AgentError {
  return new AgentError("internal", `${what}: raise fs.inotify.${limit}`, { cause });
}

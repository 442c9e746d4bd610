import { Changes } from "../lib/changes.ts";
import { startTimer } from "../lib/timer.ts";
import type { Logger } from "../log.ts";
import type { Connections, GenerationKeeper, Pausable, Sign, SignKeeper } from "./participants.ts";
import { type PrepareReport, type QuiesceParts, quiesce } from "./quiesce.ts";
import type {
  NoticedBy,
  RestoreOptions,
  RestoreReport,
  SnapshotState,
  SnapshotStatus,
} from "./status.ts";

/** What the lifecycle works with. */
export interface LifecycleParts extends QuiesceParts {
  connections: Connections;
  ports: Pausable | undefined;
  signs: SignKeeper;
  generation: GenerationKeeper;
  /** Draws anew what is the same in every clone: the state of the process's own generators. */
  reseed(): void;
  /** Sets the clock to the host's by the contract's rule. Returns how far, when it did. */
  adjustClock(hostNs: bigint): bigint | undefined;
  /** Mixes random bytes of the host into the kernel's generator. Returns whether it took them. */
  addEntropy(bytes: Uint8Array): boolean;
  /** What keeps the agent from sleeping, in words. */
  awake(): string[];
  /** Whether a restore changes anything; `false` only to show what would happen otherwise. */
  heals: boolean;
  log: Logger;
}

/** A pause that has not come by then, in ms, did not come about. */
const PAUSE_MS = 10_000;
/** A restore that is announced this long after another, in ms, is another one. */
const SAME_RESTORE_MS = 10_000;
/** For so long, in ms, who comes after a restore is answered before what is old is torn down. */
const PATIENCE_MS = 500;
/** How long the peer of an old connection may take to answer a probe and a second one, in ms. */
const PROBE_MS = 800;

interface Restoring {
  readonly noticedBy: NoticedBy;
  destroyed: number;
  /** The old connections lead nowhere, whatever a peer would answer. */
  readonly isCertain: boolean;
  /** Aborts when somebody waits for it to be done. */
  readonly hurry: AbortController;
  /** What ports carry is cut: they were stopped, or it leads nowhere. */
  restartsPorts: boolean;
  readonly done: Promise<void>;
}

/** Leads the guest through snapshots: to rest before, back to life after, once for each. */
export class SnapshotLifecycle {
  readonly #parts: LifecycleParts;
  readonly #closing = new AbortController();
  readonly #changes = new Changes();
  #state: SnapshotState = "running";
  #preparing: Promise<PrepareReport> | undefined;
  /** How many wait for it. */
  #callers = 0;
  #restoring: Restoring | undefined;
  #timeout: Disposable | undefined;
  #lastPrepare: PrepareReport | undefined;
  #lastRestore: RestoreReport | undefined;
  #restoredAt = Number.NEGATIVE_INFINITY;
  /** What showed during Prepare that the machine has been frozen already. */
  #overtakenBy: NoticedBy | undefined;

  constructor(parts: LifecycleParts) {
    this.#parts = parts;
    parts.signs.onSign = (sign) => this.#onSign(sign);
  }

  /**
   * Brings the guest to rest. `settleMs`: how long to wait for sockets, default 1,000. Callers that
   * come meanwhile share the answer.
   */
  prepare(settleMs?: number): Promise<PrepareReport> {
    this.#callers += 1;
    this.#preparing ??= this.#prepare(settleMs).finally(() => {
      this.#preparing = undefined;
      this.#callers = 0;
    });
    return this.#preparing;
  }

  /**
   * The host says that the machine was restored. Resolves with how it went; when nothing was left
   * to do, with how it went before. `entropyAccepted` is absent when no entropy was given.
   */
  async restore(
    options: RestoreOptions,
  ): Promise<RestoreReport & { entropyAccepted: boolean | undefined }> {
    const { adjustClock, addEntropy } = this.#parts;
    const { isAborted, hostNs, entropy = new Uint8Array() } = options;
    // First of all: while the rest is waited for, what the host has said grows old.
    const movedNs = hostNs === undefined ? undefined : adjustClock(hostNs);
    const entropyAccepted = entropy.length === 0 ? undefined : addEntropy(entropy);
    await this.#preparing?.catch(() => {});
    this.#announce(isAborted);
    await this.#restoring?.done;
    // What was drawn before the host's bytes came may be the same in a clone.
    if (entropyAccepted === true) this.#redraw();
    if (movedNs !== undefined) this.clockMoved(movedNs);
    return { ...(this.#lastRestore ?? this.#report("call", 0)), entropyAccepted };
  }

  /** A call that hosts make after a restore has come. */
  notice(by: "init" | "health"): void {
    if (this.#state === "prepared") this.#begin(by, this.#parts.signs.check() === "generation");
  }

  /** A connection is about to be accepted. What is begun here, it is not part of. */
  readonly onAccept = (): void => {
    const sign = this.#parts.signs.check();
    if (sign !== undefined) this.#onSign(sign);
    else if (this.#state === "prepared") this.#begin("connection", false);
  };

  /** The clock was set on purpose, by so many nanoseconds. */
  clockMoved(byNs: bigint): void {
    this.#parts.signs.rebase();
    if (this.#lastRestore === undefined) return;
    const movedNs = (this.#lastRestore.clockMovedNs ?? 0n) + byNs;
    this.#lastRestore = { ...this.#lastRestore, clockMovedNs: movedNs };
  }

  /** The id of this life: another one after every restore. */
  get generationId(): string {
    return this.#parts.generation.id;
  }

  /** What Status answers. */
  status(): SnapshotStatus {
    const { connections, generation, awake } = this.#parts;
    return {
      state: this.#state,
      generation: generation.number,
      generationId: generation.id,
      generationFile: generation.file,
      epoch: connections.epoch,
      connections: connections.status(),
      awake: [...awake(), ...(this.#timeout === undefined ? [] : ["snapshot: a pause is awaited"])],
      lastRestore: this.#lastRestore,
      lastPrepare: this.#lastPrepare,
    };
  }

  /** The status now and after each change, until `signal` aborts. Changes in between are one. */
  watch(signal: AbortSignal): AsyncIterable<SnapshotStatus> {
    const ends = AbortSignal.any([signal, this.#closing.signal]);
    return this.#changes.follow(() => this.status(), ends);
  }

  /** Forgets what it waits for. */
  async close(): Promise<void> {
    this.#closing.abort();
    this.#restoring?.hurry.abort();
    this.#forgetPause();
    await Promise.allSettled([this.#preparing, this.#restoring?.done]);
    this.#forgetPause();
  }

  #announce(isAborted: boolean): void {
    const sign = this.#parts.signs.check();
    const isExpected = this.#state !== "running";
    const isKnown = performance.now() - this.#restoredAt < SAME_RESTORE_MS;
    if (sign === undefined && !isExpected && isKnown) return;
    this.#begin("call", sign === "generation" || (isExpected && !isAborted));
  }

  async #prepare(settleMs: number | undefined): Promise<PrepareReport> {
    await this.#restoring?.done;
    this.#forgetPause();
    if (!this.#parts.heals) return nothingDone();
    this.#enter("preparing");
    try {
      const { signal } = this.#closing;
      const callers = () => this.#callers;
      const report = await quiesce(this.#parts, { settleMs, callers, signal });
      this.#lastPrepare = report;
      this.#parts.log.info({ ...report }, "prepared for a snapshot");
      return report;
    } finally {
      // Also when it failed: what was stopped comes back the same way.
      this.#enter("prepared");
      if (!this.#closing.signal.aborted) {
        this.#timeout = startTimer(PAUSE_MS, () => this.#begin("timeout", false));
      }
      const overtaken = this.#overtakenBy;
      this.#overtakenBy = undefined;
      if (overtaken !== undefined) this.#begin(overtaken, false);
    }
  }

  #onSign(sign: Sign): void {
    this.#begin(sign, sign === "generation");
  }

  /**
   * Begins a restore, or joins the one under way. What a peer's answer could not tell is known
   * when `isCertain`: the sockets of the life before lead nowhere.
   */
  #begin(noticedBy: NoticedBy, isCertain: boolean): void {
    const { connections, generation, heals, reseed } = this.#parts;
    if (this.#closing.signal.aborted || !heals) return;
    if (this.#state === "preparing") {
      this.#overtake(noticedBy, isCertain);
      return;
    }
    if (this.#restoring !== undefined) {
      const { isCertain: isClearing, hurry } = this.#restoring;
      if (noticedBy === "call") hurry.abort();
      if (isCertain && !isClearing) this.#restoring.destroyed += connections.destroyOld();
      this.#restoring.restartsPorts ||= isCertain;
      if (noticedBy === "generation") this.#redraw();
      return;
    }
    const restartsPorts = isCertain || this.#state === "prepared";
    this.#forgetPause();
    connections.wake();
    connections.beginEpoch();
    reseed();
    generation.advance();
    const hurry = new AbortController();
    if (noticedBy === "call") hurry.abort();
    const done = Promise.resolve();
    const run = { noticedBy, destroyed: 0, isCertain, hurry, restartsPorts, done };
    this.#restoring = run;
    this.#enter("restoring");
    run.done = this.#finish(run);
  }

  /** The machine was frozen before Prepare was done: what is old goes now, the rest afterwards. */
  #overtake(noticedBy: NoticedBy, isCertain: boolean): void {
    if (!isCertain) return;
    this.#overtakenBy = noticedBy;
    this.#parts.connections.beginEpoch();
    this.#parts.connections.destroyOld();
  }

  /** The kernel has something new to draw from: what was drawn before may be that of a clone. */
  #redraw(): void {
    this.#parts.reseed();
    this.#parts.generation.renew();
  }

  async #finish(run: Restoring): Promise<void> {
    const { connections, ports, log } = this.#parts;
    const { signal } = this.#closing;
    try {
      if (run.isCertain) run.destroyed += await connections.clearOld(PATIENCE_MS, run.hurry.signal);
      const probed = await connections.probeOld(PROBE_MS, signal);
      run.destroyed += probed.destroyed;
    } catch (reason) {
      log.error({ err: reason }, "old connections could not be probed");
    }
    if (run.restartsPorts) {
      await ports?.stop();
      if (!signal.aborted) ports?.start();
    }
    const report = this.#report(run.noticedBy, run.destroyed);
    this.#lastRestore = report;
    this.#restoredAt = performance.now();
    this.#restoring = undefined;
    this.#enter("running");
    log.info({ ...report, clockMovedNs: undefined }, "awake after a snapshot");
  }

  #report(noticedBy: NoticedBy, zombiesDestroyed: number): RestoreReport {
    const { connections, generation } = this.#parts;
    return {
      zombiesDestroyed,
      connectionsKept: connections.status().length,
      clockMovedNs: undefined,
      generation: generation.number,
      noticedBy,
    };
  }

  #forgetPause(): void {
    this.#timeout?.[Symbol.dispose]();
    this.#timeout = undefined;
  }

  #enter(state: SnapshotState): void {
    this.#state = state;
    this.#changes.tell();
  }
}

function nothingDone(): PrepareReport {
  const left = { blockers: [], openStreams: 0, uploads: 0, processes: 0, sockets: [] };
  return { ...left, closedHttp1: 0, closedH2: 0, elapsedMs: 0 };
}

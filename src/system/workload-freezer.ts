import { join } from "node:path";
import { Lock } from "../lib/lock.ts";
import { sleep } from "../lib/sleep.ts";
import { startTimer } from "../lib/timer.ts";
import { freezeGroup, isAtRest, isFreezeRequested, isGone, thawGroup } from "./cgroup-state.ts";
import { GroupTree, ownGroup } from "./cgroup-tree.ts";
import type { CgroupLog, Cgroups } from "./cgroups.ts";

const POLL_MS = 2;
/** A freeze that nobody undoes is undone after this. */
const WATCHDOG_MS = 10 * 60 * 1_000;
const DEFAULT_GROUPS = 512;
const MOST_GROUPS = 8_192;
/** How many groups are looked at before others get their turn. */
const SLICE = 64;

/** `legacy` freezes what the agent has started, `hierarchy` all that need not go on. */
export type FreezeMode = "legacy" | "hierarchy";

/** What is to be frozen. */
export interface FreezeOptions {
  mode: FreezeMode;
  /** How many groups are looked at. Default 512, at most 8,192; 0 and less are the default. */
  maxGroups?: number | undefined;
  /** How long to wait for all to come to rest, in ms. Default and 0: not at all. */
  maxWaitMs?: number | undefined;
  /** Gives up waiting; what was frozen stays frozen. */
  signal?: AbortSignal | undefined;
}

/** What a freeze has done. All but the mode, `truncated` and the two times are numbers of groups. */
export interface FreezeResult {
  mode: FreezeMode;
  visited: number;
  allowlisted: number;
  /** There were more groups than might be looked at. */
  truncated: boolean;
  /** Frozen before, by somebody else, and left to them. */
  preFrozen: number;
  requested: number;
  frozen: number;
  notFrozen: number;
  failed: number;
  /** Asked to freeze, but whether it did cannot be read. */
  unobservable: number;
  sweepMs: number;
  waitMs: number;
}

/** How a freeze looks from within: whether what should stand still does, and nothing else. */
export interface FreezeAudit {
  visited: number;
  frozen: number;
  /** Not at rest, though the freeze was meant for them. */
  escaped: number;
  /** At rest, though they must go on. */
  violations: number;
  truncated: boolean;
}

/** A freeze in effect. */
interface Freeze {
  mode: FreezeMode;
  limit: number;
  /** What it asked to freeze, and so what a thaw lets go. */
  groups: Set<string>;
  watchdog: Disposable;
}

/** Brings the workload to rest and lets it go on; the agent's own group is never touched. */
export class WorkloadFreezer {
  readonly #cgroups: Cgroups;
  readonly #log: CgroupLog;
  readonly #lock = new Lock();
  #freeze: Freeze | undefined;

  constructor(cgroups: Cgroups, log: CgroupLog) {
    this.#cgroups = cgroups;
    this.#log = log;
  }

  /** Whether a freeze of this agent is in effect. */
  get isFrozen(): boolean {
    return this.#freeze !== undefined;
  }

  /**
   * Freezes the workload. What fails is counted and is no error. Rejects with the reason of the
   * signal when that aborts before the end.
   */
  async freeze(options: FreezeOptions): Promise<FreezeResult> {
    const result = emptyResult(options.mode);
    if (!this.#cgroups.isAvailable) return result;
    const freeze = await this.#sweep(options, result);
    await this.#awaitRest(freeze, options, result);
    return result;
  }

  /** Lets everything go on that this agent has frozen. Cannot be cancelled. */
  async thaw(): Promise<void> {
    using _ = await this.#lock.acquire();
    const freeze = this.#freeze;
    if (freeze === undefined) return;
    const failures: unknown[] = [];
    for (const group of freeze.groups) {
      try {
        thawGroup(group);
        freeze.groups.delete(group);
      } catch (error) {
        failures.push(error);
      }
    }
    if (failures.length > 0) {
      throw new AggregateError(failures, `${failures.length} cgroups are still frozen`);
    }
    freeze.watchdog[Symbol.dispose]();
    this.#freeze = undefined;
  }

  /** Looks at the freeze in effect; `undefined` when there is none. */
  audit(): FreezeAudit | undefined {
    const freeze = this.#freeze;
    const tree = this.#tree();
    if (freeze === undefined || tree === undefined) return undefined;
    const audit = { visited: 0, frozen: 0, escaped: 0, violations: 0, truncated: false };
    const groups = freeze.mode === "legacy" ? freeze.groups : tree.all();
    for (const group of groups) {
      if (audit.visited >= freeze.limit) {
        audit.truncated = true;
        break;
      }
      look(group, tree, audit);
    }
    return audit;
  }

  /** Undoes a freeze in effect. */
  async close(): Promise<void> {
    try {
      await this.thaw();
    } catch (error) {
      this.#log.warn({ err: error }, "the workload stays frozen");
    } finally {
      this.#freeze?.watchdog[Symbol.dispose]();
    }
  }

  async #sweep(options: FreezeOptions, result: FreezeResult): Promise<Freeze> {
    using _ = await this.#lock.acquire(options.signal);
    const start = performance.now();
    const freeze = this.#begin(options);
    for (const group of this.#candidates(options.mode, result)) {
      if (result.visited >= freeze.limit) {
        result.truncated = true;
        break;
      }
      result.visited += 1;
      this.#request(group, freeze, result);
      if (result.visited % SLICE === 0) await new Promise(setImmediate);
    }
    result.sweepMs = Math.round(performance.now() - start);
    return freeze;
  }

  /** A freeze over a freeze goes on with its groups, so that one thaw undoes both. */
  #begin(options: FreezeOptions): Freeze {
    this.#freeze?.watchdog[Symbol.dispose]();
    const asked = options.maxGroups ?? 0;
    const freeze = {
      mode: options.mode,
      limit: asked > 0 ? Math.min(asked, MOST_GROUPS) : DEFAULT_GROUPS,
      groups: this.#freeze?.groups ?? new Set<string>(),
      watchdog: startTimer(WATCHDOG_MS, () => void this.close()),
    };
    this.#freeze = freeze;
    return freeze;
  }

  /** The groups to freeze: what the agent has started, then, if asked for, all others. */
  *#candidates(mode: FreezeMode, result: FreezeResult): Generator<string> {
    const tree = this.#tree();
    if (tree === undefined) {
      this.#log.warn({ root: this.#cgroups.root }, "the agent's own cgroup is unknown: no freeze");
      return;
    }
    const started = ["user", "ptys"].map((name) => join(this.#cgroups.root, name));
    for (const group of started) {
      if (tree.role(group) === "workload") yield group;
      else result.failed += 1;
    }
    if (mode === "legacy") return;
    for (const { group, role } of tree.tops()) {
      if (started.includes(group)) continue;
      if (role === "workload") yield group;
      else {
        result.visited += 1;
        result.allowlisted += 1;
      }
    }
  }

  #tree(): GroupTree | undefined {
    const own = ownGroup(this.#cgroups.root);
    return own === undefined ? undefined : new GroupTree(this.#cgroups.root, own);
  }

  #request(group: string, freeze: Freeze, result: FreezeResult): void {
    try {
      if (isFreezeRequested(group) && !freeze.groups.has(group)) {
        result.preFrozen += 1;
        return;
      }
      freezeGroup(group);
      freeze.groups.add(group);
      result.requested += 1;
    } catch (error) {
      if (isGone(error)) return;
      result.failed += 1;
      this.#log.warn({ err: error, group }, "cgroup is not frozen");
    }
  }

  async #awaitRest(freeze: Freeze, options: FreezeOptions, result: FreezeResult): Promise<void> {
    const start = performance.now();
    const waiting = new Set(freeze.groups);
    const settle = () => {
      for (const group of waiting) {
        const state = restOf(group);
        if (state === "moving") continue;
        waiting.delete(group);
        result[state] += 1;
      }
    };
    settle();
    while (waiting.size > 0 && performance.now() - start < (options.maxWaitMs ?? 0)) {
      // Somebody has thawed it meanwhile: it will not come to rest.
      if (this.#freeze !== freeze) break;
      await sleep(POLL_MS, options.signal);
      options.signal?.throwIfAborted();
      settle();
    }
    result.notFrozen = waiting.size;
    result.waitMs = Math.round(performance.now() - start);
  }
}

function restOf(group: string): "frozen" | "moving" | "unobservable" {
  try {
    return isAtRest(group) ? "frozen" : "moving";
  } catch {
    // It was removed, or the kernel does not tell.
    return "unobservable";
  }
}

function look(group: string, tree: GroupTree, audit: FreezeAudit): void {
  const state = restOf(group);
  if (state === "unobservable") return;
  audit.visited += 1;
  const isWorkload = tree.role(group) === "workload";
  if (state === "frozen") audit.frozen += 1;
  if (state === "frozen" && !isWorkload) audit.violations += 1;
  if (state === "moving" && isWorkload) audit.escaped += 1;
}

function emptyResult(mode: FreezeMode): FreezeResult {
  return {
    mode,
    visited: 0,
    allowlisted: 0,
    truncated: false,
    preFrozen: 0,
    requested: 0,
    frozen: 0,
    notFrozen: 0,
    failed: 0,
    unobservable: 0,
    sweepMs: 0,
    waitMs: 0,
  };
}

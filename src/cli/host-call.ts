import { Guest } from "../client/index.ts";
import type { HostCommand, NamedGuest } from "./host-command.ts";
import type { RemotePath, Target, Targets } from "./targets.ts";
import { UsageError } from "./usage-error.ts";

/** What a command was called with. */
export interface HostCallOptions {
  command: HostCommand;
  /** The operands before `--`. */
  operands: readonly string[];
  /** What follows `--`; absent without one. */
  rest: readonly string[] | undefined;
  /** By the long name in camel case. */
  flags: Readonly<Record<string, unknown>>;
  targets: Targets;
}

/** One call of a host command: its operands and flags, and the guests that it opens. */
export class HostCall implements Disposable {
  readonly operands: readonly string[];
  readonly rest: readonly string[] | undefined;
  readonly #command: HostCommand;
  readonly #flags: Readonly<Record<string, unknown>>;
  readonly #targets: Targets;
  readonly #guests: Guest[] = [];

  constructor({ command, operands, rest, flags, targets }: HostCallOptions) {
    this.operands = operands;
    this.rest = rest;
    this.#command = command;
    this.#flags = flags;
    this.#targets = targets;
  }

  /** Whether a flag without a value was given. */
  has(flag: string): boolean {
    return this.#flags[flag] === true;
  }

  /** The value of a flag. */
  text(flag: string): string | undefined {
    const value = this.#flags[flag];
    return typeof value === "string" ? value : undefined;
  }

  /** All values of a flag that may be repeated. */
  texts(flag: string): readonly string[] {
    const value = this.#flags[flag];
    return Array.isArray(value) ? value.map(String) : [];
  }

  /** Something about how the command was called is wrong. */
  usage(message: string): UsageError {
    return new UsageError(`${this.#command.name}: ${message}`, { command: this.#command.name });
  }

  /** The target and what follows it: `least` to `most` words. */
  targetAnd(least: number, most = Number.POSITIVE_INFINITY): [NamedGuest, ...string[]] {
    const [target, ...others] = this.#all;
    return [this.open(target), ...this.#checked(others, least, most)];
  }

  /** The target and programs of it. One word alone, or a pid first, is at the default target. */
  targetAndPrograms(most = Number.POSITIVE_INFINITY): [NamedGuest, ...(number | string)[]] {
    const all = this.#all;
    const isDefault = all.length === 1 || /^\d+$/.test(all[0] ?? "");
    const names = this.#checked(isDefault ? all : all.slice(1), 1, most);
    const selectors = names.map((name) => (/^\d+$/.test(name) ? Number(name) : name));
    return [this.open(isDefault ? undefined : all[0]), ...selectors];
  }

  /**
   * The target and paths in it, written `TARGET PATH...` or `TARGET:PATH...`; what can only be a
   * path is at the default target.
   */
  targetAndPaths(least: number, most = Number.POSITIVE_INFINITY): [NamedGuest, ...string[]] {
    const [first, ...others] = this.#all;
    if (first !== undefined && /^[/.~]/.test(first)) {
      return [this.open(undefined), ...this.#checked([first, ...others], least, most)];
    }
    const scp = first === undefined ? undefined : this.remotePath(first);
    const paths = scp === undefined || scp.path === "" ? others : [scp.path, ...others];
    this.#checked(paths, least, most);
    return [scp === undefined ? this.open(first) : this.openTarget(scp.target), ...paths];
  }

  /** `TARGET:PATH` in its parts; `undefined` for a path of this machine. */
  remotePath(text: string): RemotePath | undefined {
    return this.#targets.splitPath(text);
  }

  /** The names that the configuration knows. */
  targetNames(): string[] {
    return this.#targets.names();
  }

  /** The guest at what the caller wrote; without it at the default target. */
  open(target: string | undefined): NamedGuest {
    return this.openTarget(this.#targets.find(target));
  }

  /** The guest at a target. It is closed with the call. */
  openTarget(target: Target): NamedGuest {
    const user = this.text("user") ?? target.user;
    const { url, token, label } = target;
    const guest = new Guest(url, {
      ...(token !== undefined && { token }),
      ...(user !== undefined && { user }),
    });
    this.#guests.push(guest);
    return { guest, label };
  }

  get #all(): readonly string[] {
    return [...this.operands, ...(this.rest ?? [])];
  }

  #checked(words: readonly string[], least: number, most: number): readonly string[] {
    if (words.length < least) throw this.usage(`${this.#command.operands} is wanted`);
    if (words.length > most) throw this.usage(`"${words[most]}" is one word too many`);
    return words;
  }

  [Symbol.dispose](): void {
    for (const guest of this.#guests) guest[Symbol.dispose]();
  }
}

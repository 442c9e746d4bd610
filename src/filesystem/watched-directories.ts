import type { RawPath } from "./raw-path.ts";

/**
 * Which directory has which watch. A directory that can be reached by two paths (a bind mount) has
 * one watch and two names.
 */
export class WatchedDirectories {
  readonly #watches = new Map<RawPath, number>();
  readonly #names = new Map<number, Set<RawPath>>();
  /** What lies directly in a directory, so that letting one go does not look at all others. */
  readonly #children = new Map<RawPath, Set<RawPath>>();

  /** The watch of the directory called `name`, if it has one. */
  watchOf(name: RawPath): number | undefined {
    return this.#watches.get(name);
  }

  /** What the directory with this watch is called. */
  namesOf(watch: number): RawPath[] {
    return [...(this.#names.get(watch) ?? [])];
  }

  /** Every watch there is. */
  watches(): number[] {
    return [...this.#names.keys()];
  }

  add(name: RawPath, watch: number): void {
    this.#watches.set(name, watch);
    this.#names.set(watch, (this.#names.get(watch) ?? new Set()).add(name));
    this.#link(name);
  }

  /** Forgets a watch that the kernel has ended. */
  deleteWatch(watch: number): void {
    for (const name of this.namesOf(watch)) {
      this.#watches.delete(name);
      this.#unlink(name);
    }
    this.#names.delete(watch);
  }

  /** Forgets `name` and all below it; returns the watches that are left without a name. */
  deleteTree(name: RawPath): number[] {
    const unused: number[] = [];
    const pending = [name];
    for (let key = pending.pop(); key !== undefined; key = pending.pop()) {
      for (const child of this.#children.get(key) ?? []) pending.push(child);
      this.#children.delete(key);
      const watch = this.#watches.get(key);
      if (watch === undefined) continue;
      this.#watches.delete(key);
      const names = this.#names.get(watch);
      names?.delete(key);
      if (names?.size !== 0) continue;
      this.#names.delete(watch);
      unused.push(watch);
    }
    this.#unlink(name);
    return unused;
  }

  clear(): void {
    this.#watches.clear();
    this.#names.clear();
    this.#children.clear();
  }

  /** Makes `name` known to what it lies in, up to the root or to what is known there already. */
  #link(name: RawPath): void {
    for (let at = name; at !== ""; at = parentOf(at)) {
      const siblings = this.#children.get(parentOf(at));
      if (siblings?.has(at) === true) return;
      if (siblings === undefined) this.#children.set(parentOf(at), new Set([at]));
      else siblings.add(at);
    }
  }

  /** Undoes `#link`, as far as there is neither a watch nor anything below. */
  #unlink(name: RawPath): void {
    for (let at = name; at !== ""; at = parentOf(at)) {
      if (this.#watches.has(at) || this.#children.has(at)) return;
      const siblings = this.#children.get(parentOf(at));
      siblings?.delete(at);
      if (siblings?.size === 0) this.#children.delete(parentOf(at));
    }
  }
}

function parentOf(name: RawPath): RawPath {
  return name.slice(0, Math.max(0, name.lastIndexOf("/")));
}

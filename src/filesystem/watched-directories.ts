import type { RawPath } from "./raw-path.ts";

/**
 * Which directory has which watch. A directory that can be reached by two paths (a bind mount) has
 * one watch and two names.
 */
export class WatchedDirectories {
  readonly #watches = new Map<RawPath, number>();
  readonly #names = new Map<number, Set<RawPath>>();

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
  }

  /** Forgets a watch that the kernel has ended. */
  deleteWatch(watch: number): void {
    for (const name of this.namesOf(watch)) this.#watches.delete(name);
    this.#names.delete(watch);
  }

  /** Forgets `name` and all below it; returns the watches that are left without a name. */
  deleteTree(name: RawPath): number[] {
    const below = `${name}/`;
    const found = [...this.#watches].filter(([key]) => key === name || key.startsWith(below));
    const unused: number[] = [];
    for (const [key, watch] of found) {
      this.#watches.delete(key);
      const names = this.#names.get(watch);
      names?.delete(key);
      if (names?.size !== 0) continue;
      this.#names.delete(watch);
      unused.push(watch);
    }
    return unused;
  }

  clear(): void {
    this.#watches.clear();
    this.#names.clear();
  }
}

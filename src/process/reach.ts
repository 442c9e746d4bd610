import { hasMark } from "../system/mark.ts";
import { type Program, programs, readProgram, visitInSlices } from "../system/programs.ts";

/** Those whom a signal is meant for. */
export interface Reach {
  /** Who of them is there now, zombies left out. */
  members(): Promise<Program[]>;
  /** Whether `pid` is one of them now. */
  has(pid: number): boolean;
}

/** What is known of a process whose scope is asked for. */
export interface ScopeLeader {
  readonly pid: number;
  /** What it and all that it has started carry. */
  readonly mark: string;
  /** Whether its pid may be another's by now. */
  readonly hasExited: boolean;
}

/** The process itself. */
export class OneProcess implements Reach {
  readonly #leader: ScopeLeader;

  constructor(leader: ScopeLeader) {
    this.#leader = leader;
  }

  members(): Promise<Program[]> {
    const program = this.#leader.hasExited ? undefined : readProgram(this.#leader.pid);
    return Promise.resolve(program === undefined || program.isZombie ? [] : [program]);
  }

  has(pid: number): boolean {
    return !this.#leader.hasExited && pid === this.#leader.pid;
  }
}

/**
 * A process and all that it has started: those that carry its mark, its session and process group,
 * and the descendants of all of these.
 */
export class Scope implements Reach {
  readonly #leader: ScopeLeader;

  constructor(leader: ScopeLeader) {
    this.#leader = leader;
  }

  async members(): Promise<Program[]> {
    const all = new Map<number, Program>();
    const marked = new Set<number>();
    await visitInSlices(programs(), (pid) => {
      const program = pid === process.pid ? undefined : readProgram(pid);
      if (program === undefined) return true;
      all.set(pid, program);
      if (this.#isRoot(program)) marked.add(pid);
      return true;
    });
    return [...all.values()].filter(
      (program) => !program.isZombie && descends(program, marked, all),
    );
  }

  has(pid: number): boolean {
    const seen = new Set([process.pid]);
    for (let one = readProgram(pid); one !== undefined; one = readProgram(one.parent)) {
      if (seen.has(one.pid)) return false;
      if (this.#isRoot(one)) return true;
      seen.add(one.pid);
    }
    return false;
  }

  /** Whether it belongs to the scope by itself, whatever it descends from. */
  #isRoot(program: Program): boolean {
    return hasMark(program.pid, this.#leader.mark) || this.#isLedBy(program);
  }

  /**
   * Its session and group keep its number from being given again for as long as they are there; so
   * when somebody has the number of a leader that is gone, they are not.
   */
  #isLedBy({ pid, group, session }: Program): boolean {
    const { pid: leader, hasExited } = this.#leader;
    if (!hasExited) return pid === leader || group === leader || session === leader;
    return (group === leader || session === leader) && readProgram(leader) === undefined;
  }
}

/** Whether `program` or one it descends from is one of `roots`. */
function descends(
  program: Program,
  roots: ReadonlySet<number>,
  all: ReadonlyMap<number, Program>,
): boolean {
  const seen = new Set<number>();
  for (let one: Program | undefined = program; one !== undefined; one = all.get(one.parent)) {
    if (roots.has(one.pid)) return true;
    if (seen.has(one.pid)) return false;
    seen.add(one.pid);
  }
  return false;
}

import {
  accessSync,
  constants,
  existsSync,
  mkdirSync,
  readdirSync,
  statfsSync,
  writeFileSync,
} from "node:fs";
import { join } from "node:path";
import { thawGroup } from "./cgroup-state.ts";
import { KillPen, PEN_PREFIX, removePen } from "./kill-pen.ts";
import { totalMemory } from "./metrics.ts";

/** What `statfs` says of a cgroup v2 hierarchy. */
const CGROUP2_MAGIC = 0x63677270;
const MIB = 1024 * 1024;

/**
 * The groups that processes of the agent are put into.
 *
 * - `user`    what clients start.
 * - `ptys`    terminals.
 * - `socats`  port relays; they go on while the guest is frozen.
 */
export type GroupKind = "user" | "ptys" | "socats";

const KINDS: readonly GroupKind[] = ["ptys", "socats", "user"];

/** The files of each group and what is written to them, on a machine with so many bytes. */
export function groupProperties(
  memoryBytes: number,
): Record<GroupKind, Readonly<Record<string, string>>> {
  // What is left is for the agent and the machine's own services.
  const limit = String(memoryBytes - Math.min(Math.floor(memoryBytes / 8), 128 * MIB));
  return {
    ptys: {
      "cpu.weight": "200",
      "io.weight": "default 50",
      "memory.high": limit,
      "memory.max": limit,
    },
    socats: {
      "cpu.weight": "150",
      "io.weight": "default 50",
      "memory.min": String(5 * MIB),
      "memory.low": String(8 * MIB),
    },
    user: {
      "cpu.weight": "50",
      "io.weight": "default 10",
      "memory.high": limit,
      "memory.max": limit,
    },
  };
}

/** What the groups report to; pino's logger fits. */
export interface CgroupLog {
  warn(facts: object, message: string): void;
}

/**
 * The agent's groups directly under `root`. Where `root` is no cgroup v2 hierarchy, or `isDisabled`,
 * there are none and processes stay in the agent's own group.
 */
export class Cgroups {
  readonly root: string;
  readonly #isDisabled: boolean;
  readonly #log: CgroupLog;
  readonly #available = new Set<GroupKind>();

  constructor(root: string, isDisabled: boolean, log: CgroupLog) {
    this.root = root;
    this.#isDisabled = isDisabled;
    this.#log = log;
  }

  /**
   * Makes the groups and gives them their properties; what the kernel does not offer is left out.
   * A group that an agent which died has left frozen is thawed.
   */
  prepare(): void {
    if (this.#isDisabled || !isCgroup2(this.root)) return;
    const properties = groupProperties(totalMemory());
    for (const kind of KINDS) {
      try {
        this.#prepareGroup(kind, properties[kind]);
      } catch (error) {
        this.#log.warn({ err: error, group: kind }, "cgroup is not available");
      }
    }
  }

  /**
   * The file whose reader of a pid moves that process into the group; `undefined` when processes
   * of this kind stay where they are.
   */
  procsFile(kind: GroupKind): string | undefined {
    return this.#available.has(kind) ? join(this.root, kind, "cgroup.procs") : undefined;
  }

  /**
   * A pen in each group of what clients start; none where there are no groups. The caller disposes
   * of them.
   */
  killPens(): KillPen[] {
    const parents = (["user", "ptys"] as const).filter((kind) => this.#available.has(kind));
    return parents.flatMap((kind) => {
      try {
        return [new KillPen(join(this.root, kind))];
      } catch (error) {
        this.#log.warn({ err: error, group: kind }, "no cgroup to kill in");
        return [];
      }
    });
  }

  /** Whether there are groups at all. */
  get isAvailable(): boolean {
    return this.#available.size > 0;
  }

  #prepareGroup(kind: GroupKind, properties: Readonly<Record<string, string>>): void {
    const directory = join(this.root, kind);
    if (!existsSync(directory)) mkdirSync(directory, { mode: 0o755 });
    for (const [name, value] of Object.entries(properties)) {
      try {
        writeFileSync(join(directory, name), value, { flag: "r+" });
      } catch (error) {
        // A file is missing where its controller is not enabled.
        if ((error as NodeJS.ErrnoException).code === "ENOENT") continue;
        this.#log.warn({ err: error, group: kind, property: name }, "cgroup property is not set");
      }
    }
    thawGroup(directory);
    removePens(directory);
    accessSync(join(directory, "cgroup.procs"), constants.W_OK);
    this.#available.add(kind);
  }
}

/** Removes the pens that an agent which died has left; who is in them goes on in `parent`. */
function removePens(parent: string): void {
  for (const name of readdirSync(parent)) {
    if (name.startsWith(PEN_PREFIX)) void removePen(join(parent, name), parent);
  }
}

function isCgroup2(root: string): boolean {
  try {
    return statfsSync(root).type === CGROUP2_MAGIC;
  } catch {
    // No such directory: the machine has no cgroups.
    return false;
  }
}

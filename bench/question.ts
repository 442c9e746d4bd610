import type { Agent, ThawOptions } from "./agent.ts";
import type { Answer } from "./table.ts";

/** What every question is asked with. */
export interface Setting {
  /** The agent under test. */
  agent: Agent;
  /** Starts another thaw; `undefined` when a running agent is tested, which cannot be started. */
  startAnother: ((options: ThawOptions) => Promise<Agent>) | undefined;
  /** Smaller amounts, for a quick look. */
  isQuick: boolean;
  /** Rounds of every comparison. */
  rounds: number;
}

/** One question of the benchmark. */
export type Question = (setting: Setting) => Promise<Answer>;

import type { LogOptions } from "./output-log.ts";

/** What a program is asked to be, kept as it was requested. */
export interface ProcessConfig {
  cmd: string;
  args: readonly string[];
  envs: Readonly<Record<string, string>>;
  cwd: string | undefined;
}

/** Who a process is from its beginning. */
export interface ProcessIdentity {
  pid: number;
  config: ProcessConfig;
  tag: string | undefined;
  /** What it and all that it has started carry. */
  mark: string;
  log: LogOptions;
  /** The name of the account it runs as. */
  user: string;
  hasTerminal: boolean;
  /** By the guest's clock. */
  startedAt: Date;
}

/** How a process is named: by pid, or by tag. */
export type Selector = { pid: number } | { tag: string };

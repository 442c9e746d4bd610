/** One open connection as the lifecycle and a caller of Status see it. */
export interface ConnectionStatus {
  id: number;
  protocol: "sniffing" | "http1" | "h2";
  isEncrypted: boolean;
  remoteAddress: string;
  ageMs: number;
  epoch: number;
  /** Requests that are being answered. */
  openRequests: number;
  bytesRead: number;
  bytesWritten: number;
  /** How long ago bytes last went either way. */
  sinceProgressMs: number;
  /** Closes once what is open has been answered. */
  isRetiring: boolean;
}

/** The agent's connections, as far as a snapshot concerns them. */
export interface Connections {
  /** Connections of a smaller epoch are of the life before. */
  readonly epoch: number;
  /** Closes idle connections and lets every other one close after its answer, until `wake`. */
  quiesce(): { closedHttp1: number; closedH2: number };
  /** Keeps connections open again. */
  wake(): void;
  /** Makes every connection that is open now an old one. */
  beginEpoch(): number;
  /** Destroys the old connections by RST, also while they are being probed. Returns their number. */
  destroyOld(): number;
  /**
   * Does the same at once for the kernel and the peers, but here one after the other, and lets
   * whoever comes anew go first for up to `patienceMs`, or until `hurry` aborts. Resolves with their
   * number.
   */
  clearOld(patienceMs: number, hurry: AbortSignal): Promise<number>;
  /** Destroys the old connections whose peer does not answer; those that do are old no more. */
  probeOld(timeoutMs: number, signal?: AbortSignal): Promise<{ destroyed: number; kept: number }>;
  status(): readonly ConnectionStatus[];
}

/** What is stopped before a snapshot and started again after it. */
export interface Pausable {
  stop(): Promise<void>;
  start(): void;
}

/** How many sockets are in one TCP state, named as `ss` does. */
export interface SocketCount {
  state: string;
  count: number;
}

/** What tells programs and callers that time has passed over them. */
export interface GenerationKeeper {
  /** Grows with every restore. */
  readonly number: number;
  /** Drawn anew with every restore: two clones never share it. */
  readonly id: string;
  /** Where programs read both; empty where that cannot be written. */
  readonly file: string;
  /** A new life has begun. */
  advance(): void;
  /** Draws the id of this life again. */
  renew(): void;
}

/** What shows that the machine was frozen. */
export type Sign = "generation" | "clock";

/** Looks for signs; each is told once. */
export interface SignKeeper {
  /** Called when a sign shows by itself. */
  onSign: (sign: Sign) => void;
  /** A sign that has shown since the last look. */
  check(): Sign | undefined;
  /** The clock was set on purpose. */
  rebase(): void;
}

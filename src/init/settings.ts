/** Which host the agent serves, for the few things that cannot be both (see docs/protocol.md). */
export type Dialect = "e2b" | "wrenn";

/**
 * What the host has told the guest through `/init`, in memory only, so that it survives a
 * snapshot: access token, default user, default working directory, variables of every process.
 */
export class Settings {
  /** Called when another token is in force. */
  onNewToken: () => void = () => {};
  /** Who processes and files belong to when a request names nobody. Default `root`. */
  defaultUser = "root";
  /** Where an empty path leads. `undefined`: the user's home. */
  defaultWorkdir: string | undefined;
  /** Set by the agent itself; `/init` cannot overwrite them. */
  readonly internalVariables = new Map<string, string>();
  /** Set by `/init`. */
  userVariables = new Map<string, string>();
  #accessToken: string | undefined;

  /** The token every request must carry; `undefined` leaves the agent open. */
  get accessToken(): string | undefined {
    return this.#accessToken;
  }

  set accessToken(token: string | undefined) {
    const isNew = token !== this.#accessToken;
    this.#accessToken = token;
    if (isNew) this.onNewToken();
  }

  /** The variables placed in every process: the host's, and over them the agent's own. */
  variables(): Record<string, string> {
    return Object.fromEntries([...this.userVariables, ...this.internalVariables]);
  }
}

/** The command line asks for something that does not exist or cannot be; nothing was started. */
export class UsageError extends Error {
  /** The command whose help says what is possible, if it is one of the host's. */
  readonly command: string | undefined;

  constructor(message: string, options?: ErrorOptions & { command?: string }) {
    super(message, options);
    this.name = "UsageError";
    this.command = options?.command;
  }
}

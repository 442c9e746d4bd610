import type { Guest } from "../client/index.ts";
import type { HostCall } from "./host-call.ts";

/** A flag of a host command. */
export interface HostFlag {
  /** As in `-s, --signal <SIG>`; `<X...>` may be given again and again. */
  flags: string;
  /** What it is for, with its default, on one line. */
  help: string;
}

/** One command of `thaw` on the host, as its help, its reader and the completion need it. */
export interface HostCommand {
  /** One word, or two as in `snapshot prepare`. */
  name: string;
  /** What follows the flags, as in `[TARGET] PATH...`. */
  operands: string;
  /** What it is for, in one line. */
  summary: string;
  /** What else there is to know, shown below the flags. */
  notes?: string;
  flags?: readonly HostFlag[];
  /** The first operand ends the flags, so that those of a program that follows are its own. */
  endsFlags?: boolean;
  /** Does it; resolves to the exit code. Throws `UsageError`, `GuestError` and `Failure`. */
  run: (call: HostCall) => Promise<number>;
}

/** Why a command did not do what it was to do, in words for who called it. Exit code 1. */
export class Failure extends Error {
  constructor(message: string, options?: ErrorOptions) {
    super(message, options);
    this.name = "Failure";
  }
}

/** A guest and what it is called in messages. */
export interface NamedGuest {
  guest: Guest;
  /** As the caller wrote it, without its token. */
  label: string;
}

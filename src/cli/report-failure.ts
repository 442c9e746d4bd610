import { GuestError } from "../client/index.ts";
import { Failure } from "./host-command.ts";

/** What is worth saying beside the guest's own words. */
const ADVICE: Partial<Record<GuestError["kind"], string>> = {
  unauthenticated:
    "the token is taken from THAW_TOKEN, the configuration file or the URL's #token=",
};

/** Says on stderr why a command failed. Returns the exit code. */
export function reportFailure(reason: unknown): number {
  process.stderr.write(`thaw: ${describe(reason)}\n`);
  return 1;
}

function describe(reason: unknown): string {
  if (reason instanceof Failure) return reason.message;
  if (reason instanceof GuestError) {
    const advice = ADVICE[reason.kind];
    return advice === undefined ? reason.message : `${reason.message} (${advice})`;
  }
  if (reason instanceof Error && "syscall" in reason) return reason.message;
  return reason instanceof Error ? (reason.stack ?? reason.message) : String(reason);
}

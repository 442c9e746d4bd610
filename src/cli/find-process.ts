import { type Guest, GuestError, type ProcessSummary } from "../client/index.ts";

/** The program with a pid or a tag, also for a while after its end. Throws `not-found`. */
export async function findProcess(
  guest: Guest,
  selector: number | string,
): Promise<ProcessSummary> {
  const all = await guest.process.list({ includeEnded: true });
  const found = all.filter(({ pid, tag }) => pid === selector || tag === selector);
  const newest = found.find(({ end }) => end === undefined) ?? found.at(-1);
  if (newest !== undefined) return newest;
  throw new GuestError("not-found", `"${selector}" is no program of the guest: thaw ps -a`);
}

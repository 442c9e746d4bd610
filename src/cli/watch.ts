import type { HostCall } from "./host-call.ts";
import type { HostCommand } from "./host-command.ts";
import { remark, remarkCut } from "./paint.ts";
import { USER_FLAG } from "./session-flags.ts";
import { shown } from "./shown.ts";

/** Shows what changes in a directory of the guest. */
export const WATCH: HostCommand = {
  name: "watch",
  operands: "[TARGET] PATH",
  summary: "tell what changes in a directory of the guest, until Ctrl-C",
  flags: [
    { flags: "-r, --recursive", help: "and in all below it" },
    { flags: "--json", help: "for programs: one object a line" },
    USER_FLAG,
  ],
  notes: `A watch that is cut goes on by itself and tells what was missed, or "resync"
where that is lost and the directory is to be listed anew.`,
  run: watch,
};

async function watch(call: HostCall): Promise<number> {
  const [{ guest }, path = ""] = call.targetAndPaths(1, 1);
  const leaving = new AbortController();
  process.once("SIGINT", () => leaving.abort()).once("SIGTERM", () => leaving.abort());
  try {
    using changes = await guest.files.watch(path, {
      recursive: call.has("recursive"),
      signal: leaving.signal,
      giveUpAfterMs: Number.POSITIVE_INFINITY,
      onInterrupted: remarkCut,
    });
    remark(`watching ${shown(path)}`);
    for await (const change of changes) {
      const name = change.kind === "resync" ? "" : change.name;
      process.stdout.write(
        call.has("json")
          ? `${JSON.stringify(change)}\n`
          : `${change.kind.padEnd(7)} ${shown(name)}\n`,
      );
    }
    return 0;
  } catch (reason) {
    if (leaving.signal.aborted) return 0;
    throw reason;
  }
}

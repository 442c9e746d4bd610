import type { HandlerContext } from "@connectrpc/connect";
import { resolvePath } from "../filesystem/paths.ts";
import { callerKey } from "./caller-key.ts";

/** A path as its caller means it: relative to the home of its user, or to the working directory. */
export function pathOf(path: string, context: HandlerContext): string {
  const caller = context.values.get(callerKey);
  return resolvePath(path, caller.user(), caller.workdir);
}

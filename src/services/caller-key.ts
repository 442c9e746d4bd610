import { type ContextKey, createContextKey } from "@connectrpc/connect";
import { AgentError } from "../errors.ts";
import type { Caller } from "../init/caller.ts";

const refuse = () => {
  throw new AgentError("unauthenticated", "no user specified");
};

/** Where a handler finds who it speaks for: `context.values.get(callerKey)`. */
export const callerKey: ContextKey<Caller> = createContextKey<Caller>({
  user: refuse,
  userNamed: refuse,
  verify: refuse,
  workdir: undefined,
});

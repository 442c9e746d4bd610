import { type ContextKey, createContextKey } from "@connectrpc/connect";
import { AgentError } from "../errors.ts";
import type { Selector } from "../process/identity.ts";
import type { ViewGrant } from "../process/view-tokens.ts";

/** Where a handler finds what its caller may watch; `undefined`: it may do everything. */
export const viewGrantKey: ContextKey<ViewGrant | undefined> = createContextKey<
  ViewGrant | undefined
>(undefined);

/** Refuses, by throwing `unauthenticated`, anything but the one process of a grant by its pid. */
export function checkGrant(grant: ViewGrant | undefined, selector: Selector): void {
  if (grant === undefined || ("pid" in selector && selector.pid === grant.pid)) return;
  const message = `this token shows the process with pid ${grant.pid} and nothing else`;
  throw new AgentError("unauthenticated", message);
}

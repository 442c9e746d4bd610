import type { SnapshotLifecycle } from "../snapshot/lifecycle.ts";
import { type Endpoint, sendNothing } from "./endpoint.ts";

/** `POST /snapshot/prepare`: the machine is about to be paused. */
export function snapshotPrepare({ snapshots }: { snapshots: SnapshotLifecycle }): Endpoint {
  return async (_request, response) => {
    await snapshots.prepare();
    sendNothing(response);
  };
}

import type { Init } from "../init/init.ts";
import { type Endpoint, sendNothing } from "./endpoint.ts";

/** `POST /snapshot/prepare`: the machine is about to be paused. */
export function snapshotPrepare({ init }: { init: Init }): Endpoint {
  return async (_request, response) => {
    init.prepareForSnapshot();
    sendNothing(response);
  };
}

import type { FileSystemFreeze } from "../system/file-system-freeze.ts";
import { type Endpoint, HttpError, sendNothing } from "./endpoint.ts";

/** `POST /fsfreeze`: brings the root file system to a state that survives the machine's end. */
export function fsfreeze({ fileSystem }: { fileSystem: FileSystemFreeze }): Endpoint {
  return async (_request, response, { signal }) => {
    await fileSystem.freeze(signal).catch((reason: unknown) => {
      if (signal.aborted) throw new HttpError(503, "the caller is gone", "empty");
      throw failed(reason);
    });
    sendNothing(response);
  };
}

/** `POST /fsthaw`: lets the root file system be written again, whether the caller waits or not. */
export function fsthaw({ fileSystem }: { fileSystem: FileSystemFreeze }): Endpoint {
  return async (_request, response) => {
    await fileSystem.thaw().catch((reason: unknown) => {
      throw failed(reason);
    });
    sendNothing(response);
  };
}

function failed(reason: unknown): HttpError {
  return new HttpError(500, reason instanceof Error ? reason.message : String(reason));
}

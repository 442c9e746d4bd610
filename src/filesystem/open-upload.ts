import { AgentError } from "../errors.ts";
import type { User } from "../system/users.ts";
import { openNewFile } from "./new-file.ts";
import { makeParents } from "./parents.ts";
import { Replacement } from "./replacement.ts";
import { isOutOfSpace } from "./space.ts";
import type { Upload, UploadRequest } from "./upload.ts";
import { closeFd, openTarget } from "./upload-target.ts";

/**
 * Makes the parents of the file and opens it. A full disk is `exhausted`; anything but a regular
 * file at `path` is `invalid`.
 */
export async function openUpload(request: UploadRequest): Promise<Upload> {
  const { path, user, locks } = request;
  await ensureParents(path.slice(0, path.lastIndexOf("/")) || "/", user);
  const target = await openTarget(path, locks);
  if (target.kind === "new") return openNewFile(target, request);
  // Not kept open: nobody could execute the file while its replacement arrives.
  await closeFd(target.fd);
  return new Replacement(request, target);
}

async function ensureParents(directory: string, user: User): Promise<void> {
  await makeParents(directory, user).catch((failure: AgentError) => {
    const { cause } = failure;
    throw isOutOfSpace(cause ?? failure)
      ? new AgentError("exhausted", `not enough inodes available: ${failure.message}`, { cause })
      : new AgentError(failure.code, `error ensuring directories: ${failure.message}`, { cause });
  });
}

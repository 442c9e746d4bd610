import { AgentError } from "../errors.ts";
import type { User } from "../system/users.ts";
import { openNewFile } from "./new-file.ts";
import { makeParents } from "./parents.ts";
import { Replacement } from "./replacement.ts";
import { isOutOfSpace } from "./space.ts";
import type { Upload, UploadRequest } from "./upload.ts";
import { closeFd, openTarget, type UploadTarget } from "./upload-target.ts";

/**
 * Makes the parents of the file and opens it. A full disk is `exhausted`; anything but a regular
 * file at `path` is `invalid`.
 */
export async function openUpload(request: UploadRequest): Promise<Upload> {
  const target = await openWithParents(request);
  if (target.kind === "new") return openNewFile(target, request);
  // Not kept open: nobody could execute the file while its replacement arrives.
  await closeFd(target.fd);
  return new Replacement(request, target);
}

/** Nearly always the parents are there, so they are only looked at when the file cannot be made. */
async function openWithParents({ path, user, locks }: UploadRequest): Promise<UploadTarget> {
  if (!path.endsWith("/")) {
    const target = await openTarget(path, locks).catch((failure: AgentError) => {
      const { code } = (failure.cause ?? failure) as NodeJS.ErrnoException;
      if (code !== "ENOENT" && code !== "ENOTDIR") throw failure;
    });
    if (target !== undefined) return target;
  }
  await ensureParents(path.slice(0, path.lastIndexOf("/")) || "/", user);
  return openTarget(path, locks);
}

async function ensureParents(directory: string, user: User): Promise<void> {
  await makeParents(directory, user).catch((failure: AgentError) => {
    const { cause } = failure;
    throw isOutOfSpace(cause ?? failure)
      ? new AgentError("exhausted", `not enough inodes available: ${failure.message}`, { cause })
      : new AgentError(failure.code, `error ensuring directories: ${failure.message}`, { cause });
  });
}

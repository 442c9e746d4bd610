import { constants, open, type Stats, stat, unlink } from "node:fs";
import { promisify } from "node:util";
import { randomText } from "../system/random.ts";
import { closeFd } from "./upload-target.ts";

/** Not among Node's constants; the same on all machines that Node has Linux binaries for. */
const O_TMPFILE = 0o20000000 | constants.O_DIRECTORY;
/** Where nobody watches: writing to a file without a name still shows in its directory. */
const PREFERRED_DIRECTORY = "/var/tmp";

const openFd = promisify(open);
const statPath = promisify(stat);
const unlinkPath = promisify(unlink);

/**
 * A nameless file for a body that is not complete yet. It is on the filesystem of the file it
 * shall replace, so a full disk shows before anything is overwritten; and it vanishes with its
 * descriptor, however that happens.
 */
export async function openSpool(targetPath: string, target: Stats): Promise<number> {
  const preferred = await statPath(PREFERRED_DIRECTORY).catch(() => undefined);
  const own = targetPath.slice(0, targetPath.lastIndexOf("/")) || "/";
  const directory = preferred?.dev === target.dev ? PREFERRED_DIRECTORY : own;
  try {
    return await openFd(directory, O_TMPFILE | constants.O_RDWR, 0o600);
  } catch (cause) {
    const { code } = cause as NodeJS.ErrnoException;
    // What filesystems answer that know no nameless files.
    if (code !== "ENOTSUP" && code !== "EISDIR" && code !== "EINVAL") throw cause;
    return openNamed(directory);
  }
}

async function openNamed(directory: string): Promise<number> {
  const path = `${directory}/.upload-${randomText(22)}`;
  const flags = constants.O_RDWR | constants.O_CREAT | constants.O_EXCL;
  const fd = await openFd(path, flags, 0o600);
  await unlinkPath(path).catch(async (cause: unknown) => {
    await closeFd(fd);
    throw cause;
  });
  return fd;
}

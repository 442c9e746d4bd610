import { mkdir } from "node:fs/promises";
import { dirname } from "node:path";

/**
 * Makes the directory `path`, which is absolute, and all above it, with this mode less the umask.
 * What is there already stays. Node's own recursive way never returns where the kernel refuses to
 * make an entry as if its parent were missing, as in /proc.
 */
export async function makeDirectories(path: string, mode = 0o777): Promise<void> {
  const missing: string[] = [];
  for (let at = path; !(await made(at, mode)); at = dirname(at)) {
    if (at === dirname(at)) throw new Error(`no such directory: "${at}"`);
    missing.push(at);
  }
  for (const at of missing.toReversed()) {
    if (!(await made(at, mode))) {
      throw Object.assign(new Error(`ENOENT: cannot make "${at}"`), { code: "ENOENT" });
    }
  }
}

/** Whether it is there now; `false` when something above it is missing. */
async function made(path: string, mode: number): Promise<boolean> {
  try {
    await mkdir(path, { mode });
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    if (code === "ENOENT") return false;
    if (code !== "EEXIST") throw error;
  }
  return true;
}

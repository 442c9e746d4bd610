import { libcFunction } from "../src/system/libc.ts";

const POSIX_SPAWN =
  "int posix_spawn(_Out_ int *pid, const char *path, void *actions, void *attributes, const char **argv, const char **envp)";
const ENVIRONMENT = ["PATH=/usr/local/bin:/usr/bin:/bin", null];
const pid = new Int32Array(1);
const status = new Int32Array(1);

/** Starts `path` without anything around it. */
export function spawnBare(path: string): number {
  const errno = Number(libcFunction(POSIX_SPAWN)(pid, path, null, null, [path, null], ENVIRONMENT));
  if (errno !== 0) throw new Error(`posix_spawn: errno ${errno}`);
  return pid[0] as number;
}

/** Waits for `child`, and blocks the whole process meanwhile. */
export function waitBare(child: number): void {
  const wait = libcFunction("int waitpid(int pid, _Out_ int *status, int options)");
  if (Number(wait(child, status, 0)) !== child) throw new Error("waitpid failed");
}

import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";

/** Whether somebody has asked this very group to freeze; its parents do not count. */
export function isFreezeRequested(group: string): boolean {
  return readFileSync(join(group, "cgroup.freeze"), "latin1").trim() === "1";
}

/** Whether everything in the group has come to rest, on its own or a parent's request. */
export function isAtRest(group: string): boolean {
  return /^frozen 1$/m.test(readFileSync(join(group, "cgroup.events"), "latin1"));
}

/** Asks the group, and all below it, to freeze. */
export function freezeGroup(group: string): void {
  writeFileSync(join(group, "cgroup.freeze"), "1", { flag: "r+" });
}

/** Lets the group go on. One that does not exist, or that cannot be frozen, needs nothing. */
export function thawGroup(group: string): void {
  try {
    if (isFreezeRequested(group)) writeFileSync(join(group, "cgroup.freeze"), "0", { flag: "r+" });
  } catch (error) {
    if (!isGone(error)) throw error;
  }
}

/** Whether `error` says that the group was removed meanwhile. */
export function isGone(error: unknown): boolean {
  const { code } = error as NodeJS.ErrnoException;
  return code === "ENOENT" || code === "ENODEV";
}

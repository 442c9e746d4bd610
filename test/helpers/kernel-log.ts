import { closeSync, openSync, writeSync } from "node:fs";

/**
 * Writes one line to the kernel's log, as any program of root may: it is marked as not the kernel's
 * own. Each time by a descriptor of its own, as the kernel limits what one may write.
 */
export function writeKernelLog(text: string): void {
  const fd = openSync("/dev/kmsg", "w");
  try {
    // Without its end a line waits for what might still be added to it.
    writeSync(fd, `${text}\n`);
  } finally {
    closeSync(fd);
  }
}

import { execFileSync } from "node:child_process";

/** Runs a program and gives what it prints. Throws with its words when it fails. */
export function run(command: string, args: readonly string[], cwd?: string): string {
  return execFileSync(command, args, {
    cwd,
    stdio: ["ignore", "pipe", "pipe"],
    encoding: "utf8",
    maxBuffer: 1 << 28,
  });
}

/** The same for a program that may fail: `undefined` then. */
export function tryRun(command: string, args: readonly string[]): string | undefined {
  try {
    return run(command, args);
  } catch {
    return undefined;
  }
}

/** What the rig needs and this machine lacks, in words. */
export function missingParts(): string[] {
  const missing = PROGRAMS.filter(
    ([program]) => tryRun("sh", ["-c", `command -v ${program}`]) === undefined,
  ).map(([program, debianPackage]) => `the program ${program} (Debian package ${debianPackage})`);
  if (process.getuid?.() !== 0) missing.push("root");
  if (tryRun("test", ["-c", "/dev/net/tun"]) === undefined) missing.push("/dev/net/tun");
  return missing;
}

const PROGRAMS = [
  ["qemu-system-x86_64", "qemu-system-x86"],
  ["busybox", "busybox-static"],
  ["cpio", "cpio"],
  ["mke2fs", "e2fsprogs"],
  ["ip", "iproute2"],
  ["apt-get", "apt"],
  ["dpkg", "dpkg"],
  ["zstd", "zstd"],
  ["xz", "xz-utils"],
  ["ldd", "libc-bin"],
  ["tar", "tar"],
] as const;

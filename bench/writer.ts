/** How a program that writes to a pipe is told its block size. */
const PIPE_BLOCK_BYTES = 64 * 1024;
/** The same for one that writes to a terminal, which takes a few KiB at once. */
export const PTY_ARGS = { blockBytes: 4096 };

/** A program that writes `bytes` bytes (a multiple of the block) as fast as it is read. */
export function writerOf(bytes: number, { blockBytes } = { blockBytes: PIPE_BLOCK_BYTES }) {
  return {
    cmd: "dd",
    args: ["if=/dev/zero", `bs=${blockBytes}`, `count=${bytes / blockBytes}`, "status=none"],
  };
}

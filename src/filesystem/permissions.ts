/** What kind of thing a mode describes: the bits that say so, and the letters that stand for it. */
const KINDS: Readonly<Record<number, string>> = {
  0o040000: "d",
  0o120000: "L",
  0o060000: "D",
  0o020000: "Dc",
  0o010000: "p",
  0o140000: "S",
  0o100000: "",
};
const KIND_BITS = 0o170000;
const SET_USER = 0o4000;
const SET_GROUP = 0o2000;
const STICKY = 0o1000;

/**
 * A mode in the words clients expect: letters for the kind (`-` for none), then three times rwx,
 * as in `-rw-r--r--`, `drwxr-xr-x`, `Lrwxrwxrwx`, `Dcrw-rw-rw-`, `dtrwxrwxrwx`, `urwxr-xr-x`.
 */
export function describeMode(mode: number): string {
  const [device = "", character = ""] = KINDS[mode & KIND_BITS] ?? "?";
  const letters =
    device +
    (mode & SET_USER ? "u" : "") +
    (mode & SET_GROUP ? "g" : "") +
    character +
    (mode & STICKY ? "t" : "");
  return (letters || "-") + rights(mode >> 6) + rights(mode >> 3) + rights(mode);
}

function rights(bits: number): string {
  return (bits & 4 ? "r" : "-") + (bits & 2 ? "w" : "-") + (bits & 1 ? "x" : "-");
}

import {
  chmodSync,
  closeSync,
  fchmodSync,
  ftruncateSync,
  futimesSync,
  lstatSync,
  mkdirSync,
  openSync,
  renameSync,
  rmSync,
  symlinkSync,
  utimesSync,
  writeSync,
} from "node:fs";
import { join } from "node:path";
import type { TarEntry } from "../../lib/tar-reader.ts";
import { besidePath } from "../beside.ts";
import { GuestError } from "../errors.ts";
import type { TreePath } from "../trees.ts";

/** What a guest may say of a file here: nothing that gives it another's rights. */
const MODE_BITS = 0o777;
const OWNER_BITS = 0o700;

/**
 * A directory of this machine that a guest fills, which is not trusted: nothing is written outside
 * of it, whatever the guest calls its files and wherever its links lead.
 */
export class LocalPlace {
  readonly root: string;
  /** Directories below the root that are no links. */
  readonly #real = new Set<string>([""]);

  constructor(root: string) {
    this.root = root;
    mkdirSync(root, { recursive: true });
  }

  /** The whole path of one below the root, whose parents are there and are no links. */
  pathOf(path: string): string {
    const parts = path.split("/");
    if (parts.some((part) => part === "" || part === "." || part === "..") || path.includes("\0")) {
      throw new GuestError("failed", `the guest calls a file ${JSON.stringify(path)}`);
    }
    for (let length = 1; length < parts.length; length++) {
      this.#check(parts.slice(0, length).join("/"));
    }
    return join(this.root, path);
  }

  /** Makes a directory that is open to us. */
  makeDirectory({ path }: TreePath): void {
    const whole = this.pathOf(path);
    mkdirSync(whole, { recursive: true, mode: OWNER_BITS });
    this.#check(path);
    chmodSync(whole, OWNER_BITS);
  }

  /** Gives a directory its mode and time, once nothing comes into it any more. */
  finishDirectory({ path, mode, modifiedAt }: TreePath): void {
    const whole = this.pathOf(path);
    chmodSync(whole, mode & MODE_BITS);
    if (modifiedAt !== undefined) utimesSync(whole, modifiedAt, modifiedAt);
  }

  /** Makes a link. */
  makeLink({ path, linkTarget }: TreePath): void {
    const whole = this.pathOf(path);
    const staged = besidePath(whole, "thaw-part");
    rmSync(staged, { force: true });
    symlinkSync(linkTarget, staged);
    renameSync(staged, whole);
    this.#real.delete(path);
  }

  /** Writes a small file beside its place and puts it there. */
  async writeFile({ path, mode, modifiedAt }: TreePath, entry: TarEntry): Promise<void> {
    const whole = this.pathOf(path);
    const staged = besidePath(whole, "thaw-part");
    rmSync(staged, { force: true });
    const fd = openSync(staged, "wx", 0o600);
    try {
      await fill(fd, entry);
      fchmodSync(fd, mode & MODE_BITS);
      if (modifiedAt !== undefined) futimesSync(fd, modifiedAt, modifiedAt);
    } finally {
      closeSync(fd);
    }
    renameSync(staged, whole);
  }

  /** Removes what is at a path, with all below it. */
  remove({ path }: TreePath): void {
    rmSync(this.pathOf(path), { recursive: true, force: true });
    this.#real.delete(path);
  }

  #check(directory: string): void {
    if (this.#real.has(directory)) return;
    const whole = join(this.root, directory);
    if (lstatSync(whole, { throwIfNoEntry: false })?.isDirectory() !== true) {
      throw new GuestError("failed", `${whole} is no directory`);
    }
    this.#real.add(directory);
  }
}

async function fill(fd: number, { segments, size, body }: TarEntry): Promise<void> {
  const all = segments.values();
  let segment = { offset: 0, bytes: 0 };
  for await (const piece of body()) {
    for (let rest = piece; rest.length > 0; ) {
      while (segment.bytes === 0) segment = { ...(all.next().value ?? { offset: 0, bytes: 0 }) };
      const part = rest.subarray(0, segment.bytes);
      const written = writeSync(fd, part, 0, part.length, segment.offset);
      rest = rest.subarray(written);
      segment = { offset: segment.offset + written, bytes: segment.bytes - written };
    }
  }
  ftruncateSync(fd, size);
}

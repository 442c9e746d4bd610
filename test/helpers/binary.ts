import { type ChildProcessWithoutNullStreams, spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtempSync, rmSync, symlinkSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { expect, vi } from "vitest";

/** The launcher that `npm run build` makes. */
export const LAUNCHER = fileURLToPath(new URL("../../dist/thaw", import.meta.url));

/** How the binary is started. */
export interface BinaryOptions {
  /** Default: the one of `npm run build`. */
  launcher?: string;
  /** Variables besides those of the test; `undefined` takes one away. */
  env?: Record<string, string | undefined>;
}

/** The binary as a process of its own, which is killed in the end. */
export class Binary implements AsyncDisposable {
  readonly child: ChildProcessWithoutNullStreams;
  /** Its exit code, or the signal that ended it. */
  readonly exited: Promise<number | string>;
  /** All it has written so far. */
  stdout = "";
  stderr = "";

  constructor(args: readonly string[], { launcher = LAUNCHER, env = {} }: BinaryOptions = {}) {
    this.child = spawn(launcher, args, { env: { ...process.env, ...env } });
    this.exited = once(this.child, "close").then(
      (ended: (number | string | null)[]) => ended[0] ?? ended[1] ?? "gone",
    );
    this.child.stdin.end();
    this.child.stdout.on("data", (bytes: Buffer) => (this.stdout += bytes.toString()));
    this.child.stderr.on("data", (bytes: Buffer) => (this.stderr += bytes.toString()));
  }

  /** `thaw serve` on a free port, once it has printed its URL. */
  static async serve(args: readonly string[] = [], options: BinaryOptions = {}): Promise<Binary> {
    const directory = mkdtempSync(join(tmpdir(), "thaw-run-"));
    const own = ["--port", "0", "--no-cgroups", "--run-dir", directory];
    const binary = new Binary(["serve", ...own, ...args], options);
    void binary.exited.then(() => rmSync(directory, { recursive: true }));
    await binary.#listening();
    return binary;
  }

  /** The agent called as `envd` on a free port of loopback alone, once it listens. */
  static async envd(args: readonly string[] = [], options: BinaryOptions = {}): Promise<Binary> {
    const link = new EnvdLink(options.launcher);
    const own = ["-port", "0", "-no-cgroups", "-run-dir", link.directory];
    const binary = new Binary([...own, ...args], { ...options, launcher: link.path });
    void binary.exited.then(() => link[Symbol.dispose]());
    await binary.#listening();
    return binary;
  }

  /** Where it listens, as its log says; without a last slash. */
  get url(): string {
    const url = /"url":"(https?:[^"]+)"/.exec(this.stderr)?.[1] ?? "";
    return url.replace("0.0.0.0", "127.0.0.1");
  }

  /** The token in the URL that it printed. */
  get token(): string {
    return /#token=(\S+)/.exec(this.stdout)?.[1] ?? "";
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.child.kill("SIGKILL");
    await this.exited;
  }

  async #listening(): Promise<void> {
    try {
      await vi.waitFor(() => expect(this.url).not.toBe(""), { timeout: 10_000, interval: 10 });
    } catch {
      await this[Symbol.asyncDispose]();
      throw new Error(`it does not listen: ${this.stderr}`);
    }
  }
}

/** A directory with a link called `envd` that leads to the launcher. */
export class EnvdLink implements Disposable {
  readonly directory = mkdtempSync(join(tmpdir(), "thaw-envd-"));
  readonly path = join(this.directory, "envd");

  constructor(launcher = LAUNCHER) {
    symlinkSync(launcher, this.path);
  }

  [Symbol.dispose](): void {
    rmSync(this.directory, { recursive: true });
  }
}

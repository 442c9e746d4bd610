import type { Image } from "./image.ts";
import { GUEST_MAC } from "./network.ts";

const MEMORY_MIB = 320;
const KERNEL_WORDS =
  "console=ttyS0 quiet loglevel=4 panic=-1 nokaslr mitigations=off nowatchdog random.trust_cpu=1";

/** What makes one machine another than the next. */
export interface Hardware {
  /** The file that holds the memory. */
  memory: string;
  /** Whether what the guest writes lands in the file; otherwise it is its own. */
  isShared: boolean;
  /** What the hypervisor tells the guest of its generation: a UUID. */
  generation: string;
  /** The state to begin with, and whether the memory is part of it. */
  incoming?: string;
  isWhole?: boolean;
}

/** What a QEMU is started with. */
export interface QemuParts {
  image: Image;
  /** What is unpacked to /app in the guest: a tar file. */
  app: string;
  hardware: Hardware;
  consoleLog: string;
  consoleSocket: string;
  qmpSocket: string;
}

/** The command line of a QEMU. Two with the same hardware can go on from each other's state. */
export function qemuFlags(parts: QemuParts): string[] {
  const { image, app, hardware, consoleLog, consoleSocket, qmpSocket } = parts;
  const { memory, isShared, generation, incoming } = hardware;
  const ram = `size=${MEMORY_MIB}M,mem-path=${memory},share=${isShared ? "on" : "off"}`;
  const disk = (name: string, file: string) =>
    `-drive if=none,id=${name},file=${file},format=raw,readonly=on -device virtio-blk-pci,drive=${name}`;
  const flags = [
    // Emulated: hosts that offer KVM do not always run it.
    "-accel tcg,thread=multi,tb-size=256 -cpu max -smp 1",
    `-m ${MEMORY_MIB}M -M q35,memory-backend=mem -object memory-backend-file,id=mem,${ram}`,
    "-nodefaults -no-user-config -display none -no-reboot",
    `-kernel ${image.kernel} -initrd ${image.initrd}`,
    disk("root", image.root),
    disk("app", app),
    "-netdev tap,id=n0,ifname=tap0,script=no,downscript=no",
    `-device virtio-net-pci,netdev=n0,mac=${GUEST_MAC},romfile=`,
    "-object rng-random,id=rng0,filename=/dev/urandom -device virtio-rng-pci,rng=rng0",
    `-device vmgenid,id=gen,guid=${generation}`,
    `-chardev socket,id=ctl,path=${consoleSocket},server=on,wait=off`,
    "-device virtio-serial-pci -device virtconsole,chardev=ctl",
    `-chardev file,id=ser,path=${consoleLog},append=on -serial chardev:ser`,
    `-qmp unix:${qmpSocket},server=on,wait=off`,
    incoming === undefined ? "" : "-incoming defer",
  ];
  return [...flags.join(" ").trim().split(/\s+/), "-append", KERNEL_WORDS];
}

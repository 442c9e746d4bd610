import { existsSync } from "node:fs";
import { KernelNumber } from "./kernel-number.ts";

/** The device by which QEMU tells that a machine was loaded from elsewhere. */
const DEVICE = "/sys/bus/acpi/devices/QEMUVGID:00";
/** Counts the interrupts of that device. On other machines it counts something else. */
const COUNTER = "/sys/firmware/acpi/interrupts/gpe05";
const NOWHERE = "";

/** Where the counter is; both default to the kernel's. */
export interface VmGenerationPaths {
  device?: string | undefined;
  counter?: string | undefined;
}

/**
 * How often the hypervisor has announced that it loaded this virtual machine: restored, cloned, or
 * merely moved. Whether it then was another one, only the kernel's log tells.
 */
export class VmGeneration implements Disposable {
  readonly #counter: KernelNumber;

  constructor({ device = DEVICE, counter = COUNTER }: VmGenerationPaths = {}) {
    this.#counter = new KernelNumber(existsSync(device) ? counter : NOWHERE);
  }

  /** The count; `undefined` where no hypervisor announces anything. Takes microseconds. */
  read(): number | undefined {
    return this.#counter.read();
  }

  [Symbol.dispose](): void {
    this.#counter[Symbol.dispose]();
  }
}

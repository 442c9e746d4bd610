import { type ChildProcess, spawn } from "node:child_process";
import { randomUUID } from "node:crypto";
import {
  closeSync,
  cpSync,
  linkSync,
  mkdirSync,
  mkdtempSync,
  openSync,
  readFileSync,
  rmSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from "node:fs";
import { connect } from "node:net";
import { join } from "node:path";
import { setTimeout as delay } from "node:timers/promises";
import { run } from "./commands.ts";
import { type Image, image } from "./image.ts";
import { PLACE, PREFIX, removeLeftovers } from "./leftovers.ts";
import { Network } from "./network.ts";
import { type Hardware, qemuFlags } from "./qemu-flags.ts";
import { Qmp } from "./qmp.ts";

/** The agent as a virtual machine's init starts it, but for the host's metadata service. */
export const ENVD = "envd -isnotfc -no-cgroups";

const BOOT_MS = 180_000;
/** The agent's line when it serves. */
const SERVING = /"message":"the agent listens"/;
const REPOSITORY = join(import.meta.dirname, "..", "..", "..");
/** By default a migration is held to 128 MiB/s. */
const NO_LIMIT = 0x7ff_ffff_ffff;

/** What both sides of a migration must agree on; `isApart`: the memory is in a file of its own. */
function capabilitiesOf(isApart: boolean): { capability: string; state: boolean }[] {
  return [
    { capability: "events", state: true },
    { capability: "x-ignore-shared", state: isApart },
  ];
}

/** How a machine is restored. */
export interface RestoreOptions {
  /** Whether the guest is told that it is another machine now. Default true. */
  isNewGeneration?: boolean;
  /** Whether peers at the far address are there. Default true. */
  hasFar?: boolean;
  /** The network it was frozen in, when that lives on. Default a fresh one, as on another host. */
  network?: Network;
}

/** A machine's state on disk: any number of machines may be made of it. */
export interface Snapshot {
  state: string;
  /** The guest's memory; `undefined` when `state` holds that as well. */
  memory: string | undefined;
  generation: string;
  /** What it takes on disk. */
  bytes: number;
}

/** Everything of one run: the application, and files that go with it. */
export class Rig {
  readonly directory = mkdtempSync(join(PLACE, PREFIX));
  readonly #image: Image = image();
  readonly #machines = new Set<Machine>();
  #lastId = 0;

  /**
   * `command`: how the agent is started, from its directory. `files`: what lies beside it, by name.
   */
  constructor(command: string, files: Readonly<Record<string, string>> = {}) {
    removeLeftovers();
    const app = join(this.directory, "app");
    cpSync(join(REPOSITORY, "dist"), join(app, "dist"), { recursive: true });
    symlinkSync("thaw", join(app, "dist", "envd"));
    const script = `#!/bin/bash\ncd /app\nexec dist/${command}\n`;
    writeFileSync(join(app, "start"), script, { mode: 0o755 });
    for (const [name, text] of Object.entries(files)) writeFileSync(join(app, name), text);
    run("tar", ["-C", app, "--owner=0", "--group=0", "-cf", this.app, "."]);
  }

  get app(): string {
    return join(this.directory, "app.tar");
  }

  get image(): Image {
    return this.#image;
  }

  /** Starts a machine. Resolves when its agent serves. */
  async boot(): Promise<Machine> {
    const machine = this.#machine(new Network(this.#name()), {
      memory: join(this.directory, `${this.#lastId}.ram`),
      isShared: true,
      generation: randomUUID(),
    });
    await machine.serving();
    return machine;
  }

  /** A machine out of `snapshot`, paused: nothing runs before `resume`. */
  async restore(snapshot: Snapshot, options: RestoreOptions = {}): Promise<Machine> {
    const { isNewGeneration = true, hasFar = true } = options;
    const network = options.network ?? new Network(this.#name(), hasFar);
    const machine = this.#machine(network, {
      memory: snapshot.memory ?? join(this.directory, `${this.#lastId}.ram`),
      // Each write of the guest to a file that others begin with is its own.
      isShared: snapshot.memory === undefined,
      isWhole: snapshot.memory === undefined,
      generation: isNewGeneration ? randomUUID() : snapshot.generation,
      incoming: snapshot.state,
    });
    await machine.loaded();
    return machine;
  }

  /** Ends every machine and removes everything. */
  async [Symbol.asyncDispose](): Promise<void> {
    await Promise.all([...this.#machines].map((machine) => machine.end()));
    rmSync(this.directory, { recursive: true, force: true });
  }

  #name(): string {
    this.#lastId += 1;
    return `${PREFIX}${this.#lastId}`;
  }

  #machine(network: Network, hardware: Hardware): Machine {
    this.#lastId += 1;
    const directory = join(this.directory, `m${this.#lastId}`);
    mkdirSync(directory);
    const machine = new Machine(this, directory, network, hardware);
    this.#machines.add(machine);
    return machine;
  }

  /** `machine` has ended. */
  forget(machine: Machine): void {
    this.#machines.delete(machine);
  }
}

/** One QEMU. */
export class Machine {
  readonly network: Network;
  readonly #rig: Rig;
  readonly #directory: string;
  readonly #hardware: Hardware;
  readonly #qemu: ChildProcess;
  readonly #exited: Promise<void>;
  #qmp: Qmp | undefined;

  constructor(rig: Rig, directory: string, network: Network, hardware: Hardware) {
    this.#rig = rig;
    this.#directory = directory;
    this.network = network;
    this.#hardware = hardware;
    const log = openSync(join(directory, "qemu.log"), "a");
    const flags = qemuFlags({
      image: rig.image,
      app: rig.app,
      hardware,
      consoleLog: this.#file("console.log"),
      consoleSocket: this.#file("console.sock"),
      qmpSocket: this.#file("qmp.sock"),
    });
    const command = ["netns", "exec", network.name, "qemu-system-x86_64", ...flags];
    // `ip netns exec` becomes QEMU: the pid is its own.
    this.#qemu = spawn("ip", command, { stdio: ["ignore", log, log] });
    closeSync(log);
    this.#exited = new Promise((resolve) => {
      this.#qemu.once("exit", () => resolve());
      this.#qemu.once("error", () => resolve());
    });
  }

  /** QEMU's pid. */
  get pid(): number {
    return this.#qemu.pid ?? 0;
  }

  /** What the guest has written to its console. */
  get console(): string {
    try {
      return readFileSync(this.#file("console.log"), "utf8");
    } catch {
      return "";
    }
  }

  /** Resolves when the agent serves. Its line tells; asking by TCP would slow the guest down. */
  async serving(): Promise<void> {
    const end = performance.now() + BOOT_MS;
    while (!SERVING.test(this.console)) {
      if (this.#qemu.exitCode !== null || performance.now() > end) {
        const log = readFileSync(this.#file("qemu.log"), "utf8");
        throw new Error(
          `the guest does not serve: ${log.slice(-500)}${this.console.slice(-2_000)}`,
        );
      }
      await delay(20);
    }
  }

  /** Resolves when the state it begins with is loaded. */
  async loaded(): Promise<void> {
    const qmp = await this.#control();
    const capabilities = capabilitiesOf(this.#hardware.isWhole !== true);
    await qmp.command("migrate-set-capabilities", { capabilities });
    await qmp.migrate("migrate-incoming", `exec:cat < ${this.#hardware.incoming}`);
  }

  /** Stops the guest's processors. */
  async pause(): Promise<void> {
    await (await this.#control()).command("stop");
  }

  /** Lets the guest's processors run. */
  async resume(): Promise<void> {
    await (await this.#control()).command("cont");
  }

  /**
   * Pauses the guest and writes down its state. It stays paused: end it. One that is resumed writes
   * on in the snapshot's memory, and another snapshot has to be taken.
   */
  async snapshot(): Promise<Snapshot> {
    const qmp = await this.#control();
    await qmp.command("stop");
    await qmp.command("migrate-set-parameters", { "max-bandwidth": NO_LIMIT });
    const isShared = this.#hardware.isShared;
    await qmp.command("migrate-set-capabilities", { capabilities: capabilitiesOf(isShared) });
    const state = this.#file("state");
    await qmp.migrate("migrate", `exec:cat > ${state}`);
    const memory = isShared ? this.#file("memory") : undefined;
    if (memory !== undefined) rmSync(memory, { force: true });
    if (memory !== undefined) linkSync(this.#hardware.memory, memory);
    const files = memory === undefined ? [state] : [state, memory];
    const bytes = files.reduce((sum, file) => sum + statSync(file).blocks * 512, 0);
    return { state, memory, generation: this.#hardware.generation, bytes };
  }

  /** Runs a shell command in the guest, beside network and agent. Rejects when it fails. */
  async shell(command: string, timeoutMs = 60_000): Promise<string> {
    const socket = connect(this.#file("console.sock"));
    const id = `c${randomUUID().slice(0, 8)}`;
    const answer = new RegExp(`^${id} (\\d+) (\\S*)\\r?$`, "m");
    try {
      return await new Promise((resolve, reject) => {
        let text = "";
        const giveUp = () => reject(new Error(`no answer from the guest: ${command}`));
        const timer = setTimeout(giveUp, timeoutMs);
        socket.on("error", reject);
        socket.on("close", () => clearTimeout(timer));
        socket.on("data", (bytes) => {
          text += bytes.toString("latin1");
          const found = text.endsWith("\n") ? answer.exec(text) : null;
          if (found === null) return;
          const output = Buffer.from(found[2] ?? "", "base64")
            .toString()
            .trimEnd();
          if (found[1] === "0") resolve(output);
          else reject(new Error(`${command}: exit code ${found[1]}: ${output}`));
        });
        socket.write(`${id} ${Buffer.from(command).toString("base64")}\n`);
      });
    } finally {
      socket.destroy();
    }
  }

  /** Pulls the plug. The network goes with it, unless it is to live on. */
  async end({ keepNetwork = false } = {}): Promise<void> {
    this.#qmp?.close();
    if (this.#qemu.exitCode === null && this.#qemu.signalCode === null) this.#qemu.kill("SIGKILL");
    await this.#exited;
    if (!keepNetwork) this.network.close();
    if (this.#hardware.isShared) rmSync(this.#hardware.memory, { force: true });
    this.#rig.forget(this);
  }

  async #control(): Promise<Qmp> {
    this.#qmp ??= await Qmp.open(this.#file("qmp.sock"));
    return this.#qmp;
  }

  #file(name: string): string {
    return join(this.#directory, name);
  }
}

import { connect, type Socket } from "node:net";
import { setTimeout as delay } from "node:timers/promises";

interface Message {
  QMP?: object;
  id?: number;
  return?: Record<string, unknown>;
  error?: { desc: string };
  event?: string;
  data?: { status?: string };
}

/** A conversation with a QEMU in its own protocol. */
export class Qmp {
  readonly #socket: Socket;
  readonly #waiting = new Map<number, (message: Message) => void>();
  readonly #events: Message[] = [];
  #onEvent: () => void = () => {};
  #lastId = 0;
  #text = "";

  private constructor(socket: Socket) {
    this.#socket = socket;
    socket.setEncoding("utf8");
    socket.on("error", () => {});
    socket.on("data", (text: string) => this.#read(text));
    socket.on("close", () => {
      for (const settle of this.#waiting.values()) settle({ error: { desc: "QEMU has ended" } });
      this.#waiting.clear();
    });
  }

  /** Waits until the QEMU behind the Unix socket at `path` answers. */
  static async open(path: string, timeoutMs = 30_000): Promise<Qmp> {
    const end = performance.now() + timeoutMs;
    for (;;) {
      try {
        const qmp = new Qmp(await connected(path));
        await qmp.command("qmp_capabilities");
        return qmp;
      } catch (error) {
        if (performance.now() > end) throw error;
        await delay(3);
      }
    }
  }

  /** Has QEMU do something. Rejects with what it says against it. */
  command(execute: string, args: object = {}): Promise<Record<string, unknown>> {
    this.#lastId += 1;
    const id = this.#lastId;
    return new Promise((resolve, reject) => {
      this.#waiting.set(id, ({ error, return: result }) => {
        if (error === undefined) resolve(result ?? {});
        else reject(new Error(`${execute}: ${error.desc}`));
      });
      this.#socket.write(`${JSON.stringify({ execute, arguments: args, id })}\n`);
    });
  }

  /** Begins a migration and waits until it has ended. Rejects when it failed. */
  async migrate(command: "migrate" | "migrate-incoming", uri: string): Promise<void> {
    this.#events.length = 0;
    await this.command(command, { uri });
    for (;;) {
      const ended = this.#events.find(
        ({ event, data }) => event === "MIGRATION" && /completed|failed/.test(data?.status ?? ""),
      );
      if (ended?.data?.status === "completed") return;
      if (ended !== undefined) throw new Error("the migration failed");
      await new Promise<void>((resolve) => {
        this.#onEvent = resolve;
      });
    }
  }

  close(): void {
    this.#socket.destroy();
  }

  #read(text: string): void {
    this.#text += text;
    const lines = this.#text.split("\n");
    this.#text = lines.pop() ?? "";
    for (const line of lines) this.#take(JSON.parse(line) as Message);
  }

  #take(message: Message): void {
    if (message.event !== undefined) {
      this.#events.push(message);
      this.#onEvent();
    } else if (message.id !== undefined) {
      this.#waiting.get(message.id)?.(message);
      this.#waiting.delete(message.id);
    }
  }
}

function connected(path: string): Promise<Socket> {
  return new Promise((resolve, reject) => {
    const socket = connect(path, () => resolve(socket));
    socket.once("error", reject);
  });
}

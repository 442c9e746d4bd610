import { execFileSync } from "node:child_process";
import { mkdirSync, rmSync, statSync, writeFileSync } from "node:fs";
import { filesCall } from "./files-call.ts";
import { Http1Connection } from "./http1.ts";
import { secondsOf } from "./rounds.ts";
import { http1Request, type Target } from "./wire.ts";

const SMALL_BYTES = 4096;
const CONTENT = Buffer.alloc(SMALL_BYTES, "thaw");

/** Many files of 4 KiB that go in and out; every figure is in files a second. */
export class SmallFiles {
  readonly #source: string;
  readonly #destination: string;
  readonly #count: number;

  constructor(folder: string, count: number) {
    this.#source = `${folder}/small`;
    this.#destination = `${folder}/small-copies`;
    this.#count = count;
    mkdirSync(this.#source);
    for (let i = 0; i < count; i += 1) {
      writeFileSync(`${this.#source}/${i}`, CONTENT);
    }
  }

  /** Files in a second over `connections` connections. */
  async transfer(target: Target, way: "download" | "upload", connections: number) {
    this.#clear();
    mkdirSync(this.#destination);
    const requests = Array.from({ length: this.#count }, (_, i) => this.#request(target, way, i));
    const open = await Promise.all(
      Array.from({ length: connections }, () => Http1Connection.open(target)),
    );
    let next = 0;
    const work = async (connection: Http1Connection) => {
      for (let i = next++; i < this.#count; i = next++) {
        const { status } = await connection.exchange(requests[i] as Buffer);
        if (status !== 200) throw new Error(`${way} of file ${i}: status ${status}`);
      }
    };
    const seconds = await secondsOf(() => Promise.all(open.map(work)));
    for (const connection of open) connection[Symbol.dispose]();
    if (way === "upload" && statSync(`${this.#destination}/0`).size !== SMALL_BYTES) {
      throw new Error("an upload did not arrive whole");
    }
    return this.#count / seconds;
  }

  async copy(): Promise<number> {
    this.#clear();
    const seconds = await secondsOf(async () => {
      execFileSync("cp", ["-r", this.#source, this.#destination]);
    });
    return this.#count / seconds;
  }

  #request(target: Target, way: "download" | "upload", index: number): Buffer {
    if (way === "download") {
      return http1Request(target, filesCall("GET", `${this.#source}/${index}`, ""));
    }
    const call = filesCall("POST", `${this.#destination}/${index}`, "application/octet-stream");
    return http1Request(target, { ...call, body: CONTENT });
  }

  #clear(): void {
    rmSync(this.#destination, { recursive: true, force: true });
  }
}

import { execFileSync } from "node:child_process";
import { closeSync, openSync, rmSync, writeSync } from "node:fs";
import { checkUpload, filesCall } from "./files-call.ts";
import { Http1Connection, type Response } from "./http1.ts";
import { secondsOf } from "./rounds.ts";
import { http1Head, http1Request, type Target } from "./wire.ts";

const MIB = 1024 * 1024;
const BLOCK = Buffer.alloc(MIB, "thaw");
const BOUNDARY = "----benchmark-7d1c1f0e5a";

/** A large file that goes in and out; every figure is in MiB/s. */
export class BigFile {
  readonly #source: string;
  readonly #destination: string;
  readonly #bytes: number;

  constructor(folder: string, bytes: number) {
    this.#source = `${folder}/source`;
    this.#destination = `${folder}/destination`;
    this.#bytes = bytes;
    const fd = openSync(this.#source, "w");
    for (let at = 0; at < bytes; at += MIB) writeSync(fd, BLOCK);
    closeSync(fd);
  }

  async download(target: Target): Promise<number> {
    const request = http1Request(target, filesCall("GET", this.#source, ""));
    using connection = await Http1Connection.open(target);
    return await this.#rate(async () => {
      const response = await connection.exchange(request);
      if (response.bytes < this.#bytes) throw new Error(`only ${response.bytes} bytes came`);
    });
  }

  upload(target: Target): Promise<number> {
    const call = filesCall("POST", this.#destination, "application/octet-stream");
    return this.#send(target, http1Head(target, call, this.#bytes));
  }

  uploadMultipart(target: Target): Promise<number> {
    const type = `multipart/form-data; boundary=${BOUNDARY}`;
    const call = filesCall("POST", this.#destination, type);
    const disposition = 'Content-Disposition: form-data; name="file"; filename="upload"';
    const begin = `--${BOUNDARY}\r\n${disposition}\r\nContent-Type: application/octet-stream\r\n\r\n`;
    const end = Buffer.from(`\r\n--${BOUNDARY}--\r\n`);
    const head = http1Head(target, call, begin.length + this.#bytes + end.length);
    return this.#send(target, Buffer.concat([head, Buffer.from(begin)]), end);
  }

  copy(): Promise<number> {
    this.#clear();
    return this.#rate(async () => {
      execFileSync("cp", [this.#source, this.#destination]);
    });
  }

  async #send(target: Target, head: Buffer, end?: Buffer): Promise<number> {
    this.#clear();
    using connection = await Http1Connection.open(target);
    const parts = { block: BLOCK, bytes: this.#bytes, ...(end === undefined ? {} : { end }) };
    let response: Response | undefined;
    const rate = await this.#rate(async () => {
      response = await connection.upload(head, parts);
    });
    checkUpload(response as Response, this.#destination, this.#bytes);
    return rate;
  }

  #clear(): void {
    rmSync(this.#destination, { force: true });
  }

  async #rate(act: () => Promise<void>): Promise<number> {
    return this.#bytes / MIB / (await secondsOf(act));
  }
}

import type { MessageInitShape } from "@bufbuild/protobuf";
import type { Client } from "@connectrpc/connect";
import type {
  OutputOffsetsSchema,
  Process,
  ProcessSelectorSchema,
} from "../../gen/process/process_pb.js";

/** Numbers that look random and are the same in every run. */
export function seeded(seed: number): (below: number) => number {
  let state = seed;
  return (below) => {
    state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0;
    return Math.floor((state / 2 ** 32) * below);
  };
}

/** What a viewer that is cut off again and again has put together of one output. */
export class Joined {
  /** What it has, with zeros where it was told of a gap. */
  readonly chunks: Buffer[] = [];
  bytes = 0;
  lostBytes = 0;
  hasEnded = false;

  /** All of it. */
  get content(): Buffer {
    return Buffer.concat(this.chunks);
  }

  /** Connects where it was cut off and leaves after `most` bytes. Throws for what does not join. */
  async follow(
    client: Client<typeof Process>,
    process: MessageInitShape<typeof ProcessSelectorSchema>,
    most: number,
  ): Promise<void> {
    const leave = new AbortController();
    const fromOffset: MessageInitShape<typeof OutputOffsetsSchema> = { stdout: BigInt(this.bytes) };
    const enough = this.bytes + most;
    try {
      const options = { signal: leave.signal };
      for await (const { event } of client.connect({ process, fromOffset }, options)) {
        if (event?.event.case === "end") this.hasEnded = true;
        if (event?.event.case === "gap") {
          this.#add(
            event.event.value.fromOffset,
            Buffer.alloc(Number(event.event.value.toOffset - event.event.value.fromOffset)),
          );
          this.lostBytes += this.chunks.at(-1)?.length ?? 0;
        }
        if (event?.event.case === "data") {
          const { output, offset } = event.event.value;
          this.#add(offset, Buffer.from(output.value ?? []));
        }
        if (this.bytes >= enough) leave.abort();
      }
    } catch (reason) {
      if (!leave.signal.aborted) throw reason;
    }
  }

  #add(offset: bigint | undefined, bytes: Buffer): void {
    if (offset !== BigInt(this.bytes)) throw new Error(`${offset} follows ${this.bytes}`);
    this.chunks.push(bytes);
    this.bytes += bytes.length;
  }
}

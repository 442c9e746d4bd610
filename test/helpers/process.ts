import type { MessageInitShape } from "@bufbuild/protobuf";
import type { CallOptions, Client } from "@connectrpc/connect";
import type {
  Process,
  ProcessEvent,
  ProcessSelectorSchema,
  StartRequestSchema,
} from "../../gen/process/process_pb.js";

/** One event of a Start or Connect stream. */
export type Event = ProcessEvent["event"];

/** A request that runs `script` in a shell. */
export function shell(script: string) {
  return { process: { cmd: "sh", args: ["-c", script] } } satisfies MessageInitShape<
    typeof StartRequestSchema
  >;
}

/** The header that makes a request speak for `username`. */
export function basic(username: string): Record<string, string> {
  return { Authorization: `Basic ${Buffer.from(`${username}:`).toString("base64")}` };
}

/** All that was written to one output. */
export function text(events: readonly Event[], kind: "stdout" | "stderr" | "pty"): string {
  const chunks = events.flatMap((event) =>
    event.case === "data" && event.value.output.case === kind ? [event.value.output.value] : [],
  );
  return Buffer.concat(chunks).toString();
}

/** A stream that is being read. */
export interface Followed {
  pid: number;
  selector: MessageInitShape<typeof ProcessSelectorSchema>;
  /** What has come so far. */
  events: Event[];
  /** Reads until `isEnough`. */
  until(isEnough: (events: Event[]) => boolean): Promise<void>;
  /** Reads to the end of the stream; rejects when it fails. */
  rest(): Promise<Event[]>;
}

/** Reads a stream up to its start event. */
export async function follow(
  stream: AsyncIterable<{ event?: { event: Event } | undefined }>,
): Promise<Followed> {
  const events: Event[] = [];
  const iterator = stream[Symbol.asyncIterator]();
  const read = async () => {
    const { done, value } = await iterator.next();
    if (done === true) return false;
    if (value.event !== undefined) events.push(value.event.event);
    return true;
  };
  await read();
  const first = events[0];
  if (first?.case !== "start") throw new Error(`the first event is ${String(first?.case)}`);
  return {
    pid: first.value.pid,
    selector: { selector: { case: "pid", value: first.value.pid } },
    events,
    async until(isEnough) {
      while (!isEnough(events)) {
        if (!(await read())) throw new Error("the stream ended before that");
      }
    },
    async rest() {
      while (await read());
      return events;
    },
  };
}

/** Starts a program and reads up to its start event. */
export function running(
  client: Client<typeof Process>,
  request: MessageInitShape<typeof StartRequestSchema>,
  options?: CallOptions,
): Promise<Followed> {
  return follow(client.start(request, options));
}

/** Runs a program to its end. */
export async function start(
  client: Client<typeof Process>,
  request: MessageInitShape<typeof StartRequestSchema>,
  options?: CallOptions,
): Promise<Event[]> {
  return await (await running(client, request, options)).rest();
}

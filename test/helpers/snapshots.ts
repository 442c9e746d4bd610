import { execFileSync } from "node:child_process";
import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import { durationFromMs } from "@bufbuild/protobuf/wkt";
import { createClient } from "@connectrpc/connect";
import { Process } from "../../gen/process/process_pb.js";
import { Snapshot, type State, type StatusResponse } from "../../gen/snapshot/snapshot_pb.js";
import type { TestAgent } from "./agent.ts";
import { type HeldConnection, hold } from "./held-connection.ts";
import { follow, shell } from "./process.ts";

/** Calls Prepare over a connection that is opened for it, and says which one that was. */
export async function prepare(agent: TestAgent, timeoutMs?: number) {
  using carrier = await hold("h1", agent);
  const { localPort } = carrier.socket;
  const timeout = timeoutMs === undefined ? {} : { timeout: durationFromMs(timeoutMs) };
  const report = await createClient(Snapshot, carrier.transport).prepare(timeout);
  return { report, localPort, ending: await carrier.ended };
}

/** A program over a connection of its own, which ends when a line is written to the pipe. */
export async function startWaiting(agent: TestAgent, connection: HeldConnection) {
  const pipe = join(agent.directory, `pipe-${connection.socket.localPort}`);
  execFileSync("mkfifo", [pipe]);
  const script = `read line < ${pipe}; echo "$line"`;
  const program = await follow(createClient(Process, connection.transport).start(shell(script)));
  return { ...program, finish: () => writeFile(pipe, "as if nothing had been\n") };
}

/** The status now and after each change, over a stream of its own. */
export async function watch(agent: TestAgent) {
  const connection = await hold("h2", agent);
  const leaving = new AbortController();
  const { signal } = leaving;
  const stream = createClient(Snapshot, connection.transport).watch({}, { signal });
  const changes = stream[Symbol.asyncIterator]();
  const next = async (): Promise<StatusResponse> => {
    const { done, value } = await changes.next();
    if (done === true || value.status === undefined) throw new Error("the stream has ended");
    return value.status;
  };
  await next();
  return {
    /** The first status from now on that is in `state`. */
    async until(state: State): Promise<StatusResponse> {
      let status = await next();
      while (status.state !== state) status = await next();
      return status;
    },
    [Symbol.dispose]() {
      leaving.abort();
      connection[Symbol.dispose]();
    },
  };
}

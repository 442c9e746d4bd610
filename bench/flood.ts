/**
 * A crowd in a process of its own: `flood.ts HOST PORT STREAMS SESSIONS PID,PID,… [TOKEN]` follows the
 * processes with so many streams over so many HTTP/2 sessions, reads all that comes, and prints
 * `flooding` once every stream has begun.
 */
import { writeSync } from "node:fs";
import { Http2Connection } from "./http2.ts";
import { connectCall, type Target } from "./wire.ts";

/** Streams that are opened at the same time. */
const BATCH = 100;

const [host = "", port, streams, sessions, pids = "", token] = process.argv.slice(2);
const target: Target = { host, port: Number(port), token };
const calls = pids.split(",").map((pid) => connectCall(Number(pid)));
const connections = await Promise.all(
  Array.from({ length: Number(sessions) }, () => Http2Connection.open(target)),
);
for (let at = 0; at < Number(streams); at += BATCH) {
  const begun = Array.from({ length: Math.min(BATCH, Number(streams) - at) }, (_, index) => {
    const connection = connections[(at + index) % connections.length] as Http2Connection;
    // The first frame of each says which process it follows.
    return connection.begin(calls[(at + index) % calls.length] as (typeof calls)[0], 7);
  });
  await Promise.all(begun);
}
writeSync(1, "flooding\n");

/**
 * A viewer in a process of its own, so that it can be stopped: `viewer.ts HOST PORT PID [TOKEN]`
 * follows the process PID, prints `reading <its own port>` once output comes and then stops itself
 * with SIGSTOP: a viewer that reads on could be faster than the one it is compared with.
 */
import { writeSync } from "node:fs";
import { Http1Connection } from "./http1.ts";
import { connectCall, http1Request, type Target } from "./wire.ts";

const [host = "", port, pid, token] = process.argv.slice(2);
const target: Target = { host, port: Number(port), token };
const connection = await Http1Connection.open(target);
const request = http1Request(target, connectCall(Number(pid)));
await connection.begin(request, 1024);
writeSync(1, `reading ${connection.localPort}\n`);
process.kill(process.pid, "SIGSTOP");

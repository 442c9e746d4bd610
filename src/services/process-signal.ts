import type { Duration } from "@bufbuild/protobuf/wkt";
import { type SendSignalRequest, Signal } from "../../gen/process/process_pb.js";
import { AgentError } from "../errors.ts";
import type { Order } from "../process/signalling.ts";

/** The highest number that Linux gives a signal. */
const LAST_SIGNAL = 64;
/** The longest grace time. */
const MOST_GRACE_MS = 60_000;

/** Reads what SendSignal asks for. */
export function toOrder(request: SendSignalRequest): Order & { isScope: boolean } {
  const { grace, scope } = request;
  return { signal: numberOf(request), isScope: scope, graceMs: grace && graceOf(grace) };
}

function numberOf({ number, signal }: SendSignalRequest): number {
  if (number > LAST_SIGNAL) {
    throw new AgentError(
      "invalid",
      `number: there is no signal ${number}, only 1 to ${LAST_SIGNAL}`,
    );
  }
  if (number > 0) return number;
  if (signal === Signal.SIGTERM || signal === Signal.SIGKILL) return signal;
  throw new AgentError("unimplemented", `invalid signal: ${signal} (15 and 9 can be sent)`);
}

function graceOf({ seconds, nanos }: Duration): number {
  const ms = Number(seconds) * 1_000 + nanos / 1e6;
  if (ms >= 0 && ms <= MOST_GRACE_MS) return ms;
  throw new AgentError("invalid", `grace: ${ms} ms is not between 0 and ${MOST_GRACE_MS} ms`);
}

import type { IncomingMessage } from "node:http";

/** What a timer of Node can wait; more would fire at once. */
const LONGEST_MS = 2 ** 31 - 1;
/** The units of `Grpc-Timeout` in which its eight digits can say more. */
const UNIT_MS: Record<string, number> = { H: 3_600_000, M: 60_000, S: 1_000 };

/** Makes the caller's deadline one that a timer can wait for: more than 24 days become 24 days. */
export function shortenDeadline({ headers }: IncomingMessage): void {
  const connect = String(headers["connect-timeout-ms"] ?? "");
  if (/^\d{1,10}$/.test(connect) && Number(connect) > LONGEST_MS) {
    headers["connect-timeout-ms"] = String(LONGEST_MS);
  }
  const [, count, unit] = /^(\d{1,8})([HMS])$/.exec(String(headers["grpc-timeout"] ?? "")) ?? [];
  if (Number(count) * (UNIT_MS[unit ?? ""] ?? 0) > LONGEST_MS) {
    headers["grpc-timeout"] = `${Math.floor(LONGEST_MS / 1_000)}S`;
  }
}

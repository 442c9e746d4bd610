import { type ProgramResult, runProgram } from "./run-program.ts";

/** What curl got. */
export interface CurlResult extends ProgramResult {
  status: number;
  /** As in "1.1" and "2". */
  version: string;
  /** By lower-case name. */
  headers: Record<string, string | undefined>;
  /** Why it failed, if it did. */
  reason: string;
}

interface Report {
  info: { http_code: number; http_version: string; errormsg: string | null };
  headers: Record<string, string[]>;
}

/** Runs curl. Its standard output is the body of the answer. */
export async function curl(args: readonly string[], input?: string | Uint8Array) {
  const format = '%{stderr}{"info":%{json},"headers":%{header_json}}';
  const all = ["--silent", "--max-time", "30", "--write-out", format, ...args];
  const result = await runProgram("curl", all, input === undefined ? {} : { input });
  const { info, headers } = JSON.parse(result.stderr) as Report;
  return {
    ...result,
    status: info.http_code,
    version: info.http_version,
    headers: Object.fromEntries(
      Object.entries(headers).map(([name, values]) => [name, values.join(", ")]),
    ),
    reason: info.errormsg ?? "",
  } satisfies CurlResult;
}

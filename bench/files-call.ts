import { statSync } from "node:fs";
import type { Response } from "./http1.ts";
import { type Call, get } from "./wire.ts";

/** A request for `path` at `/files`, without its body. */
export function filesCall(method: Call["method"], path: string, type: string): Call {
  const query = new URLSearchParams({ path, username: "root" });
  const headers: Record<string, string> = method === "POST" ? { "content-type": type } : {};
  return { ...get(`/files?${query.toString()}`), method, headers };
}

/** Throws unless `response` is good and `path` has `bytes` bytes. */
export function checkUpload(response: Response, path: string, bytes: number): void {
  if (response.status !== 200) {
    throw new Error(`${path}: status ${response.status}: ${response.head.toString()}`);
  }
  const size = statSync(path).size;
  if (size !== bytes) throw new Error(`${path}: ${size} bytes of ${bytes} arrived`);
}

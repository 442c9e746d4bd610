import { GuestError, isCut, toCut, toGuestError } from "./errors.ts";
import { Patience, type PatienceOptions } from "./patience.ts";
import type { OpenAnswer, PlainAnswer, PlainHttp } from "./plain-http.ts";

const KINDS: Record<number, GuestError["kind"]> = {
  400: "invalid",
  401: "unauthenticated",
  404: "not-found",
  409: "already-exists",
  507: "exhausted",
};
const PARTIAL = 206;
const BEYOND_ITS_END = 416;

/** Where a file's content is asked for. */
export function filesPath(path: string): string {
  return `/files?${new URLSearchParams({ path }).toString()}`;
}

/** Throws what an answer about a file refuses with. */
export function checked(path: string, answer: PlainAnswer): PlainAnswer {
  if (answer.status < 300) return answer;
  const kind = KINDS[answer.status] ?? "failed";
  throw new GuestError(kind, `${path}: ${answer.status} ${answer.body.toString().trim()}`);
}

/** A file that is read. */
export interface FileRead {
  plain: PlainHttp;
  path: string;
  /** How long an answer may take to begin, in ms. */
  headersMs: number;
  options: PatienceOptions;
}

/** Its content as it comes, over as many requests as it takes. */
export async function* fileParts({ plain, path, headersMs, options }: FileRead) {
  const { signal } = options;
  const patience = new Patience(options);
  let done = 0;
  let version: string | undefined;
  for (;;) {
    try {
      const headers = done === 0 ? {} : { range: `bytes=${done}-`, "if-range": version ?? "" };
      const answer = await plain.open({ path: filesPath(path), headers, headersMs, signal });
      patience.answered();
      if (done > 0 && answer.status === BEYOND_ITS_END) return;
      await check(path, answer, done > 0);
      version ??= answer.headers["last-modified"];
      for await (const part of answer.parts) {
        done += part.length;
        patience.progressed();
        yield part;
      }
      return;
    } catch (reason) {
      signal?.throwIfAborted();
      const canGoOn = done === 0 || version !== undefined;
      if (!isCut(reason) || !canGoOn) throw toGuestError(reason);
      await patience.afterCut(toCut(reason));
    }
  }
}

async function check(path: string, answer: OpenAnswer, isRest: boolean): Promise<void> {
  if (answer.status === (isRest ? PARTIAL : 200)) return;
  if (answer.status < 300) {
    await answer.parts.return(undefined);
    throw new GuestError("wrong-state", `${path} has changed while it was read`);
  }
  const body: Buffer[] = [];
  for await (const part of answer.parts) body.push(part);
  checked(path, { ...answer, body: Buffer.concat(body) });
}

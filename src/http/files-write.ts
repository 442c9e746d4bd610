import type { IncomingMessage } from "node:http";
import { basename } from "node:path";
import { InodeLocks } from "../filesystem/inode-locks.ts";
import { readMetadata } from "../filesystem/metadata.ts";
import { openUpload } from "../filesystem/open-upload.ts";
import type { Settings } from "../init/settings.ts";
import type { Gauge } from "../lib/gauge.ts";
import type { User } from "../system/users.ts";
import { type Endpoint, type HttpCall, HttpError, sendJson } from "./endpoint.ts";
import { authorize, locate, lookUpUser, usernameOf } from "./file-caller.ts";
import { toHttpError } from "./file-errors.ts";
import { parseMetadataHeaders } from "./metadata-headers.ts";
import { type Part, readParts } from "./multipart.ts";
import { type ParameterizedValue, parseParameters } from "./parameters.ts";
import type { Sink } from "./pump.ts";
import { refuse } from "./refuse.ts";
import { RequestBody } from "./request-body.ts";

/** More than three times what the standard allows; the parser takes little more. */
const LONGEST_BOUNDARY = 250;

/** What the endpoint is made of. */
export interface WriteFilesParts {
  settings: Settings;
  uploads: Gauge;
  /** Told when a file could not be given its metadata because its filesystem keeps none. */
  onMetadataLost?: (path: string) => void;
}

/** One file as the answer lists it. */
interface StoredFile {
  path: string;
  name: string;
  type: "file";
  metadata?: Record<string, string>;
}

/** `POST /files`: a raw body or a form, into one file or several. */
export function writeFiles({ settings, uploads, onMetadataLost }: WriteFilesParts): Endpoint {
  const locks = new InodeLocks();
  return async (request, response, call) => {
    using _ = uploads.enter();
    try {
      authorize(request, call, settings, "write");
      const username = usernameOf(call.query.get("username"), settings);
      using body = new RequestBody(request);
      const upload = new FilesUpload({
        body,
        call,
        locks,
        user: lookUpUser(call.caller, username),
        metadata: parseMetadataHeaders(request.rawHeaders),
        onMetadataLost: onMetadataLost ?? (() => {}),
      });
      await upload.receive(request);
      sendJson(response, 200, upload.stored);
    } catch (cause) {
      // Nobody is left to be told.
      if (call.signal.aborted) return;
      const error = toHttpError(cause);
      if (error === undefined || response.headersSent) throw cause;
      await refuse(request, response, error);
    }
  };
}

interface UploadParts {
  body: RequestBody;
  call: HttpCall;
  locks: InodeLocks;
  user: User;
  metadata: Record<string, string>;
  onMetadataLost: (path: string) => void;
}

/** One request that brings files. */
class FilesUpload {
  /** The files that are complete, in the order they came. */
  readonly stored: StoredFile[] = [];
  readonly #parts: UploadParts;

  constructor(parts: UploadParts) {
    this.#parts = parts;
  }

  async receive({ headers }: IncomingMessage): Promise<void> {
    const contentType = headers["content-type"] ?? "";
    const media = parseParameters(contentType);
    if (media.value === "application/octet-stream") await this.#receiveRaw();
    else if (media.value.startsWith("multipart/")) await this.#receiveForm(media);
    else {
      const expected = "expected multipart/form-data or application/octet-stream";
      throw new HttpError(400, `unsupported content type: ${contentType}, ${expected}`);
    }
  }

  async #receiveRaw(): Promise<void> {
    const { body, call } = this.#parts;
    const path = call.query.get("path");
    if (path === null) {
      throw new HttpError(400, "path query parameter is required for raw body upload");
    }
    await this.#store(this.#locate(path), (sink) => body.pumpInto(sink, call.signal));
  }

  async #receiveForm({ parameters }: ParameterizedValue): Promise<void> {
    const { body, call } = this.#parts;
    const boundary = parameters.get("boundary") ?? "";
    if (boundary === "") {
      const reason = "no multipart boundary param in Content-Type";
      throw new HttpError(500, `error parsing multipart form: ${reason}`);
    }
    if (Buffer.byteLength(boundary) > LONGEST_BOUNDARY) {
      const reason = `the boundary is longer than ${LONGEST_BOUNDARY} bytes`;
      throw new HttpError(500, `error parsing multipart form: ${reason}`);
    }
    await readParts(body, boundary, (part) => this.#receivePart(part), call.signal);
  }

  async #receivePart(part: Part): Promise<void> {
    if (part.name !== "file") return;
    const asked = this.#parts.call.query.get("path") ?? part.filename;
    if (asked === undefined || asked === "") {
      const reason = "filename not found in Content-Disposition header";
      throw new HttpError(400, `error getting multipart custom part file name: ${reason}`);
    }
    const path = this.#locate(asked);
    this.#refuseDuplicate(path);
    await this.#store(path, (sink) => part.pumpInto(sink));
  }

  #locate(path: string): string {
    const { call, user } = this.#parts;
    return locate(path, user, call.caller, "error resolving path");
  }

  #refuseDuplicate(path: string): void {
    const paths = this.stored.map((file) => file.path);
    if (!paths.includes(path)) return;
    const others = paths.filter((other) => other !== path);
    const also =
      others.length > 1 ? `, also the following files were uploaded: ${others.join(", ")}` : "";
    throw new HttpError(
      400,
      `you cannot upload multiple files to the same path '${path}' in one upload request, only the first specified file was uploaded${also}`,
    );
  }

  async #store(path: string, pumpInto: (sink: Sink) => Promise<void>): Promise<void> {
    const { body, call, locks, user, metadata, onMetadataLost } = this.#parts;
    const { announcedBytes } = body;
    const request = { path, user, announcedBytes, locks, signal: call.signal };
    await using upload = await openUpload(request);
    await pumpInto(upload);
    if (!(await upload.commit(metadata))) onMetadataLost(path);
    const kept = readMetadata(path);
    const file: StoredFile = { path, name: basename(path), type: "file" };
    this.stored.push(Object.keys(kept).length === 0 ? file : { ...file, metadata: kept });
  }
}

import { promisify } from "node:util";
import { constants, createGzip, gzip } from "node:zlib";
import { harmlessHeaders, typeByExtension, UNKNOWN_TYPE } from "./content-type.ts";
import { ClientGone } from "./response-body.ts";
import type { Answer } from "./send-plain.ts";

/** Fast rather than small: guest and client are seldom far apart. */
const GZIP = { level: constants.Z_BEST_SPEED, chunkSize: 256 * 1024 };

const gzipWhole = promisify(gzip) as (bytes: Buffer, options: typeof GZIP) => Promise<Buffer>;

/** Sends the file gzipped. The packing itself happens on Node's thread pool. */
export async function sendGzipped(answer: Answer): Promise<void> {
  const { response, body, file, path } = answer;
  const type = typeByExtension(path) ?? UNKNOWN_TYPE;
  const headers = {
    ...answer.headers,
    ...harmlessHeaders(type),
    "Content-Type": type,
    "Content-Encoding": "gzip",
  };
  if (file.head.length === file.size) {
    const packed = await gzipWhole(file.head, GZIP);
    response.writeHead(200, headers);
    // Written before the end, so that no length is announced: whoever sees one takes it for the
    // length of the file.
    response.write(packed);
    response.end();
    return;
  }
  response.writeHead(200, headers);
  const packer = createGzip(GZIP);
  const filling = file
    .forEachChunk({ start: 0, end: file.size }, (chunk) => feed(packer, chunk))
    .then(() => void packer.end());
  filling.catch((cause: Error) => packer.destroy(cause));
  try {
    for await (const packed of packer) await body.write(packed as Buffer);
    body.end();
  } finally {
    packer.destroy();
    // The file must not be closed under a running read.
    await filling.catch(() => {});
  }
}

/** Resolves when `chunk` has been packed, and rejects when nobody will any more. */
function feed(packer: ReturnType<typeof createGzip>, chunk: Buffer): Promise<void> {
  return new Promise((resolve, reject) => {
    const onClose = () => reject(new ClientGone());
    if (packer.destroyed) {
      onClose();
      return;
    }
    packer.once("close", onClose);
    packer.write(chunk, (error) => {
      packer.off("close", onClose);
      if (error === null || error === undefined) resolve();
      else reject(error);
    });
  });
}

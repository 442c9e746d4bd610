import { startScript } from "./child.ts";
import { Http1Connection } from "./http1.ts";
import { Http2Connection } from "./http2.ts";
import type { Question } from "./question.ts";
import { runRounds, secondsOf } from "./rounds.ts";
import type { Row } from "./table.ts";
import {
  type Call,
  type Codec,
  checkStreamEnd,
  get,
  http1Request,
  startCall,
  type Target,
} from "./wire.ts";
import { PTY_ARGS, writerOf } from "./writer.ts";

const MIB = 1024 * 1024;

/** One stream of output. */
interface Stream {
  target: Target;
  call: Call;
  isHttp2: boolean;
  /** Bytes that the program writes. */
  bytes: number;
  /** Whether it is a Connect stream with an end of its own. */
  isConnect: boolean;
}

/** How fast does a program's output come through? */
export const output: Question = async ({ agent, isQuick, rounds }) => {
  const bytes = { binary: (isQuick ? 160 : 512) * MIB, json: (isQuick ? 80 : 256) * MIB };
  const slow = { stock: (isQuick ? 6 : 24) * MIB, pty: (isQuick ? 4 : 32) * MIB };
  await using pipe = await startScript("pipe-server.ts", [], /^ready (.*)/);
  await using stock = await startScript("stock-server.ts", [], /^ready (.*)/);
  const bare = (path: string, isHttp2: boolean, size: number): Stream => ({
    target: portOf(pipe.answer, isHttp2),
    call: get(`/${path}?bytes=${size}`),
    isHttp2,
    bytes: size,
    isConnect: false,
  });
  const start = (options: { codec: Codec; isHttp2: boolean; bytes: number; isPty?: boolean }) => ({
    target: agent.target,
    call: startOutput(options.bytes, options.codec, options.isPty ?? false),
    isHttp2: options.isHttp2,
    bytes: options.bytes,
    isConnect: true,
  });
  const versions = (await speaksHttp2(agent.target)) ? [false, true] : [false];
  const contenders: Record<string, () => Promise<number>> = {};
  for (const isHttp2 of versions) {
    const v = isHttp2 ? "h2" : "h1";
    const add = (name: string, stream: Stream) => {
      contenders[`${name} ${v}`] = () => rateOf(stream);
    };
    add("binary", start({ codec: "proto", isHttp2, bytes: bytes.binary }));
    add("bare pipe", bare("pipe", isHttp2, bytes.binary));
    add("json", start({ codec: "json", isHttp2, bytes: bytes.json }));
    const stream = start({ codec: "json", isHttp2, bytes: slow.stock });
    add("stock json", { ...stream, target: portOf(stock.answer, isHttp2) });
    add("pty binary", start({ codec: "proto", isHttp2, bytes: slow.pty, isPty: true }));
    add("pty json", start({ codec: "json", isHttp2, bytes: slow.pty, isPty: true }));
    add("bare pty", bare("pty", isHttp2, slow.pty));
  }
  const rates = await runRounds(rounds, contenders);
  const ratesOf = (name: string) => rates[name] as number[];
  return {
    question: "stdout: how fast does a program's output come through?",
    rows: versions.flatMap((isHttp2) => rowsOf(isHttp2 ? "h2" : "h1", ratesOf)),
    notes: versions.length === 2 ? [] : ["The agent does not speak HTTP/2 with prior knowledge."],
  };
};

function rowsOf(v: string, ratesOf: (name: string) => number[]): Row[] {
  const row = (figure: string, name: string, baseline: string, atLeast?: number): Row => ({
    figure: `${figure}, ${v}`,
    unit: "MiB/s",
    values: ratesOf(`${name} ${v}`),
    baseline: { name: baseline, values: ratesOf(`${baseline} ${v}`) },
    ...(atLeast === undefined ? {} : { target: { of: "ratio", atLeast } }),
  });
  return [
    row("stdout, binary", "binary", "bare pipe", 0.8),
    row("stdout, JSON", "json", "stock json", 8),
    row("terminal, binary", "pty binary", "bare pty"),
    row("terminal, JSON", "pty json", "bare pty"),
  ];
}

function startOutput(bytes: number, codec: Codec, isPty: boolean): Call {
  const process = isPty ? writerOf(bytes, PTY_ARGS) : writerOf(bytes);
  return startCall(isPty ? { process, pty: { size: { cols: 80, rows: 24 } } } : { process }, codec);
}

function portOf(ports: string, isHttp2: boolean): Target {
  const [http1, http2] = ports.split(" ");
  return { host: "127.0.0.1", port: Number(isHttp2 ? http2 : http1), token: undefined };
}

/** MiB of the program's own bytes in a second. */
async function rateOf(stream: Stream): Promise<number> {
  const connection = stream.isHttp2
    ? await Http2Connection.open(stream.target)
    : await Http1Connection.open(stream.target);
  using _ = connection;
  let received = 0;
  const seconds = await secondsOf(async () => {
    const response =
      connection instanceof Http1Connection
        ? await connection.exchange(http1Request(stream.target, stream.call))
        : await connection.exchange(stream.call);
    received = response.bytes;
    if (stream.isConnect) checkStreamEnd(bodyEnd(response.tail));
  });
  if (received < stream.bytes) {
    throw new Error(`${stream.call.path}: ${received} bytes of ${stream.bytes} came`);
  }
  return stream.bytes / MIB / seconds;
}

/** The end of a body without the last chunk's framing. */
function bodyEnd(tail: Buffer): Buffer {
  const text = tail.toString("latin1");
  return Buffer.from(text.replace(/\r\n0\r\n\r\n$/, ""), "latin1");
}

async function speaksHttp2(target: Target): Promise<boolean> {
  try {
    using connection = await Http2Connection.open(target);
    await connection.exchange(get("/health"));
    return true;
  } catch {
    return false;
  }
}

import type { MessageInitShape } from "@bufbuild/protobuf";
import type { HandlerContext, ServiceImpl } from "@connectrpc/connect";
import type {
  ForwardRequest,
  ForwardResponseSchema,
  ListenerSchema,
  Ports,
} from "../../gen/ports/ports_pb.js";
import { AgentError } from "../errors.ts";
import type { Forwarder } from "../ports/forwarder.ts";
import { type ListeningPort, listListening } from "../ports/listening.ts";
import { Tunnel } from "../ports/tunnel.ts";
import { keepaliveIntervalMs } from "./keepalive.ts";

type ForwardMessage = MessageInitShape<typeof ForwardResponseSchema>;

/** Speaks ports.Ports; decides nothing. `forwarder` is missing outside a VM. */
export function portsService(forwarder: Forwarder | undefined): ServiceImpl<typeof Ports> {
  return {
    async list(_request, { signal }) {
      return { listeners: (await listListening(forwarder, signal)).map(toListener) };
    },
    forward: (requests, context) => forward(requests, context),
  };
}

async function* forward(
  requests: AsyncIterable<ForwardRequest>,
  { signal, requestHeader }: HandlerContext,
): AsyncIterable<ForwardMessage> {
  const keepaliveMs = keepaliveIntervalMs(requestHeader);
  const incoming = requests[Symbol.asyncIterator]();
  const { value: first } = await incoming.next();
  if (first?.event.case !== "open") throw new AgentError("invalid", "open: it must come first");
  const tunnel = await Tunnel.open(first.event.value, signal);
  // A generator that waits for a slow client does not get to its end when that client vanishes.
  const leave = () => tunnel.fail(signal.reason);
  signal.addEventListener("abort", leave);
  send(incoming, tunnel).catch((reason: unknown) => tunnel.fail(reason));
  try {
    yield { event: { case: "opened", value: {} } };
    for (;;) {
      const news = await tunnel.read(keepaliveMs);
      if (news === "end") break;
      if (news === "idle") yield { event: { case: "keepalive", value: {} } };
      else yield { event: { case: "data", value: news } };
    }
    yield { event: { case: "end", value: {} } };
    await tunnel.sent;
  } finally {
    signal.removeEventListener("abort", leave);
    tunnel.close();
  }
}

/** Hands on what the caller sends, at the pace of who listens. */
async function send(incoming: AsyncIterator<ForwardRequest>, tunnel: Tunnel): Promise<void> {
  let hasEnded = false;
  for (;;) {
    const { done, value } = await incoming.next();
    if (done === true) break;
    const { event } = value;
    if (hasEnded) throw new AgentError("invalid", `${event.case}: nothing comes after end`);
    if (event.case === "data") {
      await tunnel.write(event.value);
    } else if (event.case === "end") {
      hasEnded = true;
      tunnel.end();
    } else {
      throw new AgentError("invalid", `${event.case}: it comes once, at the beginning`);
    }
  }
  if (!hasEnded) throw new AgentError("invalid", "end: it is missing, so the stream was cut");
}

function toListener({
  address,
  port,
  owner,
  forwardedAt,
}: ListeningPort): MessageInitShape<typeof ListenerSchema> {
  return { address, port, pid: owner?.pid ?? 0, command: owner?.command ?? "", forwardedAt };
}

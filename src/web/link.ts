import type { DescService } from "@bufbuild/protobuf";
import {
  type Client,
  Code,
  ConnectError,
  createClient,
  type Interceptor,
  type Transport,
} from "@connectrpc/connect";
import { createConnectTransport } from "@connectrpc/connect-web";
import { Filesystem } from "../../gen/filesystem/filesystem_pb.js";
import { Process } from "../../gen/process/process_pb.js";
import { Snapshot } from "../../gen/snapshot/snapshot_pb.js";
import { GuestProcesses } from "../client/process.ts";
import { type Life, Pulse } from "./pulse.ts";

/** What the page may be told of its link. */
export interface LinkEvents {
  /** Whether the guest answers. */
  life: CustomEvent<Life>;
  /** A call was refused for want of the right token. */
  refused: Event;
}

/**
 * The page's way to the agent it came from. While the guest does not answer, calls are cut and new
 * ones wait: a browser opens six connections to one host, and hanging ones would leave none to
 * notice its return by.
 */
export class Link extends EventTarget {
  readonly transport: Transport;
  readonly processes: GuestProcesses;
  readonly process: Client<typeof Process>;
  readonly files: Client<typeof Filesystem>;
  readonly snapshot: Client<typeof Snapshot>;
  readonly #pulse = new Pulse((life) => this.#lifeChanged(life));
  #token: string | undefined;
  #answering = new AbortController();
  #live: { promise: Promise<void>; resolve: () => void } | undefined;

  /** `onlyShows`: the token opens one process's output, so nothing else is asked for. */
  constructor(token: string | undefined, onlyShows = false) {
    super();
    this.#token = token;
    this.transport = createConnectTransport({
      baseUrl: location.origin,
      useBinaryFormat: true,
      interceptors: [...(onlyShows ? [askNoList] : []), this.#identify, this.#wait],
    });
    const client = <S extends DescService>(service: S) => createClient(service, this.transport);
    this.process = client(Process);
    this.files = client(Filesystem);
    this.snapshot = client(Snapshot);
    this.processes = new GuestProcesses(this.process, this.process);
  }

  /** The token that calls carry. */
  get token(): string | undefined {
    return this.#token;
  }

  set token(token: string | undefined) {
    this.#token = token;
  }

  /** Whether the guest answers. */
  get life(): Life {
    return this.#pulse.life;
  }

  /** Asks the guest whether it lives, from now on. */
  open(): void {
    this.#pulse.start();
  }

  /** Asks no more, as while nobody looks. */
  rest(): void {
    this.#pulse.stop();
  }

  /** Listens to `name` until `signal` aborts. */
  on<K extends keyof LinkEvents>(
    name: K,
    listener: (event: LinkEvents[K]) => void,
    signal?: AbortSignal,
  ): void {
    this.addEventListener(name, listener as (event: Event) => void, signal ? { signal } : {});
  }

  #lifeChanged(life: Life): void {
    const isAway = life === "frozen" || life === "unreachable";
    if (isAway && this.#live === undefined) {
      this.#live = Promise.withResolvers<void>();
      this.#answering.abort(new ConnectError("the guest does not answer", Code.Unavailable));
      this.#answering = new AbortController();
    } else if (!isAway) {
      this.#live?.resolve();
      this.#live = undefined;
    }
    this.dispatchEvent(new CustomEvent("life", { detail: life }));
  }

  readonly #identify: Interceptor = (next) => async (request) => {
    if (this.#token !== undefined) request.header.set("X-Access-Token", this.#token);
    try {
      return await next(request);
    } catch (reason) {
      if (ConnectError.from(reason).code === Code.Unauthenticated) {
        this.dispatchEvent(new Event("refused"));
      }
      throw reason;
    }
  };

  readonly #wait: Interceptor = (next) => async (request) => {
    await this.#untilLive(request.signal);
    const { signal } = this.#answering;
    try {
      return await next({ ...request, signal: AbortSignal.any([request.signal, signal]) });
    } catch (reason) {
      if (!request.signal.aborted) this.#pulse.hurry();
      throw signal.aborted ? signal.reason : reason;
    }
  };

  async #untilLive(signal: AbortSignal): Promise<void> {
    while (this.#live !== undefined) {
      const left = Promise.withResolvers<never>();
      const leave = () => left.reject(signal.reason);
      signal.addEventListener("abort", leave, { once: true });
      try {
        signal.throwIfAborted();
        await Promise.race([this.#live.promise, left.promise]);
      } finally {
        signal.removeEventListener("abort", leave);
      }
    }
  }
}

/** What would be refused is not asked for: the browser would complain of it in its console. */
const askNoList: Interceptor = (next) => async (request) => {
  if (request.method.name !== "List") return await next(request);
  throw new ConnectError("this token only shows", Code.PermissionDenied);
};

import { isIP, isIPv6 } from "node:net";
import { AgentError } from "../errors.ts";
import { Lock } from "../lib/lock.ts";
import type { Logger } from "../log.ts";
import type { Clock } from "../system/clock.ts";
import { type RunCommand, runCommand } from "../system/run-command.ts";
import type { FreezeAudit, WorkloadFreezer } from "../system/workload-freezer.ts";
import { CaBundle, type CaFiles } from "./ca-bundle.ts";
import { adjustClock } from "./clock-rule.ts";
import { type DialectNames, dialectNames } from "./dialect-names.ts";
import { HostsFile } from "./hosts-file.ts";
import type { InitRequest } from "./init-request.ts";
import { LogExport } from "./log-export.ts";
import { MetadataPoll } from "./metadata-poll.ts";
import { type Metadata, MetadataService } from "./metadata-service.ts";
import { NfsMounts } from "./nfs-mounts.ts";
import { RunFiles } from "./run-files.ts";
import type { Dialect, Settings } from "./settings.ts";
import { TokenHash } from "./token-hash.ts";
import { checkToken } from "./token-rule.ts";

/** The part of the agent's configuration that matters here. */
interface InitConfig extends CaFiles {
  dialect: Dialect;
  /** Not in a VM: no metadata service, no log export. */
  isNotFc: boolean;
  metadataUrl: string;
  runDir: string;
  hostsFile: string;
}

/** What `Init` works with. */
export interface InitParts {
  config: InitConfig;
  settings: Settings;
  freezer: WorkloadFreezer;
  /** `undefined` leaves the clock to whoever keeps it. */
  clock: Clock | undefined;
  log: Logger;
  /** Gets the log's lines; it sends them once it is known where to. Default: a new one. */
  logExport?: LogExport | undefined;
  /** Told by how many nanoseconds the clock was moved. */
  onClockMoved?: ((byNs: bigint) => void) | undefined;
  /** Default: the real one. */
  run?: RunCommand | undefined;
}

/** Takes what the host tells the guest and does what follows from it. */
export class Init {
  readonly #parts: InitParts;
  readonly #names: DialectNames;
  readonly #lock = new Lock();
  readonly #tokenHash: TokenHash;
  readonly #poll: MetadataPoll;
  readonly #runFiles: RunFiles;
  readonly #hosts: HostsFile;
  readonly #certificates: CaBundle;
  readonly #mounts: NfsMounts;
  readonly #logExport: LogExport;
  readonly #run: RunCommand;
  readonly #closing = new AbortController();
  readonly #background = new Set<Promise<void>>();
  #newestNs: bigint | undefined;

  constructor(parts: InitParts) {
    const { config, log } = parts;
    this.#parts = parts;
    this.#run = parts.run ?? runCommand;
    this.#names = dialectNames(config.dialect);
    this.#logExport = parts.logExport ?? new LogExport();
    const metadata = new MetadataService(config.metadataUrl);
    this.#tokenHash = new TokenHash({ metadata, run: this.#run, log });
    this.#poll = new MetadataPoll(metadata, (found) => this.#identify(found));
    this.#runFiles = new RunFiles(config.runDir, this.#names.prefix, log);
    this.#hosts = new HostsFile(config.hostsFile);
    this.#certificates = new CaBundle(config, log);
    this.#mounts = new NfsMounts(config.dialect, this.#run, log);
  }

  /** Says to programs where they are, and begins to ask which sandbox this is. */
  start(): void {
    const isVm = !this.#parts.config.isNotFc;
    this.#setInternal("SANDBOX", String(isVm));
    this.#inBackground(this.#runFiles.writeSandbox(isVm), "run files");
    if (isVm) this.#poll.start();
  }

  /**
   * Applies one `/init`. `onAudit` learns how a freeze in effect looks before it is undone.
   * Rejects with `unauthenticated` by the token rule, with `unavailable` when `signal`, the
   * caller, is gone while others have their turn, and with any other error when a part of the
   * request could not be done. The same request again has no other effect.
   */
  async apply(
    request: InitRequest,
    signal: AbortSignal,
    onAudit: (audit: FreezeAudit) => void,
  ): Promise<void> {
    const cameAt = performance.now();
    const { settings, freezer } = this.#parts;
    const stored = settings.accessToken;
    // Before its turn: who has no token must not hold up who has it.
    const refusal = await this.#refusal(request, signal);
    using _ = await this.#lock.acquire(signal).catch((cause: unknown) => {
      throw new AgentError("unavailable", "another init is under way", { cause });
    });
    const isOutdated = settings.accessToken !== stored;
    const reason = isOutdated ? await this.#refusal(request, signal) : refusal;
    if (reason !== undefined) throw reason;
    const audit = freezer.audit();
    if (audit !== undefined) onAudit(audit);
    try {
      if (this.#isFresh(request.timestampNs)) await this.#applyFields(request, cameAt, signal);
    } finally {
      await this.#thaw();
    }
    if (!this.#parts.config.isNotFc) this.#poll.start();
  }

  /** Ends what goes on in the background; what is being written is written to its end. */
  async close(): Promise<void> {
    this.#closing.abort(new Error("the agent is shutting down"));
    await this.#poll.close();
    await this.#certificates.close();
    await Promise.allSettled(this.#background);
    this.#logExport.close();
  }

  /** Why the token in force refuses the request; `undefined` when it does not. */
  async #refusal({ accessToken }: InitRequest, signal: AbortSignal): Promise<Error | undefined> {
    const { config, settings } = this.#parts;
    const expected = async () => (config.isNotFc ? undefined : this.#tokenHash.ask(signal));
    return await checkToken(settings.accessToken, accessToken, expected).then(
      () => undefined,
      (reason: Error) => reason,
    );
  }

  /** Also remembers it, so that a request that fails half-way still outdates older ones. */
  #isFresh(timestampNs: bigint | undefined): boolean {
    if (timestampNs === undefined) return true;
    const newest = this.#newestNs;
    const isEqualEnough = this.#parts.config.dialect === "e2b";
    const isFresh =
      newest === undefined || timestampNs > newest || (timestampNs === newest && isEqualEnough);
    if (isFresh) this.#newestNs = timestampNs;
    return isFresh;
  }

  async #applyFields(request: InitRequest, cameAt: number, signal: AbortSignal): Promise<void> {
    const { config, settings } = this.#parts;
    if (request.timestampNs !== undefined) this.#applyTime(request.timestampNs, cameAt);
    if (request.envVars !== undefined) this.#applyVariables(request.envVars);
    if (request.accessToken !== undefined || config.dialect === "e2b") {
      settings.accessToken = request.accessToken;
    }
    if (request.hyperloopIp !== undefined) this.#applyHyperloop(request.hyperloopIp);
    settings.defaultUser = request.defaultUser ?? settings.defaultUser;
    settings.defaultWorkdir = request.defaultWorkdir ?? settings.defaultWorkdir;
    if (request.caBundle !== undefined) await this.#certificates.install(request.caBundle, signal);
    if (request.volumeMounts.length > 0) await this.#applyMounts(request, signal);
  }

  /** What the host said was true when it came; others may have had their turn since. */
  #applyTime(timestampNs: bigint, cameAt: number): void {
    const { clock, log, onClockMoved } = this.#parts;
    if (clock === undefined) return;
    const sinceNs = BigInt(Math.round((performance.now() - cameAt) * 1e6));
    const movedNs = adjustClock(clock, timestampNs + sinceNs, log);
    if (movedNs !== undefined) onClockMoved?.(movedNs);
  }

  #applyVariables(variables: ReadonlyMap<string, string>): void {
    const { config, settings } = this.#parts;
    const before = config.dialect === "wrenn" ? settings.userVariables : [];
    settings.userVariables = new Map([...before, ...variables]);
  }

  #applyHyperloop(address: string): void {
    if (isIP(address) === 0) {
      throw new AgentError("invalid", `"hyperloopIP" is no address: "${address}"`);
    }
    this.#setInternal("EVENTS_ADDRESS", `http://${isIPv6(address) ? `[${address}]` : address}`);
    this.#inBackground(this.#hosts.map(this.#names.eventsHost, address), "hosts file");
  }

  /** A mount goes on when its caller is gone, and then nobody waits for it. */
  async #applyMounts(request: InitRequest, signal: AbortSignal): Promise<void> {
    const pass = this.#mounts.mount(
      request.volumeMounts,
      request.lifecycleId,
      this.#closing.signal,
    );
    this.#inBackground(pass, "volumes");
    if (this.#parts.config.dialect === "e2b") await untilGone(pass, signal);
  }

  async #identify(metadata: Metadata): Promise<void> {
    const { instanceId, templateId } = metadata;
    this.#setInternal("SANDBOX_ID", instanceId);
    this.#setInternal("TEMPLATE_ID", templateId);
    this.#logExport.sendTo(metadata);
    await this.#runFiles.writeIds(instanceId, templateId);
  }

  #setInternal(name: string, value: string): void {
    this.#parts.settings.internalVariables.set(`${this.#names.prefix}_${name}`, value);
  }

  async #thaw(): Promise<void> {
    try {
      await this.#parts.freezer.thaw();
    } catch (error) {
      this.#parts.log.error({ err: error }, "the workload stays frozen");
    }
  }

  #inBackground(task: Promise<void>, what: string): void {
    const done = task
      .catch((error: unknown) => this.#parts.log.error({ err: error }, `${what}: not done`))
      .finally(() => this.#background.delete(done));
    this.#background.add(done);
  }
}

/** Waits for `task`, or only until `signal` aborts. */
function untilGone(task: Promise<void>, signal: AbortSignal): Promise<void> {
  return new Promise((resolve, reject) => {
    const onAbort = () => resolve();
    if (signal.aborted) onAbort();
    signal.addEventListener("abort", onAbort, { once: true });
    task.then(resolve, reject).finally(() => signal.removeEventListener("abort", onAbort));
  });
}

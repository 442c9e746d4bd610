import { userInfo } from "node:os";
import { Code, ConnectError } from "@connectrpc/connect";
import { Filesystem } from "../gen/filesystem/filesystem_pb.js";
import { Ports } from "../gen/ports/ports_pb.js";
import { Process } from "../gen/process/process_pb.js";
import { Snapshot } from "../gen/snapshot/snapshot_pb.js";
import { type AgentConfig, ENVD_VERSION, stallTimesOf } from "./config.ts";
import { Uploads } from "./filesystem/uploads.ts";
import { Watchers } from "./filesystem/watchers.ts";
import { endpoints } from "./http/endpoints.ts";
import type { GuardResponse } from "./http/response-body.ts";
import { callerOf } from "./init/caller.ts";
import { Init } from "./init/init.ts";
import { LogExport } from "./init/log-export.ts";
import { Settings } from "./init/settings.ts";
import type { Gauge } from "./lib/gauge.ts";
import { type Logger, outputOf } from "./log.ts";
import { MAX_CONNECTIONS } from "./net/capacity.ts";
import { paceBytes } from "./net/pace.ts";
import { StallWatch } from "./net/progress.ts";
import { Server } from "./net/server.ts";
import { watchResponse } from "./net/watch-response.ts";
import { ProcessRegistry } from "./process/registry.ts";
import { Admission } from "./rpc/admission.ts";
import { serveConnect } from "./rpc/connect.ts";
import { isControlCall } from "./rpc/control-calls.ts";
import { ProcessStream } from "./rpc/process-stream.ts";
import { Router } from "./rpc/router.ts";
import { type FilesystemParts, filesystemService } from "./services/filesystem.ts";
import { startInitialCommand } from "./services/initial-command.ts";
import { portsService } from "./services/ports.ts";
import { processService } from "./services/process.ts";
import type { ProcessParts } from "./services/process-follow.ts";
import { snapshotService } from "./services/snapshot.ts";
import { createSnapshots, type Snapshots } from "./snapshot-parts.ts";
import { Cgroups } from "./system/cgroups.ts";
import { systemClock } from "./system/clock.ts";
import { FileSystemFreeze } from "./system/file-system-freeze.ts";
import { Metrics } from "./system/metrics.ts";
import { OomWatch } from "./system/oom-watch.ts";
import { openFileLimit } from "./system/open-file-limit.ts";
import { Users } from "./system/users.ts";
import { WorkloadFreezer } from "./system/workload-freezer.ts";

/** How long open calls and programs get to end when the agent closes, in ms. */
const CLOSE_GRACE_MS = 2_000;

/** A running agent. */
export interface Agent extends AsyncDisposable {
  /** Where it listens, as in `http://127.0.0.1:49983`. */
  readonly url: string;
  readonly port: number;
  /** Open connections. */
  connections(): number;
  /**
   * Ends the agent: takes nothing more, ends calls as unavailable, ends programs, closes
   * connections. What has not ended after `graceMs` (default 2,000) is cut. Again, it does nothing.
   */
  close(graceMs?: number): Promise<void>;
}

/** Builds every part, top to bottom, and listens. Rejects when the port cannot be bound. */
export async function startAgent(config: AgentConfig, log: Logger): Promise<Agent> {
  const users = new Users();
  const settings = createSettings(config);
  const onClockMoved = (byNs: bigint) => snapshots.lifecycle.clockMoved(byNs);
  const control = createControl(config, settings, log, onClockMoved);
  const shutdown = new AbortController();
  const stalls = new StallWatch(stallTimesOf(config));
  const processes = createProcesses(config, control.cgroups, stalls, log);
  settings.onNewToken = () => processes.viewTokens.revokeAll();
  const { searchPath, spillDir: spillDirectory } = config;
  const processParts = { processes, settings, searchPath, spillDirectory };
  const server = createServer(config, log, () => router);
  const snapshots = createSnapshots({ config, server, processes, stalls, log });
  const filesystem = createFilesystem(users, snapshots.uploads);
  const guardHost = config.persona === "thaw" ? config.host : undefined;
  const admission = new Admission(settings, guardHost, processes.viewTokens);
  const common = { settings, users, stalls, admission, log };
  const router = new Router({
    endpoints: endpoints({
      version: ENVD_VERSION,
      dialect: config.dialect,
      webDir: config.webDir,
      settings,
      ...control,
      snapshots: snapshots.lifecycle,
      uploads: snapshots.uploads,
      guard: guardWith(stalls),
      onMetadataLost: warnOfLostMetadata(log),
    }),
    generationId: () => snapshots.lifecycle.generationId,
    raw: [new ProcessStream(processParts, { stalls, admission, shutdown: shutdown.signal })],
    ...serveConnect({
      services: createServices(processParts, filesystem, snapshots),
      shutdown: shutdown.signal,
      ...common,
    }),
    ...common,
  });
  const closeRest = (graceMs: number) =>
    Promise.all([processes.close(graceMs), snapshots.close(), control.close()]);
  const port = await listenOr(server, () => closeRest(0));
  control.init.start();
  snapshots.start();
  runInitialCommand(config, processParts, users, log);
  const closeAll = async (graceMs: number) => {
    shutdown.abort(new ConnectError("the agent is shutting down", Code.Unavailable));
    // What is frozen does not take its leave.
    await control.freezer.close();
    await Promise.all([server.close(graceMs), closeRest(graceMs)]);
    await filesystem.close();
  };
  let closing: Promise<void> | undefined;
  const close = (graceMs = CLOSE_GRACE_MS) => (closing ??= closeAll(graceMs));
  return {
    url: urlOf(config, port),
    port,
    connections: () => server.tracker.list().length,
    close,
    [Symbol.asyncDispose]: () => close(),
  };
}

function createServer(config: AgentConfig, log: Logger, router: () => Router): Server {
  const { host, port, tls, sniffTimeoutMs } = config;
  // Each takes a descriptor, and what it asks for takes some too.
  const most = Math.min(MAX_CONNECTIONS, Math.floor(openFileLimit() / 2));
  const maxConnections = config.maxConnections ?? most;
  return new Server({
    host,
    port,
    tls,
    sniffTimeoutMs,
    maxConnections,
    log,
    onRequest: (request, response) => router().handle(request, response),
    crowd: {
      isControl: isControlCall,
      refuse: (request, response) => router().turnAway(request, response),
    },
  });
}

function guardWith(stalls: StallWatch): GuardResponse {
  return (response, writtenBytes) => {
    const watched = watchResponse({ response, writtenBytes });
    return {
      note: () => stalls.note(watched),
      forget: () => stalls.forget(watched),
      paceBytes: () => paceBytes(response),
    };
  };
}

/** What the host does with the guest as a whole. */
function createControl(
  config: AgentConfig,
  settings: Settings,
  log: Logger,
  onClockMoved: (byNs: bigint) => void,
) {
  const cgroups = new Cgroups(config.cgroupRoot, config.noCgroups, log);
  cgroups.prepare();
  const freezer = new WorkloadFreezer(cgroups, log);
  const output = outputOf(log);
  const quiet = { hold: () => output?.hold(), release: () => output?.release() };
  const fileSystem = new FileSystemFreeze(quiet, config.frozenPath);
  const logExport = new LogExport();
  if (!config.isNotFc) output?.copyTo((line) => logExport.write(line));
  const clock = config.setsClock ? systemClock : undefined;
  const init = new Init({ config, settings, freezer, clock, log, logExport, onClockMoved });
  const close = async () => {
    output?.copyTo(undefined);
    await Promise.all([init.close(), freezer.close(), fileSystem.close()]);
  };
  return { cgroups, freezer, fileSystem, metrics: new Metrics(), init, close };
}

function runInitialCommand(
  { initialCommand }: AgentConfig,
  parts: ProcessParts,
  users: Users,
  log: Logger,
): void {
  if (initialCommand === undefined) return;
  const caller = callerOf(parts.settings, users, undefined);
  startInitialCommand(parts, caller, initialCommand).catch((reason: unknown) => {
    log.error({ err: reason }, "the initial command does not run");
  });
}

/** What the filesystem service speaks for. `inFlight` counts the uploads that arrive. */
function createFilesystem(users: Users, inFlight: Gauge) {
  const watchers = new Watchers({ names: users });
  const uploads = new Uploads({ names: users, inFlight });
  const close = async () => {
    watchers.closeAll();
    await uploads.close();
  };
  return { users, watchers, uploads, close };
}

function createServices(
  processParts: ProcessParts,
  filesystemParts: FilesystemParts,
  snapshots: Snapshots,
) {
  return [
    { service: Process, implementation: processService(processParts) },
    { service: Filesystem, implementation: filesystemService(filesystemParts) },
    { service: Snapshot, implementation: snapshotService(snapshots.lifecycle) },
    { service: Ports, implementation: portsService(snapshots.forwarder) },
  ];
}

function createProcesses(
  config: AgentConfig,
  cgroups: Cgroups,
  windowWatch: StallWatch,
  log: Logger,
): ProcessRegistry {
  return new ProcessRegistry({
    spawnHelper: config.spawnHelper,
    cgroupProcs: (kind) => cgroups.procsFile(kind),
    killPens: () => cgroups.killPens(),
    softFileLimit: config.softFileLimit,
    windowWatch,
    oomWatch: new OomWatch(log),
  });
}

function createSettings(config: AgentConfig): Settings {
  const settings = new Settings();
  settings.accessToken = config.accessToken;
  // Only root can start programs as somebody else.
  if (process.geteuid?.() !== 0) settings.defaultUser = userInfo().username;
  return settings;
}

/** Where an agent of `config` that listens on `port` is found. */
function urlOf({ host, tls }: AgentConfig, port: number): string {
  const shown = host.includes(":") ? `[${host}]` : host;
  return `${tls === undefined ? "http" : "https"}://${shown}:${port}`;
}

function warnOfLostMetadata(log: Logger): (path: string) => void {
  return (path) => log.warn({ path }, "the filesystem keeps no metadata");
}

/** Begins to listen. Rejects when that cannot be, after `giveUp`. */
async function listenOr(server: Server, giveUp: () => Promise<unknown>): Promise<number> {
  try {
    return await server.listen();
  } catch (reason) {
    await giveUp();
    throw reason;
  }
}

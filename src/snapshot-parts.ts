import type { AgentConfig } from "./config.ts";
import { adjustClock } from "./init/clock-rule.ts";
import { Gauge } from "./lib/gauge.ts";
import { type Logger, outputOf } from "./log.ts";
import type { StallWatch } from "./net/progress.ts";
import type { Server } from "./net/server.ts";
import { Forwarder } from "./ports/forwarder.ts";
import type { ProcessRegistry } from "./process/registry.ts";
import { Generation } from "./snapshot/generation.ts";
import { SnapshotLifecycle } from "./snapshot/lifecycle.ts";
import { RestoreSigns } from "./snapshot/signs.ts";
import { systemClock } from "./system/clock.ts";
import { addEntropy, reseedKernel } from "./system/entropy.ts";
import { compactHeap } from "./system/heap.ts";
import { reseedOpenssl } from "./system/openssl.ts";
import { countSockets } from "./system/tcp-table.ts";

/** What a snapshot concerns. */
export interface SnapshotParts {
  config: AgentConfig;
  server: Server;
  processes: ProcessRegistry;
  stalls: StallWatch;
  log: Logger;
}

/** What goes to rest and wakes with the machine, put together. */
export interface Snapshots {
  lifecycle: SnapshotLifecycle;
  /** Makes ports reachable from outside; missing outside a VM. */
  forwarder: Forwarder | undefined;
  /** Counts the files that are being uploaded. */
  uploads: Gauge;
  /** Begins, once the agent listens. */
  start(): void;
  close(): Promise<void>;
}

/** Makes the snapshot's lifecycle and what it alone works with. */
export function createSnapshots({
  config,
  server,
  processes,
  stalls,
  log,
}: SnapshotParts): Snapshots {
  const uploads = new Gauge();
  const signs = new RestoreSigns({ log });
  const ports = createForwarder(config, server, log);
  const { tracker } = server;
  const generation = new Generation({ directory: config.generationDir, log });
  const lifecycle = new SnapshotLifecycle({
    connections: tracker,
    ports,
    signs,
    generation,
    sockets: () => countSockets(server.port),
    uploads: () => uploads.count,
    processes: () => processes.list().length,
    compact: compactHeap,
    reseed: () => {
      // In this order: each draws from the one before.
      reseedKernel();
      reseedOpenssl();
      server.renewTicketKeys();
    },
    adjustClock: (hostNs) => (config.setsClock ? adjustClock(systemClock, hostNs, log) : undefined),
    addEntropy,
    awake: () => [server, stalls, signs, ports, outputOf(log)].flatMap((part) => part?.awake ?? []),
    heals: config.heals,
    log,
  });
  tracker.onAccept = lifecycle.onAccept;
  server.onOccupied = (isOccupied) => signs.watch(isOccupied);
  return {
    lifecycle,
    forwarder: ports,
    uploads,
    start: () => {
      signs.start();
      generation.start();
      ports?.start();
    },
    close: async () => {
      await lifecycle.close();
      signs.close();
      await Promise.all([ports?.stop(), generation.close()]);
    },
  };
}

/** Outside a VM there is no outer address to forward from, and nothing to look for. */
function createForwarder(config: AgentConfig, server: Server, log: Logger): Forwarder | undefined {
  const address = config.forwardAddress;
  if (config.isNotFc || address === undefined) return undefined;
  return new Forwarder({ address, ownPort: () => server.port, log });
}

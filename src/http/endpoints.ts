import type { Init } from "../init/init.ts";
import type { Dialect, Settings } from "../init/settings.ts";
import type { Gauge } from "../lib/gauge.ts";
import type { SnapshotLifecycle } from "../snapshot/lifecycle.ts";
import type { FileSystemFreeze } from "../system/file-system-freeze.ts";
import type { Metrics } from "../system/metrics.ts";
import type { WorkloadFreezer } from "../system/workload-freezer.ts";
import { collapse } from "./collapse.ts";
import { composeFiles } from "./compose.ts";
import type { Endpoint } from "./endpoint.ts";
import { envs } from "./envs.ts";
import { readFiles } from "./files-read.ts";
import { writeFiles } from "./files-write.ts";
import { freeze, unfreeze } from "./freeze.ts";
import { fsfreeze, fsthaw } from "./fsfreeze.ts";
import { health } from "./health.ts";
import { init } from "./init.ts";
import { metrics } from "./metrics.ts";
import { pageEndpoints } from "./page.ts";
import type { GuardResponse } from "./response-body.ts";
import { snapshotPrepare } from "./snapshot-prepare.ts";
import { upgrade } from "./upgrade.ts";

/** What the plain HTTP paths speak for. */
export interface EndpointParts {
  version: string;
  dialect: Dialect;
  settings: Settings;
  init: Init;
  snapshots: SnapshotLifecycle;
  /** Counts the files that are being uploaded. */
  uploads: Gauge;
  metrics: Metrics;
  freezer: WorkloadFreezer;
  fileSystem: FileSystemFreeze;
  /** Where the built web terminal lies. */
  webDir: string;
  /** Ends answers that their client has stopped to read. */
  guard?: GuardResponse;
  /** Told the path of an uploaded file whose filesystem keeps no metadata. */
  onMetadataLost?: (path: string) => void;
}

/** Every plain HTTP path of the contract, by method and path. */
export function endpoints(parts: EndpointParts): Map<string, Endpoint> {
  return new Map<string, Endpoint>([
    ["GET /health", health(parts)],
    ["GET /metrics", metrics(parts)],
    ["GET /envs", envs(parts)],
    ["POST /init", init(parts)],
    ["GET /files", readFiles(parts)],
    ["POST /files", writeFiles(parts)],
    ["POST /files/compose", composeFiles(parts)],
    ["POST /snapshot/prepare", snapshotPrepare(parts)],
    ...pageEndpoints(parts.webDir),
    ...(parts.dialect === "wrenn" ? [] : e2bOnly(parts)),
  ]);
}

function e2bOnly(parts: EndpointParts): [string, Endpoint][] {
  return [
    ["POST /freeze", freeze(parts)],
    ["POST /unfreeze", unfreeze(parts)],
    ["POST /fsfreeze", fsfreeze(parts)],
    ["POST /fsthaw", fsthaw(parts)],
    ["POST /collapse", collapse()],
    ["POST /upgrade", upgrade()],
  ];
}

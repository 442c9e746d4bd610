import type { Metrics } from "../system/metrics.ts";
import { type Endpoint, sendJson } from "./endpoint.ts";

const MIB = 1024 * 1024;

/** `GET /metrics`: what the guest uses, by the names the host knows. */
export function metrics(parts: { metrics: Metrics }): Endpoint {
  return async (_request, response) => {
    const usage = parts.metrics.read();
    sendJson(response, 200, {
      ts: Math.floor(Date.now() / 1_000),
      cpu_count: usage.cpuCount,
      cpu_used_pct: usage.cpuUsedPercent,
      mem_total_mib: Math.floor(usage.memoryTotal / MIB),
      mem_used_mib: Math.floor(usage.memoryUsed / MIB),
      mem_total: usage.memoryTotal,
      mem_used: usage.memoryUsed,
      mem_cache: usage.memoryCache,
      disk_used: usage.diskUsed,
      disk_total: usage.diskTotal,
    });
  };
}

import type { CommandLimits, RunCommand } from "./run-command.ts";

/** Seconds to wait for another program that is changing the rules. */
const LOCK_WAIT_S = "5";
const CHAINS = ["PREROUTING", "OUTPUT"];

/**
 * Puts a rule before all others that keeps connections to this address from being redirected by
 * rules that a program in the guest has made. Doing it again changes nothing. On a machine without
 * `iptables` there is nothing to exempt from.
 */
export async function exemptFromNat(
  { host, port }: { host: string; port: number },
  run: RunCommand,
  limits: CommandLimits,
): Promise<void> {
  const rule = ["-d", host, "-p", "tcp", "--dport", String(port), "-j", "RETURN"];
  const iptables = (...args: string[]) =>
    run(["iptables", "-w", LOCK_WAIT_S, "-t", "nat", ...args], limits);
  try {
    for (const chain of CHAINS) {
      // Where it stands already it is taken out first, as it might not be the first any more.
      await iptables("-D", chain, ...rule);
      const added = await iptables("-I", chain, "1", ...rule);
      if (added.exitCode !== 0) throw new Error(`iptables: ${added.stderr.trim()}`);
    }
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== "ENOENT") throw error;
  }
}

import type { Duration } from "@bufbuild/protobuf/wkt";
import type { OutputOffsets, ProcessEvent_EndEvent } from "../../gen/process/process_pb.js";
import type { Offsets } from "./errors.ts";

/** A program that has another's output open. */
export interface Holder {
  pid: number;
  /** Its command line, cut to 256 characters. */
  command: string;
}

/** What a program used, its reaped children included. */
export interface ResourceUsage {
  userMs: number;
  systemMs: number;
  maxResidentBytes: number;
  /** Page faults that needed a read from disk. */
  majorFaults: number;
  /** Waits, as for input. */
  voluntarySwitches: number;
  /** Times the processor was taken away. */
  involuntarySwitches: number;
}

/** How a program ended. */
export interface End {
  /** The program's own code, or -1 when a signal ended it. */
  exitCode: number;
  /** In words, as in "exit status 1" or "signal: killed". */
  status: string;
  /** The number of the signal that ended it; absent when none did. */
  signal?: number;
  /** Whether it left a core. */
  coreDumped: boolean;
  /** Its life-time was over. */
  timedOut: boolean;
  /** The signal that ended it was sent by the agent. */
  killedByAgent: boolean;
  /** How often the kernel killed it, or one it had started, for want of memory, where that is known. */
  oomKills?: number;
  /** Absent when the guest does not tell. */
  usage?: ResourceUsage;
  /** How much it wrote. */
  written: Offsets;
  /** How many bytes of input it was given. */
  inputBytes: number;
  /** Who still holds its outputs, at most 64 of them. */
  holders: Holder[];
}

/** Reads an end event. */
export function toEnd(event: ProcessEvent_EndEvent): End {
  const { exitCode, status, signal, coreDumped, timedOut, killedByAgent } = event;
  const { oomKills, usage, written, inputBytes, holders } = event;
  const end: End = {
    exitCode,
    status,
    coreDumped,
    timedOut,
    killedByAgent,
    written: toOffsets(written),
    inputBytes: Number(inputBytes),
    holders: holders.map(({ pid, command }) => ({ pid, command })),
  };
  if (signal !== undefined) end.signal = signal;
  if (oomKills !== undefined) end.oomKills = Number(oomKills);
  if (usage !== undefined) end.usage = toUsage(usage);
  return end;
}

/** Reads a place in every output; absent is the beginning. */
export function toOffsets(offsets: OutputOffsets | undefined): Offsets {
  const { stdout = 0n, stderr = 0n, pty = 0n } = offsets ?? {};
  return { stdout: Number(stdout), stderr: Number(stderr), pty: Number(pty) };
}

/** The same the other way. */
export function fromOffsets({ stdout, stderr, pty }: Offsets) {
  return { stdout: BigInt(stdout), stderr: BigInt(stderr), pty: BigInt(pty) };
}

function toUsage(usage: NonNullable<ProcessEvent_EndEvent["usage"]>): ResourceUsage {
  return {
    userMs: toMs(usage.userTime),
    systemMs: toMs(usage.systemTime),
    maxResidentBytes: Number(usage.maxResidentBytes),
    majorFaults: Number(usage.majorFaults),
    voluntarySwitches: Number(usage.voluntarySwitches),
    involuntarySwitches: Number(usage.involuntarySwitches),
  };
}

function toMs(duration: Duration | undefined): number {
  return duration === undefined ? 0 : Number(duration.seconds) * 1_000 + duration.nanos / 1e6;
}

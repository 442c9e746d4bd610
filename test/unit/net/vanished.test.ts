import { expect, test } from "vitest";
import { type Mortal, VanishedWatch } from "../../../src/net/vanished.ts";
import type { TcpInfo } from "../../../src/system/tcp.ts";

const LOOK_MS = 10_000;

/** A connection whose peer answers, or does not, at times that the test sets. */
class Peer implements Mortal {
  unacked = 0;
  unansweredProbes = 0;
  heardAt = 0;
  resets = 0;
  readonly #clock: { now: number };

  constructor(clock: { now: number }) {
    this.#clock = clock;
  }

  tcpInfo(): TcpInfo {
    const silentMs = this.#clock.now - this.heardAt;
    return {
      state: "ESTAB",
      unacked: this.unacked,
      unansweredProbes: this.unansweredProbes,
      lastDataSentMs: 0,
      lastDataReceivedMs: this.#clock.now,
      lastAckReceivedMs: silentMs,
      acknowledgedBytes: 0,
      receivedBytes: 0,
      sendWindowBytes: 65_536,
    };
  }

  onLook(): void {}

  reset(): void {
    this.resets += 1;
  }
}

function watched() {
  const clock = { now: 1_000_000 };
  const peer = new Peer(clock);
  const watch = new VanishedWatch([peer], () => clock.now);
  return {
    clock,
    peer,
    /** Looks as often as the watch does by itself, for so many looks. */
    look(times: number) {
      for (let look = 0; look < times; look += 1) {
        watch.check();
        if (peer.resets > 0) return;
        clock.now += LOOK_MS;
      }
    },
  };
}

test.for([
  ["unacked", 1],
  ["unansweredProbes", 2],
] as const)("a peer that leaves %s for more than 20 s is cut off", ([owed, count]) => {
  const { peer, look } = watched();
  peer[owed] = count;

  look(2);
  expect(peer.resets).toBe(0);
  look(1);
  expect(peer.resets).toBe(1);
});

test("a peer that owes nothing may be silent for hours", () => {
  const { peer, look } = watched();

  look(1_000);

  expect(peer.resets).toBe(0);
});

test("a peer is not cut off for what was sent to it a moment ago", () => {
  const { clock, peer, look } = watched();
  look(100);

  peer.unacked = 1;
  look(1);
  peer.unacked = 0;
  peer.heardAt = clock.now;
  look(1);
  peer.unacked = 1;
  look(2);

  expect(peer.resets).toBe(0);
});

test("a peer that does not read and answers the kernel now and then is not cut off", () => {
  const { clock, peer, look } = watched();
  peer.unansweredProbes = 2;

  for (let minute = 0; minute < 600; minute += 1) {
    look(2);
    peer.heardAt = clock.now - LOOK_MS / 2;
  }

  expect(peer.resets).toBe(0);
});

test("a peer is not cut off for the time that the machine stood still", () => {
  const { clock, peer, look } = watched();
  peer.unacked = 1;
  look(1);

  clock.now += 3_600_000;
  look(2);
  expect(peer.resets).toBe(0);
  look(1);
  expect(peer.resets).toBe(1);
});

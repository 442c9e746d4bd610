import { randomBytes } from "node:crypto";
import type { Socket } from "node:net";
import { Duplex } from "node:stream";
import tls from "node:tls";
import { expect, test } from "vitest";
import { makeCertificate } from "../helpers/certificate.ts";
import { firstAnswer, PORT, unary } from "./clients.ts";
import { describeVm } from "./describe-vm.ts";
import { type Machine, Rig } from "./rig/machine.ts";
import { report } from "./tables.ts";

const CLONES = 8;
const SERVE =
  "thaw serve --listen 0.0.0.0 --no-token --no-cgroups --tls-cert cert.pem --tls-key key.pem";
const files = () => {
  const { cert, key } = makeCertificate();
  return { "cert.pem": cert, "key.pem": key };
};

interface Draws {
  generation: string;
  watcher: string;
  tlsRandom: string;
  tlsTicketKey: string;
}

/** What a machine draws at random, one thing of each kind. */
async function draw({ network }: Machine): Promise<Draws> {
  const status = (await unary(network, "snapshot.Snapshot/Status", {})) as { generationId: string };
  const watch = { path: "/tmp" };
  const watcher = (await unary(network, "filesystem.Filesystem/CreateWatcher", watch)) as {
    watcherId: string;
  };
  const hello = await handshake(await network.connect(PORT));
  return { generation: status.generationId, watcher: watcher.watcherId, ...hello };
}

/** The random bytes of the server's first words, and the name of the key of its ticket. */
async function handshake(socket: Socket): Promise<{ tlsRandom: string; tlsTicketKey: string }> {
  let received = Buffer.alloc(0);
  const pipe = new Duplex({
    read: () => {},
    write: (bytes: Buffer, _encoding, done) => socket.write(bytes, done),
  });
  socket.on("data", (bytes: Buffer) => {
    received = Buffer.concat([received, bytes]);
    pipe.push(bytes);
  });
  const client = tls.connect({ socket: pipe, rejectUnauthorized: false, maxVersion: "TLSv1.2" });
  await new Promise((resolve, reject) =>
    client.once("secureConnect", resolve).once("error", reject),
  );
  const ticket = client.getTLSTicket() ?? Buffer.alloc(0);
  client.destroy();
  socket.destroy();
  // A record's head is 5 bytes, the message's 4, its version 2.
  return {
    tlsRandom: received.subarray(11, 43).toString("hex"),
    tlsTicketKey: ticket.subarray(0, 16).toString("hex"),
  };
}

async function restoreEach(rig: Rig, isNewGeneration: boolean): Promise<Machine[]> {
  const parent = await rig.boot();
  // What was drawn before is in every clone; what counts is what comes after.
  await draw(parent);
  const snapshot = await parent.snapshot();
  await parent.end();
  const machines: Machine[] = [];
  for (let clone = 0; clone < CLONES; clone += 1) {
    machines.push(await rig.restore(snapshot, { isNewGeneration }));
  }
  for (const machine of machines) await machine.resume();
  for (const machine of machines) await firstAnswer(machine.network);
  return machines;
}

function count(draws: readonly Draws[]): Record<keyof Draws, number> {
  const different = (name: keyof Draws) => new Set(draws.map((drawn) => drawn[name])).size;
  return {
    generation: different("generation"),
    watcher: different("watcher"),
    tlsRandom: different("tlsRandom"),
    tlsTicketKey: different("tlsTicketKey"),
  };
}

const ALL = { generation: CLONES, watcher: CLONES, tlsRandom: CLONES, tlsTicketKey: CLONES };
const NAMES: Record<keyof Draws, string> = {
  generation: "generation ids",
  watcher: "watcher ids",
  tlsRandom: "TLS server randoms",
  tlsTicketKey: "TLS ticket keys",
};

function tabulate(title: string, counts: Record<keyof Draws, number>): void {
  const rows = Object.entries(NAMES).map(([key, name]) => [name, counts[key as keyof Draws]]);
  report(title, [["drawn by eight clones", "different"], ...rows]);
}

describeVm("eight clones of one snapshot", () => {
  test("draw different ids, randoms and keys when the hypervisor tells them apart", async () => {
    await using rig = new Rig(SERVE, files());
    const draws: Draws[] = [];
    for (const machine of await restoreEach(rig, true)) draws.push(await draw(machine));

    tabulate("Clones with generation ids of their own", count(draws));
    expect(count(draws)).toEqual(ALL);
  });

  test("draw different ids, randoms and keys once the host has sent each random bytes", async () => {
    await using rig = new Rig(SERVE, files());
    const draws: Draws[] = [];
    for (const machine of await restoreEach(rig, false)) {
      const entropy = randomBytes(64).toString("base64");
      const answer = await unary(machine.network, "snapshot.Snapshot/Restore", { entropy });
      expect(answer).toMatchObject({ entropyAccepted: true });
      draws.push(await draw(machine));
    }

    tabulate("Clones that share a generation id, after Restore with entropy", count(draws));
    expect(count(draws)).toEqual(ALL);
  });
});

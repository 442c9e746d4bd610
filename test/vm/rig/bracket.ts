import { Guest, withSnapshot } from "../../../src/client/index.ts";

/** A host program, in the network of a machine that its parent freezes when it says so. */
using guest = new Guest(process.argv[2] ?? "");
const program = await guest.process.start("sleep", { args: ["1000"] });
program.disconnect();
const frozenAndThawed = () =>
  new Promise<void>((resolve) => {
    process.once("message", () => resolve());
    process.send?.("freeze");
  });
const { prepared, restored } = await withSnapshot(guest, frozenAndThawed);
process.send?.({
  isQuiescent: prepared?.quiescent,
  generation: Number(restored?.generation),
  hasMovedClock: restored?.clockMoved !== undefined,
  entropyAccepted: restored?.entropyAccepted,
  lives: (await guest.process.list()).some(({ pid }) => pid === program.pid),
});
process.disconnect();

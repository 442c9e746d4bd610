import { Guest, withSnapshot } from "thaw";

using guest = new Guest(process.argv[2] ?? "http://127.0.0.1:49983");

const { prepared, restored } = await withSnapshot(guest, async () => {
  // Here your hypervisor freezes the machine and writes it down, and later, elsewhere, as often as
  // you like, has it run again.
});

console.log(`left when the machine was frozen: ${prepared?.blockers.join(", ") || "nothing"}`);
console.log(`awake in generation ${restored?.generation}`);

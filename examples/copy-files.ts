import { Guest } from "thaw";

using guest = new Guest(process.argv[2] ?? "http://127.0.0.1:49983");
const there = `${process.argv[3] ?? "/tmp"}/thaw-example`;

// Both go on by themselves when they are cut off, and check what has arrived.
const up = await guest.files.upload("package.json", there, {
  onProgress: (done, total) => console.log(`sent ${Math.round((100 * done) / (total || 1))} %`),
});
const down = await guest.files.download(there, `${there}.back`);

console.log(Buffer.from(up.sha256).equals(down.sha256) ? "the same" : "something else");

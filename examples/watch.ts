import { Guest } from "thaw";

using guest = new Guest(process.argv[2] ?? "http://127.0.0.1:49983");
const directory = process.argv[3] ?? "/tmp";

using watch = await guest.files.watch(directory);
await guest.files.write(`${directory}/thaw-example`, "words");

for await (const change of watch) {
  // After a cut it goes on, and says so if it has missed something for good.
  if (change.kind === "resync") console.log("list the directory anew");
  else console.log(`${change.kind} ${change.name}`);
  if (change.kind === "write") break;
}

import { Sandbox } from "e2b";

const sandbox = await Sandbox.create();
const result = await sandbox.commands.run("echo hello from the guest");
console.log(result.stdout);

import { afterEach, beforeEach, expect, test } from "vitest";
import { exemptFromNat } from "../../../src/system/nat-exemption.ts";
import { runCommand } from "../../../src/system/run-command.ts";
import { FakePrograms } from "../../helpers/fake-programs.ts";

const SERVICE = { host: "169.254.169.254", port: 80 };
const RULE = "-d 169.254.169.254 -p tcp --dport 80 -j RETURN";
const limits = { timeoutMs: 5_000 };

let programs: FakePrograms;
beforeEach(() => {
  programs = new FakePrograms({ keepsOthers: false });
});
afterEach(() => programs[Symbol.dispose]());

test("the rule stands first in both chains, once", async () => {
  // As iptables does when there is nothing to delete.
  programs.add("iptables", 'test "$5" != -D');

  await exemptFromNat(SERVICE, runCommand, limits);

  expect(programs.calls()).toEqual([
    `iptables -w 5 -t nat -D PREROUTING ${RULE}`,
    `iptables -w 5 -t nat -I PREROUTING 1 ${RULE}`,
    `iptables -w 5 -t nat -D OUTPUT ${RULE}`,
    `iptables -w 5 -t nat -I OUTPUT 1 ${RULE}`,
  ]);
});

test("a machine without iptables needs no exemption", async () => {
  await expect(exemptFromNat(SERVICE, runCommand, limits)).resolves.toBeUndefined();
});

test("a rule that is not taken is an error with its reason", async () => {
  programs.add("iptables", "echo permission denied >&2; exit 4");

  await expect(exemptFromNat(SERVICE, runCommand, limits)).rejects.toThrow(
    "iptables: permission denied",
  );
});

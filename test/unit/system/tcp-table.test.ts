import { expect, test } from "vitest";
import { addressOf } from "../../../src/system/tcp-table.ts";

test.for<[string, string]>([
  ["0100007F", "127.0.0.1"],
  ["00000000", "0.0.0.0"],
  ["1500FEA9", "169.254.0.21"],
  ["00000000000000000000000000000000", "::"],
  ["00000000000000000000000001000000", "::1"],
  ["0000000000000000FFFF00000100007F", "::ffff:127.0.0.1"],
  ["B80D01200000000067452301EFCDAB89", "2001:db8::123:4567:89ab:cdef"],
])("the kernel's %s is %s", ([hex, address]) => {
  expect(addressOf(hex)).toBe(address);
});

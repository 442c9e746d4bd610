import { expect, test } from "vitest";
import { isNetworkType, isOnNetworkMount } from "../../../src/filesystem/network-mounts.ts";

test.for([
  ["NFS", 0x6969],
  ["CIFS", 0xff534d42],
  ["CIFS as a negative number", 0xff534d42 | 0],
  ["SMB", 0x517b],
  ["SMB2", 0xfe534d42],
  ["FUSE", 0x65735546],
] as const)("%s is a network file system", ([, type]) => {
  expect(isNetworkType(type)).toBe(true);
});

test.for([
  ["ext4", 0xef53],
  ["tmpfs", 0x01021994],
  ["overlay", 0x794c7630],
] as const)("%s is none", ([, type]) => {
  expect(isNetworkType(type)).toBe(false);
});

test("the machine's own directories are not on a network", async () => {
  await expect(isOnNetworkMount("/proc")).resolves.toBe(false);
});

import type { IncomingMessage } from "node:http";
import { expect, test } from "vitest";
import { Settings } from "../../../src/init/settings.ts";
import { Admission } from "../../../src/rpc/admission.ts";

const request = (headers: Record<string, string>, localAddress = "127.0.0.1") =>
  ({ method: "GET", headers, socket: { localAddress } }) as unknown as IncomingMessage;

test.for([
  ["fd00::1", "[fd00::1]:49983"],
  ["FD00::1", "[fd00::1]"],
  ["192.0.2.1", "192.0.2.1:49983"],
  ["0.0.0.0", "[::1]:49983"],
  ["0.0.0.0", "localhost"],
] as const)("an agent bound to %s answers to the host %s", ([bound, host]) => {
  const admission = new Admission(new Settings(), bound);

  expect(() => admission.checkOrigin(request({ host }))).not.toThrow();
  expect(() => admission.checkOrigin(request({ host, origin: `http://${host}` }))).not.toThrow();
});

test.for(["else.where", "[fd00::2]", "127.0.0.1.else.where", "fd00::1.else.where"])(
  "an agent bound to another address refuses the host %s",
  (host) => {
    const admission = new Admission(new Settings(), "fd00::1");

    expect(() => admission.checkOrigin(request({ host }))).toThrow("is not the address");
  },
);

test.for([
  ["0.0.0.0", "192.0.2.1", "192.0.2.1:49983"],
  ["::", "::ffff:192.0.2.1", "192.0.2.1:49983"],
  ["::", "fd00::1", "[fd00::1]:49983"],
] as const)(
  "an agent bound to %s answers to the address %s that was connected to",
  ([bound, localAddress, host]) => {
    const admission = new Admission(new Settings(), bound);

    expect(() => admission.checkOrigin(request({ host }, localAddress))).not.toThrow();
    expect(() => admission.checkOrigin(request({ host: "else.where" }, localAddress))).toThrow();
    expect(() => admission.checkOrigin(request({ host: "192.0.2.2" }, localAddress))).toThrow();
  },
);

test("an agent bound to one address answers to no other that leads to it", () => {
  const admission = new Admission(new Settings(), "192.0.2.1");

  expect(() => admission.checkOrigin(request({ host: "192.0.2.2" }, "192.0.2.2"))).toThrow();
});

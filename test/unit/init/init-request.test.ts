import { expect, test } from "vitest";
import { parseInitRequest } from "../../../src/init/init-request.ts";
import { cpuMs } from "../../helpers/cpu-time.ts";

const parse = (text: string) => parseInitRequest(Buffer.from(text));

test.for(["", "  \n", "null", "{}", '{"unknown":1,"other":{"a":[]}}'])(
  "%j says nothing",
  (text) => {
    expect(parse(text)).toEqual({ lifecycleId: "", volumeMounts: [] });
  },
);

test("every field is read", () => {
  const request = parse(
    JSON.stringify({
      timestamp: "1970-01-01T00:00:01.000000002Z",
      envVars: { A: "1", B: "", "with space": "ü\n" },
      accessToken: "token",
      hyperloopIP: "10.1.2.3",
      defaultUser: "user",
      defaultWorkdir: "/work",
      caBundle: "PEM\n",
      lifecycleID: "life",
      volumeMounts: [{ nfs_target: "10.1.2.3:/v", path: "/mnt/v" }],
    }),
  );

  expect(request).toEqual({
    timestampNs: 1_000_000_002n,
    envVars: new Map([
      ["A", "1"],
      ["B", ""],
      ["with space", "ü\n"],
    ]),
    accessToken: "token",
    hyperloopIp: "10.1.2.3",
    defaultUser: "user",
    defaultWorkdir: "/work",
    caBundle: "PEM\n",
    lifecycleId: "life",
    volumeMounts: [{ target: "10.1.2.3:/v", path: "/mnt/v" }],
  });
});

test("null is the same as absent", () => {
  const fields = [
    "timestamp",
    "envVars",
    "accessToken",
    "hyperloopIP",
    "defaultUser",
    "defaultWorkdir",
    "caBundle",
    "lifecycleID",
    "volumeMounts",
  ];

  expect(parse(JSON.stringify(Object.fromEntries(fields.map((key) => [key, null]))))).toEqual({
    lifecycleId: "",
    volumeMounts: [],
  });
});

test("empty user, directory, bundle and address are the same as absent", () => {
  const text = '{"defaultUser":"","defaultWorkdir":"","caBundle":"","hyperloopIP":""}';

  expect(parse(text)).toEqual({ lifecycleId: "", volumeMounts: [] });
});

test("no variables at all is something else than none given", () => {
  expect(parse('{"envVars":{}}').envVars).toEqual(new Map());
});

test("a variable may be called as JavaScript's own things are", () => {
  expect(parse('{"envVars":{"__proto__":"a","constructor":"b"}}').envVars).toEqual(
    new Map([
      ["__proto__", "a"],
      ["constructor", "b"],
    ]),
  );
});

test.for([
  "{",
  "{}{}",
  "[]",
  "1",
  '"text"',
  "true",
  "\u0000",
  '{"timestamp":1}',
  '{"timestamp":"yesterday"}',
  '{"timestamp":""}',
  '{"envVars":[]}',
  '{"envVars":"A=1"}',
  '{"envVars":{"A":1}}',
  '{"envVars":{"A":{}}}',
  '{"envVars":{"":"1"}}',
  '{"envVars":{"A=B":"1"}}',
  '{"envVars":{"A\\u0000":"1"}}',
  '{"envVars":{"A":"1\\u0000"}}',
  '{"accessToken":1}',
  '{"accessToken":false}',
  '{"accessToken":{}}',
  '{"accessToken":[]}',
  '{"accessToken":""}',
  '{"hyperloopIP":1}',
  '{"defaultUser":1}',
  '{"defaultWorkdir":[]}',
  '{"caBundle":{}}',
  '{"lifecycleID":1}',
  '{"volumeMounts":{}}',
  '{"volumeMounts":"x"}',
  '{"volumeMounts":[1]}',
  '{"volumeMounts":[null]}',
  '{"volumeMounts":[[]]}',
  '{"volumeMounts":[{"nfs_target":1}]}',
  '{"volumeMounts":[{"path":1}]}',
])("%s is refused", (text) => {
  expect(() => parse(text)).toThrow(expect.objectContaining({ code: "invalid" }));
});

test.for([
  '{"accessToken":"a\\\\b"}',
  '{"accessToken":"a\\u0041"}',
  '{"accessToken":"a\\/b"}',
  '{"envVars":{"accessToken":"plain"},"accessToken":"\\"quoted\\""}',
])("a token with a backslash is refused: %s", (text) => {
  expect(() => parse(text)).toThrow("has a backslash");
});

test.for([
  '{"accessToken":"plain","caBundle":"a\\nb"}',
  '{"accessToken":"plain","envVars":{"accessToken":"a\\\\b"}}',
  '{"envVars":{"A":"a\\\\b"},"accessToken":"plain"}',
  '{"acces\\u0073Token":"plain"}',
])("a backslash elsewhere does not matter: %s", (text) => {
  expect(parse(text).accessToken).toBe("plain");
});

test("a body of megabytes is read in a fraction of a second", () => {
  const envVars = Object.fromEntries(
    Array.from({ length: 50_000 }, (_, number) => [`NAME_${number}`, "\\x".repeat(20)]),
  );
  const start = cpuMs();

  const request = parse(JSON.stringify({ envVars, accessToken: "plain" }));

  expect(request.envVars?.size).toBe(50_000);
  expect(cpuMs() - start).toBeLessThan(1_000);
});

test.for([
  ["many values", `[${"1,".repeat(1_900_000)}1]`],
  ["many levels", `${"[".repeat(100_000)}${"]".repeat(100_000)}`],
])("a body of %s and a backslash is read in a fraction of a second", ([, value]) => {
  const text = `{"accessToken":"plain","text":"\\\\","other":${value}}`;
  const start = cpuMs();

  const request = parse(text);

  expect(request.accessToken).toBe("plain");
  expect(cpuMs() - start).toBeLessThan(1_000);
});

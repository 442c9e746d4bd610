import * as fc from "fast-check";
import { describe, expect, test } from "vitest";
import { type GoFlagKind, parseGoFlags } from "../../../src/cli/go-flags.ts";
import { UsageError } from "../../../src/cli/usage-error.ts";

const KINDS = new Map<string, GoFlagKind>([
  ["port", "text"],
  ["cmd", "text"],
  ["isnotfc", "bool"],
]);

const parse = (...argv: string[]) => ({ ...parseGoFlags(KINDS, argv) });

describe("Go flags", () => {
  test.for<[string[], Record<string, string | boolean>]>([
    [[], {}],
    [["-port", "1"], { port: "1" }],
    [["--port", "1"], { port: "1" }],
    [["-port=1"], { port: "1" }],
    [["--port=1"], { port: "1" }],
    [["-port="], { port: "" }],
    [["-cmd=a=b"], { cmd: "a=b" }],
    [["-cmd", "-port"], { cmd: "-port" }],
    [["-port", "1", "-port", "2"], { port: "2" }],
    [["-isnotfc"], { isnotfc: true }],
    [["-isnotfc=false"], { isnotfc: false }],
    [["--isnotfc=T"], { isnotfc: true }],
    [["-isnotfc", "false", "-port", "1"], { isnotfc: true }],
    [["--", "-port", "1"], {}],
    [["word", "-port", "1"], {}],
    [["-", "-port", "1"], {}],
    [["-port", "1", "--", "-isnotfc"], { port: "1" }],
    [["-h"], { help: true }],
    [["--help"], { help: true }],
  ])("read %j as %j", ([argv, expected]) => {
    expect(parse(...argv)).toEqual(expected);
  });

  test.for([
    [["-bogus"], "flag provided but not defined: -bogus"],
    [["--bogus=1"], "flag provided but not defined: -bogus"],
    [["-toString"], "flag provided but not defined: -toString"],
    [["-port"], "flag needs an argument: -port"],
    [["---port"], "bad flag syntax: ---port"],
    [["-=1"], "bad flag syntax: -=1"],
    [["--=1"], "bad flag syntax: --=1"],
    [["-isnotfc=yes"], 'invalid boolean value "yes" for -isnotfc: parse error'],
    [["-isnotfc="], 'invalid boolean value "" for -isnotfc: parse error'],
  ] as const)("refuse %j", ([argv, message]) => {
    expect(() => parse(...argv)).toThrow(new UsageError(message));
  });

  test("mean the same in every way of writing them", () => {
    const dashes = fc.constantFrom("-", "--");
    const text = fc
      .tuple(dashes, fc.constantFrom("port", "cmd"), fc.string(), fc.boolean())
      .map(([dash, name, value, isOneWord]) => ({
        words: isOneWord ? [`${dash}${name}=${value}`] : [`${dash}${name}`, value],
        value: [name, value] as const,
      }));
    const bool = fc
      .tuple(dashes, fc.constantFrom("", "=1", "=t", "=TRUE", "=0", "=f", "=False"))
      .map(([dash, value]) => ({
        words: [`${dash}isnotfc${value}`],
        value: ["isnotfc", !/[0fF]/.test(value)] as const,
      }));

    fc.assert(
      fc.property(fc.array(fc.oneof(text, bool)), (flags) => {
        const argv = flags.flatMap(({ words }) => words);

        expect(parse(...argv)).toEqual(Object.fromEntries(flags.map(({ value }) => value)));
      }),
    );
  });

  test("are read or refused, whatever they are", () => {
    const word = fc.oneof(
      fc.string(),
      fc.string().map((text) => `-${text}`),
      fc.constantFrom("-", "--", "-port", "-port=", "--isnotfc", "-isnotfc=x", "-__proto__=1"),
    );

    fc.assert(
      fc.property(fc.array(word), (argv) => {
        try {
          const values = parseGoFlags(KINDS, argv);
          expect([...KINDS.keys(), "help"]).toEqual(expect.arrayContaining(Object.keys(values)));
        } catch (reason) {
          expect(reason).toBeInstanceOf(UsageError);
        }
      }),
    );
  });
});

import type { IncomingHttpHeaders } from "node:http";
import { expect, test } from "vitest";
import { isRangeWanted, weighConditions } from "../../../src/http/conditions.ts";

const DATE = "Sun, 06 Nov 1994 08:49:37 GMT";
const MODIFIED = Date.parse(DATE) / 1000;
const EARLIER = "Sun, 06 Nov 1994 08:49:36 GMT";
const LATER = "Sun, 06 Nov 1994 08:49:38 GMT";

test.for<[IncomingHttpHeaders, string]>([
  [{}, "serve"],
  [{ "if-modified-since": DATE }, "not-modified"],
  [{ "if-modified-since": LATER }, "not-modified"],
  [{ "if-modified-since": EARLIER }, "serve"],
  [{ "if-modified-since": "Sunday, 06-Nov-94 08:49:37 GMT" }, "not-modified"],
  [{ "if-modified-since": "Sun Nov  6 08:49:37 1994" }, "not-modified"],
  [{ "if-modified-since": "yesterday" }, "serve"],
  [{ "if-modified-since": "1994-11-06T08:49:37Z" }, "serve"],
  [{ "if-modified-since": "Sun, 99 Nov 1994 08:49:37 GMT" }, "serve"],
  [{ "if-none-match": "*" }, "not-modified"],
  [{ "if-none-match": '"abc"' }, "serve"],
  [{ "if-none-match": '"abc"', "if-modified-since": LATER }, "serve"],
  [{ "if-match": "*" }, "serve"],
  [{ "if-match": '"abc"' }, "failed"],
  [{ "if-match": "*", "if-unmodified-since": EARLIER }, "serve"],
  [{ "if-unmodified-since": EARLIER }, "failed"],
  [{ "if-unmodified-since": DATE }, "serve"],
  [{ "if-unmodified-since": "nonsense" }, "serve"],
])("%o: %s", ([headers, verdict]) => {
  expect(weighConditions(headers, MODIFIED)).toBe(verdict);
});

test("a file of unknown age has always changed", () => {
  expect(weighConditions({ "if-modified-since": DATE }, 0)).toBe("serve");
});

test.for<[string | undefined, boolean]>([
  [undefined, true],
  [DATE, true],
  [EARLIER, false],
  [LATER, false],
  ['"abc"', false],
  ['W/"abc"', false],
])("a range with If-Range %j counts: %s", ([ifRange, isWanted]) => {
  const headers = ifRange === undefined ? {} : { "if-range": ifRange };

  expect(isRangeWanted(headers, MODIFIED)).toBe(isWanted);
});

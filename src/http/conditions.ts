import type { IncomingHttpHeaders } from "node:http";

/**
 * What the conditions of a request say about a file.
 *
 * - `serve`         none stands in the way.
 * - `not-modified`  the client has it already: 304.
 * - `failed`        it is not what the client expects: 412.
 */
export type Verdict = "serve" | "not-modified" | "failed";

/**
 * Weighs the conditions of a request against a file last modified at `modified` (seconds since
 * 1970; 0 is unknown). Files have no entity tag: only `*` matches one, and dates decide the rest.
 */
export function weighConditions(headers: IncomingHttpHeaders, modified: number): Verdict {
  const ifMatch = headers["if-match"];
  if (ifMatch !== undefined) {
    if (!ifMatch.split(",").some((tag) => tag.trim() === "*")) return "failed";
  } else {
    const unmodifiedSince = parseDate(headers["if-unmodified-since"]);
    if (unmodifiedSince !== undefined && modified > unmodifiedSince) return "failed";
  }
  const ifNoneMatch = headers["if-none-match"];
  if (ifNoneMatch !== undefined) {
    return ifNoneMatch.split(",").some((tag) => tag.trim() === "*") ? "not-modified" : "serve";
  }
  const modifiedSince = parseDate(headers["if-modified-since"]);
  const isOld = modifiedSince !== undefined && modified !== 0 && modified <= modifiedSince;
  return isOld ? "not-modified" : "serve";
}

/** Whether a `Range` still counts: `If-Range` is absent or names exactly this version. */
export function isRangeWanted(headers: IncomingHttpHeaders, modified: number): boolean {
  const ifRange = headers["if-range"];
  if (typeof ifRange !== "string" || ifRange === "") return true;
  return modified !== 0 && parseDate(ifRange) === modified;
}

/** `Sun, 06 Nov 1994 08:49:37 GMT`, and the two older forms that a server must still read. */
const DATE_FORMS = [
  /^[A-Z][a-z]{2}, (?<day>\d\d) (?<month>[A-Z][a-z]{2}) (?<year>\d{4}) (?<time>\d\d:\d\d:\d\d) GMT$/,
  /^[A-Z][a-z]+day, (?<day>\d\d)-(?<month>[A-Z][a-z]{2})-(?<year>\d\d) (?<time>\d\d:\d\d:\d\d) GMT$/,
  /^[A-Z][a-z]{2} (?<month>[A-Z][a-z]{2}) (?<day>[ \d]\d) (?<time>\d\d:\d\d:\d\d) (?<year>\d{4})$/,
];

/** Seconds since 1970, or `undefined` for what is no date of HTTP. */
function parseDate(text: string | undefined): number | undefined {
  for (const form of DATE_FORMS) {
    const { day, month, year = "", time } = form.exec(text ?? "")?.groups ?? {};
    if (day === undefined) continue;
    // Two digits of a year above 69 are of the last century.
    const century = year.length === 4 ? "" : Number(year) > 69 ? "19" : "20";
    const ms = Date.parse(`${day.trim()} ${month} ${century}${year} ${time} GMT`);
    return Number.isNaN(ms) ? undefined : ms / 1000;
  }
  return undefined;
}

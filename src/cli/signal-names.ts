import { constants } from "node:os";

const NUMBERS = new Map<string, number>(Object.entries(constants.signals));

/** The number of `TERM`, `SIGTERM` or `15`; `undefined` for what is no signal from 1 to 64. */
export function signalNumber(text: string): number | undefined {
  if (/^\d+$/.test(text)) {
    const number = Number(text);
    return number >= 1 && number <= 64 ? number : undefined;
  }
  const name = text.toUpperCase();
  return NUMBERS.get(name.startsWith("SIG") ? name : `SIG${name}`);
}

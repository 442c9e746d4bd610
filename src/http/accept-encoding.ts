/** What a response to a client may be encoded with. */
export interface EncodingChoice {
  /** The best encoding; `undefined` when the client takes neither. */
  encoding: "gzip" | "identity" | undefined;
  /** Whether the client takes the plain bytes. */
  isIdentityAccepted: boolean;
}

/**
 * Chooses by an `Accept-Encoding` header: the highest q first, ties in the order of the header, a
 * malformed q is 1. The plain bytes are taken unless they are refused by name.
 */
export function chooseEncoding(header: string | undefined): EncodingChoice {
  const offers = (header ?? "").split(",").map(parseOffer);
  const isIdentityAccepted = !offers.some(({ coding, q }) => coding === "identity" && q === 0);
  const plain = isIdentityAccepted ? "identity" : undefined;
  const ordered = offers.filter(({ q }) => q !== 0).sort((left, right) => right.q - left.q);
  for (const { coding } of ordered) {
    if (coding === "gzip") return { encoding: "gzip", isIdentityAccepted };
    if (coding === "identity") return { encoding: "identity", isIdentityAccepted };
    if (coding === "*") return { encoding: plain ?? "gzip", isIdentityAccepted };
  }
  return { encoding: plain, isIdentityAccepted };
}

function parseOffer(text: string): { coding: string; q: number } {
  const [coding = "", ...parameters] = text.split(";").map((part) => part.trim().toLowerCase());
  let q = 1;
  for (const parameter of parameters) {
    const value = parameter.startsWith("q=") ? parameter.slice(2) : "";
    if (/^[+-]?(?:\d+(?:\.\d*)?|\.\d+)(?:e[+-]?\d+)?$/.test(value)) q = Number(value);
  }
  return { coding, q };
}

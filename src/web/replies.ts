/** What a terminal answers to questions in its output: attributes, cursor, modes, colours. */
const REPLY =
  // oxlint-disable-next-line no-control-regex -- that is what they are made of
  /^(?:\x1b\[[?>=]?[\d;]*(?:c|R|n|\$y)|\x1b\[[\d;]*t|\x1b\][\d;]+[^\x07\x1b]*(?:\x07|\x1b\\)|\x1bP[^\x1b]*\x1b\\)+$/;

/** Whether `text` is a terminal's own answer and nothing that somebody typed. */
export function isReply(text: string): boolean {
  return REPLY.test(text);
}

/** Rows under their titles, in columns of equal width; those of `right` to the right. */
export function table(
  titles: readonly string[],
  rows: readonly (readonly string[])[],
  right: readonly string[] = [],
): string {
  const all = [titles, ...rows];
  const widths = titles.map((_, at) => Math.max(...all.map((row) => (row[at] ?? "").length)));
  const line = (row: readonly string[]) =>
    titles
      .map((title, at) => {
        const cell = row[at] ?? "";
        const gap = " ".repeat((widths[at] ?? 0) - cell.length);
        return right.includes(title) ? gap + cell : cell + gap;
      })
      .join("  ")
      .trimEnd();
  return `${all.map(line).join("\n")}\n`;
}

/** The middle of `values`. */
export function median(values: readonly number[]): number {
  return percentile(values, 50);
}

/** The value that `percent` per cent of `values` do not exceed, interpolated. */
export function percentile(values: readonly number[], percent: number): number {
  if (values.length === 0) return Number.NaN;
  const sorted = [...values].sort((a, b) => a - b);
  const at = ((sorted.length - 1) * percent) / 100;
  const low = sorted[Math.floor(at)] as number;
  const high = sorted[Math.ceil(at)] as number;
  return low + (high - low) * (at - Math.floor(at));
}

/** The median of `values[i] / baseline[i]`: each round is compared with itself. */
export function pairedRatio(values: readonly number[], baseline: readonly number[]): number {
  return median(values.map((value, round) => value / (baseline[round] as number)));
}

/** What charts draw. Pure. */

/** Each series on top of those before it. */
export function cumulate(series: readonly (readonly number[])[]): number[][] {
  const sum: number[] = [];
  return series.map((values) => values.map((value, index) => (sum[index] = (sum[index] ?? 0) + value)));
}

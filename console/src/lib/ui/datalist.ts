/** Columns of a list, and the order of its rows. Pure. */

export interface DataColumn<T> {
  id: string;
  label: string;
  /** A width as CSS grid has them: `minmax(0,2fr)`, `6rem`. */
  width: string;
  /** By what it is sorted; without it, it can't be. */
  value?: (item: T) => string | number | undefined;
  /** Not shown on a narrow screen. */
  spare?: true;
  /** Numbers stand at the right. */
  right?: true;
}

/** Rows sorted by a column, or backwards with `-` before its name; what has no value comes last either way. */
export function by<T>(items: readonly T[], columns: readonly DataColumn<T>[], sort: string): readonly T[] {
  const value = columns.find((column) => column.id === sort.replace(/^-/, ""))?.value;
  if (!value) return items;
  const way = sort.startsWith("-") ? -1 : 1;
  return items.toSorted((a, b) => {
    const [x, y] = [value(a), value(b)];
    if (x === undefined || y === undefined) return x === y ? 0 : x === undefined ? 1 : -1;
    if (typeof x === "number" && typeof y === "number") return way * (x - y);
    return way * String(x).localeCompare(String(y), "en", { numeric: true });
  });
}

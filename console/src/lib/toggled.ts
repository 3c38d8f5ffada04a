/** A set with an element more, or with it taken out. Pure. */
export function toggled<T>(set: ReadonlySet<T>, element: T): Set<T> {
  const next = new Set(set);
  if (!next.delete(element)) next.add(element);
  return next;
}

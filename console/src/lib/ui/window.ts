/** Which rows of a long list are in the document. Pure. */

/** Rows kept beyond the edges, so that scrolling shows no gap. */
const SPARE = 8;

/** The rows from `first` up to `last` (exclusive) for a scroll position; all in pixels. */
export function windowOf(top: number, room: number, height: number, total: number): { first: number; last: number } {
  const first = Math.max(0, Math.floor(top / height) - SPARE);
  const last = Math.min(total, Math.ceil((top + room) / height) + SPARE);
  return { first: Math.min(first, total), last: Math.max(last, 0) };
}

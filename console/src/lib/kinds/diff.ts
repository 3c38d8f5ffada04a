/** What is different between two texts, line by line (Myers, "An O(ND) Difference Algorithm", 1986). Pure. */

export interface Line {
  /** Kept, added or removed; `gap` stands for lines that are left out. */
  sort: "same" | "add" | "remove" | "gap";
  text: string;
  /** The number of the line before and after, from 1. */
  before?: number;
  after?: number;
}

/** More differences than this are not looked for: all is told as removed and added. */
const LIMIT = 2000;

/** All lines of both, in order. */
export function diff(before: string, after: string): Line[] {
  const a = lines(before);
  const b = lines(after);
  let start = 0;
  while (start < a.length && start < b.length && a[start] === b[start]) start += 1;
  let end = 0;
  while (end < a.length - start && end < b.length - start && a[a.length - 1 - end] === b[b.length - 1 - end]) end += 1;
  const moves = path(a.slice(start, a.length - end), b.slice(start, b.length - end));
  const all = [...Array<Move>(start).fill("same"), ...moves, ...Array<Move>(end).fill("same")];
  let i = 0;
  let j = 0;
  return all.map((sort): Line => {
    if (sort === "add") return { sort, text: b[j] ?? "", after: ++j };
    if (sort === "remove") return { sort, text: a[i] ?? "", before: ++i };
    return { sort, text: a[i] ?? "", before: ++i, after: ++j };
  });
}

type Move = "same" | "add" | "remove";

function lines(text: string): string[] {
  if (text === "") return [];
  return text.replace(/\n$/, "").split("\n");
}

function path(a: string[], b: string[]): Move[] {
  const size = a.length + b.length;
  const furthest = new Map<number, number>([[1, 0]]);
  const trace: Map<number, number>[] = [];
  for (let d = 0; d <= Math.min(size, LIMIT); d++) {
    trace.push(new Map(furthest));
    for (let k = -d; k <= d; k += 2) {
      const down = k === -d || (k !== d && (furthest.get(k - 1) ?? 0) < (furthest.get(k + 1) ?? 0));
      let x = down ? (furthest.get(k + 1) ?? 0) : (furthest.get(k - 1) ?? 0) + 1;
      let y = x - k;
      while (x < a.length && y < b.length && a[x] === b[y]) {
        x += 1;
        y += 1;
      }
      furthest.set(k, x);
      if (x >= a.length && y >= b.length) return back(trace, a.length, b.length);
    }
  }
  return [...Array<Move>(a.length).fill("remove"), ...Array<Move>(b.length).fill("add")];
}

function back(trace: Map<number, number>[], width: number, height: number): Move[] {
  const moves: Move[] = [];
  let x = width;
  let y = height;
  for (let d = trace.length - 1; d >= 0; d--) {
    const furthest = trace[d]!;
    const k = x - y;
    const down = k === -d || (k !== d && (furthest.get(k - 1) ?? 0) < (furthest.get(k + 1) ?? 0));
    const from = down ? k + 1 : k - 1;
    const fromX = furthest.get(from) ?? 0;
    const fromY = fromX - from;
    while (x > fromX && y > fromY) {
      moves.push("same");
      x -= 1;
      y -= 1;
    }
    if (d > 0) moves.push(down ? "add" : "remove");
    x = fromX;
    y = fromY;
  }
  return moves.reverse();
}

/** Leaves out lines that are the same and further than `around` from a difference. */
export function hunks(all: Line[], around = 3): Line[] {
  const near = new Set<number>();
  all.forEach((line, index) => {
    if (line.sort === "same") return;
    for (let at = index - around; at <= index + around; at++) near.add(at);
  });
  const result: Line[] = [];
  let left = 0;
  all.forEach((line, index) => {
    if (near.has(index)) {
      if (left > 0) result.push({ sort: "gap", text: `${left} ${left === 1 ? "line" : "lines"} the same` });
      left = 0;
      result.push(line);
    } else left += 1;
  });
  if (left > 0 && result.length > 0) result.push({ sort: "gap", text: `${left} ${left === 1 ? "line" : "lines"} the same` });
  return result;
}

/** How many lines were added and removed. */
export function tally(all: Line[]): { added: number; removed: number } {
  return { added: all.filter((line) => line.sort === "add").length, removed: all.filter((line) => line.sort === "remove").length };
}

/** Numbers, times and sizes as people read them. Pure but for the clock that is handed in. */

const grouped = new Intl.NumberFormat("en", { maximumFractionDigits: 0 });
const compactNumber = new Intl.NumberFormat("en", { notation: "compact", maximumFractionDigits: 1 });

export const count = (value: number): string => grouped.format(value);
export const compact = (value: number): string => (Math.abs(value) < 10_000 ? count(value) : compactNumber.format(value));

/** Milliseconds: `412 ms`, `3.2 s`, `2 min 5 s`. */
export function duration(ms: number | undefined | null): string {
  if (ms === undefined || ms === null || !Number.isFinite(ms)) return "–";
  if (ms < 1) return ms === 0 ? "0 ms" : `${ms.toFixed(2)} ms`;
  if (ms < 1000) return `${Math.round(ms)} ms`;
  if (ms < 60_000) return `${(ms / 1000).toFixed(ms < 10_000 ? 2 : 1)} s`;
  const minutes = Math.floor(ms / 60_000);
  const seconds = Math.round((ms % 60_000) / 1000);
  if (minutes < 60) return seconds ? `${minutes} min ${seconds} s` : `${minutes} min`;
  const hours = Math.floor(minutes / 60);
  return `${hours} h ${minutes % 60} min`;
}

/** Money in US dollars, with as many digits as small sums need. */
export function money(dollars: number | undefined | null): string {
  if (dollars === undefined || dollars === null || !Number.isFinite(dollars)) return "–";
  if (dollars === 0) return "$0";
  const size = Math.abs(dollars);
  if (size >= 1) return `$${dollars.toLocaleString("en", { minimumFractionDigits: 2, maximumFractionDigits: 2 })}`;
  const digits = Math.min(9, Math.max(2, 1 - Math.floor(Math.log10(size)) + 1));
  return `$${dollars.toFixed(digits).replace(/(\.\d\d\d*?)0+$/, "$1")}`;
}

export function bytes(size: number | undefined | null): string {
  if (size === undefined || size === null || !Number.isFinite(size)) return "–";
  const units = ["B", "kB", "MB", "GB", "TB"];
  let value = size;
  let unit = 0;
  while (value >= 1000 && unit < units.length - 1) {
    value /= 1000;
    unit += 1;
  }
  return `${unit === 0 || value >= 100 ? Math.round(value) : value.toFixed(1)} ${units[unit]}`;
}

/** How long ago: `now`, `4 min`, `3 h`, `2 d`, then the date. */
export function ago(when: string | number | Date | undefined | null, now = Date.now()): string {
  if (!when) return "–";
  const then = new Date(when).getTime();
  const seconds = (now - then) / 1000;
  if (seconds < 5) return "now";
  if (seconds < 60) return `${Math.floor(seconds)} s`;
  if (seconds < 3600) return `${Math.floor(seconds / 60)} min`;
  if (seconds < 86_400) return `${Math.floor(seconds / 3600)} h`;
  if (seconds < 7 * 86_400) return `${Math.floor(seconds / 86_400)} d`;
  return new Date(then).toLocaleDateString("en", { day: "numeric", month: "short", year: "numeric" });
}

/** A moment in full, in the person's own time. */
export function moment(when: string | number | Date | undefined | null): string {
  if (!when) return "–";
  return new Date(when).toLocaleString("en", { dateStyle: "medium", timeStyle: "medium" });
}

export const percent = (share: number): string => `${(share * 100).toFixed(share < 0.1 && share > 0 ? 1 : 0)} %`;

/** One of them, or several: `plural(2, "span")` is `2 spans`. */
export const plural = (amount: number, one: string, many = `${one}s`): string => `${count(amount)} ${amount === 1 ? one : many}`;

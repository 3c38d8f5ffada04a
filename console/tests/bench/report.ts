/** Figures with their limits: printed with a verdict, and written into a section of docs/benchmarks.md. */

import { readFileSync, writeFileSync } from "node:fs";
import { cpus } from "node:os";

export interface Figure {
  what: string;
  measured: number;
  /** `most` is an upper limit, `least` a lower one; none is for comparison only. */
  limit?: { most: number } | { least: number };
  unit: string;
}

const figures: Figure[] = [];

/** The value below which 95 % of the values lie. */
export function p95(values: number[]): number {
  const sorted = [...values].sort((a, b) => a - b);
  return sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * 0.95))] ?? Number.NaN;
}

function met({ measured, limit }: Figure): boolean {
  if (!limit) return true;
  return "most" in limit ? measured <= limit.most : measured >= limit.least;
}

function bound({ limit, unit }: Figure): string {
  if (!limit) return "–";
  return "most" in limit ? `at most ${limit.most} ${unit}` : `at least ${limit.least} ${unit}`;
}

/** Prints a figure at once, so that a long run is followed. */
export function tell(figure: Figure): void {
  figures.push(figure);
  console.log(`${figure.what.padEnd(64)} ${rounded(figure.measured)} ${figure.unit}  (${bound(figure)})  ${figure.limit ? verdict(figure) : ""}`);
}

const verdict = (figure: Figure): string => (met(figure) ? "PASS" : "FAIL");
const rounded = (value: number): string => String(Math.round(value * 1000) / 1000);

/** Writes the section; gives what misses its limit. */
export function write(document: string): Figure[] {
  const rows = figures.map((figure) => `| ${figure.what} | ${bound(figure)} | ${rounded(figure.measured)} ${figure.unit} | ${figure.limit ? verdict(figure) : ""} |`);
  const section = `<!-- console -->
## Console

\`just bench console\`: Debian's Chromium without a GPU, on the machine that the server runs on too (${cpus().length} cores of ${cpus()[0]?.model.trim() ?? "?"}). Pages are loaded with an empty cache.

| figure | limit | measured | |
| --- | --- | --- | --- |
${rows.join("\n")}
<!-- /console -->`;
  const text = readFileSync(document, "utf8");
  const place = /<!-- console -->[\s\S]*<!-- \/console -->/;
  writeFileSync(document, place.test(text) ? text.replace(place, () => section) : `${text.trimEnd()}\n\n${section}\n`);
  return figures.filter((figure) => !met(figure));
}

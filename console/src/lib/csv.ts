/** Tables as CSV (RFC 4180). Pure. */

/** A cell: in quotes where it must be, and never something that a spreadsheet would calculate. */
function cell(value: string | number | null | undefined): string {
  if (value === null || value === undefined) return "";
  if (typeof value === "number") return String(value);
  const safe = /^[=+\-@\t\r]/.test(value) ? `'${value}` : value;
  return /[",\r\n]/.test(safe) ? `"${safe.replaceAll('"', '""')}"` : safe;
}

export const csv = (rows: readonly (readonly (string | number | null | undefined)[])[]): string => rows.map((row) => row.map(cell).join(",")).join("\r\n") + "\r\n";

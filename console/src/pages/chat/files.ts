/** Files that a question brings along: pictures as they are, texts as what they say. */

import { Problem } from "$lib/api/problem";

export interface Attached {
  name: string;
  size: number;
  kind: "picture" | "text";
  /** A `data:` address, or the text. */
  content: string;
}

/** The largest picture and text, in bytes. */
const PICTURE = 12_000_000;
const TEXT = 5_000_000;

export async function readFile(file: File): Promise<Attached> {
  const { name, size } = file;
  if (/^image\/(png|jpeg|gif|webp)$/.test(file.type)) {
    if (size > PICTURE) throw tooLarge(name, "12 MB");
    return { name, size, kind: "picture", content: await dataUrl(file) };
  }
  if (file.type === "application/pdf" || /\.pdf$/i.test(name)) {
    const { textOfPdf } = await import("./pdf");
    return { name, size, kind: "text", content: await textOfPdf(await file.arrayBuffer()) };
  }
  if (size > TEXT) throw tooLarge(name, "5 MB");
  const content = await file.text();
  if (looksBinary(content)) {
    throw new Problem({ what: `${name} is no text`, hint: "attach pictures, PDF or text files", status: 0 });
  }
  return { name, size, kind: "text", content };
}

/** Whether what was read as text was none. Pure. */
export function looksBinary(text: string): boolean {
  const start = text.slice(0, 4000);
  const strange = start.match(/[\u0000-\u0008\u000e-\u001f\ufffd]/g)?.length ?? 0;
  return strange > Math.max(2, start.length / 100);
}

function tooLarge(name: string, limit: string): Problem {
  return new Problem({ what: `${name} is too large`, why: `it has more than ${limit}`, hint: "put it into a collection, in parts", status: 0 });
}

function dataUrl(file: File): Promise<string> {
  return new Promise((resolve, reject) => {
    const reader = new FileReader();
    reader.onload = () => resolve(String(reader.result));
    reader.onerror = () => reject(reader.error ?? new Error("the file could not be read"));
    reader.readAsDataURL(file);
  });
}

/** The text of a PDF, page by page. */

import * as pdf from "pdfjs-dist";
import worker from "pdfjs-dist/build/pdf.worker.min.mjs?url";
import { Problem } from "$lib/api/problem";

pdf.GlobalWorkerOptions.workerSrc = worker;

/** How many pages are read. */
const PAGES = 2000;

export async function textOfPdf(data: ArrayBuffer): Promise<string> {
  const task = pdf.getDocument({ data, disableFontFace: true, useSystemFonts: false });
  try {
    const file = await task.promise;
    const pages: string[] = [];
    for (let number = 1; number <= Math.min(file.numPages, PAGES); number++) {
      const page = await file.getPage(number);
      const content = await page.getTextContent();
      pages.push(content.items.map((item) => ("str" in item ? item.str + (item.hasEOL ? "\n" : "") : "")).join(""));
    }
    const text = pages.join("\n\n").trim();
    if (text === "") {
      throw new Problem({ what: "The PDF holds no text", why: "its pages are pictures", hint: "attach them as pictures, for a model that sees", status: 0 });
    }
    return text;
  } catch (error) {
    if (error instanceof Problem) throw error;
    throw new Problem({ what: "The PDF could not be read", why: error instanceof Error ? error.message : String(error), status: 0 });
  } finally {
    void task.destroy();
  }
}

/** Fills formulas in by KaTeX. What it cannot read stays as it was written. */

import katex from "katex";
import "katex/dist/katex.min.css";

export function fill(elements: Iterable<HTMLElement>): void {
  for (const element of elements) {
    element.dataset["done"] = "yes";
    const tex = element.dataset["tex"] ?? "";
    try {
      katex.render(tex, element, {
        displayMode: element.dataset["display"] === "yes",
        throwOnError: true,
        trust: false,
        strict: "ignore",
        maxExpand: 500,
        maxSize: 20,
        output: "htmlAndMathml",
      });
    } catch {
      element.textContent = tex;
      element.classList.add("md-math-raw");
    }
  }
}

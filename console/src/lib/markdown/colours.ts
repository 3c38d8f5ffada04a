/** Colours code. */

import hljs from "highlight.js/lib/core";
import bash from "highlight.js/lib/languages/bash";
import c from "highlight.js/lib/languages/c";
import cpp from "highlight.js/lib/languages/cpp";
import css from "highlight.js/lib/languages/css";
import diff from "highlight.js/lib/languages/diff";
import go from "highlight.js/lib/languages/go";
import java from "highlight.js/lib/languages/java";
import javascript from "highlight.js/lib/languages/javascript";
import json from "highlight.js/lib/languages/json";
import python from "highlight.js/lib/languages/python";
import rust from "highlight.js/lib/languages/rust";
import sql from "highlight.js/lib/languages/sql";
import typescript from "highlight.js/lib/languages/typescript";
import xml from "highlight.js/lib/languages/xml";
import yaml from "highlight.js/lib/languages/yaml";

const languages = { bash, c, cpp, css, diff, go, java, javascript, json, python, rust, sql, typescript, xml, yaml };
for (const [name, language] of Object.entries(languages)) hljs.registerLanguage(name, language);

/** Above so many characters, colours take longer than they help. */
const LARGEST = 40_000;

export function paint(elements: Iterable<HTMLElement>): void {
  for (const element of elements) {
    element.dataset["done"] = "yes";
    const name = (element.dataset["language"] ?? "").toLowerCase();
    const text = element.textContent ?? "";
    if (!hljs.getLanguage(name) || text.length > LARGEST) continue;
    // The library escapes the text; only its own spans are elements.
    element.innerHTML = hljs.highlight(text, { language: name, ignoreIllegals: true }).value;
  }
}

/** Code as HTML, for what shows JSON or YAML itself. */
export function coloured(text: string, language: string): string | undefined {
  if (!hljs.getLanguage(language) || text.length > LARGEST) return undefined;
  return hljs.highlight(text, { language, ignoreIllegals: true }).value;
}

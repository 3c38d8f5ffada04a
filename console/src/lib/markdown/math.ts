/** Formulas in Markdown: `$x$`, `$$x$$`, `\(x\)` and `\[x\]`, as elements that KaTeX fills in later. */

import type MarkdownIt from "markdown-it";

/**
 * The formula that begins at a place of a text: what it says, whether it stands alone, and where it ends. `$` counts
 * only when it cannot be money: no space inside its ends, and no digit after it. Pure.
 */
export function formulaAt(text: string, at: number): { tex: string; display: boolean; end: number } | undefined {
  const two = text.slice(at, at + 2);
  const pairs: Record<string, { close: string; display: boolean }> = {
    $$: { close: "$$", display: true },
    "\\[": { close: "\\]", display: true },
    "\\(": { close: "\\)", display: false },
  };
  const pair = pairs[two];
  if (pair) {
    const close = text.indexOf(pair.close, at + 2);
    if (close < 0) return undefined;
    const tex = text.slice(at + 2, close);
    return tex.trim() === "" ? undefined : { tex, display: pair.display, end: close + 2 };
  }
  if (text[at] !== "$" || /\s/.test(text[at + 1] ?? " ")) return undefined;
  for (let close = text.indexOf("$", at + 1); close >= 0; close = text.indexOf("$", close + 1)) {
    if (text[close - 1] === "\\") continue;
    const tex = text.slice(at + 1, close);
    if (tex.includes("\n\n") || tex.length > 2000) return undefined;
    if (/\s$/.test(tex) || /\d/.test(text[close + 1] ?? "")) return undefined;
    return { tex, display: false, end: close + 1 };
  }
  return undefined;
}

type Markdown = InstanceType<typeof MarkdownIt>;

export function math(markdown: Markdown): void {
  markdown.inline.ruler.before("escape", "formula", (state, silent) => {
    const found = formulaAt(state.src, state.pos);
    if (!found || found.end > state.posMax) return false;
    if (!silent) {
      const token = state.push("formula", "", 0);
      token.content = found.tex;
      token.meta = { display: found.display };
    }
    state.pos = found.end;
    return true;
  });
  markdown.block.ruler.before("fence", "formula_block", (state, line, last, silent) => {
    const start = state.bMarks[line]! + state.tShift[line]!;
    const opening = state.src.slice(start, start + 2);
    if (opening !== "$$" && opening !== "\\[") return false;
    const found = formulaAt(state.src, start);
    if (!found?.display) return false;
    let next = line;
    while (next < last && state.eMarks[next]! < found.end) next += 1;
    if (next >= last || state.src.slice(found.end, state.eMarks[next]!).trim() !== "") return false;
    if (silent) return true;
    const token = state.push("formula", "", 0);
    token.block = true;
    token.content = found.tex;
    token.meta = { display: true };
    token.map = [line, next + 1];
    state.line = next + 1;
    return true;
  }, { alt: ["paragraph"] });
  markdown.renderer.rules["formula"] = (tokens, index) => {
    const token = tokens[index]!;
    const tex = markdown.utils.escapeHtml(token.content.trim());
    const display = token.meta?.["display"] === true;
    const element = display ? "div" : "span";
    return `<${element} class="md-math" data-tex="${tex}" data-display="${display ? "yes" : "no"}">${tex}</${element}>`;
  };
}

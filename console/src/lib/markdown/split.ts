/**
 * Cuts Markdown into blocks that are rendered on their own, so that of an answer that grows only the last is rendered
 * again. Pure.
 */

const LIST = /^(?:[-*+]|\d{1,9}[.)])\s/;

/** The blocks of a text, in order; joined they are the text. */
export function split(text: string): string[] {
  const blocks: string[] = [];
  let fence: string | undefined;
  let math: string | undefined;
  let start = 0;
  let at = 0;
  let blank = false;
  while (at < text.length) {
    let end = text.indexOf("\n", at);
    end = end < 0 ? text.length : end + 1;
    const line = text.slice(at, end);
    const trimmed = line.trim();
    if (fence === undefined && math === undefined) {
      // A new block begins after an empty line, unless the line belongs to a list that is not over yet.
      const inner = /^\s/.test(line) || LIST.test(line);
      if (blank && trimmed !== "" && !inner && at > start) {
        blocks.push(text.slice(start, at));
        start = at;
      }
      const opening = /^ {0,3}(`{3,}|~{3,})/.exec(line);
      if (opening) fence = opening[1];
      else if (trimmed.startsWith("$$") && !(trimmed.length > 2 && trimmed.endsWith("$$"))) math = "$$";
      else if (trimmed.startsWith("\\[") && !trimmed.includes("\\]")) math = "\\]";
    } else if (fence !== undefined) {
      const closing = /^ {0,3}(`{3,}|~{3,})\s*$/.exec(line);
      if (closing && closing[1]![0] === fence[0] && closing[1]!.length >= fence.length) fence = undefined;
    } else if (math !== undefined && trimmed.endsWith(math)) {
      math = undefined;
    }
    blank = trimmed === "" && fence === undefined && math === undefined;
    at = end;
  }
  if (start < text.length) blocks.push(text.slice(start));
  return blocks;
}

/**
 * Markdown to HTML that is safe to show: what models and other people write is text, never our page. HTML in it stays
 * text, the result is sanitised besides, nothing is loaded from other hosts, and links say where they lead.
 */

import DOMPurify from "dompurify";
import MarkdownIt from "markdown-it";
import { math } from "./math";

type Markdown = InstanceType<typeof MarkdownIt>;
type Token = ReturnType<Markdown["parse"]>[number];

/** Elements that hold a paragraph of their own, each with its own direction of writing. */
const DIRECTED = new Set(["paragraph_open", "heading_open", "list_item_open", "blockquote_open", "td_open", "th_open"]);

function make(): Markdown {
  const markdown = new MarkdownIt({ html: false, linkify: true, breaks: true, typographer: false });
  markdown.use(math);
  markdown.core.ruler.push("direction", (state) => {
    for (const token of state.tokens as Token[]) if (DIRECTED.has(token.type)) token.attrSet("dir", "auto");
  });
  const escape = markdown.utils.escapeHtml;
  markdown.renderer.rules["fence"] = (tokens, index) => code(escape, tokens[index]!.content, tokens[index]!.info);
  markdown.renderer.rules["code_block"] = (tokens, index) => code(escape, tokens[index]!.content, "");
  markdown.renderer.rules["table_open"] = () => '<div class="md-table"><table>';
  markdown.renderer.rules["table_close"] = () => "</table></div>";
  markdown.renderer.rules["link_open"] = (tokens, index, options, _, self) => {
    tokens[index]!.attrSet("target", "_blank");
    tokens[index]!.attrSet("rel", "noopener noreferrer nofollow");
    return self.renderToken(tokens, index, options);
  };
  // A picture from elsewhere would tell its host who reads this, so it is a link.
  markdown.renderer.rules["image"] = (tokens, index) => {
    const token = tokens[index]!;
    const source = String(token.attrGet("src") ?? "");
    const words = escape(token.content || "picture");
    if (/^data:image\/(png|jpeg|gif|webp);/.test(source)) return `<img src="${escape(source)}" alt="${words}">`;
    return `<a href="${escape(source)}" target="_blank" rel="noopener noreferrer nofollow">${words}</a>`;
  };
  return markdown;
}

function code(escape: (text: string) => string, content: string, info: string): string {
  const language = info.trim().split(/\s+/)[0] ?? "";
  const shown = escape(language.slice(0, 30));
  return (
    `<div class="md-code"><div class="md-code-head"><span>${shown}</span>` +
    `<button type="button" data-copy>Copy</button></div>` +
    `<pre tabindex="0"><code data-language="${shown}">${escape(content)}</code></pre></div>`
  );
}

let markdown: Markdown | undefined;

const ALLOWED = {
  ADD_ATTR: ["target", "data-tex", "data-display", "data-copy", "data-language", "dir"],
  FORBID_TAGS: ["style", "form", "input", "textarea", "select", "iframe", "object", "embed", "video", "audio", "svg", "math"],
  FORBID_ATTR: ["style", "id", "name", "srcset"],
};

/** Above so many characters a block is shown as it is: nobody reads it as prose, and parsing it takes long. */
const LARGEST = 60_000;

export function render(text: string): string {
  markdown ??= make();
  if (text.length > LARGEST) return `<pre class="md-plain" tabindex="0">${markdown.utils.escapeHtml(text)}</pre>`;
  return DOMPurify.sanitize(markdown.render(text), ALLOWED);
}

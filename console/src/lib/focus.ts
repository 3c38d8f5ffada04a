/**
 * Where the focus goes when what has it goes away: whoever uses keys stands where they stood, on what became of it,
 * and not at the beginning of the document.
 */

/** What can be stood on. */
const LANDING = "li, article, section, [role=row], [role=dialog], [role=alertdialog], main";
/** Marks what is stood on, so that it is seen. */
const MARK = "data-landed";

/** The nearest of what lay around something that is still there. */
function landing(trail: readonly HTMLElement[]): HTMLElement | null {
  return trail.find((node) => node.isConnected && node.matches(LANDING)) ?? document.querySelector<HTMLElement>("main");
}

function land(node: HTMLElement | null): void {
  if (!node) return;
  // What can be reached by Tab stays so.
  const lent = !node.hasAttribute("tabindex");
  if (lent) node.tabIndex = -1;
  if (!node.matches("main")) node.setAttribute(MARK, "");
  node.focus({ preventScroll: true });
  const left = () => {
    if (lent) node.removeAttribute("tabindex");
    node.removeAttribute(MARK);
  };
  node.addEventListener("blur", left, { once: true });
}

/** Begins to watch over the focus, until what is returned is called. */
export function start(): () => void {
  /** What has the focus, and what lies around it. */
  let trail: HTMLElement[] = [];
  const nowhere = () => document.activeElement === null || document.activeElement === document.body;
  const came = (event: FocusEvent) => {
    trail = [];
    for (let node = event.target as HTMLElement | null; node && node !== document.body; node = node.parentElement) trail.push(node);
  };
  const left = (event: FocusEvent) => {
    const node = event.target as HTMLElement;
    // Who takes the focus away on purpose wants it nowhere.
    queueMicrotask(() => {
      if (node === trail[0] && node.isConnected && !node.matches(":disabled") && nowhere()) trail = [];
    });
  };
  const look = () => {
    const had = trail[0];
    if (!had) return;
    if (had.isConnected ? had.matches(":disabled") && (nowhere() || document.activeElement === had) : nowhere()) land(landing(trail.slice(1)));
  };
  const observer = new MutationObserver(look);
  observer.observe(document.body, { childList: true, subtree: true, attributes: true, attributeFilter: ["disabled"] });
  document.addEventListener("focusin", came);
  document.addEventListener("focusout", left);
  return () => {
    observer.disconnect();
    document.removeEventListener("focusin", came);
    document.removeEventListener("focusout", left);
  };
}

/** Light, dark, or as the system has it. `public/start.js` does the same before anything is painted. */

export type Theme = "light" | "dark" | "system";
const KEY = "stead.theme";

function stored(): Theme {
  try {
    const text = localStorage.getItem(KEY);
    return text === "light" || text === "dark" ? text : "system";
  } catch {
    return "system";
  }
}

class Themes {
  chosen = $state<Theme>(typeof localStorage === "undefined" ? "system" : stored());

  start(): () => void {
    const system = matchMedia("(prefers-color-scheme: dark)");
    const changed = () => this.#apply();
    system.addEventListener("change", changed);
    return () => system.removeEventListener("change", changed);
  }

  choose(theme: Theme): void {
    this.chosen = theme;
    try {
      if (theme === "system") localStorage.removeItem(KEY);
      else localStorage.setItem(KEY, theme);
    } catch {
      // It holds until the page is left.
    }
    this.#apply();
  }

  #apply(): void {
    const dark = this.chosen === "dark" || (this.chosen === "system" && matchMedia("(prefers-color-scheme: dark)").matches);
    document.documentElement.dataset["theme"] = dark ? "dark" : "light";
  }
}

export const theme = new Themes();

/** Who is signed in. */

import { del, get, onSignedOut, post, setCsrf } from "./client";
import { Problem } from "./problem";

export interface Me {
  user: string;
  displayName?: string;
  admin: boolean;
  projects: string[];
  credential: string;
  csrf?: string;
  expires?: string;
}

/** Whether somebody is signed in here, as far as the browser remembers; the cookie itself no script sees. */
const KEY = "stead.signed-in";

function remembered(): boolean {
  try {
    return localStorage.getItem(KEY) !== null;
  } catch {
    return true;
  }
}

function remember(signedIn: boolean): void {
  try {
    if (signedIn) localStorage.setItem(KEY, "yes");
    else localStorage.removeItem(KEY);
  } catch {
    // Then it is asked every time.
  }
}

class Session {
  /** Who; `undefined` until it is known, `null` when nobody is. */
  me = $state<Me | null | undefined>(undefined);

  constructor() {
    onSignedOut(() => this.#set(null));
  }

  /** Asks the server who is signed in. */
  async load(): Promise<void> {
    // Whoever never signed in here need not ask.
    if (!remembered()) return this.#set(null);
    try {
      this.#set(await get<Me>("/api/session"));
    } catch (error) {
      if (error instanceof Problem && error.status === 401) this.#set(null);
      else throw error;
    }
  }

  async signIn(user: string, password: string): Promise<void> {
    this.#set(await post<Me>("/api/session", { user, password }));
  }

  async signInByLink(token: string): Promise<void> {
    this.#set(await post<Me>("/api/session/link", { token }));
  }

  async signOut(): Promise<void> {
    await del("/api/session");
    this.#set(null);
  }

  #set(me: Me | null): void {
    setCsrf(me?.csrf);
    remember(me !== null);
    this.me = me;
  }
}

export const session = new Session();

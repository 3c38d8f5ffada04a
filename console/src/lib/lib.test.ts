import { describe, expect, test } from "vitest";
import { problemOf } from "./api/problem";
import { Stream, address, type Change } from "./api/stream";
import { rank } from "./commands.svelte";
import { ago, bytes, duration, money, plural } from "./format";
import { caps, nameOf, step, type Binding } from "./keys.svelte";
import { match, patchQuery } from "./router.svelte";
import { windowOf } from "./ui/window";

describe("the router", () => {
  test.each([
    ["/", "/", {}],
    ["/chat/:id?", "/chat", {}],
    ["/chat/:id?", "/chat/a%20b", { id: "a b" }],
    ["/chat/:id?", "/chat/a/b", undefined],
    ["/kinds/:kind", "/kinds", undefined],
    ["/kinds/*", "/kinds/a/b", { rest: "a/b" }],
    ["/chat/:id", "/chat/%E0%A4%A", { id: "%E0%A4%A" }],
  ])("%s holds %s", (pattern, path, params) => {
    expect(match(pattern, path)?.params).toEqual(params);
  });

  test("a query is changed without losing the rest", () => {
    const query = new URLSearchParams("a=1&b=2");
    expect(patchQuery(query, { b: null, c: "3", a: undefined }).toString()).toBe("a=1&c=3");
  });
});

describe("keys", () => {
  const binding = (keys: string): Binding => ({ keys, label: keys, group: "", run: () => {} });
  const all = [binding("g t"), binding("g c"), binding("j"), binding("t")];
  test("a sequence is completed by its second key, and anything else begins anew", () => {
    expect(step(undefined, "g", all)).toEqual({ pending: "g" });
    expect(step("g", "t", all).run?.keys).toBe("g t");
    expect(step("g", "j", all).run?.keys).toBe("j");
    expect(step("g", "q", all)).toEqual({});
    expect(step(undefined, "t", all).run?.keys).toBe("t");
  });
  test("keys have names and caps", () => {
    const event = { key: "k", ctrlKey: true, metaKey: false, altKey: false, shiftKey: false };
    expect(nameOf(event)).toBe("Mod+k");
    expect(caps("Mod+k", false)).toEqual([["Ctrl", "K"]]);
    expect(caps("g t", false)).toEqual([["G"], ["T"]]);
    expect(caps("Mod++", false)).toEqual([["Ctrl", "+"]]);
  });
});

test("a window holds the rows in sight and some spare ones, never more than there are", () => {
  expect(windowOf(0, 360, 36, 1000)).toEqual({ first: 0, last: 18 });
  expect(windowOf(3600, 360, 36, 1000)).toEqual({ first: 92, last: 118 });
  expect(windowOf(36_000, 360, 36, 1000)).toEqual({ first: 992, last: 1000 });
  expect(windowOf(500, 360, 36, 0)).toEqual({ first: 0, last: 0 });
});

test("what begins a word is found before what lies inside one", () => {
  expect(rank("Traces", "tra")).toBeGreaterThan(rank("Extra", "tra"));
  expect(rank("Light theme", "lt")).toBeGreaterThan(0);
  expect(rank("Chat", "z")).toBe(0);
});

test("numbers are told as people read them", () => {
  expect([0, 0.4, 412, 3210, 61_000, 125_000].map(duration)).toEqual(["0 ms", "0.40 ms", "412 ms", "3.21 s", "1 min 1 s", "2 min 5 s"]);
  expect([0, 0.000021, 0.12, 3, 1234.5].map(money)).toEqual(["$0", "$0.000021", "$0.12", "$3.00", "$1,234.50"]);
  expect([5, 98_000_000, 1500].map(bytes)).toEqual(["5 B", "98.0 MB", "1.5 kB"]);
  expect(ago(1000, 62_000)).toBe("1 min");
});

test("one is told as one, and none and several as several", () => {
  expect([0, 1, 2, 1200].map((amount) => plural(amount, "token"))).toEqual(["0 tokens", "1 token", "2 tokens", "1,200 tokens"]);
  expect([1, 3].map((amount) => plural(amount, "request has", "requests have"))).toEqual(["1 request has", "3 requests have"]);
});

describe("a count of one", () => {
  /** The text of pages, with what is counted in it as `{…}`. */
  const sources = Object.entries(import.meta.glob<string>(["../**/*.svelte", "./**/*.ts", "!./**/*.test.ts"], { eager: true, query: "?raw", import: "default" }));
  // A number in front of a word in the plural: `{count(n)} tokens`, `${list.length} items`.
  const counted = /\{(?:count\([^{}]*\)|compact\([^{}]*\)|[\w.?!()]*\.length)\} [a-z]+s\b/g;
  test("never stands with a plural: such words are `plural`'s", () => {
    expect(sources.length).toBeGreaterThan(100);
    const found = sources.flatMap(([path, text]) => [...text.matchAll(counted)].map(([what]) => `${path}: ${what}`));
    expect(found).toEqual([]);
  });
});

test("errors of all three APIs become one form", () => {
  expect(problemOf(404, { error: { reason: "not_found", message: "there is no thread x", hint: "list them" } }, "r-1")).toMatchObject({
    what: "This does not exist",
    why: "there is no thread x",
    hint: "list them",
    requestId: "r-1",
  });
  expect(problemOf(409, { kind: "Status", message: "it changed", reason: "Conflict" })).toMatchObject({ why: "it changed", reason: "Conflict" });
  expect(problemOf(400, { error: { message: "no model", code: "invalid" } })).toMatchObject({ why: "no model", reason: "invalid" });
  expect(problemOf(502, "<html>")).toMatchObject({ why: "<html>" });
});

describe("the event stream", () => {
  class Source {
    static made: Source[] = [];
    onopen?: () => void;
    onerror?: () => void;
    closed = false;
    heard = new Map<string, (event: { data: string }) => void>();
    constructor(readonly url: string) {
      Source.made.push(this);
    }
    addEventListener(name: string, listener: (event: { data: string }) => void) {
      this.heard.set(name, listener);
    }
    close() {
      this.closed = true;
    }
    tell(change: object) {
      this.heard.get("change")?.({ data: JSON.stringify(change) });
    }
  }
  const until = async (done: () => boolean) => {
    for (let tries = 0; tries < 200 && !done(); tries++) await new Promise((resolve) => setTimeout(resolve, 10));
    expect(done()).toBe(true);
  };

  test("topics share a connection, and after a break it goes on with what was told last", async () => {
    Source.made = [];
    const stream = new Stream((url) => new Source(url) as unknown as EventSource);
    const told: Change[] = [];
    let lost = 0;
    stream.follow({ path: "apis/a", version: "1", change: (change) => told.push(change), lost: () => {} });
    stream.follow({ path: "apis/b", version: "2", change: () => {}, lost: () => (lost += 1) });
    await until(() => Source.made.length === 1);
    const first = Source.made[0]!;
    expect(first.url).toBe(address([{ path: "apis/a", version: "1" }, { path: "apis/b", version: "2" }]));
    first.onopen?.();
    first.tell({ topic: 0, type: "MODIFIED", object: { metadata: { resourceVersion: "7" } } });
    first.tell({ topic: 1, type: "ERROR", object: { code: 410 } });
    expect(told).toHaveLength(1);
    expect(lost).toBe(1);
    first.onerror?.();
    await until(() => Source.made.length === 2);
    expect(first.closed).toBe(true);
    expect(Source.made[1]!.url).toContain(encodeURIComponent("apis/a@7"));
  });
});

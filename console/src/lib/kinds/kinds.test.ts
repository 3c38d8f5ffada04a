import { describe, expect, test } from "vitest";
import { applyCommand, word } from "./command";
import { diff, hunks, tally } from "./diff";
import { argument, kindsOf, pageOf } from "./discovery.svelte";
import { blank, controlOf, fields, schemaIn, title } from "./schema";
import { compareCells, putRow, type Row } from "./table.svelte";
import { editable, ofVersion, yaml } from "./yaml";

describe("YAML", () => {
  test("an update names the version that it changes, however it is written", () => {
    expect(ofVersion("kind: A\nmetadata:\n    name: a\n", "7")).toBe('kind: A\nmetadata:\n    resourceVersion: "7"\n    name: a\n');
    expect(ofVersion("metadata: {name: a}\n", "7")).toBe('metadata: {"resourceVersion": "7", name: a}\n');
    expect(ofVersion('{\n"metadata": {"name": "a"}}', "7")).toBe('{\n"metadata": {"resourceVersion": "7", "name": "a"}}');
    expect(ofVersion('metadata:\n  resourceVersion: "3"\n', "7")).toBe('metadata:\n  resourceVersion: "3"\n');
  });

  test("an object is written as kubectl writes it", () => {
    const route = {
      spec: { targets: [{ provider: "local", model: "a:b", tags: ["x", "on"] }], empty: [], none: {}, on: true, count: 3, text: "two\nlines\n" },
      kind: "ModelRoute",
      apiVersion: "stead.dev/v1alpha1",
      metadata: { namespace: "default", uid: "u", name: "chat", managedFields: [] },
      status: {},
    };
    expect(yaml(editable(route))).toBe(
      [
        "apiVersion: stead.dev/v1alpha1",
        "kind: ModelRoute",
        "metadata:",
        "  name: chat",
        "  namespace: default",
        "spec:",
        "  targets:",
        "  - provider: local",
        "    model: a:b",
        "    tags:",
        "    - x",
        '    - "on"',
        "  empty: []",
        "  none: {}",
        '  "on": true',
        "  count: 3",
        "  text: |",
        "    two",
        "    lines",
        "",
      ].join("\n"),
    );
  });
  test.each([
    ["", '""'],
    ["yes", '"yes"'],
    ["12", '"12"'],
    ["- a", '"- a"'],
    ["a: b", '"a: b"'],
    ["a #b", '"a #b"'],
    ["https://a.b/c", "https://a.b/c"],
    ["<script>", '"<script>"'],
    ["a ", '"a "'],
    ["2027-01-01T00:00:00Z", '"2027-01-01T00:00:00Z"'],
    ["{{name}}", '"{{name}}"'],
    ["über alles", "über alles"],
    ["a\u0000\nb", '"a\\u0000\\nb"'],
    [" a\nb", '" a\\nb"'],
  ])("the text %j stands as %s", (text, expected) => {
    expect(yaml(text)).toBe(`${expected}\n`);
  });
});

describe("differences", () => {
  test("lines are kept, added and removed", () => {
    const lines = diff("a\nb\nc\nd\n", "a\nc\nx\nd\n");
    expect(lines.map((line) => `${line.sort[0]}${line.text}`)).toEqual(["sa", "rb", "sc", "ax", "sd"]);
    expect(tally(lines)).toEqual({ added: 1, removed: 1 });
  });
  test("both texts come back out of any difference", () => {
    let seed = 7;
    const next = (below: number) => (seed = (seed * 48271) % 2147483647) % below;
    for (let round = 0; round < 200; round++) {
      const make = () => Array.from({ length: next(12) }, () => "abc"[next(3)]).join("\n");
      const [before, after] = [make(), make()];
      const lines = diff(before, after);
      expect(lines.filter((line) => line.sort !== "add").map((line) => line.text).join("\n")).toBe(before);
      expect(lines.filter((line) => line.sort !== "remove").map((line) => line.text).join("\n")).toBe(after);
    }
  });
  test("what is far from a difference is left out", () => {
    const before = Array.from({ length: 30 }, (_, index) => `${index}`).join("\n");
    const shown = hunks(diff(before, before.replace("15", "x")));
    expect(shown.map((line) => line.text)).toEqual(["12 lines the same", "12", "13", "14", "15", "x", "16", "17", "18", "11 lines the same"]);
    expect(hunks(diff("a", "a"))).toEqual([]);
  });
});

describe("kinds", () => {
  test("every kind that can be listed is found, in the version that is preferred", () => {
    const resource = (name: string, verbs = ["list"]) => ({ resource: name, scope: "Namespaced" as const, singularResource: "", verbs, responseKind: { kind: "K" } });
    const found = kindsOf({
      items: [
        { metadata: { name: "g" }, versions: [{ version: "v2", resources: [resource("as")] }, { version: "v1", resources: [resource("as"), resource("reviews", ["create"])] }] },
        { versions: [{ version: "v1", resources: [resource("secrets")] }] },
      ],
    });
    expect(found.map((kind) => `${kind.group}/${kind.version}/${kind.plural}`)).toEqual(["g/v2/as", "/v1/secrets"]);
    expect(pageOf(found[1]!, "a/b")).toBe("/kinds/core/secrets/a%2Fb");
    expect(argument(found[0]!, found)).toBe("as");
    expect(argument(found[0]!, [...found, { ...found[0]!, group: "h" }])).toBe("as.g");
  });
  test("rows keep their order, and cells theirs", () => {
    const row = (name: string): Row => ({ cells: [name], object: { metadata: { name } } });
    expect(putRow([row("a"), row("c")], row("b")).map((item) => item.cells[0])).toEqual(["a", "b", "c"]);
    expect([null, 10, 9].sort(compareCells)).toEqual([9, 10, null]);
    expect(["m10", "m9"].sort(compareCells)).toEqual(["m9", "m10"]);
  });
});

describe("forms", () => {
  const document = {
    components: {
      schemas: {
        Meta: { type: "object", description: "meta" },
        Loop: { type: "object", properties: { again: { $ref: "#/components/schemas/Loop" } } },
        Thing: {
          type: "object",
          "x-kubernetes-group-version-kind": [{ group: "g", version: "v1", kind: "Thing" }],
          properties: { metadata: { allOf: [{ $ref: "#/components/schemas/Meta" }] }, spec: { $ref: "#/components/schemas/Loop" } },
        },
      },
    },
  };
  test("what a schema refers to is put in, and what refers to itself ends", () => {
    const schema = schemaIn(document, { group: "g", version: "v1", plural: "things", namespaced: true, kind: "Thing" })!;
    expect(schema.properties?.["metadata"]?.description).toBe("meta");
    expect(schema.properties?.["spec"]?.properties?.["again"]?.type).toBe("object");
  });
  test.each([
    [{ type: "string" }, "text", ""],
    [{ type: "string", enum: ["A", "B"] }, "choice", "A"],
    [{ type: "integer", minimum: 1 }, "number", 1],
    [{ type: "boolean", default: true }, "switch", true],
    [{ type: "array", items: { type: "string" } }, "list", []],
    [{ type: "array", items: { type: "object", required: ["a"], properties: { a: { type: "string" }, b: { type: "string" } } } }, "groups", [{ a: "" }]],
    [{ type: "object", additionalProperties: { type: "string" } }, "map", {}],
    [{ type: "object", "x-kubernetes-preserve-unknown-fields": true }, "raw", {}],
    [{ anyOf: [{ type: "string" }, { type: "object" }] }, "raw", ""],
  ])("%j is edited as %s", (schema, control, value) => {
    expect(controlOf(schema)).toBe(control);
    expect(blank(schema)).toEqual(value);
  });
  test("what must be there comes first, and names are words", () => {
    const schema = { required: ["b"], properties: { a: {}, b: {} } };
    expect(fields(schema).map(([name, , needed]) => `${name}${needed}`)).toEqual(["btrue", "afalse"]);
    expect(["baseUrl", "spendUsd", "max-output_tokens"].map(title)).toEqual(["Base URL", "Spend USD", "Max output tokens"]);
  });
});

test("a command is the same in any shell, whatever the text holds", () => {
  expect(word("a'b")).toBe(`'a'\\''b'`);
  expect(word("a;rm -rf")).toBe("'a;rm -rf'");
  expect(applyCommand("a: |\n  x\nEOF\nrm -rf\n")).toBe("stead apply -f - <<'EOF_'\na: |\n  x\nEOF\nrm -rf\nEOF_");
});

import { expect, test } from "vitest";
import { commandOf, curlOf, filled, isWhole, operations } from "./document";

const document = {
  paths: {
    "/apis/g/v1/namespaces/{namespace}/things/{name}": {
      parameters: [{ name: "namespace", in: "path" }, { name: "name", in: "path" }],
      put: {
        "x-kubernetes-action": "put",
        "x-kubernetes-group-version-kind": { kind: "Thing" },
        parameters: [{ name: "dryRun", in: "query" }],
        requestBody: { content: { "application/json": { schema: { type: "object" } } } },
      },
      get: { summary: "Shows it", tags: ["Things"] },
    },
  },
};

test("a document is a list of operations, with what they say of themselves", () => {
  const [get, put] = operations(document, "/k8s");
  expect(get).toMatchObject({ method: "GET", tag: "Things", summary: "Shows it" });
  expect(put).toMatchObject({ method: "PUT", tag: "Thing", summary: "Replaces Thing", body: { type: "object" } });
  expect(put!.parameters.map((parameter) => parameter.name)).toEqual(["namespace", "name", "dryRun"]);
});

test("what is given is put into the path, the command and curl", () => {
  const put = operations(document, "/k8s")[1]!;
  const values = { namespace: "a b", name: "c", dryRun: "All" };
  expect(filled(put, values)).toBe("/k8s/apis/g/v1/namespaces/a%20b/things/c?dryRun=All");
  expect(isWhole(filled(put, { name: "c" }))).toBe(false);
  expect(commandOf(put, values)).toBe("stead api PUT '/k8s/apis/g/v1/namespaces/a%20b/things/c?dryRun=All' --data-body @FILE");
  expect(curlOf(put, values, "https://h")).toContain("-X PUT 'https://h/k8s/apis");
});

// property-types.ts: which properties a docker resource has, read from the declarations that @pulumi/docker ships.
//
//   container.d.ts: interface ContainerArgs { uploads?: Input<Input<inputs.ContainerUpload>[] | undefined> … }
//     -> checkProperties("docker:index/container:Container", inputs) -> what is unknown, missing or of a wrong kind
//
// Why from the declarations: they are generated from the real provider's schema, so a property that they don't have is
// one that the real provider doesn't have either. Nothing here knows a property by name.
import { readFileSync } from "node:fs";
import { createRequire } from "node:module";
import { dirname, join } from "node:path";
import ts from "typescript";
import { UNKNOWN } from "./values.ts";

export interface PropertyProblem {
  readonly property: string;
  readonly reason: string;
}

type Shape =
  | { readonly kind: "string" | "number" | "boolean" | "anything" }
  | { readonly kind: "list"; readonly of: Shape }
  | { readonly kind: "map"; readonly of: Shape }
  | { readonly kind: "either"; readonly shapes: readonly Shape[] }
  | { readonly kind: "object"; readonly interfaceName: string };

interface Member {
  readonly shape: Shape;
  readonly isRequired: boolean;
}
type Members = ReadonlyMap<string, Member>;

const PACKAGE = dirname(createRequire(import.meta.url).resolve("@pulumi/docker/package.json"));
/** What a program may pass besides: the engine's own additions start with two underscores. */
const ENGINE_PREFIX = "__";

/** Resource types that the stand-in serves, and where their arguments are declared. */
const DECLARED_IN: Readonly<Record<string, readonly [file: string, interfaceName: string]>> = {
  "docker:index/container:Container": ["container.d.ts", "ContainerArgs"],
  "docker:index/network:Network": ["network.d.ts", "NetworkArgs"],
  "docker:index/volume:Volume": ["volume.d.ts", "VolumeArgs"],
  "docker:index/remoteImage:RemoteImage": ["remoteImage.d.ts", "RemoteImageArgs"],
  "docker:index/image:Image": ["image.d.ts", "ImageArgs"],
  "pulumi:providers:docker": ["provider.d.ts", "ProviderArgs"],
};

const declarations = new Map<string, ReadonlyMap<string, Members>>();

/** Everything wrong with `inputs` as arguments of a resource of this type; unknown values pass. */
export function checkProperties(
  type: string,
  inputs: Readonly<Record<string, unknown>>,
): PropertyProblem[] {
  const place = DECLARED_IN[type];
  if (place === undefined) {
    return [{ property: "", reason: `the stand-in provider does not serve ${type}` }];
  }
  const members = readInterfaces(place[0]).get(place[1]);
  if (members === undefined) throw new Error(`@pulumi/docker/${place[0]} lacks ${place[1]}`);
  return checkObject(inputs, members, "", type);
}

function checkObject(
  value: Readonly<Record<string, unknown>>,
  members: Members,
  path: string,
  owner: string,
): PropertyProblem[] {
  const problems: PropertyProblem[] = [];
  for (const [name, given] of Object.entries(value)) {
    if (name.startsWith(ENGINE_PREFIX)) continue;
    const member = members.get(name);
    if (member === undefined) {
      const reason = `${owner} of @pulumi/docker has no property "${name}"`;
      problems.push({ property: path + name, reason });
    } else {
      problems.push(...checkValue(given, member.shape, path + name));
    }
  }
  for (const [name, member] of members) {
    if (member.isRequired && value[name] === undefined) {
      problems.push({ property: path + name, reason: `missing required property "${name}"` });
    }
  }
  return problems;
}

function checkValue(value: unknown, shape: Shape, path: string): PropertyProblem[] {
  if (value === UNKNOWN || value === null || value === undefined) return [];
  const isWrong = [{ property: path, reason: `must be a ${shape.kind}, not ${describe(value)}` }];
  switch (shape.kind) {
    case "anything":
      return [];
    case "string":
    case "number":
    case "boolean":
      return typeof value === shape.kind ? [] : isWrong;
    case "list":
      if (!Array.isArray(value)) return isWrong;
      return value.flatMap((item, index) => checkValue(item, shape.of, `${path}[${index}]`));
    case "map":
      if (!isObject(value)) return isWrong;
      return Object.entries(value).flatMap(([key, item]) =>
        checkValue(item, shape.of, `${path}.${key}`),
      );
    case "either":
      if (shape.shapes.some((one) => checkValue(value, one, path).length === 0)) return [];
      return checkValue(value, shape.shapes[0] ?? { kind: "anything" }, path);
    case "object": {
      if (!isObject(value)) return isWrong;
      const members = readInterfaces("types/input.d.ts").get(shape.interfaceName);
      if (members === undefined) throw new Error(`types/input.d.ts lacks ${shape.interfaceName}`);
      return checkObject(value, members, `${path}.`, shape.interfaceName);
    }
  }
}

function describe(value: unknown): string {
  return Array.isArray(value) ? "a list" : `${typeof value} ${JSON.stringify(value).slice(0, 40)}`;
}

function isObject(value: unknown): value is Readonly<Record<string, unknown>> {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

function readInterfaces(file: string): ReadonlyMap<string, Members> {
  const known = declarations.get(file);
  if (known !== undefined) return known;
  const text = readFileSync(join(PACKAGE, file), "utf8");
  const source = ts.createSourceFile(file, text, ts.ScriptTarget.Latest);
  const found = new Map<string, Members>();
  for (const statement of source.statements) {
    if (ts.isInterfaceDeclaration(statement)) {
      found.set(statement.name.text, readMembers(statement, source));
    }
  }
  declarations.set(file, found);
  return found;
}

function readMembers(declaration: ts.InterfaceDeclaration, source: ts.SourceFile): Members {
  const members = new Map<string, Member>();
  for (const member of declaration.members) {
    if (!ts.isPropertySignature(member) || member.type === undefined) continue;
    const name = ts.isIdentifier(member.name) ? member.name.text : member.name.getText(source);
    const isRequired = member.questionToken === undefined;
    members.set(name, { shape: readShape(member.type, source), isRequired });
  }
  return members;
}

function readShape(type: ts.TypeNode, source: ts.SourceFile): Shape {
  if (type.kind === ts.SyntaxKind.StringKeyword) return { kind: "string" };
  if (type.kind === ts.SyntaxKind.NumberKeyword) return { kind: "number" };
  if (type.kind === ts.SyntaxKind.BooleanKeyword) return { kind: "boolean" };
  if (ts.isArrayTypeNode(type)) return { kind: "list", of: readShape(type.elementType, source) };
  if (ts.isUnionTypeNode(type)) return readUnion(type, source);
  if (ts.isTypeLiteralNode(type)) {
    const index = type.members.find(ts.isIndexSignatureDeclaration);
    return index === undefined
      ? { kind: "anything" }
      : { kind: "map", of: readShape(index.type, source) };
  }
  if (!ts.isTypeReferenceNode(type)) return { kind: "anything" };
  const name = type.typeName.getText(source);
  const inner = type.typeArguments?.[0];
  if (name === "pulumi.Input" && inner !== undefined) return readShape(inner, source);
  if (name.startsWith("inputs.")) {
    return { kind: "object", interfaceName: name.slice("inputs.".length) };
  }
  if (name.startsWith("enums.")) return { kind: "string" };
  return { kind: "anything" };
}

function readUnion(type: ts.UnionTypeNode, source: ts.SourceFile): Shape {
  const shapes = type.types
    .filter((one) => one.kind !== ts.SyntaxKind.UndefinedKeyword)
    .map((one) => readShape(one, source));
  const [only] = shapes;
  return shapes.length === 1 && only !== undefined ? only : { kind: "either", shapes };
}

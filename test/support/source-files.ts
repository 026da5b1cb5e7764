// source-files.ts: the sources as the tidy test reads them: paths, imports, functions.
import { readFileSync, readdirSync } from "node:fs";
import { dirname, join, relative, resolve } from "node:path";
import ts from "typescript";

export const ROOT = resolve(import.meta.dirname, "../..");

export interface SourceFile {
  /** Relative to the repository, with forward slashes. */
  readonly path: string;
  readonly text: string;
  readonly lines: readonly string[];
  /** Relative imports as repository paths, others as written. */
  readonly imports: readonly string[];
  readonly longFunctions: readonly string[];
}

const FUNCTION_LINES_MAX = 70;

export function listFiles(folder: string, ending: string): string[] {
  return readdirSync(join(ROOT, folder), { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile() && entry.name.endsWith(ending))
    .map((entry) => relative(ROOT, join(entry.parentPath, entry.name)))
    .filter((path) => !path.includes("node_modules"))
    .sort();
}

export function readSource(path: string): SourceFile {
  const text = readFileSync(join(ROOT, path), "utf8");
  const tree = ts.createSourceFile(path, text, ts.ScriptTarget.ES2023, true);
  const imports: string[] = [];
  const longFunctions: string[] = [];
  const visit = (node: ts.Node): void => {
    if (
      (ts.isImportDeclaration(node) || ts.isExportDeclaration(node)) &&
      node.moduleSpecifier !== undefined &&
      ts.isStringLiteral(node.moduleSpecifier)
    ) {
      imports.push(importedPath(path, node.moduleSpecifier.text));
    }
    if (ts.isFunctionLike(node)) {
      const length = lineOf(tree, node.getEnd()) - lineOf(tree, node.getStart()) + 1;
      if (length > FUNCTION_LINES_MAX) {
        longFunctions.push(`${path}:${lineOf(tree, node.getStart()) + 1} (${length} lines)`);
      }
    }
    ts.forEachChild(node, visit);
  };
  visit(tree);
  return { path, text, lines: text.split("\n"), imports, longFunctions };
}

function lineOf(tree: ts.SourceFile, position: number): number {
  return tree.getLineAndCharacterOfPosition(position).line;
}

function importedPath(from: string, specifier: string): string {
  if (!specifier.startsWith(".")) return specifier;
  return relative(ROOT, resolve(ROOT, dirname(from), specifier));
}

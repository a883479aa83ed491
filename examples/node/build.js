// Makes what is committed beside lib/: the declarations in types/, and the same modules for require() in cjs/.
// Usage: build.js [DIRECTORY to make them in, instead of this one]

import { execFileSync } from 'node:child_process';
import { cpSync, mkdirSync, readFileSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import ts from 'typescript';

const here = (path) => fileURLToPath(new URL(path, import.meta.url));
const into = process.argv[2] ?? here('.');
const [types, cjs] = [join(into, 'types'), join(into, 'cjs')];

const compilerOptions = {
  target: ts.ScriptTarget.ES2022,
  module: ts.ModuleKind.CommonJS,
  esModuleInterop: true,
};

function toCommonJS(name) {
  const { outputText } = ts.transpileModule(readFileSync(here(`lib/${name}`), 'utf8'), { compilerOptions });
  const url = "require('node:url').pathToFileURL(__filename).href";
  writeFileSync(join(cjs, name), outputText.replaceAll('import.meta.url', url));
}

for (const made of [types, cjs]) rmSync(made, { recursive: true, force: true });
const tsc = here('node_modules/typescript/bin/tsc');
execFileSync(process.execPath, [tsc, '--project', here('.'), '--outDir', types], { stdio: 'inherit' });
mkdirSync(cjs);
readdirSync(here('lib')).forEach(toCommonJS);
cpSync(types, cjs, { recursive: true });
writeFileSync(join(cjs, 'package.json'), '{ "type": "commonjs" }\n');

// What native.js declares is what include/jlock.h says.

import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import test from 'node:test';
import * as native from '../lib/native.js';

const header = readFileSync(new URL('../../../include/jlock.h', import.meta.url), 'utf8').replace(/\/\*[^]*?\*\//g, '');

const PRIMITIVES = {
  void: 'Void',
  int: 'Int32',
  int32_t: 'Int32',
  uint32_t: 'UInt32',
  int64_t: 'Int64',
  size_t: 'UInt64',
  double: 'Float64',
};

/** koffi's name for the type in a declaration such as `const struct jlock *lock`. */
function primitive(declaration) {
  if (/^const char \*/.test(declaration)) return 'String';
  return declaration.includes('*') ? 'Pointer' : PRIMITIVES[declaration.split(' ')[0]];
}

function prototype(name) {
  const [, result, parameters] =
    new RegExp(`^(\\w[\\w *]*?)${name}\\(([^)]*)\\);`, 'm').exec(header) ?? assert.fail(name);
  return {
    result: primitive(result),
    parameters: parameters === 'void' ? [] : parameters.split(/,\s*/).map(primitive),
  };
}

function members(name) {
  const [, body] = new RegExp(`^struct ${name} \\{([^}]*)\\}`, 'm').exec(header) ?? assert.fail(name);
  return [...body.matchAll(/^\s*([\w *]+?)(\w+)(\[\d+\])?;/gm)].map(([, type, member, length]) => {
    return [member, length ? `char${length}` : primitive(type)];
  });
}

const koffiMembers = (struct) =>
  Object.values(struct.members).map(({ name, type }) => {
    return [name, type.primitive === 'Array' ? `char[${type.length}]` : type.primitive];
  });

for (const [name, f] of Object.entries(native).filter(([name]) => name.startsWith('jlock_'))) {
  test(`${name} is declared as in jlock.h`, () => {
    const { result, arguments: parameters } = f.info;
    const declared = { result: result.primitive, parameters: parameters.map(({ type }) => type.primitive) };
    assert.deepEqual(declared, prototype(name));
  });
}

test('the structs are those of jlock.h', () => {
  const structs = {
    jlock_options: native.jlock_open.info.arguments[1].type.ref,
    jlock_place: native.jlock_probe.info.arguments[1].type.ref,
    jlock_holder: native.jlock_inspect.info.arguments[1].type.ref,
    jlock_entry: native.jlock_append.info.arguments[1].type.ref,
  };
  for (const [name, struct] of Object.entries(structs)) {
    assert.deepEqual(koffiMembers(struct), members(name), name);
  }
  assert.equal(structs.jlock_entry.size, 3 * 8, 'which format.js reads and writes as three words');
});

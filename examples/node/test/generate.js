// Generates from a seed the kinds of journal that a reader may find. They have no NULs, which codegraph takes for text and
// the library for damage.

/** mulberry32: small, and the same everywhere. */
export function random(seed) {
  return () => {
    seed = (seed + 0x6d2b79f5) | 0;
    let t = Math.imul(seed ^ (seed >>> 15), 1 | seed);
    t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t;
    return ((t ^ (t >>> 14)) >>> 0) / 2 ** 32;
  };
}

// prettier-ignore
const NUMBERS = [
  '1700000000000', '0', '-1', '1', '', ' ', '1e3', '1E+3', '.5', '5.', '1.5', '+7', '0x10', '0X1f', '0x', '0b101',
  '0o17', 'Infinity', '-Infinity', 'NaN', '1e400', '1e-400', '1_000', '12abc', '1 2', '00012', '9007199254740993',
  '\t42\t', '\u00a042\ufeff', '0x1p3', '1e', '--1', '\u0663', '1n',
];
// prettier-ignore
const SPACES = [
  '', ' ', '\t', '\r', '\v', '\f', '\u00a0', '\ufeff', '\u2028', '\u3000', '\u0085', '\u200b', '\u180e',
];
// prettier-ignore
const WORDS = [
  'a', 'src/index.js', 'b c', 'é/ü', '文/字', '😀', 'DELETED', 'DELETED ', 'deleted x', '#', '# x', '\x01', 'x\x1fy', '',
];
const HEADERS = ['', '# codegraph-journal v1', '# codegraph-journal v2 ', '\ufeff# codegraph-journal v1 '];

export function journal(next) {
  const pick = (list) => list[Math.floor(next() * list.length)];
  const header = next() < 0.9 ? '# codegraph-journal v1 ' : pick(HEADERS);
  const lines = [`${header}${pick(SPACES)}${next() < 0.5 ? NUMBERS[0] : pick(NUMBERS)}${pick(SPACES)}`];
  for (let n = Math.floor(next() * 12); n > 0; n--) {
    const deleted = next() < 0.3 ? 'DELETED ' : '';
    lines.push(`${pick(SPACES)}${deleted}${pick(SPACES)}${pick(WORDS)}${pick(WORDS)}${pick(SPACES)}`);
  }
  const text = lines.join(next() < 0.9 ? '\n' : '\r\n') + (next() < 0.8 ? '\n' : '');
  return next() < 0.95 ? text : text.slice(0, Math.floor(next() * text.length));
}

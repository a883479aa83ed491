/**
 * The path of a directory. Bytes are used as they are, so a name need not be UTF-8.
 *
 * @typedef {string | Uint8Array | URL} PathLike
 */
/** @typedef {{ bytes: Buffer, text: string }} Path the bytes end with a NUL, the text is for messages */
/**
 * @param {unknown} value
 * @param {string} name the parameter's name
 * @returns {Path}
 */
export function toPath(value: unknown, name: string): Path;
/**
 * @param {string} name
 * @param {string} what
 * @param {unknown} value
 * @param {string} code one of those that Node's own functions use
 */
export function argumentError(name: string, what: string, value: unknown, code: string): TypeError & {
    code: string;
};
/**
 * @param {string} name
 * @param {unknown} value
 * @param {number} byDefault
 */
export function milliseconds(name: string, value: unknown, byDefault: number): number;
/**
 * A timestamp in the form that C takes.
 *
 * @param {unknown} value
 * @returns {bigint}
 */
export function toNativeTimestamp(value: unknown): bigint;
/**
 * @param {unknown} value
 * @returns {AbortSignal | undefined}
 */
export function toSignal(value: unknown): AbortSignal | undefined;
/**
 * @param {{ encoding?: unknown } | undefined} options
 * @returns {'utf8' | 'buffer'}
 */
export function toEncoding(options: {
    encoding?: unknown;
} | undefined): "utf8" | "buffer";
/**
 * The path of a directory. Bytes are used as they are, so a name need not be UTF-8.
 */
export type PathLike = string | Uint8Array | URL;
/**
 * the bytes end with a NUL, the text is for messages
 */
export type Path = {
    bytes: Buffer;
    text: string;
};
import { URL } from 'node:url';

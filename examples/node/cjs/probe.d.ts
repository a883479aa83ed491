/**
 * Finds out by trying what a directory can promise. It takes a second at most, takes no lock and leaves nothing behind.
 *
 * @param {import('./arguments.js').PathLike} dir it must exist, and be writable
 * @returns {Promise<Place>}
 */
export function probe(dir: import("./arguments.js").PathLike): Promise<Place>;
export function missing(bits: number): Missing[];
export type Missing = "link" | "flock" | "lease" | "inotify" | "noreplace";
/**
 * What a directory can promise, found out by trying.
 */
export type Place = {
    /**
     * `processesOfMount`, `processesOfMachine`, `otherMachines`:
     * which processes exclude each other; `takeover`: a dead peer's lock is taken over at once; `durable`: with `sync`,
     * what was acknowledged survives a power cut; `order`: waiters are served in the order in which they came
     */
    promises: Record<"processesOfMount" | "processesOfMachine" | "otherMachines" | "takeover" | "durable" | "order", boolean>;
    /**
     * what the file system lacks; if nothing, this is the full protocol
     */
    missing: Missing[];
    /**
     * its name, such as `ext4`
     */
    fileSystem: string;
    /**
     * why something is not promised; empty if everything is
     */
    reason: string;
};

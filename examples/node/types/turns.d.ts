/**
 * Whose turn it is: a line of calls on one lock, first come, first served, that each can leave again.
 */
/** How one call waits: until when, and what ends it before. */
export class Patience {
    /**
     * @param {number} timeoutMs
     * @param {AbortSignal} [signal]
     */
    constructor(timeoutMs: number, signal?: AbortSignal);
    signal: AbortSignal | undefined;
    /** Milliseconds since it began. */
    get waited(): number;
    /** Milliseconds left; not below 0. */
    get left(): number;
    #private;
}
/** `setTimeout` takes no more: 24 days. */
export const LONGEST_MS: number;
/** @typedef {'turn' | 'timeout' | 'abort' | 'closed'} Outcome */
export class Turns {
    /**
     * Waits for a turn. After `'turn'` the caller has it until `leave`; after anything else it has not.
     *
     * @param {Patience} [patience] without: until it is the caller's turn
     * @returns {Promise<Outcome>}
     */
    enter(patience?: Patience): Promise<Outcome>;
    leave(): void;
    /**
     * Ends the wait of all who are in line, and lets nobody in any more.
     *
     * @returns {Promise<void>} when the one whose turn it is has left
     */
    close(): Promise<void>;
    #private;
}
export type Outcome = "turn" | "timeout" | "abort" | "closed";

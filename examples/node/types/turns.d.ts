/** How one call waits: until when, and what can end it earlier. */
export class Patience {
    /**
     * @param {number} timeoutMs
     * @param {AbortSignal} [signal]
     */
    constructor(timeoutMs: number, signal?: AbortSignal);
    signal: AbortSignal | undefined;
    /** Milliseconds since it began. */
    get waited(): number;
    /** Milliseconds left, never below 0. */
    get left(): number;
    #private;
}
/** The most that `setTimeout` takes: 24 days. */
export const LONGEST_MS: number;
/** @typedef {'turn' | 'timeout' | 'abort' | 'closed'} Outcome */
export class Turns {
    /**
     * Waits for a turn. After `'turn'` it is the caller's turn until `leave`; after anything else it is not.
     *
     * @param {Patience} [patience] if it is missing, the wait ends only with the caller's turn
     * @returns {Promise<Outcome>}
     */
    enter(patience?: Patience): Promise<Outcome>;
    leave(): void;
    /**
     * Ends the wait of all calls in line, and lets no more in.
     *
     * @returns {Promise<void>} fulfilled once the call whose turn it is has left
     */
    close(): Promise<void>;
    #private;
}
export type Outcome = "turn" | "timeout" | "abort" | "closed";

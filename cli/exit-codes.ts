/** Exit codes of the command line; docs/running.md explains them for scripts. */
export const EXIT_CODES = { done: 0, failed: 1, invalidInput: 2, notPromoted: 3, interrupted: 130 } as const;

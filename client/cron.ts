/** Mondays at 6:00 UTC, when the week that ended on Friday or Sunday has been booked. */
export const DEFAULT_CRON = '0 6 * * 1';

/** Ids of stores and departments as users write and see them. In tables and models whole numbers stand for them (raw.id). */
import { z } from 'zod';

/** Id in requests, answers and results. Data sets of whole numbers show numbers, all others text. */
export type SeriesId = number | string;

const MAX_CHARACTERS = 100;
/** The rule of ml/shelfcast/ingest/cell_rules.py: no characters that break a line, and no halves of surrogate pairs. */
const ID = new RegExp(`^[^\\p{Cc}\\p{Zl}\\p{Zp}\\p{Cs}]{1,${MAX_CHARACTERS}}$`, 'u');
/** ASCII, which is always in normal form, without white space around it. */
const SIMPLE_ID = /^[!-~](?:[ -~]{0,98}[!-~])?$/;
const DECIMALS = /^(?:0|-?[1-9]\d{0,15})$/;

/** Returns the id as raw.id has it: trimmed, in Unicode's normal form C; undefined when no id is written like this. */
export function normalId(text: string): string | undefined {
  if (SIMPLE_ID.test(text)) return text;
  const id = text.trim().normalize();
  return ID.test(id) ? id : undefined;
}

/** Returns the whole number of which the id is the plain text, such as 12 of `12` but not of `012`; else undefined. */
export function wholeNumberOf(id: SeriesId): number | undefined {
  const number = typeof id === 'number' || DECIMALS.test(id) ? Number(id) : NaN;
  return Number.isSafeInteger(number) ? number : undefined;
}

/** Returns the id for a sentence; quotes and escapes make text safe in logs. */
export const shownId = (id: SeriesId): string =>
  typeof id === 'number' ? String(id) : JSON.stringify(normalId(id) ?? id);

/** Id in a request. */
export const seriesIdSchema = z.union([
  z.int(),
  z
    .string()
    .refine(
      (text) => normalId(text) !== undefined,
      `must have 1 to ${MAX_CHARACTERS} characters, and no control characters`,
    ),
]);

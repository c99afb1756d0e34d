/** Words for what zod finds wrong. */
import type { z } from 'zod';

/** Returns one sentence for each invalid value, with its path. */
export const sentencesOf = (error: z.ZodError): string[] =>
  error.issues.map((issue) => `${issue.path.join('.') || 'the input'}: ${issue.message}`);

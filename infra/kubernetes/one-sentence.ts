/** Text of operators and programs, made fit for a line of progress or an error message. */

const MAX_LENGTH = 400;

/** One line without the full stop at its end. */
export function oneSentence(text: string): string {
  const line = text.replace(/\s+/g, ' ').trim().replace(/\.$/, '');
  return line.length <= MAX_LENGTH ? line : `${line.slice(0, MAX_LENGTH - 1)}…`;
}

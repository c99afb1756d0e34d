import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest';
import type { OnProgress } from '../../infra/local/progress-lines.ts';
import { withProgressLines } from '../../infra/local/progress-lines.ts';

describe('work that takes minutes', () => {
  beforeEach(() => {
    vi.useFakeTimers();
  });
  afterEach(() => {
    vi.useRealTimers();
  });
  const wait = (ms: number) => () =>
    new Promise<string>((resolve) =>
      setTimeout(() => {
        resolve('built');
      }, ms),
    );
  async function build(onProgress: OnProgress, ms: number): Promise<string> {
    const built = withProgressLines('building', '3 minutes', onProgress, wait(ms));
    await vi.runAllTimersAsync();
    return built;
  }

  test('prints a line every 15 s', async () => {
    const lines: string[] = [];
    expect(await build((line) => lines.push(line), 80_000)).toBe('built');
    expect(lines.slice(0, 1)).toEqual(['still building: 15 s, usually 3 minutes']);
    expect(lines.at(-1)).toBe('still building: 1 min 15 s, usually 3 minutes');
    expect(lines).toHaveLength(5);
  });

  test('redraws one line a second on a terminal, and removes it at the end', async () => {
    const drawn: string[] = [];
    const lines: string[] = [];
    const tell = (line: string): void => void lines.push(line);
    const draw = (line: string): void => void drawn.push(line);
    await build(Object.assign(tell, { draw }), 2_500);
    expect(lines).toEqual([]);
    expect(drawn).toEqual([
      'still building: 1 s, usually 3 minutes',
      'still building: 2 s, usually 3 minutes',
      '',
    ]);
  });

  test('prints nothing more after the work failed', async () => {
    const lines: string[] = [];
    const fail = () => Promise.reject(new Error('broken'));
    await expect(
      withProgressLines('building', '3 minutes', (line) => lines.push(line), fail),
    ).rejects.toThrow('broken');
    await vi.advanceTimersByTimeAsync(60_000);
    expect(lines).toEqual([]);
  });
});
